//! Input in any order: all of it is collected and sorted, then the rules run over it.

use std::io::{self, Read};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;

use super::engine::Engine;
use super::read::{self, Take};
use super::record::{Past, Triggers};
use super::{Error, Execution, Job, Outcome, Records, named};
use crate::detect::history;
use crate::event::order::{Collector, Log};
use crate::event::reject::Reject;
use crate::event::schema::{Column, ColumnSet};
use crate::event::time::MICROS;

/// Runs the rules over the inputs. So many rejects, the first ones, were told before.
pub(super) fn run(
    inputs: Vec<(String, Box<dyn Read + Send>)>,
    job: &Job<'_>,
    told: u64,
    reject: &mut dyn FnMut(&Reject) -> io::Result<()>,
) -> Result<Outcome, Error> {
    let columns = job.columns();
    let mut collecting = Collecting {
        collector: Collector::new(columns, job.resources.memory_bytes),
        outcome: Outcome::default(),
        told,
        reject,
    };
    read::read(inputs, &job.enricher, columns, &mut collecting)?;
    let mut outcome = collecting.outcome;
    let log = collecting.collector.finish().map_err(Error::Spill)?;
    let end = log.watermark().saturating_add(job.quiet_micros);
    let log = Arc::new(log.ending_at(end));
    outcome.duplicates = log.duplicates();
    outcome.is_on_disk = log.is_on_disk();
    judge(&log, job, None, &mut outcome)?;
    Ok(outcome)
}

/// Runs the rules over a log; the rows that trigger something are in the past, or decoded once more from
/// their lines.
pub(super) fn judge(
    log: &Arc<Log>,
    job: &Job<'_>,
    past: Option<&Arc<dyn Past>>,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    match job.execution {
        Execution::Live => live(log, job, past, outcome),
        Execution::History => history(log, job, past, outcome),
    }
}

fn history(
    log: &Arc<Log>,
    job: &Job<'_>,
    past: Option<&Arc<dyn Past>>,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let mut records = Records::default();
    let rules = job.rules_over_input();
    let found = run_rules(log, job, &rules, past, &mut records, outcome)?;
    let above = job.rules_over_anomalies();
    if !above.is_empty() {
        let mut collector = Collector::new(ColumnSet::all(), job.resources.memory_bytes);
        for batch in &found {
            collector.push(batch.clone()).map_err(Error::Spill)?;
        }
        let anomalies = collector.finish().map_err(Error::Spill)?;
        let anomalies = Arc::new(anomalies.ending_at(log.watermark()));
        // What stands for anomalies has its columns from the past, too.
        let found: Option<Arc<dyn Past>> = past.map(|_| Arc::new(Held(found)) as _);
        run_rules(
            &anomalies,
            job,
            &above,
            found.as_ref(),
            &mut records,
            outcome,
        )?;
    }
    records.finish(job.rules, |_| false, outcome);
    Ok(())
}

/// Runs some rules over the log; gives the rows that stand for what they found.
fn run_rules(
    log: &Arc<Log>,
    job: &Job<'_>,
    rules: &[usize],
    past: Option<&Arc<dyn Past>>,
    records: &mut Records,
    outcome: &mut Outcome,
) -> Result<Vec<RecordBatch>, Error> {
    let programs: Vec<_> = rules.iter().map(|rule| &job.rules[*rule].program).collect();
    let mut findings = Vec::with_capacity(rules.len());
    let recorded: Vec<_> = rules.iter().map(|rule| job.days(*rule)).collect();
    let programs = history::Programs {
        programs: &programs,
        recorded: &recorded,
    };
    let ran = history::run(log, programs, &job.lists, job.resources)?;
    for (rule, ran) in rules.iter().zip(ran) {
        findings.push(ran.unwrap_or_else(|error| {
            outcome
                .failures
                .push(named(&job.rules[*rule], error.to_string()));
            Vec::new()
        }));
    }
    records.add(job, rules, findings, &mut |names| match past {
        Some(past) => Triggers::stored(names, [], &**past),
        None => {
            let lines = log.raw(names).map_err(Error::Spill)?;
            Ok(Triggers::decoded(job, &lines))
        }
    })
}

/// The log, as if it came just now.
fn live(
    log: &Log,
    job: &Job<'_>,
    past: Option<&Arc<dyn Past>>,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let mut engine = match past {
        Some(past) => Engine::over(job, Arc::clone(past))?,
        None => Engine::new(job)?,
    };
    let mut start = 0;
    while let Some(batch) = log.canonical(start) {
        let batch = batch.map_err(Error::Spill)?;
        start += batch.num_rows();
        let times = batch[Column::OrderTime.name()].as_primitive::<TimestampMicrosecondType>();
        let Some(last) = times.values().last().copied() else {
            break;
        };
        engine.push(batch)?;
        // The rest of the last row's second may come with the next batch.
        let second = last.div_euclid(MICROS) * MICROS;
        engine.advance(job, second.min(log.watermark()))?;
    }
    engine.finish(job, log.watermark(), outcome)
}

/// Rows in memory.
struct Held(Vec<RecordBatch>);

impl Past for Held {
    fn find(&self, _: &[(i64, &str)]) -> Result<Vec<RecordBatch>, Error> {
        Ok(self.0.clone())
    }
}

struct Collecting<'a> {
    collector: Collector,
    outcome: Outcome,
    told: u64,
    reject: &'a mut dyn FnMut(&Reject) -> io::Result<()>,
}

impl Take for Collecting<'_> {
    fn batch(&mut self, batch: RecordBatch) -> Result<(), Error> {
        self.outcome.events += batch.num_rows() as u64;
        self.collector.push(batch).map_err(Error::Spill)
    }

    fn reject(&mut self, reject: Reject) -> Result<(), Error> {
        self.outcome.rejects += 1;
        if self.outcome.rejects <= self.told {
            return Ok(());
        }
        (self.reject)(&reject).map_err(Error::Reject)
    }
}
