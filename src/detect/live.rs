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

mod chunk;
mod pending;
mod route;
mod usage;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::error::{DataFusionError, Result as Fallible};
use rayon::prelude::*;

use self::chunk::Chunk;
use self::pending::Pending;
use self::route::{Router, Routes};
pub use self::usage::Usage;
use super::finding::{self, Finding};
use super::graph::{EVENTS, Field, Graph, GroupId, Source, TableId};
use super::plan::Planner;
use super::shard::{self, Encoding, SHARDS, Shard};
use super::window::{Prepared, returned};
use super::{Error, Program, snapshot};
use crate::event::schema::{Column, ColumnSet};

/// The order time of an event: its own time or, if that lies behind it, the watermark at its
/// admission; all in microseconds. The engine reads it from the column and never computes it.
pub fn order_time(event_time: i64, watermark: i64) -> i64 {
    event_time.max(watermark)
}

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
    /// What snapshots are known by.
    fingerprint: [u8; 32],
}

/// The fewest rows that are worth a thread of their own.
const LEAST_ROWS: usize = 2048;

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
        let programs: Vec<Program> = programs.iter().map(|p| Program::clone(p)).collect();
        Ok(Self {
            fingerprint: snapshot::fingerprint(&graph, &programs),
            router: Router::new(&graph),
            shards: (0..SHARDS).map(|at| Shard::new(&graph, at)).collect(),
            pending: Pending::new(columns),
            watermark: i64::MIN,
            fields: columns.iter().map(Field::event).collect(),
            failures: vec![None; programs.len()],
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
        for level in 0..self.graph.levels() {
            self.level(level, &mut chunks, &routes, watermark)?;
        }
        let findings = self.findings(&mut chunks)?;
        self.watermark = watermark;
        Ok(findings)
    }

    /// One level: its tables, then its windows.
    fn level(
        &mut self,
        level: usize,
        chunks: &mut [Chunk],
        routes: &Routes,
        watermark: i64,
    ) -> Fallible<()> {
        let graph = &self.graph;
        let encodings = &self.encodings;
        let tables: Vec<TableId> = (0..graph.tables.len())
            .filter(|table| graph.tables[*table].level == level)
            .filter(|table| !graph.tables[*table].users.is_empty())
            .collect();
        let groups: Vec<GroupId> = (0..graph.groups.len())
            .filter(|group| graph.groups[*group].level == level)
            .filter(|group| !graph.groups[*group].calls.is_empty())
            .collect();
        let prepared: Vec<Vec<Option<Prepared>>> = chunks
            .par_iter_mut()
            .map(|chunk| {
                for table in &tables {
                    chunk.filter(graph, routes, *table);
                }
                let groups = groups.iter();
                groups
                    .map(|group| chunk.prepare(graph, encodings, *group))
                    .collect::<Fallible<_>>()
            })
            .collect::<Fallible<_>>()?;
        // By shard, chunk and group.
        type Results = Vec<Vec<Vec<Option<ArrayRef>>>>;
        let waits = groups.iter().any(|group| graph.groups[*group].wait > 0);
        let is_idle = prepared.iter().flatten().all(Option::is_none);
        if is_idle && !waits {
            return Ok(());
        }
        let work = |shard: &mut Shard| -> Fallible<(Results, Vec<Option<Judged>>)> {
            let mut results = Vec::with_capacity(prepared.len());
            for prepared in &prepared {
                let mut of_chunk = Vec::with_capacity(groups.len());
                for (group, batch) in groups.iter().zip(prepared) {
                    let mut of_group = Vec::new();
                    let is_here = batch
                        .as_ref()
                        .filter(|batch| !batch.shards.rows(shard.number).is_empty());
                    if let Some(batch) = is_here {
                        shard.take(*group, &graph.groups[*group], batch)?;
                        if graph.groups[*group].wait == 0 {
                            of_group = shard.windows[*group].results();
                        }
                    }
                    of_chunk.push(of_group);
                }
                results.push(of_chunk);
            }
            let judged = groups.iter().map(|group| {
                if graph.groups[*group].wait == 0 {
                    return Ok(None);
                }
                let window = &mut shard.windows[*group];
                let rows = window.judge_waiting(watermark)?;
                Ok(rows.map(|rows| (rows, window.results())))
            });
            let judged = judged.collect::<Fallible<_>>()?;
            Ok((results, judged))
        };
        let by_shard: Vec<(Results, Vec<Option<Judged>>)> = self
            .shards
            .par_iter_mut()
            .map(work)
            .collect::<Fallible<_>>()?;
        chunks
            .par_iter_mut()
            .zip(&prepared)
            .enumerate()
            .try_for_each(|(at, (chunk, prepared))| -> Fallible<()> {
                for ((number, group), batch) in groups.iter().enumerate().zip(prepared) {
                    let Some(batch) = batch else { continue };
                    if graph.groups[*group].wait > 0 {
                        continue;
                    }
                    let results = by_shard.iter().map(|(results, _)| &results[at][number]);
                    scatter(graph, *group, chunk, batch, results)?;
                }
                Ok(())
            })?;
        for (number, group) in groups.iter().enumerate() {
            let judged: Vec<&Judged> = by_shard
                .iter()
                .filter_map(|(_, judged)| judged[number].as_ref())
                .collect();
            if !judged.is_empty() {
                gather(graph, *group, chunks, &judged)?;
            }
        }
        Ok(())
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

/// Rows whose frames have ended, with what each call of their group gave.
type Judged = (RecordBatch, Vec<Option<ArrayRef>>);

/// What rows are ordered and known by.
fn ordering() -> ColumnSet {
    [Column::EventId, Column::EventTime, Column::OrderTime]
        .into_iter()
        .collect()
}

/// Parts the rows of a root table among the chunks; rows of one time stay together.
fn fill(chunks: &mut [Chunk], table: TableId, batch: &RecordBatch, fields: &[Field]) {
    let times = batch[Column::OrderTime.name()].as_primitive::<TimestampMicrosecondType>();
    let times = times.values();
    let share = batch.num_rows().div_ceil(chunks.len()).max(LEAST_ROWS);
    let mut start = 0;
    for chunk in chunks {
        let mut end = (start + share).min(batch.num_rows());
        while end > start && end < batch.num_rows() && times[end] == times[end - 1] {
            end += 1;
        }
        chunk.fill(table, &batch.slice(start, end - start), fields);
        start = end;
    }
}

/// Puts the results of all shards into the order of the chunk's rows.
fn scatter<'a>(
    graph: &Graph,
    group: GroupId,
    chunk: &mut Chunk,
    batch: &Prepared,
    results: impl Iterator<Item = &'a Vec<Option<ArrayRef>>> + Clone,
) -> Fallible<()> {
    let places: UInt32Array = batch.shards.places().into();
    for (at, call) in graph.groups[group].calls.iter().enumerate() {
        let parts: Vec<&dyn arrow::array::Array> = results
            .clone()
            .filter_map(|calls| calls.get(at)?.as_ref())
            .map(AsRef::as_ref)
            .collect();
        if parts.is_empty() {
            continue;
        }
        let column = take(&concat(&parts)?, &places, None)?;
        let column = returned(&column, &graph.calls[*call].output)?;
        chunk.add(graph.groups[group].table, Field::call(*call), column);
    }
    Ok(())
}

/// Makes the table of the rows that a group has judged at last.
fn gather(graph: &Graph, group: GroupId, chunks: &mut [Chunk], judged: &[&Judged]) -> Fallible<()> {
    let known = graph.tables.iter();
    let table = known
        .zip(0..)
        .find(|(table, _)| table.source == Source::Delayed(group));
    let Some((_, table)) = table else {
        return Ok(());
    };
    let batches: Vec<RecordBatch> = judged.iter().map(|(rows, _)| rows.clone()).collect();
    let order = pending::canonical(&batches, None);
    let mut columns: Vec<ArrayRef> = pending::arranged(&batches, &order)?.columns().to_vec();
    let mut fields = graph.groups[group].carried.clone();
    let rows: Vec<(usize, usize)> = order
        .iter()
        .map(|(_, batch, row)| (*batch as usize, *row as usize))
        .collect();
    for (at, call) in graph.groups[group].calls.iter().enumerate() {
        let parts: Vec<&dyn arrow::array::Array> = judged
            .iter()
            .filter_map(|(_, calls)| calls[at].as_ref())
            .map(AsRef::as_ref)
            .collect();
        if parts.is_empty() {
            continue;
        }
        let column = arrow::compute::interleave(&parts, &rows)?;
        columns.push(returned(&column, &graph.calls[*call].output)?);
        fields.push(Field::call(*call));
    }
    let schema = fields.iter().zip(&columns).map(|(field, column)| {
        arrow::datatypes::Field::new(field.name(), column.data_type().clone(), true)
    });
    let schema = arrow::datatypes::Schema::new(schema.collect::<Vec<_>>());
    let batch = RecordBatch::try_new(std::sync::Arc::new(schema), columns)?;
    fill(chunks, table, &batch, &fields);
    Ok(())
}
