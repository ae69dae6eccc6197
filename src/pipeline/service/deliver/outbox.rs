//! Anomalies for a sink.

use std::sync::Arc;

use super::{MOST, Queue};
use crate::sink::{Delivery, Kind};
use crate::store::{self, Entry, Reader, Refusal, Store};

pub struct Outbox {
    store: Arc<Store>,
    reader: Reader,
    sink: String,
    /// What was given last.
    entries: Vec<Entry>,
}

impl Outbox {
    pub fn new(store: Arc<Store>, reader: Reader, sink: &str) -> Self {
        Self {
            store,
            reader,
            sink: sink.to_owned(),
            entries: Vec::new(),
        }
    }
}

impl Queue for Outbox {
    fn first(&mut self) -> Result<Vec<Delivery>, store::Error> {
        self.entries = self.reader.outbox(&self.sink, MOST)?;
        let deliveries = self.entries.iter().map(|entry| Delivery {
            record: entry.record.clone(),
            found_at: entry.found_at,
            kind: Kind::Anomaly,
        });
        Ok(deliveries.collect())
    }

    fn settle(
        &mut self,
        settled: usize,
        refused: &[Refusal],
        now: i64,
    ) -> Result<(), store::Error> {
        let settled = &self.entries[..settled.min(self.entries.len())];
        self.store.settle(&self.sink, settled, refused, now)
    }

    fn is_short(&self) -> bool {
        true
    }

    fn waiting(&self) -> Result<u64, store::Error> {
        let waiting = self.reader.waiting()?;
        let own = waiting.iter().find(|(name, _)| *name == self.sink);
        Ok(own.map_or(0, |(_, entries)| *entries))
    }
}
