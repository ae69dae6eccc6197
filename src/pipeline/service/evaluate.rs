//! Evaluation: rows and steps of the watermark go in; what they caused is on disk before the next step.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use arrow::array::RecordBatch;

use super::Error;
use super::ingest::Room;
use super::recover;
use super::state::{JUDGING, Shared};
use crate::anomaly::Anomaly;
use crate::clock::Stopwatch;
use crate::detect::Table;
use crate::detect::history::Resources;
use crate::enrich::Enricher;
use crate::event::schema::ColumnSet;
use crate::list::Lists;
use crate::pipeline::engine::Engine;
use crate::pipeline::kept::{self, in_time};
use crate::pipeline::{self, Execution, Job, days};
use crate::rule::Rule;
use crate::store::snapshot::Snapshot;
use crate::store::{Advance, Control, Found, Reader, Store};

/// What evaluation is told, in this order.
pub(super) enum Step {
    /// Rows that are in the log, and the memory that they take.
    Rows(RecordBatch, Arc<Room>),
    /// All rows before it are there; microseconds.
    Watermark(i64),
}

pub(super) struct Evaluation {
    pub store: Arc<Store>,
    pub reader: Arc<Reader>,
    pub shared: Arc<Shared>,
    pub sinks: Vec<String>,
    pub snapshot_every: Duration,
    pub rules: Vec<Rule>,
    pub lists: Lists,
    pub enricher: Arc<Enricher>,
    pub resources: Resources,
}

/// Rows that are judged together, where there are so many.
const STEP_ROWS: usize = 1 << 16;
/// Rows after whose replay a snapshot is worth its while.
const LONG_REPLAY: usize = 100_000;
/// Entries of an outbox beyond which evaluation waits for its sink.
const MOST_WAITING: u64 = 100_000;
/// A mark that somebody made counts after so long.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait before a commit is tried again.
const RETRY: Duration = Duration::from_secs(1);

impl Evaluation {
    /// Takes up where it was left, and judges until no step can come any more.
    pub fn run(self, steps: &Receiver<Step>) -> Result<(), Error> {
        let job = Job {
            rules: &self.rules,
            input: Table::Events,
            lists: self.lists.clone(),
            enricher: Arc::clone(&self.enricher),
            resources: self.resources,
            execution: Execution::Live,
            extra: ColumnSet::all(),
            quiet_micros: 0,
            counted_since: recover::ruleset(&self.rules, &self.store, &self.reader)?,
            recorded_days: days::recorded_days(&self.reader, &self.rules)?,
        };
        let (mut engine, replayed) = recover::engine(&job, &self.store, &self.reader)?;
        self.shared.begin(engine.watermark(), engine.waiting());
        if replayed > LONG_REPLAY {
            // The next start need not do it again.
            self.save(&job, &engine);
        }
        let has_written = self.judge(&job, &mut engine, steps)?;
        self.save(&job, &engine);
        if has_written {
            Ok(())
        } else {
            Err(Error::Unwritten)
        }
    }

    /// Judges what comes; false if not all of it could be written.
    fn judge(
        &self,
        job: &Job<'_>,
        engine: &mut Engine,
        steps: &Receiver<Step>,
    ) -> Result<bool, Error> {
        let mut since_snapshot = Stopwatch::start();
        // What the rows take is given back once they are judged.
        let mut held: Vec<(i64, Arc<Room>)> = Vec::new();
        let mut since_look = Stopwatch::start();
        loop {
            if since_look.elapsed() >= LOOK {
                self.heed(engine);
                since_look = Stopwatch::start();
            }
            let first = match steps.recv_timeout(LOOK) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let (mut rows, mut watermark) = (0, None);
            let mut next = Some(first);
            while let Some(step) = next {
                match step {
                    Step::Rows(batch, room) => {
                        rows += batch.num_rows();
                        if let Some(last) = self.push(engine, batch)? {
                            held.push((last, room));
                        }
                    }
                    Step::Watermark(time) => watermark = watermark.max(Some(time)),
                }
                next = (rows < STEP_ROWS).then(|| steps.try_recv().ok()).flatten();
            }
            let Some(watermark) = watermark.filter(|time| *time > engine.watermark()) else {
                continue;
            };
            if !self.advance(job, engine, watermark)? {
                return Ok(false);
            }
            held.retain(|(last, _)| *last >= watermark);
            if since_snapshot.elapsed() >= self.snapshot_every {
                self.save(job, engine);
                since_snapshot = Stopwatch::start();
            }
        }
        Ok(true)
    }

    /// Heeds what came since: it counts from here on.
    fn heed(&self, engine: &Engine) {
        self.heed_marks(engine.watermark());
        self.heed_lists(engine.watermark());
    }

    /// Heeds the changes of Slack's lists. Before the first step nothing is judged, and they count for all.
    fn heed_lists(&self, watermark: i64) {
        let heeded = self.reader.has_waiting_lists().and_then(|is_waiting| {
            if !is_waiting {
                return Ok(Vec::new());
            }
            self.store.heed_lists(watermark)
        });
        match heeded {
            Ok(changes) => {
                for change in changes {
                    tracing::info!(
                        list = change.list,
                        added = change.added.len(),
                        removed = change.removed.len(),
                        "heeded a change of a list"
                    );
                    kept::heed_change(&self.lists, watermark, change);
                }
            }
            // They wait, and are heeded as soon as they can be.
            Err(error) => tracing::warn!(%error, "changes of lists could not be heeded"),
        }
    }

    /// Heeds the marks that people made since.
    fn heed_marks(&self, watermark: i64) {
        let heeded = self.reader.has_waiting_marks().and_then(|is_waiting| {
            if !is_waiting || watermark == i64::MIN {
                return Ok(Vec::new());
            }
            self.store.heed_marks(watermark)
        });
        match heeded {
            Ok(marks) => {
                for mark in &marks {
                    kept::heed(&self.lists, watermark, mark);
                    tracing::info!(
                        anomaly = mark.anomaly,
                        verdict = mark.verdict,
                        "heeded a mark"
                    );
                }
            }
            // They wait, and are heeded as soon as they can be.
            Err(error) => tracing::warn!(%error, "marks could not be heeded"),
        }
    }

    /// Hands the rows that are judged live to the rules; gives the last order time among them.
    fn push(&self, engine: &mut Engine, batch: RecordBatch) -> Result<Option<i64>, Error> {
        let all = batch.num_rows();
        let batch = in_time(batch)?;
        self.shared.passed_over(all - batch.num_rows());
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let last = pipeline::engine::latest(&batch);
        engine.push(batch)?;
        Ok(Some(last))
    }

    /// Judges all before the watermark and writes what that caused; false if it cannot be written and
    /// the service ends.
    fn advance(&self, job: &Job<'_>, engine: &mut Engine, watermark: i64) -> Result<bool, Error> {
        self.wait_for_sinks();
        let metrics = &self.shared.metrics;
        let waiting = engine.waiting();
        let watch = Stopwatch::start();
        engine.advance(job, watermark)?;
        metrics
            .evaluation_seconds
            .observe(watch.elapsed().as_secs_f64());
        let found = engine.records.drain();
        let found: Vec<Found> = found
            .map(|((order_time, event_time, _), anomaly)| row(order_time, event_time, &anomaly))
            .collect();
        let controls = days::controls(job.rules, &job.recorded_days, engine.days());
        let Some(new) = self.commit(watermark, &found, &controls) else {
            return Ok(false);
        };
        for at in &new {
            let labels = [found[*at].rule.as_str(), found[*at].level];
            metrics.anomalies_total.with_label_values(&labels).inc();
        }
        let told = new.iter().filter(|at| found[**at].is_told()).count();
        for waiting in self.shared.waiting.values() {
            waiting.fetch_add(told as u64, Ordering::Relaxed);
        }
        self.shared.judged(waiting - engine.waiting());
        for (rule, failure) in job.rules.iter().zip(engine.failures(job)) {
            let failed = metrics.rule_failed.with_label_values(&[&rule.name]);
            failed.set(i64::from(failure.is_some()));
            if let Some(reason) = failure {
                self.shared
                    .set_amiss(&format!("rule {}", rule.name), Some(reason));
            }
        }
        self.shared.set_watermark(watermark);
        if !new.is_empty() {
            self.shared.news.ring();
        }
        Ok(true)
    }

    /// Writes a step, again and again until it is written: the rules have gone on already. `None` if the
    /// service ends before.
    fn commit(&self, watermark: i64, found: &[Found], control: &[Control]) -> Option<Vec<usize>> {
        let metrics = &self.shared.metrics;
        loop {
            let watch = Stopwatch::start();
            let written = self.store.advance(&Advance {
                watermark,
                found,
                control,
                sinks: &self.sinks,
                now: self.shared.clock.now(),
            });
            match written {
                Ok(new) => {
                    let seconds = watch.elapsed().as_secs_f64();
                    metrics
                        .commit_seconds
                        .with_label_values(&["advance"])
                        .observe(seconds);
                    metrics.commits_total.with_label_values(&["advance"]).inc();
                    self.shared.set_amiss(JUDGING, None);
                    return Some(new);
                }
                Err(error) => {
                    metrics
                        .commit_failures_total
                        .with_label_values(&["advance"])
                        .inc();
                    self.shared.set_amiss(JUDGING, Some(error.to_string()));
                    let heard = self.shared.end.heard();
                    if self.shared.is_stopping() {
                        // What is not written is judged once more after the next start.
                        return None;
                    }
                    self.shared.end.wait(heard, RETRY);
                }
            }
        }
    }

    fn wait_for_sinks(&self) {
        let is_full = || {
            let mut waiting = self.shared.waiting.values();
            waiting.any(|waiting| waiting.load(Ordering::Relaxed) > MOST_WAITING)
        };
        let mut heard = self.shared.end.heard();
        while is_full() && !self.shared.is_stopping() {
            let reason = "nothing is judged until a sink has taken some of what waits for it";
            self.shared.set_amiss("evaluation", Some(reason.to_owned()));
            self.shared.end.wait(heard, RETRY);
            heard = self.shared.end.heard();
        }
        self.shared.set_amiss("evaluation", None);
    }

    /// Writes a snapshot. Without one a restart takes longer, and that is all.
    fn save(&self, job: &Job<'_>, engine: &Engine) {
        let metrics = &self.shared.metrics;
        metrics.state_bytes.set(engine.state_bytes() as i64);
        let watch = Stopwatch::start();
        let evaluated = self.reader.evaluated();
        // A step that could not be written is not to be passed over.
        if !evaluated.is_ok_and(|evaluated| evaluated == Some(engine.watermark())) {
            return;
        }
        let saved = engine
            .snapshot()
            .map_err(Error::from)
            .and_then(|mut parts| {
                parts.insert(0, recover::fingerprint(job, self.reader.id()?));
                let watermark = engine.watermark();
                Ok(self.store.save(&Snapshot { watermark, parts })?)
            });
        match saved {
            Ok(_) => metrics
                .snapshot_seconds
                .observe(watch.elapsed().as_secs_f64()),
            Err(error) => {
                metrics.snapshot_failures_total.inc();
                tracing::warn!(%error, "a snapshot could not be written");
            }
        }
    }
}

fn row(order_time: i64, event_time: i64, anomaly: &Anomaly) -> Found {
    Found {
        id: anomaly.id.clone(),
        rule: anomaly.rule.clone(),
        level: anomaly.level.as_str(),
        order_time,
        event_time,
        event_id: anomaly.event_id.clone(),
        exception: anomaly.exception.clone(),
        shadow: anomaly.shadow,
        // Texts and finite numbers.
        record: serde_json::to_string(anomaly).unwrap_or_default(),
    }
}
