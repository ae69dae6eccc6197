//! Rules over anomalies: what the rules over events found is a table in its turn.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::compute::{cast, take};
use arrow::error::ArrowError;

use crate::anomaly::Anomaly;
use crate::event::schema::{Column, ColumnSet};

/// An anomaly that rules over anomalies read.
pub(super) struct Seen {
    /// The row of its triggering event.
    pub row: u32,
    pub id: String,
    /// When it was known; microseconds.
    pub order_time: i64,
    /// Of the triggering event; microseconds.
    pub event_time: i64,
    /// Its record as JSON.
    pub record: String,
}

impl Seen {
    /// The anomaly whose triggering event is the row and of these times, known `wait` microseconds after
    /// it. `None` if no other rule reads it.
    pub fn new(
        anomaly: &Anomaly,
        row: u32,
        (order_time, event_time): (i64, i64),
        wait: i64,
    ) -> Option<Self> {
        let is_seen = anomaly.exception.is_none() && !anomaly.shadow;
        // A record is made of texts and finite numbers.
        let record = serde_json::to_string(anomaly).ok().filter(|_| is_seen)?;
        Some(Self {
            row,
            id: anomaly.id.clone(),
            order_time: order_time.saturating_add(wait),
            event_time,
            record,
        })
    }
}

/// The rows that stand for anomalies, in canonical order; `batch` has their triggering events.
///
/// # Errors
/// When a column is of another type than it must be, which is a defect.
pub(super) fn rows(batch: &RecordBatch, mut seen: Vec<Seen>) -> Result<RecordBatch, ArrowError> {
    let order = |seen: &Seen| (seen.order_time, seen.event_time, seen.id.clone());
    seen.sort_by_cached_key(order);
    let places: UInt32Array = seen.iter().map(|seen| seen.row).collect();
    let texts = |text: fn(&Seen) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(seen.iter().map(text)))
    };
    let schema = ColumnSet::all().schema();
    let columns = schema.fields().iter().map(|field| {
        let column: ArrayRef = match Column::by_name(field.name()) {
            Some(Column::EventId) => texts(|seen| &seen.id),
            Some(Column::Details) => texts(|seen| &seen.record),
            Some(Column::OrderTime) => {
                let times = seen.iter().map(|seen| seen.order_time);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times))
            }
            _ => match batch.column_by_name(field.name()) {
                Some(column) => take(column, &places, None)?,
                // Known at admission only.
                None => new_null_array(field.data_type(), seen.len()),
            },
        };
        cast(&column, field.data_type())
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema, columns)
}
