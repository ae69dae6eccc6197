//! Rows that came and are not judged yet.

use std::sync::Arc;

use arrow::array::{
    AsArray, BooleanArray, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;

use crate::event::order;
use crate::event::schema::{Column, ColumnSet};

/// Batches in any order, with the columns that the engine reads.
#[derive(Debug)]
pub(super) struct Pending {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Pending {
    pub fn new(columns: ColumnSet) -> Self {
        Self {
            schema: columns.schema(),
            batches: Vec::new(),
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The earliest order time among them.
    pub fn first(&self) -> Option<i64> {
        let batches = self.batches.iter();
        batches
            .flat_map(|batch| times(batch, Column::OrderTime).values().iter().copied())
            .min()
    }

    /// Drops all rows.
    pub fn clear(&mut self) {
        self.batches.clear();
    }

    /// Adds the rows of a batch, which may have more columns.
    ///
    /// # Errors
    /// When a column is missing.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let columns = self.schema.fields().iter().map(|field| {
            let column = batch.column_by_name(field.name());
            column.map(Arc::clone).ok_or_else(|| {
                ArrowError::SchemaError(format!("column `{}` was not decoded", field.name()))
            })
        });
        let columns = columns.collect::<Result<_, _>>()?;
        if batch.num_rows() > 0 {
            self.batches
                .push(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        }
        Ok(())
    }

    /// Takes out the rows before the watermark, in canonical order.
    ///
    /// # Errors
    /// When batches do not fit together, which is a defect.
    pub fn take(&mut self, watermark: i64) -> Result<Option<RecordBatch>, ArrowError> {
        let batches = std::mem::take(&mut self.batches);
        let order = canonical(&batches, Some(watermark));
        if order.is_empty() {
            self.batches = batches;
            return Ok(None);
        }
        // As it mostly comes: sorted already, and all of it to be judged.
        if let [batch] = batches.as_slice()
            && batch.num_rows() == order.len()
            && order.iter().map(|(.., row)| *row).eq(0..order.len() as u32)
        {
            return Ok(Some(batch.clone()));
        }
        for batch in &batches {
            let times = times(batch, Column::OrderTime).values();
            if times.iter().any(|time| *time >= watermark) {
                let rest: BooleanArray =
                    times.iter().map(|time| Some(*time >= watermark)).collect();
                self.batches.push(filter_record_batch(batch, &rest)?);
            }
        }
        Ok(Some(arranged(&batches, &order)?))
    }
}

/// A row: its time, and where it stands.
type Place = (i64, u32, u32);

/// The canonical order of the rows of some batches, all or those before a time.
pub(super) fn canonical(batches: &[RecordBatch], before: Option<i64>) -> Vec<Place> {
    let mut places: Vec<Place> =
        Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (at, batch) in (0..).zip(batches) {
        let rows = (0..).zip(times(batch, Column::OrderTime).values());
        let rows = rows.filter(|(_, time)| before.is_none_or(|before| **time < before));
        places.extend(rows.map(|(row, time)| (*time, at, row)));
    }
    if !places.is_sorted_by_key(|(time, ..)| *time) {
        places.sort_unstable();
    }
    let keys: Vec<(&TimestampMicrosecondArray, &StringViewArray)> = batches
        .iter()
        .map(|batch| {
            let ids = batch[Column::EventId.name()].as_string_view();
            (times(batch, Column::EventTime), ids)
        })
        .collect();
    let key = |(_, batch, row): &Place| {
        let (times, ids) = keys[*batch as usize];
        (times.value(*row as usize), ids.value(*row as usize))
    };
    for ties in places.chunk_by_mut(|(one, ..), (other, ..)| one == other) {
        if ties.len() > 1 {
            ties.sort_unstable_by(|one, other| key(one).cmp(&key(other)));
        }
    }
    places
}

fn times(batch: &RecordBatch, column: Column) -> &TimestampMicrosecondArray {
    batch[column.name()].as_primitive::<TimestampMicrosecondType>()
}

/// The rows in this order.
pub(super) fn arranged(
    batches: &[RecordBatch],
    order: &[Place],
) -> Result<RecordBatch, ArrowError> {
    let places = order
        .iter()
        .map(|(_, batch, row)| (*batch as usize, *row as usize));
    let places: Vec<(usize, usize)> = places.collect();
    order::arranged(&batches[0].schema(), batches, &places)
}
