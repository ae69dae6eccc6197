//! Blocks of the tail: a batch of decoded events, and what admission decided about its rows.
//!
//! The events are encoded and compressed before they are admitted, by whoever decoded them, so that
//! admission, where all sources meet, has little to do. What it decides stands beside them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::event::order::compacted;
use crate::event::schema::{Column, ColumnSet, UTC};

/// The first byte of each part of a block; it changes with its form.
const FORMAT: u8 = 1;

/// Fast, and small enough: blocks live for a minute.
const LEVEL: i32 = 1;

/// What admission decided about a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    pub source: String,
    /// When it came, by the clock; microseconds.
    pub arrival: i64,
    /// By row.
    pub fates: Vec<Decision>,
}

/// What admission decided about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// It is no part of the log.
    Dropped,
    /// How far its order time lies behind its own, in microseconds.
    Live(u64),
    /// It is judged by repair, at its own time.
    Late,
}

/// A batch as the tail holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// See [`encode`].
    pub events: Arc<Vec<u8>>,
    pub admission: Admission,
    /// Rows that are part of the log.
    pub rows: usize,
    /// The least and the greatest order time, and event time; microseconds.
    pub order: (i64, i64),
    pub event: (i64, i64),
}

impl Block {
    /// The block of a batch that was encoded; `None` if no row of it is part of the log.
    pub fn new(batch: &RecordBatch, events: Arc<Vec<u8>>, admission: Admission) -> Option<Self> {
        let times = event_times(batch);
        let (mut rows, mut order, mut event) = (0, (i64::MAX, i64::MIN), (i64::MAX, i64::MIN));
        for (time, decision) in times.iter().zip(&admission.fates) {
            let Some(order_time) = decision.order_time(*time) else {
                continue;
            };
            rows += 1;
            order = (order.0.min(order_time), order.1.max(order_time));
            event = (event.0.min(*time), event.1.max(*time));
        }
        (rows > 0).then_some(Self {
            events,
            admission,
            rows,
            order,
            event,
        })
    }
}

impl Decision {
    /// At this event time, in microseconds; `None` for what is no part of the log.
    fn order_time(self, event_time: i64) -> Option<i64> {
        match self {
            Self::Dropped => None,
            Self::Live(behind) => Some(event_time.saturating_add_unsigned(behind)),
            Self::Late => Some(event_time),
        }
    }
}

/// The events of a batch as bytes: an Arrow IPC stream of one batch, compressed with zstd. What only
/// admission knows is left out.
///
/// # Errors
/// When Arrow cannot write it, which is a defect.
pub fn encode(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let is_own = |name: &str| Column::by_name(name).is_some_and(|c| !is_admitted(c));
    let columns: Vec<usize> = (0..batch.num_columns())
        .filter(|at| is_own(batch.schema().field(*at).name()))
        .collect();
    let batch = compacted(&batch.project(&columns)?)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(&batch)?;
    let plain = writer.into_inner()?;
    let mut bytes = vec![FORMAT];
    zstd::stream::copy_encode(plain.as_slice(), &mut bytes, LEVEL)?;
    Ok(bytes)
}

/// The rows of a block that are part of the log, with all columns.
///
/// # Errors
/// [`Error::Damaged`] if it is not what [`encode`] wrote.
pub fn decode(events: &[u8], admission: &[u8]) -> Result<RecordBatch, Error> {
    let damaged = |reason: String| Error::Damaged {
        what: "a block of events in state.db".to_owned(),
        reason,
    };
    let body = |bytes: &[u8]| match bytes.split_first() {
        Some((&FORMAT, body)) => Ok(body.to_vec()),
        _ => Err(damaged("its first byte names no known form".to_owned())),
    };
    let admission: Admission =
        postcard::from_bytes(&body(admission)?).map_err(|error| damaged(error.to_string()))?;
    let plain = zstd::stream::decode_all(body(events)?.as_slice())
        .map_err(|error| damaged(error.to_string()))?;
    let batch = StreamReader::try_new(plain.as_slice(), None)
        .and_then(|mut reader| reader.next().transpose())
        .map_err(|error| damaged(error.to_string()))?;
    let batch = batch.ok_or_else(|| damaged("it holds nothing".to_owned()))?;
    if batch.num_rows() != admission.fates.len() {
        return Err(damaged("its parts differ in length".to_owned()));
    }
    admitted(&batch, &admission).map_err(|error| damaged(error.to_string()))
}

/// What admission decided, as bytes.
pub(super) fn encode_admission(admission: &Admission) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_extend(admission, vec![FORMAT])
}

/// The rows of a batch that are part of the log, with all columns.
///
/// # Errors
/// When a column is missing, which is a defect.
pub fn admitted(batch: &RecordBatch, admission: &Admission) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let times = event_times(batch);
    let order = times.iter().zip(&admission.fates);
    let order = order.map(|(time, decision)| decision.order_time(*time).unwrap_or(*time));
    let timestamps = |times: Vec<i64>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(times).with_timezone(UTC))
    };
    let schema = ColumnSet::all().schema();
    let order: ArrayRef = timestamps(order.collect());
    let columns = schema.fields().iter().map(|field| {
        let column: ArrayRef = match Column::by_name(field.name()) {
            Some(Column::OrderTime) => Arc::clone(&order),
            Some(Column::ArrivalTime) => timestamps(vec![admission.arrival; rows]),
            Some(Column::Source) => {
                let source = Some(admission.source.as_str());
                Arc::new(std::iter::repeat_n(source, rows).collect::<StringViewArray>())
            }
            Some(Column::Late) => {
                let fates = admission.fates.iter();
                let late = fates.map(|fate| Some(*fate == Decision::Late));
                Arc::new(late.collect::<BooleanArray>())
            }
            _ => batch
                .column_by_name(field.name())
                .map(Arc::clone)
                .ok_or_else(|| ArrowError::SchemaError(format!("no column {}", field.name())))?,
        };
        Ok(column)
    });
    let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
    let whole = RecordBatch::try_new(schema, columns)?;
    let is_kept = |fate: &Decision| *fate != Decision::Dropped;
    if admission.fates.iter().all(is_kept) {
        return Ok(whole);
    }
    let kept: BooleanArray = admission.fates.iter().map(|f| Some(is_kept(f))).collect();
    filter_record_batch(&whole, &kept)
}

/// The columns that admission makes.
fn is_admitted(column: Column) -> bool {
    column.admitted() || column == Column::OrderTime
}

fn event_times(batch: &RecordBatch) -> &[i64] {
    batch[Column::EventTime.name()]
        .as_primitive::<TimestampMicrosecondType>()
        .values()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::decode::decode_raw;
    use crate::event::time::MICROS;

    fn batch() -> RecordBatch {
        let lines: Vec<String> = (1..=4)
            .map(|n| {
                format!(r#"{{"id":"e{n}","date_create":{n},"action":"a","details":{{"n":{n}}}}}"#)
            })
            .collect();
        let columns = ColumnSet::all().iter().filter(|c| !c.enriched());
        let batch = decode_raw(lines.iter().map(String::as_str), columns.collect());
        crate::enrich::Enricher::new(crate::enrich::network::Networks::new())
            .enrich(&batch, ColumnSet::all())
    }

    #[test]
    fn a_block_gives_back_what_was_admitted() {
        let batch = batch();
        let admission = Admission {
            source: "push".to_owned(),
            arrival: 9 * MICROS,
            fates: vec![
                Decision::Live(0),
                Decision::Dropped,
                Decision::Late,
                Decision::Live(3_000_000),
            ],
        };
        let events = Arc::new(encode(&batch).unwrap());
        let block = Block::new(&batch, Arc::clone(&events), admission.clone()).unwrap();
        assert_eq!(block.rows, 3);
        assert_eq!(block.order, (MICROS, 7 * MICROS));
        assert_eq!(block.event, (MICROS, 4 * MICROS));
        let rows = decode(&events, &encode_admission(&admission).unwrap()).unwrap();
        assert_eq!(rows, admitted(&batch, &admission).unwrap());
        assert_eq!(rows.num_rows(), 3);
        let late = rows["late"].as_boolean();
        assert_eq!(
            late.iter().flatten().collect::<Vec<_>>(),
            [false, true, false]
        );
        let ids: Vec<_> = rows["event_id"].as_string_view().iter().flatten().collect();
        assert_eq!(ids, ["e1", "e3", "e4"]);
        assert!(decode(&events[1..], &encode_admission(&admission).unwrap()).is_err());
        assert!(
            decode(
                &events[..events.len() - 9],
                &encode_admission(&admission).unwrap()
            )
            .is_err()
        );
    }
}
