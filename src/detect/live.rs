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
        let state = snapshot::State {
            shard: &self.shards[shard],
            watermark: self.watermark,
            failures: &self.failures,
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
        self.shards = shards.into_iter().map(|restored| restored.shard).collect();
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
        self.step(watermark.max(self.watermark))
            .map_err(|error| Error::Failed(error.strip_backtrace()))
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
