//! Delivery: from the outbox to a sink, in order, as often as it takes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Error;
use super::state::Shared;
use crate::sink::{self, Sink};
use crate::store::{Entry, Reader, Store};

pub(super) struct Delivery {
    pub store: Arc<Store>,
    pub reader: Reader,
    pub shared: Arc<Shared>,
    pub name: String,
    pub sink: Box<dyn Sink>,
}

/// Entries that are delivered together.
const MOST: usize = 1000;
/// How long to wait for something to do.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long to wait after a failure, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

impl Delivery {
    pub fn run(mut self) -> Result<(), Error> {
        let mut backoff = BACKOFF.0;
        self.count();
        loop {
            let (heard, ends) = (self.shared.news.heard(), self.shared.end.heard());
            let is_over = self.shared.is_over();
            match self.deliver() {
                Ok(0) if is_over => return Ok(()),
                Ok(0) => self.shared.news.wait(heard, PATIENCE),
                Ok(_) => {
                    backoff = BACKOFF.0;
                    self.note(None);
                }
                Err(reason) => {
                    self.note(Some(reason));
                    if is_over {
                        return Ok(());
                    }
                    self.shared.end.wait(ends, backoff);
                    backoff = (backoff * 2).min(BACKOFF.1);
                }
            }
        }
    }

    /// Delivers some entries; gives their number.
    fn deliver(&mut self) -> Result<usize, String> {
        let entries = self.reader.outbox(&self.name, MOST);
        let entries = entries.map_err(|error| error.to_string())?;
        let Some(last) = entries.last().map(|entry| entry.seq) else {
            self.set_waiting(0);
            return Ok(0);
        };
        let deliveries = entries.into_iter();
        let deliveries = deliveries.map(
            |Entry {
                 record, found_at, ..
             }| sink::Delivery { record, found_at },
        );
        let deliveries: Vec<_> = deliveries.collect();
        let delivered = self.sink.deliver(&deliveries, self.shared.clock.now());
        let result = if delivered.is_ok() {
            "delivered"
        } else {
            "failed"
        };
        let attempts = &self.shared.metrics.sink_deliveries_total;
        attempts.with_label_values(&[&self.name, result]).inc();
        delivered.map_err(|error| error.to_string())?;
        let taken = self.store.delivered(&self.name, last);
        taken.map_err(|error| error.to_string())?;
        self.count();
        Ok(deliveries.len())
    }

    fn note(&self, reason: Option<String>) {
        self.shared
            .set_amiss(&format!("sink {}", self.name), reason);
    }

    fn count(&self) {
        // What cannot be counted now is counted the next time.
        let waiting = self.reader.waiting().unwrap_or_default();
        let own = waiting.iter().find(|(name, _)| *name == self.name);
        self.set_waiting(own.map_or(0, |(_, entries)| *entries));
    }

    fn set_waiting(&self, entries: u64) {
        if let Some(waiting) = self.shared.waiting.get(&self.name) {
            waiting.store(entries, Ordering::Relaxed);
        }
        let gauge = &self.shared.metrics.outbox_entries;
        gauge.with_label_values(&[&self.name]).set(entries as i64);
    }
}
