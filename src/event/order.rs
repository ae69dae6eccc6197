//! The log of a bounded input: every event once, in canonical order.
//!
//! *Canonical* is by order time, event time, event id, and at last by the bytes of the line. Events
//! with one id and one event time are one event; of different bytes the smaller stay.
//!
//! What fits the memory budget becomes one table; sorted input is recognised and costs one pass.
//! Beyond the budget sorted runs go to a temporary file and are merged at the end.

mod blocks;
mod keys;
mod log;
mod merge;
mod stream;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;

use arrow::array::{Array, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;

use self::blocks::Blocks;
pub use self::blocks::compacted;
use self::keys::{Keys, Place, Row};
use self::log::Stored;
pub use self::log::{Log, Part};
pub use self::stream::{Disorder, Stream, raw_in};
use self::table::Table;
pub use self::table::arranged;
use super::schema::{Column, ColumnSet};

/// Rows of a block on disk, and of a batch that is read.
const BLOCK_ROWS: usize = 8192;

/// The columns that decide about order and identity; every batch must hold them.
pub fn columns() -> ColumnSet {
    use Column as C;
    [C::EventId, C::EventTime, C::OrderTime, C::Raw]
        .into_iter()
        .collect()
}

/// Takes batches of one schema in any order.
pub struct Collector {
    schema: SchemaRef,
    budget_bytes: usize,
    held: Vec<RecordBatch>,
    held_bytes: usize,
    runs: Vec<Blocks>,
    duplicates: Duplicates,
}

/// Events that came more than once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// Copies that were dropped.
    pub dropped: u64,
    /// Those of them whose bytes differed from what stayed.
    pub differing: u64,
}

impl Collector {
    /// A collector for batches of these columns that holds about `budget_bytes` in memory.
    pub fn new(columns: ColumnSet, budget_bytes: usize) -> Self {
        Self {
            schema: columns.union(self::columns()).schema(),
            budget_bytes,
            held: Vec::new(),
            held_bytes: 0,
            runs: Vec::new(),
            duplicates: Duplicates::default(),
        }
    }

    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// When a run cannot be written to the temporary folder.
    pub fn push(&mut self, batch: RecordBatch) -> io::Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.held_bytes += bytes_of(&batch);
        self.held.push(batch);
        if self.held_bytes > self.budget_bytes {
            self.write_run()?;
        }
        Ok(())
    }

    /// The log of all that was added.
    ///
    /// # Errors
    /// When the temporary file cannot be written or read back.
    pub fn finish(mut self) -> io::Result<Log> {
        let stored = if self.runs.is_empty() {
            let order = keys::canonical(&self.held, &mut self.duplicates);
            let table = Table::new(&self.schema, &self.held, &order);
            Stored::Memory(table.map_err(io::Error::other)?)
        } else {
            if !self.held.is_empty() {
                self.write_run()?;
            }
            Stored::Disk(merge::merge(&self.runs, &mut self.duplicates)?)
        };
        Ok(Log {
            schema: self.schema,
            stored,
            duplicates: self.duplicates,
            end: None,
        })
    }

    /// Writes what is held as a sorted run.
    fn write_run(&mut self) -> io::Result<()> {
        self.held_bytes = 0;
        let batches = std::mem::take(&mut self.held);
        let order = keys::canonical(&batches, &mut self.duplicates);
        let lines: Vec<Keys<'_>> = batches.iter().map(Keys::of).collect();
        let length = |place: &Place| lines[place.batch()].at(place.row()).raw.len();
        let held: Vec<&RecordBatch> = batches.iter().collect();
        let mut run = Blocks::new()?;
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let (block, others) = rest.split_at(blocks::fitting(rest.iter().map(length)));
            let rows: Vec<(usize, usize)> = block.iter().map(|place| place.pair()).collect();
            run.write(&interleave_record_batch(&held, &rows).map_err(io::Error::other)?)?;
            rest = others;
        }
        self.runs.push(run);
        Ok(())
    }
}

impl Duplicates {
    fn count(&mut self, kept: &Row<'_>, copy: &Row<'_>) {
        self.dropped += 1;
        self.differing += u64::from(kept.raw != copy.raw);
    }
}

/// What the batch holds on to: memory that several of its columns share counts once.
fn bytes_of(batch: &RecordBatch) -> usize {
    let mut seen = HashSet::new();
    let mut bytes = 0;
    for column in batch.columns() {
        let data = column.to_data();
        let children = data.child_data().iter().flat_map(|child| child.buffers());
        for buffer in data.buffers().iter().chain(children) {
            if seen.insert(buffer.data_ptr()) {
                bytes += buffer.capacity();
            }
        }
    }
    bytes
}
