//! Batches as CSV that no spreadsheet takes for formulas.

use std::fmt::Write;
use std::io;

use ::csv::Writer;
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::show::is_formula;

/// Ends the line of the cells before it.
const NO_MORE: Option<&[u8]> = None;

/// The line of names.
///
/// # Errors
/// When it cannot be made, which is a defect.
pub(super) fn header(schema: &Schema) -> io::Result<String> {
    let mut writer = Writer::from_writer(Vec::new());
    for field in schema.fields() {
        // Who writes a query names its columns.
        let mut name = field.name().clone();
        defuse(&mut name);
        writer.write_field(&name)?;
    }
    writer.write_record(NO_MORE)?;
    written(writer)
}

/// The rows, each a line; NULL is an empty cell. Text that a spreadsheet would take for a formula has
/// a `'` before it, and so has what may hold text; numbers, times and truths have not.
///
/// # Errors
/// When a value has no form as text.
pub(super) fn rows(batch: &RecordBatch) -> io::Result<String> {
    let options = FormatOptions::default();
    let columns = batch.columns().iter().map(|column| {
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
        Ok((formatter, may_hold_text(column.data_type())))
    });
    let columns = columns.collect::<Result<Vec<_>, ArrowError>>();
    let columns = columns.map_err(io::Error::other)?;
    let mut writer = Writer::from_writer(Vec::new());
    let mut cell = String::new();
    for row in 0..batch.num_rows() {
        for (formatter, may_hold_text) in &columns {
            cell.clear();
            write!(cell, "{}", formatter.value(row)).map_err(io::Error::other)?;
            if *may_hold_text {
                defuse(&mut cell);
            }
            writer.write_field(&cell)?;
        }
        writer.write_record(NO_MORE)?;
    }
    written(writer)
}

fn defuse(cell: &mut String) {
    if is_formula(cell) {
        cell.insert(0, '\'');
    }
}

/// All but what nobody can write a text into.
fn may_hold_text(data_type: &DataType) -> bool {
    let is_plain = data_type.is_numeric()
        || data_type.is_temporal()
        || matches!(data_type, DataType::Boolean | DataType::Null);
    !is_plain
}

/// What was written. In memory: the writer of CSV hides why its output failed.
fn written(writer: Writer<Vec<u8>>) -> io::Result<String> {
    let bytes = writer
        .into_inner()
        .map_err(|error| io::Error::other(error.to_string()))?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, StringViewArray};
    use proptest::prelude::*;

    use super::*;

    fn batch(texts: &[Option<&str>], numbers: &[f64]) -> RecordBatch {
        let texts: ArrayRef = Arc::new(texts.iter().copied().collect::<StringViewArray>());
        let numbers: ArrayRef = Arc::new(Float64Array::from(numbers.to_vec()));
        RecordBatch::try_from_iter_with_nullable([("text", texts, true), ("-n", numbers, true)])
            .unwrap()
    }

    fn cells(text: &str) -> Vec<Vec<String>> {
        let mut reader = ::csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(text.as_bytes());
        let records = reader.records().map(|record| record.unwrap());
        let own = |record: ::csv::StringRecord| record.iter().map(str::to_owned).collect();
        records.map(own).collect()
    }

    #[test]
    fn texts_are_defused_and_numbers_are_not() {
        let batch = batch(
            &[Some("=1+1"), None, Some("a \"b\",\nc")],
            &[-1.5, 0.25, 3.0],
        );
        assert_eq!(header(&batch.schema()).unwrap(), "text,'-n\n");
        let text = rows(&batch).unwrap();
        assert_eq!(text, "'=1+1,-1.5\n,0.25\n\"a \"\"b\"\",\nc\",3.0\n");
        assert_eq!(rows(&batch.slice(0, 0)).unwrap(), "");
    }

    proptest! {
        #[test]
        fn every_text_comes_back_and_none_is_a_formula(
            texts in prop::collection::vec("[-=+@'\t\r\n\", a-zé]{0,6}", 1..5)
        ) {
            let written: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
            let numbers: Vec<f64> = vec![-1.0; texts.len()];
            let found = cells(&rows(&batch(&written, &numbers)).unwrap());
            prop_assert_eq!(found.len(), texts.len());
            for (cells, text) in found.iter().zip(&texts) {
                prop_assert!(!is_formula(&cells[0]));
                let mark = if is_formula(text) { "'" } else { "" };
                prop_assert_eq!(&cells[0], &format!("{mark}{text}"));
                prop_assert_eq!(&cells[1], "-1.0");
            }
        }
    }
}
