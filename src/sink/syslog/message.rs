//! A message of RFC 5424, and the frame around it.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Deserialize;

use crate::sink::{Delivery, Format, Kind};

/// `log audit`, RFC 5424 §6.2.1.
const FACILITY: u8 = 13;

/// The severity of what only informs, RFC 5424 §6.2.1.
const INFORMATIONAL: u8 = 6;

/// The name of our structured data. RFC 5612 sets the enterprise number 32473 aside for examples; we have
/// none of our own, and it is nobody else's.
const STRUCTURED_DATA: &str = "gridwatch@32473";

/// What stands for a value that is not known.
const NIL: &str = "-";

/// What the head of a message says of an anomaly.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Finding {
    rule: String,
    level: String,
}

/// The message of a delivery: one line. Its text is JSON without a byte order mark, in which control
/// characters, line separators and marks of direction are escaped.
pub(super) fn message(delivery: &Delivery, format: Format, hostname: &str) -> String {
    let id = delivery.id();
    let (kind, severity, data) = match delivery.kind {
        Kind::Anomaly => {
            let finding: Finding = serde_json::from_str(&delivery.record).unwrap_or_default();
            let Finding { rule, level } = &finding;
            let data = structured_data(&[("id", &id), ("rule", rule), ("level", level)]);
            ("anomaly", severity(level), data)
        }
        Kind::Event => ("event", INFORMATIONAL, structured_data(&[("id", &id)])),
    };
    let priority = FACILITY * 8 + severity;
    let time = timestamp(delivery.time());
    let text = one_line(&delivery.rendered(format));
    format!("<{priority}>1 {time} {hostname} gridwatch {NIL} {kind} {data} {text}")
}

/// The message after its length in bytes.
pub(super) fn framed(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// The name if RFC 5424 §6.2.4 allows it: 1 to 255 characters of printable ASCII without spaces.
pub(super) fn hostname(name: &str) -> &str {
    let is_printable = name.bytes().all(|byte| byte.is_ascii_graphic());
    if is_printable && (1..=255).contains(&name.len()) {
        name
    } else {
        NIL
    }
}

/// The severity of a level, RFC 5424 §6.2.1: from critical (2) to informational (6).
fn severity(level: &str) -> u8 {
    match level {
        "critical" => 2,
        "high" => 3,
        "medium" => 4,
        "low" => 5,
        _ => INFORMATIONAL,
    }
}

/// Microseconds since 1970 as RFC 5424 §6.2.3 has them, in UTC. Years before 1970 are nobody's.
fn timestamp(micros: i64) -> String {
    match Timestamp::from_microsecond(micros) {
        Ok(time) if micros >= 0 => format!("{time:.6}"),
        _ => NIL.to_owned(),
    }
}

/// Whether it ends a line, steers a terminal, or turns the direction of a text, so that people would
/// read something else than is written: control characters, separators of lines and paragraphs, and the
/// bidirectional marks of Unicode Standard Annex 9.
fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// RFC 5424 §6.3, with values as §6.3.3 escapes them. Characters that mislead are left out.
fn structured_data(parameters: &[(&str, &str)]) -> String {
    let mut data = format!("[{STRUCTURED_DATA}");
    for (name, value) in parameters {
        data.push(' ');
        data.push_str(name);
        data.push_str("=\"");
        for character in value.chars().filter(|character| !misleads(*character)) {
            if matches!(character, '"' | '\\' | ']') {
                data.push('\\');
            }
            data.push(character);
        }
        data.push('"');
    }
    data.push(']');
    data
}

/// The same JSON without characters that mislead.
fn one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            // They stand between parts alone: in texts JSON escapes them.
            '\0'..='\x1f' => line.push(' '),
            _ if misleads(character) => {
                line.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => line.push(character),
        }
    }
    line
}
