//! `first_seen(value, event_time, learn_secs, forget_secs, history)`: a value that the key never had.

use serde_json::{Map, Value};

use super::memory::{Layout, Memory};
use super::{Argument, Arguments, Fold, Found, Texts, seconds};
use crate::anomaly::Because;
use crate::event::time::{MICROS, rfc3339};

/// Finds a value at its first event, once the key's own history is `learn_secs` long and holds at
/// least `history` events. A value not seen for longer than `forget_secs` counts as new again; a key
/// without any for so long begins anew. NULL is no value.
#[derive(Debug)]
pub struct FirstSeen;

/// The most values that are remembered of a key; beyond that the one seen longest ago is forgotten.
const MOST_VALUES: usize = 1000;
/// The most known values that a finding names, the latest ones.
const MOST_NAMED: usize = 10;

/// Its head is the second in which the key had its first value, and how many events had one. Its list
/// holds the values in the order in which they came, each by its number and with the second in which
/// it was seen last.
const LAYOUT: Layout<1> = Layout {
    head: 2,
    widths: [2],
};
const VALUES: usize = 0;

impl Fold for FirstSeen {
    const NAME: &'static str = "first_seen";
    const ARGUMENTS: &'static [Argument] = &[
        Argument::Text,
        Argument::Time,
        Argument::Integer,
        Argument::Integer,
        Argument::Integer,
    ];
    const HORIZON: usize = 3;
    type Common = ();

    fn step(
        memory: &mut Memory,
        texts: &mut Texts,
        arguments: &Arguments<'_>,
        row: usize,
        (): &(),
    ) -> Option<Found> {
        let value = arguments.text(0, row)?;
        let time = seconds(arguments.integer(1, row)?);
        let limit = |argument| arguments.integer(argument, row).unwrap_or(i64::MAX);
        let (learn, forget) = (limit(2), limit(3));
        let release = |old: &Memory| Self::release(old, texts);
        if let Some(head) = LAYOUT.begin(memory, time, forget, release) {
            head[0] = time;
        }
        let [since, events] = *LAYOUT.head(memory) else {
            return None;
        };
        let is_told = i64::from(events) >= arguments.integer(4, row).unwrap_or(0);
        LAYOUT.head_mut(memory)[1] = events.saturating_add(1);
        let last_seen = see(memory, texts, value, time);
        let is_new = last_seen.is_none_or(|last| i64::from(time) - i64::from(last) > forget);
        let history = i64::from(time) - i64::from(since);
        (is_new && is_told && history >= learn)
            .then(|| found(memory, texts, value, last_seen, [history, learn]))
    }

    fn release(memory: &Memory, texts: &mut Texts) {
        for value in LAYOUT.list(memory, VALUES) {
            texts.leave(value[0]);
        }
    }
}

/// When the value was seen last, if it was; from now on it was seen at `time` too.
fn see(memory: &mut Memory, texts: &mut Texts, value: &str, time: u32) -> Option<u32> {
    let number = texts.enter(value);
    let mut values = LAYOUT.list(memory, VALUES);
    let known = values.position(|known| known[0] == number);
    if let Some(at) = known {
        texts.leave(number);
        let known = LAYOUT.record(memory, VALUES, at);
        let last = known[1];
        known[1] = last.max(time);
        return Some(last);
    }
    let values = LAYOUT.list(memory, VALUES);
    if values.len() >= MOST_VALUES {
        let oldest = values.enumerate().min_by_key(|(_, known)| known[1]);
        if let Some((at, value)) = oldest.map(|(at, known)| (at, known[0])) {
            texts.leave(value);
            LAYOUT.remove(memory, VALUES, at);
        }
    }
    LAYOUT.push(memory, VALUES, &[number, time]);
    None
}

fn found(
    memory: &Memory,
    texts: &Texts,
    value: &str,
    last_seen: Option<u32>,
    [history, learn]: [i64; 2],
) -> Found {
    let known = LAYOUT.list(memory, VALUES);
    let known = known.map(|known| (texts.get(known[0]), known[1]));
    let mut known: Vec<(&str, u32)> = known.filter(|(known, _)| *known != value).collect();
    known.sort_by_key(|(known, time)| (std::cmp::Reverse(*time), *known));
    let total = known.len();
    let known: Vec<&str> = known
        .iter()
        .take(MOST_NAMED)
        .map(|(known, _)| *known)
        .collect();
    let last_seen = last_seen.map(|time| rfc3339(i64::from(time) * MICROS));
    let mut evidence = Map::new();
    evidence.insert("value".to_owned(), value.into());
    evidence.insert("known".to_owned(), known.into());
    evidence.insert("known_count".to_owned(), total.into());
    evidence.insert("last_seen".to_owned(), last_seen.into());
    evidence.insert("history_secs".to_owned(), history.into());
    let because = vec![
        Because::new("value not seen before", value, Value::Null),
        Because::new("history_secs >= learn_secs", history, learn),
    ];
    Found {
        evidence,
        because,
        ..Found::default()
    }
}
