//! Delivery: from a queue to a sink, in order, as often as it takes.

mod feed;
mod outbox;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

pub(super) use self::feed::Feed;
pub(super) use self::outbox::Outbox;
use super::Error;
use super::state::Shared;
use crate::clock::{self, Stopwatch};
use crate::sink::{Delivery, Sink};
use crate::store::{self, Refusal};

/// What waits for a sink, in its order.
pub(super) trait Queue: Send {
    /// The first of what waits; none if nothing does.
    fn first(&mut self) -> Result<Vec<Delivery>, store::Error>;

    /// The first so many of those are settled, but some of them were refused for good. `now` is the clock,
    /// in microseconds.
    fn settle(&mut self, settled: usize, refused: &[Refusal], now: i64)
    -> Result<(), store::Error>;

    /// How many wait.
    fn waiting(&self) -> Result<u64, store::Error>;

    /// Whether a service that ends delivers what waits, as far as there is time.
    fn is_short(&self) -> bool;
}

pub(super) struct Deliverer {
    pub shared: Arc<Shared>,
    pub name: String,
    pub queue: Box<dyn Queue>,
    pub sink: Box<dyn Sink>,
}

/// Entries that are delivered together.
const MOST: usize = 1000;
/// How long to wait for something to do.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long to wait after a failure, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How long a service that ends goes on to deliver.
const LAST: Duration = Duration::from_secs(10);

/// Why nothing goes on, and how long the sink wants to be left alone.
struct Trouble {
    reason: String,
    retry_after: Option<Duration>,
}

impl From<store::Error> for Trouble {
    fn from(error: store::Error) -> Self {
        Self {
            reason: error.to_string(),
            retry_after: None,
        }
    }
}

impl Deliverer {
    pub fn run(mut self) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|_| Error::Gone("deliver".to_owned()))?;
        // Sinks that failed together are not to come back together.
        let seed = u64::from_le_bytes(clock::random().unwrap_or_default());
        let mut backoff = backoff(seed);
        self.count();
        let mut over: Option<Stopwatch> = None;
        loop {
            let (heard, ends) = (self.shared.news.heard(), self.shared.end.heard());
            let is_over = self.shared.is_over();
            match runtime.block_on(self.deliver()) {
                Ok(0) if is_over => return Ok(()),
                Ok(0) => {
                    self.note(None);
                    self.shared.news.wait(heard, PATIENCE);
                }
                Ok(_) => {
                    backoff = self::backoff(seed);
                    self.note(None);
                    let since = over.get_or_insert_with(Stopwatch::start);
                    if !is_over {
                        over = None;
                    } else if !self.queue.is_short() || since.elapsed() > LAST {
                        return Ok(());
                    }
                }
                Err(trouble) => {
                    self.note(Some(trouble.reason));
                    if is_over {
                        return Ok(());
                    }
                    let wait = backoff.next().unwrap_or(BACKOFF.1);
                    let wait = wait.max(trouble.retry_after.unwrap_or_default());
                    self.shared.end.wait(ends, wait);
                }
            }
        }
    }

    /// Delivers what comes first; gives how many are settled.
    async fn deliver(&mut self) -> Result<usize, Trouble> {
        let deliveries = self.queue.first()?;
        if deliveries.is_empty() {
            self.set_waiting(0);
            return Ok(0);
        }
        let now = self.shared.clock.now();
        let report = self.sink.deliver(&deliveries, now).await;
        self.attempt("refused", report.refused.len());
        self.attempt("delivered", report.settled - report.refused.len());
        for (_, reason) in &report.refused {
            tracing::error!(sink = self.name, reason, "refused for good: a dead letter");
        }
        if report.settled > 0 {
            self.queue.settle(report.settled, &report.refused, now)?;
        }
        self.count();
        match report.error {
            None => Ok(report.settled),
            Some(error) => {
                self.attempt("failed", 1);
                Err(Trouble {
                    reason: error.to_string(),
                    retry_after: error.retry_after,
                })
            }
        }
    }

    fn attempt(&self, result: &str, number: usize) {
        let attempts = &self.shared.metrics.sink_deliveries_total;
        let attempts = attempts.with_label_values(&[&*self.name, result]);
        attempts.inc_by(number as u64);
    }

    fn note(&self, reason: Option<String>) {
        self.shared
            .set_amiss(&format!("sink {}", self.name), reason);
    }

    fn count(&self) {
        // What cannot be counted now is counted the next time.
        if let Ok(waiting) = self.queue.waiting() {
            self.set_waiting(waiting);
        }
    }

    fn set_waiting(&self, entries: u64) {
        if let Some(waiting) = self.shared.waiting.get(&self.name) {
            waiting.store(entries, Ordering::Relaxed);
        }
        let gauge = &self.shared.metrics.outbox_entries;
        gauge.with_label_values(&[&self.name]).set(entries as i64);
    }
}

fn backoff(seed: u64) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(BACKOFF.0)
        .with_max_delay(BACKOFF.1)
        .with_jitter()
        .with_jitter_seed(seed)
        .without_max_times()
        .build()
}
