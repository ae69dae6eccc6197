//! Sorted input: events are judged as they come, and no more of them is kept than rules need.

use std::collections::VecDeque;
use std::io::{self, Read};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;

use super::read::{self, Take};
use super::{Error, Job, Outcome, Records, named};
use crate::anomaly::Anomaly;
use crate::detect::live::Live;
use crate::detect::plan::Planner;
use crate::event::order::{Disorder, Stream, raw_in};
use crate::event::reject::Reject;
use crate::event::schema::Column;
use crate::event::time::MICROS;

/// Rows that are judged together, where there are so many.
const STEP_ROWS: usize = 1 << 15;
/// About what a row takes while it waits.
const ROW_BYTES: usize = 2048;

/// Follows a run as it goes on.
pub trait Watch {
    /// All events before this time, in microseconds, are judged now.
    fn reached(&mut self, time: i64);

    /// An anomaly was found.
    fn found(&mut self, anomaly: &Anomaly);
}

/// Time in steps, each followed by whoever watches; in microseconds.
const WATCHED_STEP: i64 = 60 * MICROS;

/// Runs the rules over the inputs; whoever watches is told minute by minute.
///
/// # Errors
/// [`Error::Disorder`] if the events do not come in order of time; nothing was found then.
pub(super) fn run<'w>(
    inputs: Vec<(String, Box<dyn Read + Send>)>,
    job: &Job<'_>,
    watch: Option<&'w mut (dyn Watch + 'w)>,
    reject: &mut dyn FnMut(&Reject) -> io::Result<()>,
) -> Result<Outcome, Error> {
    let columns = job.columns();
    let mut streaming = Streaming {
        job,
        watch,
        stream: Stream::new(columns),
        latest: i64::MIN,
        engine: Engine::new(job)?,
        outcome: Outcome::default(),
        reject,
    };
    read::read(inputs, &job.enricher, columns, &mut streaming)?;
    let end = after(streaming.stream.latest()).saturating_add(job.quiet_micros);
    streaming.judge(end)?;
    let mut outcome = streaming.outcome;
    outcome.duplicates = streaming.stream.duplicates();
    streaming.engine.finish(job, end, &mut outcome)?;
    Ok(outcome)
}

/// The watermark of a log whose last event is of this time: the next whole second.
fn after(last: i64) -> i64 {
    last.div_euclid(MICROS)
        .saturating_add(1)
        .saturating_mul(MICROS)
}

struct Streaming<'a, 'w> {
    job: &'a Job<'a>,
    watch: Option<&'w mut (dyn Watch + 'w)>,
    stream: Stream,
    /// The latest time before the batch at hand: what comes may lie a batch behind.
    latest: i64,
    engine: Engine,
    outcome: Outcome,
    reject: &'a mut (dyn FnMut(&Reject) -> io::Result<()> + 'a),
}

impl Take for Streaming<'_, '_> {
    fn batch(&mut self, batch: RecordBatch) -> Result<(), Error> {
        self.outcome.events += batch.num_rows() as u64;
        let before = self.stream.latest();
        self.stream.push(batch)?;
        if self.stream.rows() < STEP_ROWS {
            return Ok(());
        }
        // So many of one time are better sorted, on disk if need be.
        if self.stream.rows() > (self.job.resources.memory_bytes / ROW_BYTES).max(4 * STEP_ROWS) {
            return Err(Disorder.into());
        }
        let watermark = before.div_euclid(MICROS).saturating_mul(MICROS);
        if watermark <= self.latest {
            return Ok(());
        }
        self.latest = watermark;
        self.judge(watermark)
    }

    fn reject(&mut self, reject: Reject) -> Result<(), Error> {
        self.outcome.rejects += 1;
        (self.reject)(&reject).map_err(Error::Reject)
    }
}

impl Streaming<'_, '_> {
    /// Judges what came before the watermark.
    fn judge(&mut self, watermark: i64) -> Result<(), Error> {
        let ready = self.stream.take(watermark).map_err(io::Error::other);
        let ready = ready.map_err(Error::Spill)?;
        let Some(watch) = &mut self.watch else {
            return self.engine.take(self.job, ready, Some(watermark));
        };
        let times = ready[Column::OrderTime.name()].as_primitive::<TimestampMicrosecondType>();
        let mut start = 0;
        while start < ready.num_rows() {
            let step = times.value(start).div_euclid(WATCHED_STEP);
            let end = step.saturating_add(1).saturating_mul(WATCHED_STEP);
            let rows = times.values()[start..].partition_point(|time| *time < end);
            let known = self.engine.records.len();
            let time = end.min(watermark);
            self.engine
                .take(self.job, ready.slice(start, rows), Some(time))?;
            self.engine
                .records
                .since(known)
                .for_each(|a| watch.found(a));
            watch.reached(time);
            start += rows;
        }
        Ok(())
    }
}

/// The live engine and the records of what it finds.
pub(super) struct Engine {
    /// The rules over what comes in.
    base: Stratum,
    /// Those over anomalies, where what comes in is no anomaly itself.
    above: Option<Stratum>,
    records: Records,
}

/// Rules that read one table, at work.
struct Stratum {
    /// Their positions in the job.
    rules: Vec<usize>,
    live: Live,
    /// Batches in canonical order whose rows may still trigger something.
    recent: VecDeque<RecordBatch>,
    /// How long after its time a row may do so, in microseconds.
    wait: i64,
}

impl Engine {
    pub fn new(job: &Job<'_>) -> Result<Self, Error> {
        let planner = Planner::with_lists(&job.lists)?;
        let above = job.rules_over_anomalies();
        Ok(Self {
            base: Stratum::new(job, &planner, job.rules_over_input())?,
            above: match above.is_empty() {
                true => None,
                false => Some(Stratum::new(job, &planner, above)?),
            },
            records: Records::default(),
        })
    }

    /// Takes the next rows in canonical order, and judges all before the watermark: that of the last
    /// row's second unless it is given.
    pub fn take(
        &mut self,
        job: &Job<'_>,
        batch: RecordBatch,
        watermark: Option<i64>,
    ) -> Result<(), Error> {
        let Some(last) = last_time(&batch) else {
            return Ok(());
        };
        self.base.push(batch)?;
        let whole = last.div_euclid(MICROS) * MICROS;
        self.advance(job, watermark.unwrap_or(whole))
    }

    fn advance(&mut self, job: &Job<'_>, watermark: i64) -> Result<(), Error> {
        let found = self.base.advance(job, watermark, &mut self.records)?;
        if let Some(above) = &mut self.above {
            for batch in found {
                above.push(batch)?;
            }
            above.advance(job, watermark, &mut self.records)?;
        }
        Ok(())
    }

    /// Judges the rest.
    pub fn finish(
        mut self,
        job: &Job<'_>,
        watermark: i64,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        self.advance(job, watermark)?;
        let strata = [Some(&self.base), self.above.as_ref()];
        let mut failures: Vec<Option<String>> = vec![None; job.rules.len()];
        for stratum in strata.into_iter().flatten() {
            for (rule, failure) in stratum.rules.iter().zip(stratum.live.failures()) {
                failures[*rule].clone_from(failure);
            }
        }
        for (rule, failure) in job.rules.iter().zip(&failures) {
            if let Some(reason) = failure {
                outcome.failures.push(named(rule, reason.clone()));
            }
        }
        self.records
            .finish(job.rules, |rule| failures[rule].is_some(), outcome);
        Ok(())
    }
}

impl Stratum {
    fn new(job: &Job<'_>, planner: &Planner, rules: Vec<usize>) -> Result<Self, Error> {
        let programs: Vec<_> = rules.iter().map(|rule| &job.rules[*rule].program).collect();
        let live = Live::new(planner, &programs).map_err(|(_, error)| error)?;
        Ok(Self {
            live: live.with_budget(job.resources.state_bytes),
            recent: VecDeque::new(),
            wait: programs.iter().map(|p| p.wait_micros).max().unwrap_or(0),
            rules,
        })
    }

    fn push(&mut self, batch: RecordBatch) -> Result<(), Error> {
        self.live.push(&batch)?;
        self.recent.push_back(batch);
        Ok(())
    }

    /// Judges all before the watermark; gives the rows that stand for what was found.
    fn advance(
        &mut self,
        job: &Job<'_>,
        watermark: i64,
        records: &mut Records,
    ) -> Result<Vec<RecordBatch>, Error> {
        let findings = self.live.advance(watermark)?;
        let recent = &self.recent;
        let found = records.add(job, &self.rules, findings, &mut |names| {
            let line = |name: &(i64, i64, &str)| {
                let lines = recent.iter().rev().filter_map(|batch| raw_in(batch, *name));
                lines.map(str::to_owned).next()
            };
            Ok(names.iter().map(line).collect())
        })?;
        let first = watermark.saturating_sub(self.wait.saturating_add(MICROS));
        while self
            .recent
            .pop_front_if(|batch| last_time(batch).is_none_or(|last| last < first))
            .is_some()
        {}
        Ok(found)
    }
}

/// The order time of the last row.
fn last_time(batch: &RecordBatch) -> Option<i64> {
    let times = batch[Column::OrderTime.name()].as_primitive::<TimestampMicrosecondType>();
    times.values().last().copied()
}
