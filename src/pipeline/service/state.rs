//! What the stages of the service share: whether it goes on, what is amiss, who may ask.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use prometheus::IntCounterVec;

use super::Settings;
use crate::admit::watermark::Gap;
use crate::clock::Clock;
use crate::event::time::rfc3339;
use crate::serve::auth::Role;
use crate::serve::{Access, Health, Readiness, Receipt};
use crate::store::{Fresh, Refused};
use crate::telemetry::Metrics;

/// Shared by all stages.
pub(super) struct Shared {
    pub metrics: Metrics,
    pub clock: Clock,
    has_begun: AtomicBool,
    is_stopping: AtomicBool,
    is_over: AtomicBool,
    /// Rows in the tail, as far as admission and sealing know.
    pub tail_rows: AtomicU64,
    /// Those that were admitted last.
    pub fresh: Fresh,
    /// Rows that were admitted and are not judged.
    pub backlog: AtomicI64,
    /// All sinks.
    pub sinks: Vec<String>,
    /// By sink of anomalies, entries of the outbox.
    pub waiting: BTreeMap<String, AtomicU64>,
    /// What is amiss, by what it is amiss with.
    amiss: Mutex<BTreeMap<String, String>>,
    roles: RwLock<HashMap<[u8; 32], Role>>,
    /// Rings when there is something to deliver.
    pub news: Bell,
    /// Rings when the service ends.
    pub end: Bell,
}

/// Wakes who waits.
#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<u64>,
    bell: Condvar,
}

impl Bell {
    /// Wakes all that wait.
    pub fn ring(&self) {
        *locked(&self.rung) += 1;
        self.bell.notify_all();
    }

    /// How often it has rung; asked before looking for something to do, so that nothing is missed.
    pub fn heard(&self) -> u64 {
        *locked(&self.rung)
    }

    /// Waits until it has rung more often than was heard, or `patience` is over.
    pub fn wait(&self, heard: u64, patience: Duration) {
        let rung = locked(&self.rung);
        let waited = self
            .bell
            .wait_timeout_while(rung, patience, |rung| *rung == heard);
        drop(waited);
    }
}

/// What cannot be done when the store is amiss.
pub(super) const ADMITTING: &str = "store, taking events";
/// What cannot be done when old segments cannot be read.
pub(super) const TELLING: &str = "archive, telling new events from known ones";
pub(super) const JUDGING: &str = "store, writing what was found";

impl Shared {
    pub fn new(metrics: Metrics, settings: &Settings) -> Self {
        let told = settings.sinks.iter().filter(|sink| sink.takes_anomalies());
        let waiting = told.map(|sink| (sink.name.clone(), AtomicU64::new(0)));
        Self {
            metrics,
            clock: settings.clock.clone(),
            // As many as are sealed together, and some that come meanwhile.
            fresh: Fresh::new(settings.seal_rows as usize / 2 * 3),
            has_begun: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            tail_rows: AtomicU64::new(0),
            backlog: AtomicI64::new(0),
            sinks: settings
                .sinks
                .iter()
                .map(|sink| sink.name.clone())
                .collect(),
            waiting: waiting.collect(),
            amiss: Mutex::default(),
            roles: RwLock::default(),
            news: Bell::default(),
            end: Bell::default(),
        }
    }

    /// Whether what there was is taken up, and events are taken in.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::SeqCst)
    }

    /// What there was is taken up: all before this time is judged, and so many rows after it are not.
    pub fn begin(&self, watermark: i64, rows: usize) {
        self.backlog.fetch_add(rows as i64, Ordering::Relaxed);
        self.metrics.backlog_events.set(rows as i64);
        if watermark > i64::MIN {
            self.set_watermark(watermark);
        }
        self.has_begun.store(true, Ordering::SeqCst);
    }

    /// All before this time is judged.
    pub fn set_watermark(&self, watermark: i64) {
        let now = self.clock.now() as f64 / 1e6;
        self.metrics.set_watermark(watermark as f64 / 1e6, now);
    }

    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// No more events are taken; what is there is judged.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.end.ring();
    }

    /// All that there is is judged.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    pub fn close(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.news.ring();
        self.end.ring();
    }

    /// Something is amiss, or is not any more.
    pub fn set_amiss(&self, what: &str, reason: Option<String>) {
        let mut amiss = locked(&self.amiss);
        match reason {
            Some(reason) => {
                if amiss.insert(what.to_owned(), reason.clone()).as_ref() != Some(&reason) {
                    tracing::error!(what, "{reason}");
                }
            }
            None => {
                if amiss.remove(what).is_some() {
                    tracing::info!(what, "works again");
                }
            }
        }
    }

    /// A gap of a source opens or closes.
    pub fn set_gap(&self, gap: &Gap) {
        let open = self.metrics.gap_open.with_label_values(&[&gap.source]);
        open.set(i64::from(gap.to.is_none()));
        let reason = gap.to.is_none().then(|| {
            if gap.from == i64::MIN {
                "nothing was heard of it yet".to_owned()
            } else {
                let from = rfc3339(gap.from);
                format!("nothing is heard of it; its events may be missing from {from} on")
            }
        });
        self.set_amiss(&gap.source, reason);
    }

    /// So many rows are in the log now, and not judged.
    pub fn admitted(&self, rows: usize) {
        self.tail_rows.fetch_add(rows as u64, Ordering::Relaxed);
        let backlog = self.backlog.fetch_add(rows as i64, Ordering::Relaxed);
        self.metrics.backlog_events.set(backlog + rows as i64);
    }

    /// So many rows are judged now.
    pub fn judged(&self, rows: usize) {
        self.passed_over(rows);
        self.metrics.evaluated_events_total.inc_by(rows as u64);
    }

    /// So many rows are not judged live.
    pub fn passed_over(&self, rows: usize) {
        let backlog = self.backlog.fetch_sub(rows as i64, Ordering::Relaxed);
        self.metrics.backlog_events.set(backlog - rows as i64);
    }

    /// So many rows are in the archive now.
    pub fn sealed(&self, rows: u64) {
        let less = |tail: u64| Some(tail.saturating_sub(rows));
        let _ = self
            .tail_rows
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Counts what became of a request.
    pub fn count(&self, source: &str, receipt: &Receipt, refused: &[Refused]) {
        let metrics = &self.metrics;
        let count = |counter: &IntCounterVec, number| {
            counter.with_label_values(&[source]).inc_by(number);
        };
        count(&metrics.events_total, receipt.accepted);
        count(&metrics.duplicates_total, receipt.duplicates);
        count(&metrics.late_events_total, receipt.late);
        for refused in refused {
            let labels = [source, refused.kind];
            metrics.rejects_total.with_label_values(&labels).inc();
        }
    }

    /// Whether something is known to be amiss.
    pub fn is_amiss(&self, what: &str) -> bool {
        locked(&self.amiss).contains_key(what)
    }

    pub fn set_roles(&self, roles: HashMap<[u8; 32], Role>) {
        *self.roles.write().unwrap_or_else(PoisonError::into_inner) = roles;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Access for Shared {
    fn role_of(&self, token_hash: &[u8; 32]) -> Option<Role> {
        let roles = self.roles.read().unwrap_or_else(PoisonError::into_inner);
        roles.get(token_hash).copied()
    }
}

impl Health for Shared {
    fn readiness(&self) -> Readiness {
        let amiss = locked(&self.amiss);
        let mut reasons: Vec<String> = amiss
            .iter()
            .map(|(what, reason)| format!("{what}: {reason}"))
            .collect();
        if self.is_stopping() {
            reasons.push("the service is stopping".to_owned());
        }
        if !self.has_begun() {
            reasons.push("the service takes up where it was left".to_owned());
        }
        let is_amiss = [ADMITTING, JUDGING]
            .iter()
            .any(|what| amiss.contains_key(*what));
        Readiness {
            is_ready: !is_amiss && self.has_begun() && !self.is_stopping(),
            reasons,
        }
    }
}
