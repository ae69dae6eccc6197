//! Sealing: from time to time the tail becomes a segment of the archive.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rayon::ThreadPool;

use super::Error;
use super::state::Shared;
use crate::clock::Stopwatch;
use crate::store::{self, Reader, Sealed, Store};

pub(super) struct Sealing {
    pub store: Arc<Store>,
    pub reader: Reader,
    pub shared: Arc<Shared>,
    /// The tail is sealed when it holds so many rows, or after so long.
    pub rows: u64,
    pub every: Duration,
    /// So that it does not stand in the way of evaluation.
    pub threads: ThreadPool,
}

/// How often the tail is looked at, and a seal that failed tried again.
const LOOK: Duration = Duration::from_millis(500);

impl Sealing {
    pub fn run(self) -> Result<(), Error> {
        let mut since = Stopwatch::start();
        loop {
            let heard = self.shared.end.heard();
            if self.shared.is_stopping() {
                return Ok(());
            }
            let rows = self.shared.tail_rows.load(Ordering::Relaxed);
            let is_due = since.elapsed() >= self.every;
            if rows < self.rows && !is_due {
                self.shared.end.wait(heard, LOOK.min(self.every));
                continue;
            }
            let sealed = self.seal();
            self.shared
                .set_amiss("archive", sealed.as_ref().err().map(ToString::to_string));
            if sealed.is_err() {
                self.shared.end.wait(heard, LOOK);
            } else if is_due {
                since = Stopwatch::start();
            }
        }
    }

    fn seal(&self) -> Result<Sealed, store::Error> {
        let metrics = &self.shared.metrics;
        let watch = Stopwatch::start();
        let seal = || self.store.seal(&self.reader, self.rows, &self.shared.fresh);
        let sealed = self.threads.install(seal);
        let sealed = sealed.inspect_err(|_| {
            metrics
                .commit_failures_total
                .with_label_values(&["seal"])
                .inc();
        })?;
        if sealed.rows > 0 {
            self.shared.sealed(sealed.rows);
            let seconds = watch.elapsed().as_secs_f64();
            metrics
                .commit_seconds
                .with_label_values(&["seal"])
                .observe(seconds);
            metrics.commits_total.with_label_values(&["seal"]).inc();
        }
        Ok(sealed)
    }
}
