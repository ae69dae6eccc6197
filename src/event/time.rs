//! Times on the wire and in records.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Microseconds in a second: the unit of every time column.
pub const MICROS: i64 = 1_000_000;

/// The last second that is taken for a time, the end of the year 2261: nanoseconds, in which SQL
/// bins times, reach little further. What lies beyond is most likely milliseconds or microseconds
/// under the name of seconds.
const LAST_SECOND: i64 = 9_214_646_399;

/// Reads `date_create`: Unix seconds, or a date and time (`2026-03-02T08:00:00Z`,
/// `2026-03-02 08:00:00`, taken for UTC when it names no zone). Returns microseconds.
pub fn parse(text: &str) -> Option<i64> {
    let seconds = match text.parse::<i64>() {
        Ok(seconds) => seconds,
        Err(_) => match text.parse::<f64>() {
            // Whole or broken seconds written as a decimal number.
            Ok(seconds) if seconds.abs() <= LAST_SECOND as f64 => seconds.floor() as i64,
            Ok(_) => return None,
            Err(_) => return parse_civil(text),
        },
    };
    (0..=LAST_SECOND)
        .contains(&seconds)
        .then(|| seconds * MICROS)
}

fn parse_civil(text: &str) -> Option<i64> {
    let time = match text.parse::<Timestamp>() {
        Ok(time) => time,
        Err(_) => {
            let civil: DateTime = text.parse().ok()?;
            TimeZone::UTC.to_timestamp(civil).ok()?
        }
    };
    let seconds = time.as_second();
    (0..=LAST_SECOND)
        .contains(&seconds)
        .then(|| seconds * MICROS)
}

/// RFC 3339 in UTC; whole seconds without a fraction.
pub fn rfc3339(micros: i64) -> String {
    match Timestamp::from_microsecond(micros) {
        Ok(time) => time.to_string(),
        Err(_) => micros.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form_seen() {
        for (text, expected) in [
            ("1521214343", Some(1_521_214_343 * MICROS)),
            ("1521214343.9", Some(1_521_214_343 * MICROS)),
            ("1.521214343e9", Some(1_521_214_343 * MICROS)),
            ("2018-03-16T15:32:23Z", Some(1_521_214_343 * MICROS)),
            ("2018-03-16 15:32:23", Some(1_521_214_343 * MICROS)),
            (
                "2018-03-16T15:32:23.250+00:00",
                Some(1_521_214_343 * MICROS),
            ),
            ("1521214343000000", None),
            ("-1", None),
            ("NaN", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(rfc3339(1_521_214_343 * MICROS), "2018-03-16T15:32:23Z");
    }
}
