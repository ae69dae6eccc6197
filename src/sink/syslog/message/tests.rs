//! Messages as they are written down, and back again by a reader of its own.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const HOST: &str = "watch.example.com";

fn delivery(kind: Kind, record: &str) -> Delivery {
    Delivery {
        record: record.to_owned(),
        found_at: 1_772_438_400_000_000,
        kind,
    }
}

/// A message taken apart.
#[derive(Debug)]
struct Parsed {
    priority: u8,
    time: String,
    /// Host, program, process and kind.
    names: [String; 4],
    parameters: Vec<(String, String)>,
    text: String,
}

/// Reads the grammar of RFC 5424 §6 and nothing else.
fn parse(message: &str) -> Option<Parsed> {
    let (priority, rest) = message.strip_prefix('<')?.split_once('>')?;
    let words: Vec<&str> = rest.strip_prefix("1 ")?.splitn(6, ' ').collect();
    let [time, host, program, process, kind, rest] = words[..] else {
        return None;
    };
    let is_time = time == "-" || (time.len() == 27 && time.parse::<Timestamp>().is_ok());
    let fits = |(word, most): (&str, usize)| {
        let is_printable = word.bytes().all(|byte| (33..=126).contains(&byte));
        is_printable && !word.is_empty() && word.len() <= most
    };
    let names = [(host, 255), (program, 48), (process, 128), (kind, 32)];
    if !is_time || !names.into_iter().all(fits) {
        return None;
    }
    let rest = rest.strip_prefix("[gridwatch@32473")?;
    let (parameters, text) = parse_parameters(rest)?;
    Some(Parsed {
        priority: priority.parse().ok()?,
        time: time.to_owned(),
        names: names.map(|(name, _)| name.to_owned()),
        parameters,
        text: text.strip_prefix(' ')?.to_owned(),
    })
}

/// Reads parameters up to the bracket; gives what comes after it, too.
fn parse_parameters(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut parameters = Vec::new();
    while let Some(parameter) = rest.strip_prefix(' ') {
        let (name, quoted) = parameter.split_once("=\"")?;
        let (mut value, mut characters) = (String::new(), quoted.chars());
        loop {
            match characters.next()? {
                '"' => break,
                ']' => return None,
                '\\' => value.push(characters.next().filter(|c| "\"\\]".contains(*c))?),
                other => value.push(other),
            }
        }
        parameters.push((name.to_owned(), value));
        rest = characters.as_str();
    }
    Some((parameters, rest.strip_prefix(']')?))
}

/// Takes frames apart; fails if they are none.
fn unframed(mut bytes: &[u8]) -> Vec<&str> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').unwrap();
        let length = std::str::from_utf8(&bytes[..space]).unwrap();
        assert!(!length.starts_with('0'), "{length}");
        let (message, rest) = bytes[space + 1..].split_at(length.parse().unwrap());
        messages.push(std::str::from_utf8(message).unwrap());
        bytes = rest;
    }
    messages
}

#[test]
fn a_message_is_as_it_is_written_down() {
    let fields = "\"id\":\"0f\",\"rule\":\"export\",\"level\":\"high\",\
                  \"event_time\":\"2026-03-02T08:00:00Z\"";
    let delivery = delivery(Kind::Anomaly, &format!("{{{fields}}}"));
    let expected = format!(
        "<107>1 2026-03-02T08:00:00.000000Z {HOST} gridwatch - anomaly [gridwatch@32473 \
         id=\"0f\" rule=\"export\" level=\"high\"] \
         {{{fields},\"envelope\":{{\"found_at\":\"2026-03-02T08:00:00Z\"}}}}"
    );
    assert_eq!(message(&delivery, Format::Native, HOST), expected);
}

#[test]
fn an_event_has_an_id_and_informs() {
    let record = "{\"id\":\"e\\\"1]\\n\",\n\t\"level\": \"critical\"}";
    let message = message(&delivery(Kind::Event, record), Format::Native, HOST);
    let parsed = parse(&message).expect("a message");
    assert_eq!(parsed.priority, 110);
    assert_eq!(parsed.names[3], "event");
    assert_eq!(parsed.parameters, [("id".to_owned(), "e\"1]".to_owned())]);
    let text = "{\"id\":\"e\\\"1]\\n\",  \"level\": \"critical\"}";
    assert_eq!(parsed.text, text);
}

#[test]
fn a_level_becomes_a_priority() {
    for (level, priority) in [
        ("critical", "<106>"),
        ("high", "<107>"),
        ("medium", "<108>"),
        ("low", "<109>"),
        ("informational", "<110>"),
        ("no level", "<110>"),
    ] {
        let record = json!({"id": "0f", "level": level}).to_string();
        let delivery = delivery(Kind::Anomaly, &record);
        let message = message(&delivery, Format::Native, HOST);
        assert!(message.starts_with(priority), "{level}: {message}");
    }
}

#[test]
fn values_are_escaped() {
    for (value, escaped) in [
        ("plain", "plain"),
        ("", ""),
        ("a\"b", "a\\\"b"),
        ("a\\b", "a\\\\b"),
        ("a]b", "a\\]b"),
        ("[a", "[a"),
        ("\"]", "\\\"\\]"),
        ("a\nb\r\tc\0", "abc"),
        ("\u{7f}\u{85}\u{9b}é", "é"),
        ("a\u{2028}\u{2029}b", "ab"),
        ("\u{202a}\u{202e}gpj\u{202c}.exe", "gpj.exe"),
        ("\u{2066}a\u{2069}\u{200e}b\u{200f}\u{61c}", "ab"),
        // A joiner is part of a word, and neighbours mislead nobody.
        (
            "\u{200d}\u{2027}\u{202f}\u{206a}",
            "\u{200d}\u{2027}\u{202f}\u{206a}",
        ),
    ] {
        let data = structured_data(&[("id", value)]);
        assert_eq!(data, format!("[gridwatch@32473 id=\"{escaped}\"]"));
    }
}

#[test]
fn a_text_stays_in_its_line() {
    for (json, line) in [
        ("{\"a\":1}", "{\"a\":1}"),
        ("{\n\t\"a\": 1\r\n}", "{  \"a\": 1  }"),
        ("\"a\\nb\"", "\"a\\nb\""),
        ("\"\u{7f}\u{85}\"", "\"\\u007f\\u0085\""),
        ("\"\u{9b}31m\"", "\"\\u009b31m\""),
        ("\"\u{2028}\u{2029}é\"", "\"\\u2028\\u2029é\""),
        ("\"\u{202a}\u{202e}\"", "\"\\u202a\\u202e\""),
        ("\"\u{2066}\u{2069}\"", "\"\\u2066\\u2069\""),
        ("\"\u{200e}\u{200f}\u{61c}\"", "\"\\u200e\\u200f\\u061c\""),
    ] {
        assert_eq!(one_line(json), line);
        let values = [json, line].map(|json| serde_json::from_str::<Value>(json).unwrap());
        assert_eq!(values[0], values[1]);
    }
}

#[test]
fn a_host_has_a_name_or_none() {
    let long = "a".repeat(256);
    for (name, expected) in [
        (HOST, HOST),
        ("192.0.2.1", "192.0.2.1"),
        (&long[1..], &long[1..]),
        (&long, "-"),
        ("", "-"),
        ("two words", "-"),
        ("line\nbreak", "-"),
        ("müller", "-"),
    ] {
        assert_eq!(hostname(name), expected, "{name}");
    }
}

#[test]
fn a_time_has_microseconds() {
    for (micros, expected) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_772_438_400_000_250, "2026-03-02T08:00:00.000250Z"),
        (-1, "-"),
        (i64::MAX, "-"),
        (i64::MIN, "-"),
    ] {
        assert_eq!(timestamp(micros), expected);
    }
}

#[test]
fn a_length_counts_bytes() {
    assert_eq!(framed("é"), "2 é");
    assert_eq!(unframed("2 é3 abc".as_bytes()), ["é", "abc"]);
}

/// Characters beside control characters that show another text than there is.
const MARKS: [char; 14] = [
    '\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202b}', '\u{202c}',
    '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

fn is_harmless(character: char) -> bool {
    !character.is_control() && !MARKS.contains(&character)
}

/// Texts that mean harm.
fn text() -> impl Strategy<Value = String> {
    let harm = prop::sample::select(vec!['"', '\\', ']', '[', ' ', '=', '<', '\n', '\0']);
    let marks = prop::sample::select(&MARKS[..]);
    let characters = vec(prop_oneof![any::<char>(), harm, marks], 0..20);
    characters.prop_map(|characters| characters.into_iter().collect())
}

/// Any order of characters, half of them JSON's own.
fn record() -> impl Strategy<Value = String> {
    prop_oneof![
        text(),
        (text(), text()).prop_map(|(name, value)| {
            format!(
                "{:#}",
                json!({"id": value, "level": name, "rule": {name: value}})
            )
        })
    ]
}

proptest! {
    #[test]
    fn frames_come_back_whole(
        anomalies in vec((text(), text(), text(), text()), 1..4),
        records in vec(record(), 0..4),
    ) {
        let anomalies = anomalies.iter().map(|(id, rule, level, note)| {
            let record = json!({"id": id, "rule": rule, "level": level, "note": note});
            delivery(Kind::Anomaly, &record.to_string())
        });
        let others = records.iter().map(|record| delivery(Kind::Event, record));
        let deliveries: Vec<Delivery> = anomalies.chain(others).collect();
        let frames: String = deliveries
            .iter()
            .map(|delivery| framed(&message(delivery, Format::Native, HOST)))
            .collect();
        let messages = unframed(frames.as_bytes());
        prop_assert_eq!(messages.len(), deliveries.len());
        for (message, delivery) in messages.into_iter().zip(&deliveries) {
            prop_assert!(message.chars().all(is_harmless), "{:?}", message);
            let parsed = parse(message);
            prop_assert!(parsed.is_some(), "{:?}", message);
            let parsed = parsed.unwrap();
            prop_assert_eq!(&parsed.time, &timestamp(delivery.time()));
            prop_assert_eq!(&parsed.names[0], HOST);
            prop_assert_eq!(&parsed.names[1], "gridwatch");
            let sent: Option<Value> = serde_json::from_str(&delivery.native()).ok();
            let Some(sent) = sent else { continue };
            prop_assert_eq!(&serde_json::from_str::<Value>(&parsed.text).unwrap(), &sent);
            for (name, value) in &parsed.parameters {
                let plain = sent[name.as_str()].as_str().unwrap_or_default();
                let plain: String = plain.chars().filter(|c| is_harmless(*c)).collect();
                prop_assert_eq!(value, &plain);
            }
        }
    }
}
