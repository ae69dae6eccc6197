//! The live execution: the same programs, row by row as the watermark goes on.
//!
//! A row waits until the watermark has passed its `order_time`, so that all rows of its time are
//! there. Then all that are ready are judged together, level by level:
//!
//! ```text
//! pending ──► chunks: filter, evaluate ──► shards: windows ──► chunks: results ──► findings
//!               (in parallel)               (in parallel)        └► the next level
//! ```
//!
//! What comes out depends on the rows alone: not on the batches in which they came, nor on the
//! number of threads.

mod budget;
mod chunk;
mod level;
mod pending;
mod route;
mod usage;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::error::{DataFusionError, Result as Fallible};
use rayon::prelude::*;

use self::budget::Budget;
use self::chunk::Chunk;
use self::level::{Level, fill};
use self::pending::Pending;
use self::route::Router;
pub use self::usage::Usage;
use super::days::{DAY, Daily, Day, Recorded, day_of};
use super::finding::{self, Finding};
use super::graph::{EVENTS, Field, Graph};
use super::plan::Planner;
use super::shard::{self, Encoding, SHARDS, Shard};
use super::{Error, Program, snapshot};
use crate::event::schema::{Column, ColumnSet};

/// Programs at work on a stream of events.
#[derive(Debug)]
pub struct Live {
    graph: Graph,
    programs: Vec<Program>,
    /// By space.
    encodings: Vec<Encoding>,
    router: Router,
    shards: Vec<Shard>,
    pending: Pending,
    /// All rows before it are judged; microseconds.
    watermark: i64,
    /// The fields of the rows at hand.
    fields: Vec<Field>,
    /// By program, why it can go no further.
    failures: Vec<Option<String>>,
    budget: Budget,
    dailies: Vec<Daily>,
    /// The tables that were made since they were asked for last, each with the program that needs it.
    closed: Vec<(usize, Day)>,
    /// What snapshots are known by.
    fingerprint: [u8; 32],
}

impl Live {
    /// How many shards the state is parted into.
    pub const SHARDS: usize = SHARDS;

    /// An engine for these programs, at the beginning of all time.
    ///
    /// # Errors
    /// The position of the first program that cannot run live, with the reason and the remedy.
    pub fn new(planner: &Planner, programs: &[&Program]) -> Result<Self, (usize, Error)> {
        let graph = Graph::new(planner, programs)?;
        let encodings = graph.spaces.iter().map(|space| {
            let types = space.partition.iter();
            let types: Vec<_> = types
                .map(|id| graph.expressions[*id].data_type.clone())
                .collect();
            Encoding::new(&types)
        });
        let encodings = encodings
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| (0, Error::Refused(error.to_string())))?;
        let columns = graph.columns().union(ordering());
        let programs: Vec<Program> = programs.iter().copied().cloned().collect();
        Ok(Self {
            fingerprint: snapshot::fingerprint(&graph, &programs),
            router: Router::new(&graph),
            shards: (0..SHARDS).map(|at| Shard::new(&graph, at)).collect(),
            pending: Pending::new(columns),
            watermark: i64::MIN,
            fields: columns.iter().map(Field::event).collect(),
            failures: vec![None; programs.len()],
            budget: Budget::new(usize::MAX),
            dailies: Daily::all(&graph, &[]),
            closed: Vec::new(),
            programs,
            encodings,
            graph,
        })
    }

    /// The columns that batches must have.
    pub fn columns(&self) -> ColumnSet {
        self.fields
            .iter()
            .filter_map(|field| field.as_event())
            .collect()
    }

    /// Microseconds; all rows before it are judged.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// How many rows were pushed and are not judged.
    pub fn waiting(&self) -> usize {
        self.pending.rows()
    }

    /// The state of a shard, of which there are [`Live::SHARDS`], as of the watermark. Rows that were
    /// pushed and are not judged are no part of it.
    ///
    /// # Errors
    /// On a defect.
    pub fn snapshot(&self, shard: usize) -> Result<Vec<u8>, Error> {
        // Each shard holds them, as it does failures: it is whole by itself.
        let days: Vec<_> = self.dailies.iter().map(Daily::state).collect();
        let state = snapshot::State {
            shard: &self.shards[shard],
            watermark: self.watermark,
            failures: &self.failures,
            days: &days,
        };
        snapshot::write(&state, &self.fingerprint)
    }

    /// Takes over the state of all shards, in any order, and their watermark. Rows from the watermark
    /// on must be pushed once more.
    ///
    /// # Errors
    /// [`Error::Refused`] if a snapshot is damaged, of another version or of other rules, or if they
    /// are not those of all shards at one watermark; nothing is changed then.
    pub fn restore(&mut self, snapshots: &[impl AsRef<[u8]> + Sync]) -> Result<(), Error> {
        let (graph, rules) = (&self.graph, &self.fingerprint);
        let read = snapshots.par_iter();
        let read = read.map(|bytes| snapshot::read(graph, rules, bytes.as_ref()));
        let mut shards: Vec<snapshot::Restored> = read.collect::<Result<_, _>>()?;
        shards.sort_by_key(|restored| restored.shard.number);
        let numbers = shards.iter().map(|restored| restored.shard.number);
        let is_same = |other: &snapshot::Restored| other.watermark == shards[0].watermark;
        if !numbers.eq(0..SHARDS) || !shards.iter().all(is_same) {
            return Err(Error::Refused(format!(
                "these are not snapshots of all {SHARDS} shards at one watermark; leave them out, \
                 and the state is built from the log"
            )));
        }
        self.watermark = shards[0].watermark;
        self.failures = std::mem::take(&mut shards[0].failures);
        let days = std::mem::take(&mut shards[0].days);
        self.shards = shards.into_iter().map(|restored| restored.shard).collect();
        for (daily, saved) in self.dailies.iter_mut().zip(days) {
            daily.restore(&mut self.shards, saved);
        }
        self.pending.clear();
        Ok(())
    }

    /// Why programs can go no further, by program.
    pub fn failures(&self) -> &[Option<String>] {
        &self.failures
    }

    /// Adds rows, in any order; none may lie before the watermark.
    ///
    /// # Errors
    /// When a column is missing, or a row comes too late.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let times = batch[Column::OrderTime.name()].as_primitive::<TimestampMicrosecondType>();
        let early = times.values().iter().find(|time| **time < self.watermark);
        if let Some(time) = early {
            return Err(Error::Failed(format!(
                "an event of order time {time} came after the watermark {}",
                self.watermark
            )));
        }
        self.pending
            .push(batch)
            .map_err(|error| Error::Failed(error.to_string()))
    }

    /// Judges all rows before the watermark, which never goes back; microseconds. Gives what each
    /// program found, in canonical order.
    ///
    /// # Errors
    /// On a defect; what fails in a program is in [`Live::failures`].
    pub fn advance(&mut self, watermark: i64) -> Result<Vec<Vec<Finding>>, Error> {
        let watermark = watermark.max(self.watermark);
        let mut findings: Vec<Vec<Finding>> = vec![Vec::new(); self.programs.len()];
        while let Some(midnight) = self.next_midnight().filter(|time| *time <= watermark) {
            self.judge(midnight, &mut findings)?;
            for daily in &mut self.dailies {
                let Some(day) = daily.close(&mut self.shards, midnight) else {
                    continue;
                };
                let users = daily.users.iter();
                self.closed.extend(users.map(|user| (*user, day.clone())));
            }
        }
        self.judge(watermark, &mut findings)?;
        Ok(findings)
    }

    /// The next time at which a day's tables are made, if there are any; before the first row there is no
    /// day.
    fn next_midnight(&self) -> Option<i64> {
        if self.dailies.is_empty() {
            return None;
        }
        let from = match self.watermark {
            i64::MIN => self.pending.first()?,
            watermark => watermark,
        };
        Some((day_of(from) + 1).saturating_mul(DAY))
    }

    fn judge(&mut self, watermark: i64, findings: &mut [Vec<Finding>]) -> Result<(), Error> {
        let found = self.step(watermark);
        let found = found.map_err(|error| Error::Failed(error.strip_backtrace()))?;
        for (all, some) in findings.iter_mut().zip(found) {
            all.extend(some);
        }
        Ok(())
    }

    /// The tables of days that were made since this was asked last, each with the position of the program
    /// that needs it.
    pub fn days(&mut self) -> Vec<(usize, Day)> {
        std::mem::take(&mut self.closed)
    }

    /// The programs that are silent because too little is known, each with how many active hours are known
    /// and how many there must be.
    pub fn silent(&self) -> Vec<(usize, (u64, u64))> {
        let silent = self
            .dailies
            .iter()
            .filter_map(|daily| Some((daily, daily.lacks()?)));
        silent
            .flat_map(|(daily, lack)| daily.users.iter().map(move |user| (*user, lack)))
            .collect()
    }

    /// With tables that were recorded, by program.
    #[must_use]
    pub fn with_days(mut self, recorded: &[Recorded]) -> Self {
        self.dailies = Daily::all(&self.graph, recorded);
        self
    }

    fn step(&mut self, watermark: i64) -> Fallible<Vec<Vec<Finding>>> {
        let (graph, settled) = (&self.graph, self.watermark);
        self.shards
            .par_iter_mut()
            .for_each(|shard| shard.settle(graph, settled));
        let batch = self.pending.take(watermark)?;
        let actions = batch
            .as_ref()
            .and_then(|batch| batch.column_by_name(Column::Action.name()));
        let routes = self.router.routes(&self.graph, actions)?;
        let mut chunks: Vec<Chunk> = (0..rayon::current_num_threads().max(1))
            .map(|_| Chunk::new(&self.graph))
            .collect();
        if let Some(batch) = &batch {
            fill(&mut chunks, EVENTS, batch, &self.fields);
        }
        let failed = self.failed();
        for level in 0..self.graph.levels() {
            Level::new(level, &self.graph, &self.encodings, &routes, watermark)
                .without(&self.failures)
                .run(&mut chunks, &mut self.shards)?;
        }
        let findings = self.findings(&mut chunks)?;
        self.watermark = watermark;
        if self.failed() > failed {
            self.stop_failed();
        }
        self.keep_to_budget(batch.map_or(0, |batch| batch.num_rows()));
        Ok(findings)
    }

    /// How many programs can go no further.
    fn failed(&self) -> usize {
        self.failures.iter().flatten().count()
    }

    /// What came out of the programs.
    fn findings(&mut self, chunks: &mut [Chunk]) -> Fallible<Vec<Vec<Finding>>> {
        let mut findings: Vec<Vec<Finding>> = vec![Vec::new(); self.programs.len()];
        for chunk in chunks {
            for (at, message) in chunk.failures.drain(..) {
                self.failures[at].get_or_insert(message);
            }
            for (at, output) in self.graph.outputs.iter().enumerate() {
                if chunk.rows(output.table) == 0 || self.failures[at].is_some() {
                    continue;
                }
                match self.found(at, chunk) {
                    Ok(found) => findings[at].extend(found),
                    Err(error) => self.failures[at] = Some(error.to_string()),
                }
            }
        }
        for found in &mut findings {
            finding::sort(found);
        }
        Ok(findings)
    }

    fn found(&self, at: usize, chunk: &mut Chunk) -> Result<Vec<Finding>, Error> {
        let failed = |error: DataFusionError| Error::Failed(error.strip_backtrace());
        let (output, program) = (&self.graph.outputs[at], &self.programs[at]);
        let batch = chunk
            .result(&self.graph, output.table, &output.columns)
            .map_err(failed)?;
        let mut findings = finding::read(program, &batch)?;
        let (Some((call, key)), Some(members)) = (&output.recall, &program.members) else {
            return Ok(findings);
        };
        let group = self.graph.calls[*call].group;
        let place = self.graph.groups[group]
            .calls
            .iter()
            .position(|id| id == call);
        let space = self.graph.groups[group].space;
        let named: Vec<_> = key.iter().map(|id| (String::new(), *id)).collect();
        let parts = chunk
            .result(&self.graph, output.table, &named)
            .map_err(failed)?;
        let keys = self.encodings[space]
            .keys(parts.columns(), findings.len())
            .map_err(|error| failed(error.into()))?;
        for (row, finding) in findings.iter_mut().enumerate() {
            let (hash, bytes) = keys.get(row);
            let shard = &self.shards[shard::shard_of(hash)];
            if let Some((key, place)) = shard.spaces[space].find(hash, bytes).zip(place) {
                let span = members.span_micros;
                let ids = shard.windows[group].recall(place, key, span, finding.order_time);
                super::members::name(finding, ids.into_iter());
            }
        }
        Ok(findings)
    }
}

/// What rows are ordered and known by.
fn ordering() -> ColumnSet {
    [Column::EventId, Column::EventTime, Column::OrderTime]
        .into_iter()
        .collect()
}
