//! What a query returns, in the forms that people and programs want.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, UnionArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{ContentArrangement, Table, presets};
use datafusion::arrow::json::WriterBuilder;
use datafusion::arrow::json::writer::LineDelimited;
use datafusion_functions_json::{JsonUnionEncoder, JsonUnionValue};

use super::csv;
use super::format::Format;
use super::output::{Output, Values};
use super::show::{printable, thousands};

/// Rows that a table shows: all of it is in memory until its columns' widths are known.
const MOST_ROWS: usize = 10_000;
/// Of more columns a terminal shows nothing but splinters; they stand one below the other.
const MOST_COLUMNS: usize = 12;

/// Writes batch by batch.
pub(super) struct Rows {
    form: Form,
    /// Of the columns; nothing before the first batch.
    names: Option<Vec<String>>,
}

enum Form {
    Json(Values),
    Csv,
    /// The cells of rows, and whether there are more than are shown.
    Table(Vec<Vec<String>>, bool),
}

impl Rows {
    pub fn of(format: Format) -> Self {
        let form = match format {
            Format::Ndjson => Form::Json(Values::lines()),
            Format::Json => Form::Json(Values::array()),
            Format::Csv => Form::Csv,
            Format::Table => Form::Table(Vec::new(), false),
        };
        Self { form, names: None }
    }

    /// Writes one more batch; one without rows names the columns. False if nobody needs more of them.
    ///
    /// # Errors
    /// When it cannot be written, or a value has no such form.
    pub fn write(&mut self, batch: &RecordBatch, out: &mut Output) -> io::Result<bool> {
        let batch = plain(batch).map_err(io::Error::other)?;
        let schema = batch.schema();
        let is_first = self.names.is_none();
        if is_first {
            let names = schema.fields().iter().map(|field| field.name().clone());
            self.names = Some(names.collect());
        }
        match &mut self.form {
            Form::Json(values) => {
                for line in json(&batch).map_err(io::Error::other)?.lines() {
                    values.write(line, out)?;
                }
            }
            Form::Csv => {
                if is_first {
                    out.text(&csv::header(&schema)?)?;
                }
                out.text(&csv::rows(&batch)?)?;
            }
            Form::Table(rows, is_cut) => {
                let room = MOST_ROWS - rows.len();
                *is_cut = batch.num_rows() > room;
                let shown = batch.slice(0, room.min(batch.num_rows()));
                rows.extend(cells(&shown).map_err(io::Error::other)?);
                return Ok(!*is_cut);
            }
        }
        Ok(true)
    }

    /// Writes what is left to write.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(self, out: &mut Output) -> io::Result<()> {
        let names = self.names.unwrap_or_default();
        match self.form {
            Form::Json(values) => values.end(out),
            Form::Csv => Ok(()),
            Form::Table(rows, is_cut) => {
                if names.len() > MOST_COLUMNS {
                    list(&names, &rows, out)?;
                } else {
                    writeln!(out, "{}", table(&names, rows))?;
                }
                if is_cut {
                    let shown = thousands(MOST_ROWS as u64);
                    writeln!(
                        io::stderr(),
                        "only the first {shown} rows are shown: use --format ndjson, json or csv to have all"
                    )?;
                }
                Ok(())
            }
        }
    }
}

/// The batch with what JSON functions return as text: the value of a string, and the JSON of all else.
fn plain(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let fields = batch.schema();
    let fields = fields.fields().iter().zip(batch.columns());
    let columns = fields.map(|(field, column)| match json_text(column) {
        Some(text) => {
            let field = Field::new(field.name(), DataType::Utf8, true);
            (Arc::new(field), Arc::new(text) as ArrayRef)
        }
        None => (Arc::clone(field), Arc::clone(column)),
    });
    let (fields, columns): (Vec<_>, Vec<_>) = columns.unzip();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn json_text(column: &ArrayRef) -> Option<StringArray> {
    let union = column.as_any().downcast_ref::<UnionArray>()?;
    let union = JsonUnionEncoder::from_union(union.clone())?;
    let text = |row: usize| match union.get_value(row) {
        JsonUnionValue::JsonNull => None,
        JsonUnionValue::Bool(truth) => Some(truth.to_string()),
        JsonUnionValue::Int(number) => Some(number.to_string()),
        JsonUnionValue::Float(number) => Some(number.to_string()),
        JsonUnionValue::Str(text) | JsonUnionValue::Array(text) | JsonUnionValue::Object(text) => {
            Some(text.to_owned())
        }
    };
    Some((0..union.len()).map(text).collect())
}

/// An object a line.
fn json(batch: &RecordBatch) -> Result<String, ArrowError> {
    let builder = WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, LineDelimited>(Vec::new());
    writer.write(batch)?;
    String::from_utf8(writer.into_inner())
        .map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

fn cells(batch: &RecordBatch) -> Result<Vec<Vec<String>>, ArrowError> {
    let options = FormatOptions::default();
    let columns = batch.columns().iter();
    let columns = columns.map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let row = |row: usize| {
        let cells = columns.iter().map(|column| column.value(row).to_string());
        cells.map(|cell| shown(&cell)).collect()
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

/// The text with its lines, and else printable.
fn shown(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

fn table(names: &[String], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(names.iter().map(|name| printable(name)));
    table.add_rows(rows);
    table
}

/// Row after row, a column a line.
fn list(names: &[String], rows: &[Vec<String>], out: &mut Output) -> io::Result<()> {
    let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0);
    for (number, row) in rows.iter().enumerate() {
        writeln!(out, "row {}", thousands(number as u64 + 1))?;
        for (name, cell) in names.iter().zip(row) {
            let cell = cell.replace('\n', " ");
            writeln!(out, "{}", format!("  {name:width$}  {cell}").trim_end())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_cell() {
        assert_eq!(shown("a\nb\u{1b}[2J\r"), "a\nb\\u{1b}[2J\\u{d}");
    }
}
