//! The rules at work: rows go in, the records of what was found come out.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::record::{Past, Triggers};
use super::{Error, Job, Outcome, Records, named};
use crate::detect;
use crate::detect::days::Day;
use crate::detect::live::Live;
use crate::detect::plan::Planner;
use crate::event::order::raw_in;
use crate::event::schema::Column;
use crate::event::time::MICROS;

/// The live engine and the records of what it finds.
pub(super) struct Engine {
    /// The rules over what comes in.
    base: Stratum,
    /// Those over anomalies, where what comes in is no anomaly itself.
    above: Option<Stratum>,
    /// Where triggering events are that are not at hand any more. Without one, rows are decoded once
    /// more from their lines, with all columns.
    past: Option<Arc<dyn Past>>,
    pub records: Records,
}

/// Rules that read one table, at work.
struct Stratum {
    /// Their positions in the job.
    rules: Vec<usize>,
    live: Live,
    /// Batches whose rows may still trigger something; in canonical order where lines are looked up.
    recent: VecDeque<RecordBatch>,
    /// How long after its time a row may do so, in microseconds.
    wait: i64,
}

/// Rows of events that are at hand; triggers that came before them are looked up in the past.
const RECENT_ROWS: usize = 1 << 18;

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
            past: None,
            records: Records::default(),
        })
    }

    /// An engine over a log that is kept.
    pub fn over(job: &Job<'_>, past: Arc<dyn Past>) -> Result<Self, Error> {
        let engine = Self::new(job)?;
        Ok(Self {
            past: Some(past),
            ..engine
        })
    }

    /// All rows before it are judged; microseconds.
    pub fn watermark(&self) -> i64 {
        self.base.live.watermark()
    }

    /// Takes rows, none of which may lie before the watermark; in canonical order where no past is
    /// given.
    pub fn push(&mut self, batch: RecordBatch) -> Result<(), Error> {
        self.base.push(batch)
    }

    /// Judges all before the watermark.
    pub fn advance(&mut self, job: &Job<'_>, watermark: i64) -> Result<(), Error> {
        let past = self.past.as_deref();
        let found = self.base.advance(job, watermark, past, &mut self.records)?;
        if let Some(above) = &mut self.above {
            for batch in found {
                above.push(batch)?;
            }
            above.advance(
                job,
                watermark,
                past.map(|_| &Nothing as _),
                &mut self.records,
            )?;
        }
        Ok(())
    }

    /// How many rows were pushed and are not judged.
    pub fn waiting(&self) -> usize {
        self.base.live.waiting()
    }

    /// By rule of the job, why it can go no further.
    pub fn failures(&self, job: &Job<'_>) -> Vec<Option<String>> {
        let mut failures: Vec<Option<String>> = vec![None; job.rules.len()];
        for stratum in self.strata() {
            for (rule, failure) in stratum.rules.iter().zip(stratum.live.failures()) {
                failures[*rule].clone_from(failure);
            }
        }
        failures
    }

    /// The tables of days that were made since this was asked last, each with the position of its rule.
    pub fn days(&mut self) -> Vec<(usize, Day)> {
        let strata = [Some(&mut self.base), self.above.as_mut()];
        let days = strata.into_iter().flatten().flat_map(|stratum| {
            let days = stratum.live.days().into_iter();
            days.map(|(program, day)| (stratum.rules[program], day))
        });
        days.collect()
    }

    /// Judges the rest.
    pub fn finish(
        mut self,
        job: &Job<'_>,
        watermark: i64,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        self.advance(job, watermark)?;
        let failures = self.failures(job);
        for (rule, failure) in job.rules.iter().zip(&failures) {
            if let Some(reason) = failure {
                outcome.failures.push(named(rule, reason.clone()));
            }
        }
        for stratum in self.strata() {
            for (program, (known, least)) in stratum.live.silent() {
                let rule = &job.rules[stratum.rules[program]];
                outcome.silent.push((rule.name.clone(), known, least));
            }
        }
        self.records
            .finish(job.rules, |rule| failures[rule].is_some(), outcome);
        Ok(())
    }

    /// What the rules remember, in bytes.
    pub fn state_bytes(&self) -> u64 {
        self.strata()
            .map(|stratum| stratum.live.usage().0.bytes as u64)
            .sum()
    }

    /// The state as of the watermark, in parts.
    pub fn snapshot(&self) -> Result<Vec<Vec<u8>>, Error> {
        let mut parts = Vec::new();
        for stratum in self.strata() {
            for shard in 0..Live::SHARDS {
                parts.push(stratum.live.snapshot(shard)?);
            }
        }
        if let Some(above) = &self.above {
            parts.push(above.recent()?);
        }
        Ok(parts)
    }

    /// Takes over a state. Rows from its watermark on must be pushed once more.
    ///
    /// # Errors
    /// When it is not one of these rules; the engine must not be used then.
    pub fn restore(&mut self, parts: &[Vec<u8>]) -> Result<(), Error> {
        let others = || {
            let reason = "the snapshot is of other rules";
            Error::Detect(detect::Error::Refused(reason.to_owned()))
        };
        let (base, rest) = parts.split_at_checked(Live::SHARDS).ok_or_else(others)?;
        self.base.live.restore(base)?;
        match (&mut self.above, rest.split_at_checked(Live::SHARDS)) {
            (None, _) if rest.is_empty() => Ok(()),
            (Some(above), Some((shards, [recent]))) => {
                above.live.restore(shards)?;
                above.recent = from_ipc(recent).map_err(|_| others())?.into();
                Ok(())
            }
            _ => Err(others()),
        }
    }

    fn strata(&self) -> impl Iterator<Item = &Stratum> {
        [Some(&self.base), self.above.as_ref()]
            .into_iter()
            .flatten()
    }
}

impl Stratum {
    fn new(job: &Job<'_>, planner: &Planner, rules: Vec<usize>) -> Result<Self, Error> {
        let programs: Vec<_> = rules.iter().map(|rule| &job.rules[*rule].program).collect();
        let live = Live::new(planner, &programs).map_err(|(_, error)| error)?;
        let recorded: Vec<_> = rules.iter().map(|rule| job.days(*rule)).collect();
        Ok(Self {
            live: live
                .with_budget(job.resources.state_bytes)
                .with_days(&recorded),
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
        past: Option<&dyn Past>,
        records: &mut Records,
    ) -> Result<Vec<RecordBatch>, Error> {
        let findings = self.live.advance(watermark)?;
        let recent = &self.recent;
        let found = records.add(job, &self.rules, findings, &mut |names| match past {
            Some(past) => Triggers::stored(names, recent, past),
            None => {
                let line = |name: &(i64, i64, &str)| {
                    let lines = recent.iter().rev().filter_map(|batch| raw_in(batch, *name));
                    lines.map(str::to_owned).next()
                };
                let lines: Vec<_> = names.iter().map(line).collect();
                Ok(Triggers::decoded(job, &lines))
            }
        })?;
        let first = watermark.saturating_sub(self.wait.saturating_add(MICROS));
        while self
            .recent
            .pop_front_if(|batch| latest(batch) < first)
            .is_some()
        {}
        let mut rows: usize = self.recent.iter().map(RecordBatch::num_rows).sum();
        while past.is_some() && rows > RECENT_ROWS {
            // Those that were not judged yet are needed.
            let Some(old) = self.recent.pop_front_if(|batch| latest(batch) < watermark) else {
                break;
            };
            rows -= old.num_rows();
        }
        Ok(found)
    }

    /// The rows that may still trigger something, as an Arrow IPC stream.
    fn recent(&self) -> Result<Vec<u8>, Error> {
        let write = || {
            let Some(first) = self.recent.front() else {
                return Ok(Vec::new());
            };
            let schema = first.schema();
            let whole = arrow::compute::concat_batches(&schema, &self.recent)?;
            let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
            writer.write(&whole)?;
            writer.into_inner()
        };
        write().map_err(|error: arrow::error::ArrowError| {
            detect::Error::Failed(error.to_string()).into()
        })
    }
}

fn from_ipc(bytes: &[u8]) -> Result<Vec<RecordBatch>, arrow::error::ArrowError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    StreamReader::try_new(bytes, None)?.collect()
}

/// The latest order time of a batch.
pub(super) fn latest(batch: &RecordBatch) -> i64 {
    let times = batch[Column::OrderTime.name()].as_primitive::<TimestampMicrosecondType>();
    times.values().iter().max().copied().unwrap_or(i64::MIN)
}

/// Rows that stand for anomalies are at hand as long as they are needed.
struct Nothing;

impl Past for Nothing {
    fn find(&self, _: &[(i64, &str)]) -> Result<Vec<RecordBatch>, Error> {
        Ok(Vec::new())
    }
}
