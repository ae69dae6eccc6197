//! What events are ordered by, and the canonical order of the rows of some batches.

use std::cmp::Ordering;
use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use rayon::prelude::*;

use super::Duplicates;
use crate::event::schema::Column;

/// A row of one of several batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    batch: u32,
    row: u32,
}

impl Place {
    pub fn batch(self) -> usize {
        self.batch as usize
    }

    pub fn row(self) -> usize {
        self.row as usize
    }

    /// As Arrow's kernels want it.
    pub fn pair(self) -> (usize, usize) {
        (self.batch(), self.row())
    }
}

/// The columns of a batch that order is decided by.
pub(super) struct Keys<'a> {
    pub order_time: &'a TimestampMicrosecondArray,
    event_time: &'a TimestampMicrosecondArray,
    event_id: &'a StringViewArray,
    raw: &'a StringViewArray,
}

/// What one row is ordered by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row<'a> {
    pub order_time: i64,
    pub event_time: i64,
    pub event_id: &'a str,
    pub raw: &'a str,
}

impl<'a> Keys<'a> {
    pub fn of(batch: &'a RecordBatch) -> Self {
        let times =
            |column: Column| batch[column.name()].as_primitive::<TimestampMicrosecondType>();
        Self {
            order_time: times(Column::OrderTime),
            event_time: times(Column::EventTime),
            event_id: batch[Column::EventId.name()].as_string_view(),
            raw: batch[Column::Raw.name()].as_string_view(),
        }
    }

    pub fn at(&self, row: usize) -> Row<'a> {
        Row {
            order_time: self.order_time.value(row),
            event_time: self.event_time.value(row),
            event_id: self.event_id.value(row),
            raw: self.raw.value(row),
        }
    }
}

impl Row<'_> {
    pub fn is_same_event(&self, other: &Self) -> bool {
        self.is(other.event_time, other.event_id)
    }

    pub fn is(&self, event_time: i64, id: &str) -> bool {
        self.event_time == event_time && self.event_id == id
    }
}

/// The rows of the batches in canonical order, each event once.
pub(super) fn canonical(batches: &[RecordBatch], duplicates: &mut Duplicates) -> Vec<Place> {
    let keys: Vec<Keys<'_>> = batches.iter().map(Keys::of).collect();
    let row = |place: Place| keys[place.batch()].at(place.row());
    let mut timed: Vec<(i64, Place)> = Vec::with_capacity(keys.iter().map(|k| k.raw.len()).sum());
    for (batch, keys) in (0..).zip(&keys) {
        let rows = (0..).zip(keys.order_time.values());
        timed.extend(rows.map(|(row, time)| (*time, Place { batch, row })));
    }
    if !timed.is_sorted_by_key(|(time, _)| *time) {
        timed.par_sort_unstable();
    }
    for range in ties(&timed) {
        timed[range].sort_unstable_by(|(_, a), (_, b)| match row(*a).cmp(&row(*b)) {
            Ordering::Equal => a.cmp(b),
            order => order,
        });
    }
    timed.dedup_by(|(_, later), (_, earlier)| {
        let (kept, copy) = (row(*earlier), row(*later));
        let is_copy = kept.is_same_event(&copy);
        if is_copy {
            duplicates.count(&kept, &copy);
        }
        is_copy
    });
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
