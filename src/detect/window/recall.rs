//! The latest events of each key: what a finding names as the events that formed it.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::slot::{Input, Stored, from_bytes};
use super::value::Values;
use crate::anomaly::MAX_EVENTS;

/// Events of the last `span`, of a key no more than a record names.
#[derive(Debug)]
pub(crate) struct Recall {
    /// Microseconds.
    span: i64,
    /// How long after its time a finding asks, in microseconds.
    wait: i64,
    held: Held,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Held {
    /// The events of each key, in order of time.
    keys: Vec<VecDeque<(i64, EventId)>>,
    /// When events came, and whose they are.
    coming: VecDeque<(i64, u32)>,
    /// Findings ask about no earlier time than this.
    asked: i64,
}

/// An event's id: most are UUIDs, which take half the room as such.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum EventId {
    Uuid([u8; 16]),
    Other(Box<str>),
}

impl EventId {
    fn new(text: &str) -> Self {
        Self::uuid(text.as_bytes()).map_or_else(|| Self::Other(text.into()), Self::Uuid)
    }

    /// The number of a UUID in its usual form, in lower case.
    fn uuid(text: &[u8]) -> Option<[u8; 16]> {
        if text.len() != 36 {
            return None;
        }
        let mut digits = 0;
        let mut bytes = [0; 16];
        for (at, byte) in text.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if *byte != b'-' {
                    return None;
                }
                continue;
            }
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return None,
            };
            bytes[digits / 2] = bytes[digits / 2] << 4 | digit;
            digits += 1;
        }
        Some(bytes)
    }

    fn text(&self) -> String {
        use std::fmt::Write;
        match self {
            Self::Other(text) => text.to_string(),
            Self::Uuid(bytes) => {
                let mut text = String::with_capacity(36);
                for (at, byte) in bytes.iter().enumerate() {
                    if matches!(at, 4 | 6 | 8 | 10) {
                        text.push('-');
                    }
                    // Writing to a string does not fail.
                    let _ = write!(text, "{byte:02x}");
                }
                text
            }
        }
    }
}

impl Recall {
    pub fn new(span: i64, wait: i64) -> Self {
        Self {
            span,
            wait,
            held: Held::default(),
        }
    }

    pub fn grow(&mut self, keys: usize) {
        if keys > self.held.keys.len() {
            self.held.keys.resize_with(keys, VecDeque::new);
        }
    }

    /// Takes the ids of these rows, which came at `times`.
    pub fn enter(&mut self, input: &Input, times: &[i64], rows: Range<usize>, keys: &[u32]) {
        let Values::Text(ids) = &input.values else {
            return;
        };
        for (row, key) in rows.zip(keys) {
            let time = times[row];
            let events = &mut self.held.keys[*key as usize];
            // Of those before any time that is asked about only the latest are ever named.
            if events.len() >= 2 * MAX_EVENTS {
                let old = events.partition_point(|(time, _)| *time < self.held.asked);
                if let Some(spare) = old.checked_sub(MAX_EVENTS) {
                    let oldest = events[spare].0;
                    let spare = events.partition_point(|(time, _)| *time < oldest);
                    events.drain(..spare);
                }
            }
            events.push_back((time, EventId::new(ids.value(row))));
            self.held.coming.push_back((time, *key));
        }
    }

    /// The ids of the key's events from `span` before `time` up to it, the newest first; of those of
    /// one time the largest.
    pub fn find(&self, key: u32, span: i64, time: i64) -> Vec<String> {
        let Some(events) = self.held.keys.get(key as usize) else {
            return Vec::new();
        };
        let first = time.saturating_sub(span);
        let start = events.partition_point(|(at, _)| *at < first);
        let end = events.partition_point(|(at, _)| *at <= time);
        let mut named: Vec<(i64, String)> = Vec::new();
        for (at, id) in events.range(start..end).rev() {
            if named.len() >= MAX_EVENTS && named.last().is_some_and(|(last, _)| last != at) {
                break;
            }
            named.push((*at, id.text()));
        }
        named.sort_unstable_by(|one, other| other.cmp(one));
        named.into_iter().map(|(_, id)| id).collect()
    }

    /// Lets go of what nobody will ask for when all before `time` is judged; `gone` is told the key
    /// of each event.
    pub fn settle(&mut self, time: i64, mut gone: impl FnMut(u32)) {
        self.held.asked = time.saturating_sub(self.wait);
        let first = self.held.asked.saturating_sub(self.span);
        while let Some((_, key)) = self.held.coming.pop_front_if(|(at, _)| *at < first) {
            let events = &mut self.held.keys[key as usize];
            while events.pop_front_if(|(at, _)| *at < first).is_some() {}
            if events.is_empty() {
                events.shrink_to_fit();
            }
            gone(key);
        }
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        let events: usize = self.held.keys.iter().map(VecDeque::capacity).sum();
        events * size_of::<(i64, EventId)>()
            + self.held.keys.capacity() * size_of::<VecDeque<(i64, EventId)>>()
            + self.held.coming.capacity() * size_of::<(i64, u32)>()
    }

    pub fn save(&self) -> Stored<Vec<u8>> {
        postcard::to_stdvec(&self.held)
    }

    pub fn load(&mut self, bytes: &[u8]) -> Stored<()> {
        self.held = from_bytes(bytes)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::EventId;

    #[test]
    fn ids_come_back_as_they_were() {
        for text in [
            "0f8fad5b-d9cb-469f-a165-70867728950e",
            "0F8FAD5B-D9CB-469F-A165-70867728950E",
            "0f8fad5b-d9cb-469f-a165-70867728950",
            "0f8fad5bxd9cb-469f-a165-70867728950e",
            "",
            "event 1",
        ] {
            assert_eq!(EventId::new(text).text(), text);
        }
    }
}
