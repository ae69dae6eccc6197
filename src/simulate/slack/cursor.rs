//! Cursors: where a walk through the pages goes on, and nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The place of an event: by its second, within it by the order in which events were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// Unix seconds.
    pub second: u32,
    /// Counts the events that were added, from 0.
    pub number: u32,
}

impl Position {
    /// Behind every event.
    pub const END: Self = Self {
        second: u32::MAX,
        number: u32::MAX,
    };
}

/// A cursor to what is older than the position, made at `now` in microseconds. It ends with `=`, as
/// Slack's do.
pub(super) fn write(position: Position, now: i64) -> String {
    let mut text = format!("{now}:{}:{}", position.second, position.number);
    if text.len().is_multiple_of(3) {
        text.push(':');
    }
    STANDARD.encode(text)
}

/// What the cursor points to; `None` if it is no cursor, or older than `lifetime_secs` at `now`. With
/// a lifetime of 0 it never is.
pub(super) fn read(cursor: &str, now: i64, lifetime_secs: i64) -> Option<Position> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    let mut parts = text.trim_end_matches(':').split(':');
    let made: i64 = parts.next()?.parse().ok()?;
    let second = parts.next()?.parse().ok()?;
    let number = parts.next()?.parse().ok()?;
    let age = now.saturating_sub(made);
    let is_good = lifetime_secs == 0 || age <= lifetime_secs.saturating_mul(1_000_000);
    (is_good && parts.next().is_none()).then_some(Position { second, number })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: Position = Position {
        second: 1_772_409_600,
        number: 7,
    };

    #[test]
    fn a_cursor_lives_as_long_as_it_may() {
        let cursor = write(PLACE, 5_000_000);
        for (now, lifetime_secs, is_good) in [
            (5_000_000, 60, true),
            (65_000_000, 60, true),
            (65_000_001, 60, false),
            (i64::MAX, 60, false),
            (i64::MAX, 0, true),
            (0, 60, true),
        ] {
            let read = read(&cursor, now, lifetime_secs);
            assert_eq!(
                read,
                is_good.then_some(PLACE),
                "at {now}, {lifetime_secs} s"
            );
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["1:2", "1:2:3:4", "1:2:x", "1:-2:3", "", "1:2:4294967296"] {
            assert_eq!(read(&STANDARD.encode(text), 0, 0), None, "{text}");
        }
        assert_eq!(read(&STANDARD.encode([0xff_u8]), 0, 0), None);
    }

    proptest! {
        #[test]
        fn a_cursor_keeps_the_position_and_ends_as_slacks_do(
            (second, number, now) in (any::<u32>(), any::<u32>(), 0..i64::MAX),
        ) {
            let position = Position { second, number };
            let cursor = write(position, now);
            prop_assert!(cursor.ends_with('='), "{}", cursor);
            prop_assert_eq!(read(&cursor, now, 1), Some(position));
        }

        #[test]
        fn no_text_does_harm(text in any::<String>()) {
            read(&text, 0, 1);
        }
    }
}
