//! The ids of the log's rows: what a finding names as the events that formed it.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::log::Log;
use super::slot::{Input, Stored, from_bytes};
use super::value::Values;
use crate::anomaly::MAX_EVENTS;
use crate::event::id::{self as event_id, Uuid};

/// Ids of the events of the last `span`.
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
    /// By row; nil where the id is among the others.
    ids: VecDeque<Uuid>,
    /// By the number of the row: ids that are no UUIDs.
    others: HashMap<u64, Box<str>>,
    /// The row whose id comes first.
    base: u64,
}

impl Recall {
    pub fn new(span: i64, wait: i64) -> Self {
        Self {
            span,
            wait,
            held: Held::default(),
        }
    }

    /// Takes the ids of these rows, which were just appended to the log.
    pub fn enter(&mut self, input: &Input, rows: Range<usize>) {
        let Values::Text(texts) = &input.values else {
            return;
        };
        let Held { ids, others, base } = &mut self.held;
        for row in rows {
            let text = texts.value(row);
            let id = event_id::uuid(text).unwrap_or_else(|| {
                others.insert(*base + ids.len() as u64, text.into());
                event_id::NIL
            });
            ids.push_back(id);
        }
    }

    /// The ids of the key's events from `span` before `time` up to it, the newest first; of those of
    /// one time the largest.
    pub fn find(&self, log: &Log, key: u32, span: i64, time: i64) -> Vec<String> {
        let first = time.saturating_sub(span);
        let mut named: Vec<(i64, String)> = Vec::new();
        for row in (log.start()..log.end()).rev() {
            let at = log.time(row);
            let is_enough =
                || named.len() >= MAX_EVENTS && named.last().is_some_and(|(last, _)| *last != at);
            if at < first || is_enough() {
                break;
            }
            if at <= time && log.key(row) == key {
                named.push((at, self.text(row)));
            }
        }
        named.sort_unstable_by(|one, other| other.cmp(one));
        named.into_iter().map(|(_, id)| id).collect()
    }

    fn text(&self, row: u64) -> String {
        match self.held.others.get(&row) {
            Some(text) => text.to_string(),
            None => event_id::text(self.held.ids[(row - self.held.base) as usize]),
        }
    }

    /// The first row of the log that may be asked for when all before `time` is judged.
    pub fn settle(&self, log: &Log, time: i64) -> u64 {
        let first = time.saturating_sub(self.wait).saturating_sub(self.span);
        log.first_from(first)
    }

    /// The oldest rows leave the log, up to this one.
    pub fn trim(&mut self, first: u64) {
        let held = &mut self.held;
        for row in held.base..first {
            if held.ids.pop_front() == Some(event_id::NIL) {
                held.others.remove(&row);
            }
        }
        held.base = first;
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        let others = self.held.others.values();
        let others: usize = others
            .map(|text| text.len() + size_of::<(u64, Box<str>)>())
            .sum();
        self.held.ids.capacity() * size_of::<Uuid>() + others
    }

    pub fn save(&self) -> Stored<Vec<u8>> {
        postcard::to_stdvec(&self.held)
    }

    pub fn load(&mut self, bytes: &[u8]) -> Stored<()> {
        self.held = from_bytes(bytes)?;
        Ok(())
    }
}
