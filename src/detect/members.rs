//! The events that formed a finding: those of its key within the window before its trigger.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};

use super::finding::{self, Finding};
use super::{Error, Members, Program, column};
use crate::anomaly::MAX_EVENTS;

/// So many key values are asked for by name; beyond that all keys are read.
const MOST_NAMED: usize = 1000;

/// The query for the members of all findings; `None` if no finding has a key.
/// Whether the key is text shows whether it can be asked for by name.
pub(super) fn query(
    members: &Members,
    program: &Program,
    findings: &[Finding],
    is_text: bool,
) -> Option<String> {
    let (first, last) = (findings.first()?, findings.last()?);
    let from = first.order_time.saturating_sub(members.span_micros);
    let mut sql = format!(
        "SELECT * FROM ({}) WHERE arrow_cast({time}, 'Int64') BETWEEN {from} AND {}",
        members.sql,
        last.order_time,
        time = column::ORDER_TIME,
    );
    if let [key] = program.key.as_slice() {
        let mut values: Vec<&str> = findings
            .iter()
            .filter_map(|f| f.key[0].as_deref())
            .collect();
        values.sort_unstable();
        values.dedup();
        if values.is_empty() {
            return None;
        }
        if is_text && values.len() <= MOST_NAMED {
            let quoted: Vec<String> = values.into_iter().map(quoted).collect();
            sql += &format!(" AND arrow_cast({key}, 'Utf8') IN ({})", quoted.join(", "));
        }
    }
    Some(sql)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Adds to each finding the ids of its members, the newest first.
pub(super) fn add(
    members: &Members,
    program: &Program,
    batches: &[RecordBatch],
    findings: &mut [Finding],
) -> Result<(), Error> {
    let by_key = by_key(program, batches)?;
    for finding in findings {
        let Some(events) = by_key.get(&finding.key) else {
            continue;
        };
        let first = finding.order_time.saturating_sub(members.span_micros);
        let start = events.partition_point(|(time, _)| *time < first);
        let end = events.partition_point(|(time, _)| *time <= finding.order_time);
        let newest = events[start..end].iter().rev().map(|(_, id)| id);
        name(finding, newest.cloned());
    }
    Ok(())
}

/// Adds the ids of a finding's members, which are given the newest first.
pub(super) fn name(finding: &mut Finding, newest: impl Iterator<Item = String>) {
    let others = newest.filter(|id| *id != finding.event_id);
    finding.events.extend(others.take(MAX_EVENTS - 1));
}

/// Order time and id of the events of each key, in canonical order.
type ByKey = HashMap<Vec<Option<String>>, Vec<(i64, String)>>;

fn by_key(program: &Program, batches: &[RecordBatch]) -> Result<ByKey, Error> {
    let mut by_key = ByKey::new();
    for batch in batches {
        let keys = finding::keys(program, batch)?;
        let text = |name: &str| {
            let array = batch.column_by_name(name).ok_or_else(|| missing(name))?;
            cast(array, &DataType::Utf8View).map_err(|error| Error::Failed(error.to_string()))
        };
        let ids = text(column::EVENT_ID)?;
        let times = batch
            .column_by_name(column::ORDER_TIME)
            .and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| missing(column::ORDER_TIME))?;
        for (row, key) in keys.into_iter().enumerate() {
            let texts = ids.as_string_view();
            let id = texts.is_valid(row).then(|| texts.value(row).to_owned());
            let event = (times.value(row), id.unwrap_or_default());
            by_key.entry(key).or_default().push(event);
        }
    }
    for events in by_key.values_mut() {
        events.sort_unstable();
    }
    Ok(by_key)
}

fn missing(name: &str) -> Error {
    Error::Failed(format!("the members of a finding have no `{name}`"))
}
