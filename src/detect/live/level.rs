//! One level at work: its tables, then its windows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{concat, interleave, take};
use arrow::datatypes::{Field as ArrowField, Schema, TimestampMicrosecondType};
use datafusion::error::Result;
use rayon::prelude::*;

use super::chunk::Chunk;
use super::pending;
use super::route::Routes;
use crate::detect::graph::{Field, Graph, GroupId, Source, TableId};
use crate::detect::shard::{Encoding, Shard};
use crate::detect::window::{Prepared, returned};
use crate::event::schema::Column;

/// The fewest rows that are worth a thread of their own.
const LEAST_ROWS: usize = 2048;

/// The tables and groups of a level, and what their work depends on.
pub(super) struct Level<'a> {
    graph: &'a Graph,
    encodings: &'a [Encoding],
    routes: &'a Routes,
    watermark: i64,
    tables: Vec<TableId>,
    groups: Vec<GroupId>,
}

/// What each call of a group gave; nothing for those that are only asked.
type Results = Vec<Option<ArrayRef>>;

/// Rows whose frames have ended, with their results.
type Judged = (RecordBatch, Results);

/// What the windows of a shard gave.
struct Worked {
    /// By chunk and group.
    results: Vec<Vec<Results>>,
    /// By group.
    judged: Vec<Option<Judged>>,
}

impl<'a> Level<'a> {
    pub fn new(
        level: usize,
        graph: &'a Graph,
        encodings: &'a [Encoding],
        routes: &'a Routes,
        watermark: i64,
    ) -> Self {
        let tables = graph.tables.iter().enumerate();
        let tables = tables.filter(|(_, t)| t.level == level && !t.users.is_empty());
        let groups = graph.groups.iter().enumerate();
        let groups = groups.filter(|(_, g)| g.level == level && !g.calls.is_empty());
        Self {
            graph,
            encodings,
            routes,
            watermark,
            tables: tables.map(|(table, _)| table).collect(),
            groups: groups.map(|(group, _)| group).collect(),
        }
    }

    /// Leaves out what only programs need that failed.
    pub fn without(mut self, failures: &[Option<String>]) -> Self {
        let is_needed = |users: &Vec<usize>| users.iter().any(|user| failures[*user].is_none());
        let graph = self.graph;
        self.tables
            .retain(|table| is_needed(&graph.tables[*table].users));
        self.groups.retain(|group| {
            let mut calls = graph.groups[*group].calls.iter();
            calls.any(|call| is_needed(&graph.calls[*call].users))
        });
        self
    }

    /// Finds the rows of the tables, has the windows take them, and gives the chunks the results.
    ///
    /// # Errors
    /// On a defect; what fails in a program is noted in its chunk.
    pub fn run(&self, chunks: &mut [Chunk], shards: &mut [Shard]) -> Result<()> {
        let prepare = |chunk: &mut Chunk| -> Result<Vec<Option<Prepared>>> {
            for table in &self.tables {
                chunk.filter(self.graph, self.routes, *table);
            }
            let groups = self.groups.iter();
            groups
                .map(|group| chunk.prepare(self.graph, self.encodings, *group))
                .collect()
        };
        let prepared: Vec<Vec<Option<Prepared>>> =
            chunks.par_iter_mut().map(prepare).collect::<Result<_>>()?;
        let is_idle = prepared.iter().flatten().all(Option::is_none);
        if is_idle && !self.groups.iter().any(|group| self.waits(*group)) {
            return Ok(());
        }
        let worked: Vec<Worked> = shards
            .par_iter_mut()
            .map(|shard| self.work(shard, &prepared))
            .collect::<Result<_>>()?;
        chunks
            .par_iter_mut()
            .zip(&prepared)
            .enumerate()
            .try_for_each(|(at, (chunk, prepared))| self.scatter(at, chunk, prepared, &worked))?;
        for (at, group) in self.groups.iter().enumerate() {
            let judged = worked
                .iter()
                .filter_map(|worked| worked.judged[at].as_ref());
            let judged: Vec<&Judged> = judged.collect();
            if !judged.is_empty() {
                self.gather(*group, chunks, &judged)?;
            }
        }
        Ok(())
    }

    fn waits(&self, group: GroupId) -> bool {
        self.graph.groups[group].wait > 0
    }

    /// The windows of a shard take their rows.
    fn work(&self, shard: &mut Shard, prepared: &[Vec<Option<Prepared>>]) -> Result<Worked> {
        let mut results = Vec::with_capacity(prepared.len());
        for prepared in prepared {
            let mut of_chunk = Vec::with_capacity(self.groups.len());
            for (group, batch) in self.groups.iter().zip(prepared) {
                let mut of_group = Results::new();
                let is_here = |batch: &&Prepared| !batch.shards.range(shard.number).is_empty();
                if let Some(batch) = batch.as_ref().filter(is_here) {
                    shard.take(*group, &self.graph.groups[*group], batch)?;
                    if !self.waits(*group) {
                        of_group = shard.windows[*group].results();
                    }
                }
                of_chunk.push(of_group);
            }
            results.push(of_chunk);
        }
        let judged = self.groups.iter().map(|group| {
            if !self.waits(*group) {
                return Ok(None);
            }
            let window = &mut shard.windows[*group];
            let rows = window.judge_waiting(self.watermark)?;
            Ok(rows.map(|rows| (rows, window.results())))
        });
        Ok(Worked {
            results,
            judged: judged.collect::<Result<_>>()?,
        })
    }

    /// Puts the results of all shards into the order of a chunk's rows.
    fn scatter(
        &self,
        at: usize,
        chunk: &mut Chunk,
        prepared: &[Option<Prepared>],
        worked: &[Worked],
    ) -> Result<()> {
        for ((number, group), batch) in self.groups.iter().enumerate().zip(prepared) {
            let Some(batch) = batch.as_ref().filter(|_| !self.waits(*group)) else {
                continue;
            };
            let places = batch.shards.places();
            let group = &self.graph.groups[*group];
            for (call, id) in group.calls.iter().enumerate() {
                let results = worked.iter().map(|worked| &worked.results[at][number]);
                let parts = parts(results, call);
                if parts.is_empty() {
                    continue;
                }
                let column = take(&concat(&parts)?, &places, None)?;
                let column = returned(&column, &self.graph.calls[*id].output)?;
                chunk.add(group.table, Field::call(*id), column);
            }
        }
        Ok(())
    }

    /// Makes the table of the rows that a group has judged at last.
    fn gather(&self, id: GroupId, chunks: &mut [Chunk], judged: &[&Judged]) -> Result<()> {
        let tables = &self.graph.tables;
        let is_its = |source: &Source| *source == Source::Delayed(id);
        let Some(table) = tables.iter().position(|table| is_its(&table.source)) else {
            return Ok(());
        };
        let group = &self.graph.groups[id];
        let batches: Vec<RecordBatch> = judged.iter().map(|(rows, _)| rows.clone()).collect();
        let order = pending::canonical(&batches, None);
        let mut columns: Vec<ArrayRef> = pending::arranged(&batches, &order)?.columns().to_vec();
        let mut fields = group.carried.clone();
        let rows = order
            .iter()
            .map(|(_, batch, row)| (*batch as usize, *row as usize));
        let rows: Vec<(usize, usize)> = rows.collect();
        for (call, id) in group.calls.iter().enumerate() {
            let parts = parts(judged.iter().map(|(_, results)| results), call);
            if parts.is_empty() {
                continue;
            }
            let column = interleave(&parts, &rows)?;
            columns.push(returned(&column, &self.graph.calls[*id].output)?);
            fields.push(Field::call(*id));
        }
        let schema = fields
            .iter()
            .zip(&columns)
            .map(|(field, column)| ArrowField::new(field.name(), column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(schema.collect::<Vec<_>>()));
        fill(
            chunks,
            table,
            &RecordBatch::try_new(schema, columns)?,
            &fields,
        );
        Ok(())
    }
}

/// The results of one call in all shards that have some.
fn parts<'a>(results: impl Iterator<Item = &'a Results>, call: usize) -> Vec<&'a dyn Array> {
    let parts = results.filter_map(|results| results.get(call)?.as_ref());
    parts.map(AsRef::as_ref).collect()
}

/// Parts the rows of a root table among the chunks; rows of one time stay together.
pub(super) fn fill(chunks: &mut [Chunk], table: TableId, batch: &RecordBatch, fields: &[Field]) {
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
