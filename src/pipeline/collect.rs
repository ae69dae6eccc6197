//! Input in any order: all of it is collected and sorted, then the rules run over it.

use std::io::{self, Read};
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::read::{self, Take};
use super::stream::Engine;
use super::{Error, Execution, Job, Outcome, Records, named};
use crate::detect::history;
use crate::event::order::{Collector, Log};
use crate::event::reject::Reject;

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
    let log = Arc::new(collecting.collector.finish().map_err(Error::Spill)?);
    outcome.duplicates = log.duplicates();
    outcome.is_on_disk = log.is_on_disk();
    match job.execution {
        Execution::Live => live(&log, job, &mut outcome)?,
        Execution::History => history(&log, job, &mut outcome)?,
    }
    Ok(outcome)
}

fn history(log: &Arc<Log>, job: &Job<'_>, outcome: &mut Outcome) -> Result<(), Error> {
    let programs: Vec<_> = job.rules.iter().map(|rule| &rule.program).collect();
    let mut findings = Vec::with_capacity(job.rules.len());
    for (rule, ran) in
        job.rules
            .iter()
            .zip(history::run(log, &programs, &job.lists, job.resources)?)
    {
        findings.push(ran.unwrap_or_else(|error| {
            outcome.failures.push(named(rule, error.to_string()));
            Vec::new()
        }));
    }
    let mut records = Records::default();
    records.add(job, findings, &mut |names| {
        log.raw(names).map_err(Error::Spill)
    })?;
    records.finish(job.rules, |_| false, outcome);
    Ok(())
}

/// The log, as if it came just now.
fn live(log: &Log, job: &Job<'_>, outcome: &mut Outcome) -> Result<(), Error> {
    let mut engine = Engine::new(job)?;
    let mut start = 0;
    while let Some(batch) = log.canonical(start) {
        let batch = batch.map_err(Error::Spill)?;
        start += batch.num_rows();
        engine.take(job, batch, None)?;
    }
    engine.finish(job, log.watermark(), outcome)
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
