//! The log of a stream that comes nearly in order: each event once, in canonical order, as far as it
//! is complete.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::take_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::Duplicates;
use super::keys::{self, Keys};
use super::table::arranged;
use crate::event::schema::{Column, ColumnSet};

/// Takes batches and gives rows before a watermark. Copies are found as long as the second comes
/// before the first is given out.
#[derive(Debug)]
pub struct Stream {
    schema: SchemaRef,
    held: Vec<RecordBatch>,
    watermark: i64,
    /// The latest order time so far.
    latest: i64,
    duplicates: Duplicates,
}

/// An event came after its time had been given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the events are not in order of time")]
pub struct Disorder;

impl Stream {
    /// A stream of batches with these columns, and those that order is decided by.
    pub fn new(columns: ColumnSet) -> Self {
        Self {
            schema: columns.union(super::columns()).schema(),
            held: Vec::new(),
            watermark: i64::MIN,
            latest: i64::MIN,
            duplicates: Duplicates::default(),
        }
    }

    /// The latest order time so far, in microseconds.
    pub fn latest(&self) -> i64 {
        self.latest
    }

    /// Rows that were not given out.
    pub fn rows(&self) -> usize {
        self.held.iter().map(RecordBatch::num_rows).sum()
    }

    /// What came more than once.
    pub fn duplicates(&self) -> Duplicates {
        self.duplicates
    }

    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// [`Disorder`] if one lies before the watermark; then nothing is added.
    pub fn push(&mut self, batch: RecordBatch) -> Result<(), Disorder> {
        let times = order_times(&batch);
        let Some(first) = times.iter().min() else {
            return Ok(());
        };
        if *first < self.watermark {
            return Err(Disorder);
        }
        self.latest = self
            .latest
            .max(times.iter().max().copied().unwrap_or(i64::MIN));
        self.held.push(batch);
        Ok(())
    }

    /// Takes out all rows before the watermark, in microseconds; from now on none may lie there.
    ///
    /// # Errors
    /// When batches do not fit together, which is a defect.
    pub fn take(&mut self, watermark: i64) -> Result<RecordBatch, ArrowError> {
        self.watermark = self.watermark.max(watermark);
        let mut ready = Vec::with_capacity(self.held.len());
        for batch in std::mem::take(&mut self.held) {
            let times = order_times(&batch);
            let is_ready = |time: &i64| *time < watermark;
            let count = times.partition_point(is_ready);
            if times.is_sorted() {
                let rest = batch.num_rows() - count;
                if count > 0 {
                    ready.push(batch.slice(0, count));
                }
                if rest > 0 {
                    self.held.push(batch.slice(count, rest));
                }
                continue;
            }
            let rows = |wanted: bool| {
                let rows = (0..)
                    .zip(times)
                    .filter(|(_, time)| is_ready(time) == wanted);
                arrow::array::UInt32Array::from_iter_values(rows.map(|(row, _)| row))
            };
            let (now, later) = (rows(true), rows(false));
            if !now.is_empty() {
                ready.push(take_record_batch(&batch, &now)?);
            }
            if !later.is_empty() {
                self.held.push(take_record_batch(&batch, &later)?);
            }
        }
        if ready.is_empty() {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.schema)));
        }
        let order = keys::canonical(&ready, &mut self.duplicates);
        let places: Vec<(usize, usize)> = order.iter().map(|place| place.pair()).collect();
        arranged(&self.schema, &ready, &places)
    }
}

fn order_times(batch: &RecordBatch) -> &[i64] {
    batch[Column::OrderTime.name()]
        .as_primitive::<TimestampMicrosecondType>()
        .values()
}

/// The line of an event in a batch in canonical order, named by order time, event time and id.
pub fn raw_in<'a>(batch: &'a RecordBatch, name: (i64, i64, &str)) -> Option<&'a str> {
    let keys = Keys::of(batch);
    let key = |row: usize| {
        let row = keys.at(row);
        (row.order_time, row.event_time, row.event_id)
    };
    let (mut low, mut high) = (0, batch.num_rows());
    while low < high {
        let middle = low + (high - low) / 2;
        if key(middle) < name {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    (low < batch.num_rows() && key(low) == name).then(|| keys.at(low).raw)
}
