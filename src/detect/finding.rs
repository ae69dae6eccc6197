//! What a program found: one row of its result.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use serde_json::{Map, Value};

use super::function::Found;
use super::{Error, Program, column};
use crate::anomaly::{Because, Level, rounded};
use crate::event::schema::UTC;
use crate::event::time::rfc3339;

/// A finding, before its triggering event is looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub event_id: String,
    /// Microseconds.
    pub event_time: i64,
    /// Microseconds.
    pub order_time: i64,
    /// The values of the rule's key, in its order.
    pub key: Vec<Option<String>>,
    pub level: Level,
    /// Empty where the rule's own reasons hold.
    pub reason: Vec<String>,
    pub evidence: Map<String, Value>,
    pub because: Vec<Because>,
    /// Ids of the events that formed it besides the trigger, the newest first.
    pub events: Vec<String>,
    /// The name of the exception that it meets: it is kept, and does not count.
    pub exception: Option<String>,
}

/// Puts findings into canonical order.
pub(super) fn sort(findings: &mut [Finding]) {
    findings.sort_by(|one, other| {
        let times = |finding: &Finding| (finding.order_time, finding.event_time);
        let names = |finding: &Finding| (finding.event_id.clone(), finding.key.clone());
        times(one)
            .cmp(&times(other))
            .then_with(|| names(one).cmp(&names(other)))
    });
}

/// The keys of the rows of a result, as findings have them.
///
/// # Errors
/// [`Error::Refused`] when a column cannot be shown.
pub(super) fn keys(
    program: &Program,
    batch: &RecordBatch,
) -> Result<Vec<Vec<Option<String>>>, Error> {
    let columns = Columns::of(batch)?;
    let key = |row| {
        let names = program.key.iter();
        names.map(|name| columns.as_text(name, row)).collect()
    };
    Ok((0..batch.num_rows()).map(key).collect())
}

/// Reads the rows of a result.
///
/// # Errors
/// [`Error::Refused`] when a row has no event, or a level that is none.
pub fn read(program: &Program, batch: &RecordBatch) -> Result<Vec<Finding>, Error> {
    let columns = Columns::of(batch)?;
    (0..batch.num_rows())
        .map(|row| columns.finding(program, row))
        .collect()
}

/// The columns of a result in the few types that values of findings have.
struct Columns(Vec<(String, ArrayRef)>);

impl Columns {
    fn of(batch: &RecordBatch) -> Result<Self, Error> {
        let schema = batch.schema();
        let columns = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, array)| {
                let target = shown_as(array.data_type());
                let array = cast(array, &target).map_err(|error| {
                    let name = field.name();
                    Error::Refused(format!("column `{name}` cannot be shown: {error}"))
                })?;
                Ok((field.name().clone(), array))
            });
        Ok(Self(columns.collect::<Result<_, Error>>()?))
    }

    fn finding(&self, program: &Program, row: usize) -> Result<Finding, Error> {
        let found = match self.text(column::FINDING, row) {
            Some(json) => serde_json::from_str::<Found>(json).map_err(|error| {
                Error::Refused(format!("`{}` holds no finding: {error}", column::FINDING))
            })?,
            None => Found::default(),
        };
        let mut evidence: Map<String, Value> = self
            .0
            .iter()
            .filter(|(name, _)| is_evidence(program, name))
            .map(|(name, array)| (name.clone(), value(array, row)))
            .collect();
        let mut because: Vec<Because> = program
            .conditions
            .iter()
            .map(|condition| Because {
                condition: condition.text.clone(),
                observed: self.observed(&condition.observed, row),
                limit: condition.limit.clone(),
            })
            .collect();
        because.extend(found.because);
        evidence.extend(found.evidence);
        let level = self.text(column::LEVEL, row).unwrap_or_default();
        Ok(Finding {
            event_id: self.required_text(column::EVENT_ID, row)?,
            event_time: self.time(column::EVENT_TIME, row)?,
            order_time: self.time(column::ORDER_TIME, row)?,
            key: program
                .key
                .iter()
                .map(|name| self.as_text(name, row))
                .collect(),
            level: level
                .parse()
                .map_err(|error| Error::Refused(format!("column `level`: {error}")))?,
            reason: self
                .text(column::REASON, row)
                .map(reasons)
                .unwrap_or_default(),
            evidence,
            because,
            events: found.events,
            exception: self.text(column::EXCEPTION, row).map(str::to_owned),
        })
    }

    /// The value of one column, or of several by name; `true` where there is none.
    fn observed(&self, names: &[String], row: usize) -> Value {
        let of = |name: &String| {
            self.column(name)
                .map_or(Value::Null, |array| value(array, row))
        };
        match names {
            [] => Value::Bool(true),
            [name] => of(name),
            names => names.iter().map(|name| (name.clone(), of(name))).collect(),
        }
    }

    fn column(&self, name: &str) -> Option<&ArrayRef> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, array)| array)
    }

    fn text(&self, name: &str, row: usize) -> Option<&str> {
        let values = self.column(name)?.as_string_view_opt()?;
        values.is_valid(row).then(|| values.value(row))
    }

    /// A value as it stands in a key: text as it is, all else as JSON writes it.
    fn as_text(&self, name: &str, row: usize) -> Option<String> {
        match value(self.column(name)?, row) {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }

    fn required_text(&self, name: &str, row: usize) -> Result<String, Error> {
        let text = self.text(name, row).map(str::to_owned);
        text.ok_or_else(|| Error::Refused(format!("column `{name}` is NULL or not text")))
    }

    fn time(&self, name: &str, row: usize) -> Result<i64, Error> {
        let times = self
            .column(name)
            .and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>())
            .filter(|times| times.is_valid(row));
        let time = times.map(|times| times.value(row));
        time.ok_or_else(|| Error::Refused(format!("column `{name}` is NULL or no time")))
    }
}

fn is_evidence(program: &Program, name: &str) -> bool {
    let has_meaning = [
        column::REASON,
        column::FINDING,
        column::STANDING,
        column::EXCEPTION,
    ];
    !column::REQUIRED.contains(&name)
        && !has_meaning.contains(&name)
        && !program.key.iter().any(|key| key == name)
}

/// One code as text, or several as a JSON array of texts.
fn reasons(text: &str) -> Vec<String> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(codes)) => codes
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        Ok(Value::String(code)) => vec![code],
        _ if text.is_empty() => Vec::new(),
        _ => vec![text.to_owned()],
    }
}

fn shown_as(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Null | DataType::Boolean => DataType::Boolean,
        DataType::UInt64 => DataType::UInt64,
        integer if integer.is_integer() => DataType::Int64,
        number if number.is_numeric() => DataType::Float64,
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        _ => DataType::Utf8View,
    }
}

fn value(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => rounded(array.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(..) => {
            rfc3339(array.as_primitive::<TimestampMicrosecondType>().value(row)).into()
        }
        _ => array.as_string_view().value(row).into(),
    }
}
