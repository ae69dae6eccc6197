//! The log of a bounded input: every event once, in canonical order.
//!
//! *Canonical* is by order time, event time, event id, and at last by the bytes of the line. Events
//! with one id and one event time are one event; of different bytes the smaller stay.
//!
//! What fits the memory budget stays in the batches in which it came, with an index beside them;
//! sorted input is recognised and costs one pass. Beyond the budget sorted runs go to a temporary
//! file and are merged at the end.

mod blocks;
mod merge;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::io;
use std::ops::Range;

use arrow::array::{
    Array, AsArray, BooleanArray, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::compute::{filter_record_batch, interleave_record_batch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use rayon::prelude::*;

use self::blocks::Blocks;
use super::schema::{Column, ColumnSet};

/// Rows of a block on disk.
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
            let run = self.take_sorted()?;
            self.runs.push(run);
        }
        Ok(())
    }

    /// The log of all that was added.
    ///
    /// # Errors
    /// When the temporary file cannot be written or read back.
    pub fn finish(mut self) -> io::Result<Log> {
        let stored = if self.runs.is_empty() {
            let (batches, index) = self.take_indexed();
            Stored::Memory { batches, index }
        } else {
            if !self.held.is_empty() {
                let run = self.take_sorted()?;
                self.runs.push(run);
            }
            Stored::Disk(merge::merge(&self.runs, &mut self.duplicates)?)
        };
        Ok(Log {
            schema: self.schema,
            stored,
            duplicates: self.duplicates,
        })
    }

    /// What is held as a sorted run on disk; nothing is held afterwards.
    fn take_sorted(&mut self) -> io::Result<Blocks> {
        let (batches, index) = self.take_indexed();
        let refs: Vec<&RecordBatch> = batches.iter().collect();
        let mut run = Blocks::new()?;
        for rows in index.chunks(BLOCK_ROWS) {
            let rows: Vec<(usize, usize)> = rows.iter().map(Place::pair).collect();
            run.write(&interleave_record_batch(&refs, &rows).map_err(io::Error::other)?)?;
        }
        Ok(run)
    }

    /// What is held, without duplicates, with its index in canonical order.
    fn take_indexed(&mut self) -> (Vec<RecordBatch>, Vec<Place>) {
        self.held_bytes = 0;
        let batches = std::mem::take(&mut self.held);
        let keys: Vec<Keys> = batches.iter().map(Keys::of).collect();
        let mut index = index(&keys);
        let mut is_dropped: Vec<Place> = Vec::new();
        index.dedup_by(|later, earlier| {
            let (kept, copy) = (
                keys[earlier.batch()].row(earlier),
                keys[later.batch()].row(later),
            );
            let is_copy = kept.is_same_event(&copy);
            if is_copy {
                self.duplicates.count(&kept, &copy);
                is_dropped.push(*later);
            }
            is_copy
        });
        drop(keys);
        if is_dropped.is_empty() {
            return (batches, index);
        }
        without(batches, &is_dropped, index)
    }
}

impl Duplicates {
    fn count(&mut self, kept: &Row<'_>, copy: &Row<'_>) {
        self.dropped += 1;
        self.differing += u64::from(kept.raw != copy.raw);
    }
}

/// The events of an input, each once.
#[derive(Debug)]
pub struct Log {
    schema: SchemaRef,
    stored: Stored,
    duplicates: Duplicates,
}

#[derive(Debug)]
enum Stored {
    Memory {
        batches: Vec<RecordBatch>,
        index: Vec<Place>,
    },
    Disk(Blocks),
}

impl Log {
    /// The columns of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many batches there are.
    pub fn batches(&self) -> usize {
        match &self.stored {
            Stored::Memory { batches, .. } => batches.len(),
            Stored::Disk(blocks) => blocks.len(),
        }
    }

    /// How many events there are.
    pub fn rows(&self) -> usize {
        match &self.stored {
            Stored::Memory { index, .. } => index.len(),
            Stored::Disk(blocks) => blocks.rows(),
        }
    }

    /// What came more than once.
    pub fn duplicates(&self) -> Duplicates {
        self.duplicates
    }

    /// Whether the input did not fit the memory budget.
    pub fn is_on_disk(&self) -> bool {
        matches!(self.stored, Stored::Disk(_))
    }

    /// One batch; the order of rows between and within batches means nothing.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn batch(&self, at: usize) -> io::Result<RecordBatch> {
        match &self.stored {
            Stored::Memory { batches, .. } => Ok(batches[at].clone()),
            Stored::Disk(blocks) => blocks.read(at),
        }
    }

    /// The line of the event with this order time, event time (both in microseconds) and id.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn raw(&self, order_time: i64, event_time: i64, id: &str) -> io::Result<Option<String>> {
        match &self.stored {
            Stored::Memory { batches, index } => {
                let keys = |place: &Place| Keys::of(&batches[place.batch()]);
                let time = |place: &Place| keys(place).order_time.value(place.row());
                let first = index.partition_point(|place| time(place) < order_time);
                let tied = index[first..]
                    .iter()
                    .take_while(|place| time(place) == order_time);
                Ok(tied.into_iter().find_map(|place| {
                    let keys = keys(place);
                    let row = keys.row(place);
                    row.is(event_time, id).then(|| row.raw.to_owned())
                }))
            }
            Stored::Disk(blocks) => {
                for at in blocks.covering(order_time) {
                    let batch = blocks.read(at)?;
                    let keys = Keys::of(&batch);
                    let mut rows = (0..batch.num_rows()).map(|row| keys.at(row));
                    if let Some(row) = rows.find(|row| row.is(event_time, id)) {
                        return Ok(Some(row.raw.to_owned()));
                    }
                }
                Ok(None)
            }
        }
    }
}

/// A row of one of several batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place(u32, u32);

impl Place {
    fn batch(&self) -> usize {
        self.0 as usize
    }

    fn row(&self) -> usize {
        self.1 as usize
    }

    fn pair(&self) -> (usize, usize) {
        (self.batch(), self.row())
    }
}

/// The columns of a batch that order is decided by.
struct Keys<'a> {
    order_time: &'a TimestampMicrosecondArray,
    event_time: &'a TimestampMicrosecondArray,
    event_id: &'a StringViewArray,
    raw: &'a StringViewArray,
}

/// What one row is ordered by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Row<'a> {
    order_time: i64,
    event_time: i64,
    event_id: &'a str,
    raw: &'a str,
}

impl<'a> Keys<'a> {
    fn of(batch: &'a RecordBatch) -> Self {
        let times =
            |column: Column| batch[column.name()].as_primitive::<TimestampMicrosecondType>();
        Self {
            order_time: times(Column::OrderTime),
            event_time: times(Column::EventTime),
            event_id: batch[Column::EventId.name()].as_string_view(),
            raw: batch[Column::Raw.name()].as_string_view(),
        }
    }

    fn at(&self, row: usize) -> Row<'a> {
        Row {
            order_time: self.order_time.value(row),
            event_time: self.event_time.value(row),
            event_id: self.event_id.value(row),
            raw: self.raw.value(row),
        }
    }

    fn row(&self, place: &Place) -> Row<'a> {
        self.at(place.row())
    }
}

impl Row<'_> {
    fn is_same_event(&self, other: &Self) -> bool {
        self.event_time == other.event_time && self.event_id == other.event_id
    }

    fn is(&self, event_time: i64, id: &str) -> bool {
        self.event_time == event_time && self.event_id == id
    }
}

/// All rows in canonical order.
fn index(keys: &[Keys<'_>]) -> Vec<Place> {
    let mut timed: Vec<(i64, Place)> = Vec::with_capacity(keys.iter().map(|k| k.raw.len()).sum());
    for (batch, keys) in (0..).zip(keys) {
        let rows = (0..).zip(keys.order_time.values());
        timed.extend(rows.map(|(row, time)| (*time, Place(batch, row))));
    }
    if !timed.is_sorted_by_key(|(time, _)| *time) {
        timed.par_sort_unstable();
    }
    let row = |place: &Place| keys[place.batch()].row(place);
    for range in ties(&timed) {
        timed[range].sort_unstable_by(|(_, a), (_, b)| match row(a).cmp(&row(b)) {
            Ordering::Equal => a.cmp(b),
            order => order,
        });
    }
    timed.into_iter().map(|(_, place)| place).collect()
}

/// The ranges of at least two rows of one time.
fn ties(timed: &[(i64, Place)]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    for group in timed.chunk_by(|(a, _), (b, _)| a == b) {
        if group.len() > 1 {
            ranges.push(start..start + group.len());
        }
        start += group.len();
    }
    ranges
}

/// The batches and their index without the rows named.
fn without(
    batches: Vec<RecordBatch>,
    dropped: &[Place],
    index: Vec<Place>,
) -> (Vec<RecordBatch>, Vec<Place>) {
    let dropped: HashSet<&Place> = dropped.iter().collect();
    let mut moved: Vec<Vec<u32>> = Vec::with_capacity(batches.len());
    let mut kept = Vec::with_capacity(batches.len());
    for (at, batch) in (0..).zip(batches) {
        let rows = 0..batch.num_rows() as u32;
        let stays: Vec<bool> = rows.map(|row| !dropped.contains(&Place(at, row))).collect();
        let mut next = 0;
        moved.push(
            stays
                .iter()
                .map(|stays| {
                    let place = next;
                    next += u32::from(*stays);
                    place
                })
                .collect(),
        );
        kept.push(if stays.iter().all(|stays| *stays) {
            batch
        } else {
            match filter_record_batch(&batch, &BooleanArray::from(stays)) {
                Ok(batch) => batch,
                // The mask is as long as the batch.
                Err(error) => unreachable!("a mask does not fit its batch: {error}"),
            }
        });
    }
    let index = index
        .into_iter()
        .map(|place| Place(place.0, moved[place.batch()][place.row()]))
        .collect();
    (kept, index)
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
