//! Blocks of the tail: a batch of decoded events, and what admission decided about its rows.
//!
//! The events are encoded and compressed before they are admitted, by whoever decoded them, so that
//! admission, where all sources meet, has little to do. What it decides stands beside them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::event::decode::decode_raw;
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

/// The events of a batch as bytes: its lines, from which they are decoded once more, and what was
/// looked up beside them.
///
/// ```text
/// format │ length │ zstd of: (rows │ length of each line… │ lines │ Arrow IPC stream of the columns looked up)
///   u8      u32               u32    u32…
/// ```
///
/// # Errors
/// When Arrow cannot write it, which is a defect.
pub fn encode(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let lines = batch[Column::Raw.name()].as_string_view();
    let schema = batch.schema();
    let is_enriched = |name: &str| Column::by_name(name).is_some_and(Column::enriched);
    let enriched: Vec<usize> = (0..batch.num_columns())
        .filter(|at| is_enriched(schema.field(*at).name()))
        .collect();
    let enriched = compacted(&batch.project(&enriched)?)?;
    let lengths = (0..lines.len()).map(|row| lines.value(row).len());
    let bytes = lengths.clone().sum::<usize>() + 4 * (1 + lines.len());
    let mut plain = Vec::with_capacity(bytes + 256 * lines.len());
    plain.extend_from_slice(&(lines.len() as u32).to_le_bytes());
    for length in lengths {
        plain.extend_from_slice(&(length as u32).to_le_bytes());
    }
    for row in 0..lines.len() {
        plain.extend_from_slice(lines.value(row).as_bytes());
    }
    let mut writer = StreamWriter::try_new(plain, &enriched.schema())?;
    writer.write(&enriched)?;
    let plain = writer.into_inner()?;
    let packed = zstd::bulk::compress(&plain, LEVEL)?;
    let mut bytes = Vec::with_capacity(packed.len() + 5);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&(plain.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&packed);
    Ok(bytes)
}

/// The rows of a block that are part of the log, with those columns.
///
/// # Errors
/// [`Error::Damaged`] if it is not what [`encode`] wrote.
pub fn decode(events: &[u8], admission: &[u8], columns: ColumnSet) -> Result<RecordBatch, Error> {
    let damaged = |reason: String| Error::Damaged {
        what: "a block of events in state.db".to_owned(),
        reason,
    };
    let Some((&FORMAT, admission)) = admission.split_first() else {
        return Err(damaged("its first byte names no known form".to_owned()));
    };
    let admission: Admission =
        postcard::from_bytes(admission).map_err(|error| damaged(error.to_string()))?;
    let plain = unpacked(events).map_err(&damaged)?;
    let cut_off = || damaged("it is cut off".to_owned());
    let (rows, rest) = plain.split_first_chunk().ok_or_else(cut_off)?;
    let rows = u32::from_le_bytes(*rows) as usize;
    let (lengths, rest) = rest.split_at_checked(4 * rows).ok_or_else(cut_off)?;
    let lengths = lengths.as_chunks::<4>().0;
    let lengths = lengths
        .iter()
        .map(|length| u32::from_le_bytes(*length) as usize);
    let bytes = lengths.clone().sum();
    let (lines, enriched) = rest.split_at_checked(bytes).ok_or_else(cut_off)?;
    let text = simdutf8::basic::from_utf8(lines).map_err(|error| damaged(error.to_string()))?;
    let mut start = 0;
    let lines = lengths.map(|length| {
        let line = text.get(start..start + length);
        start += length;
        line
    });
    let lines = lines.collect::<Option<Vec<&str>>>().ok_or_else(cut_off)?;
    let mut wire: ColumnSet = columns.iter().filter(|column| !column.enriched()).collect();
    wire.insert(Column::EventTime);
    let mut batch = decode_raw(lines.into_iter(), wire);
    if batch.num_rows() != rows || rows != admission.fates.len() {
        return Err(damaged("its parts differ in length".to_owned()));
    }
    if columns.iter().any(Column::enriched) {
        let enriched = StreamReader::try_new(enriched, None)
            .and_then(|mut reader| reader.next().transpose())
            .map_err(|error| damaged(error.to_string()))?;
        batch = beside(&batch, &enriched.ok_or_else(cut_off)?)
            .map_err(|error| damaged(error.to_string()))?;
    }
    admitted(&batch, &admission, columns).map_err(|error| damaged(error.to_string()))
}

/// What was compressed.
fn unpacked(events: &[u8]) -> Result<Vec<u8>, String> {
    /// Far more than a block ever holds.
    const MOST_BYTES: usize = 1 << 30;
    let Some((&FORMAT, events)) = events.split_first() else {
        return Err("its first byte names no known form".to_owned());
    };
    let (length, packed) = events.split_first_chunk().ok_or("it is cut off")?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MOST_BYTES {
        return Err(format!("it says that it holds {length} bytes"));
    }
    zstd::bulk::decompress(packed, length).map_err(|error| error.to_string())
}

/// The columns of both batches.
fn beside(one: &RecordBatch, other: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let fields = [one.schema(), other.schema()];
    let fields: Vec<_> = fields
        .iter()
        .flat_map(|s| s.fields().iter().cloned())
        .collect();
    let columns = one.columns().iter().chain(other.columns()).cloned();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.collect())
}

/// What admission decided, as bytes.
pub(super) fn encode_admission(admission: &Admission) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_extend(admission, vec![FORMAT])
}

/// The rows of a batch that are part of the log, with those columns.
///
/// # Errors
/// When a column is missing, which is a defect.
pub fn admitted(
    batch: &RecordBatch,
    admission: &Admission,
    columns: ColumnSet,
) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let times = event_times(batch);
    let order = times.iter().zip(&admission.fates);
    let order = order.map(|(time, decision)| decision.order_time(*time).unwrap_or(*time));
    let timestamps = |times: Vec<i64>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(times).with_timezone(UTC))
    };
    let schema = columns.schema();
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
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let whole = RecordBatch::try_new_with_options(schema, columns, &options)?;
    let is_kept = |fate: &Decision| *fate != Decision::Dropped;
    if admission.fates.iter().all(is_kept) {
        return Ok(whole);
    }
    let kept: BooleanArray = admission.fates.iter().map(|f| Some(is_kept(f))).collect();
    filter_record_batch(&whole, &kept)
}

fn event_times(batch: &RecordBatch) -> &[i64] {
    batch[Column::EventTime.name()]
        .as_primitive::<TimestampMicrosecondType>()
        .values()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let (batch, all) = (batch(), ColumnSet::all());
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
        let rows = decode(&events, &encode_admission(&admission).unwrap(), all).unwrap();
        assert_eq!(rows, admitted(&batch, &admission, all).unwrap());
        assert_eq!(rows.num_rows(), 3);
        let late = rows["late"].as_boolean();
        assert_eq!(
            late.iter().flatten().collect::<Vec<_>>(),
            [false, true, false]
        );
        let ids: Vec<_> = rows["event_id"].as_string_view().iter().flatten().collect();
        assert_eq!(ids, ["e1", "e3", "e4"]);
        let admission = encode_admission(&admission).unwrap();
        for few in [Column::EventId, Column::AgentKind, Column::Late] {
            let few = [few].into_iter().collect::<ColumnSet>();
            let schema = decode(&events, &admission, few).unwrap().schema();
            assert_eq!(schema, few.schema());
        }
        for damaged in [&events[1..], &events[..events.len() - 9], &events[..3], b""] {
            assert!(decode(damaged, &admission, all).is_err());
        }
    }
}
