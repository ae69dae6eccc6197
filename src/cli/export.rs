use std::borrow::Cow;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::error::ArrowError;
use clap::{Args, ValueEnum};
use datafusion::logical_expr::utils::disjunction;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use indicatif::ProgressBar;

use super::output::{Output, Values};
use super::progress::events_written;
use super::query::{failure, limits, runtime};
use super::setup::{ConfigFile, Setup};
use super::show::thousands;
use super::{End, Failure, csv};
use crate::event::schema::{Column, ColumnSet, UTC};
use crate::event::time::{self, MICROS, rfc3339};
use crate::store::Reader;
use crate::store::query::{Limits, Query};
use crate::store::read::Span;

/// Writes events of the store, in the order of their time
///
/// Several values of one flag are alternatives; what different flags ask for must all hold. JSON and
/// NDJSON give the events as Slack wrote them, which `gridwatch detect` reads; CSV and Parquet give the
/// columns that rules read, CSV without `raw`. Works with the service up or down, at any size.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    config: ConfigFile,
    /// From this time on: 2026-03-02, 2026-03-02T08:00:00Z or Unix seconds; UTC if it names no zone
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<i64>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<i64>,
    /// By whom: the actor's id, email or name
    #[arg(long, value_name = "ACTOR")]
    actor: Vec<String>,
    /// What was done, user_login for instance
    #[arg(long, value_name = "ACTION")]
    action: Vec<String>,
    /// To what: the entity's id or name
    #[arg(long, value_name = "ENTITY")]
    entity: Vec<String>,
    /// The form of the output
    #[arg(long, value_enum)]
    format: Form,
    /// A file to write, in place of standard output; it is there when all of it is
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// No progress and no closing line
    #[arg(long, short)]
    quiet: bool,
}

/// Forms of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// With a header; text that a spreadsheet takes for a formula has a ' before it
    Csv,
    /// One JSON array
    Json,
    /// One JSON object a line
    Ndjson,
    /// For DuckDB, Spark, pandas
    Parquet,
}

/// Microseconds of a day.
const DAY: i64 = 86_400 * MICROS;

fn parse_time(text: &str) -> Result<i64, String> {
    time::parse(text).ok_or_else(|| {
        "write a date, 2026-03-02, a date and time, 2026-03-02T08:00:00Z, or Unix seconds"
            .to_owned()
    })
}

impl Export {
    pub fn run(&self) -> Result<End, Failure> {
        self.check()?;
        let setup = Setup::read(&self.config)?;
        let store = setup.store_path();
        let reader = Reader::open(&store).map_err(Failure::io)?;
        let out = match &self.output {
            Some(path) => Output::file(path)?,
            None => Output::standard(),
        };
        if self.format == Form::Parquet && out.is_terminal() {
            let hint = "Parquet is nothing for a terminal: name a file by --output";
            return Err(Failure::usage(anyhow!(hint)));
        }
        let bar = if self.quiet || out.is_terminal() {
            ProgressBar::hidden()
        } else {
            events_written()
        };
        let limits = limits(&setup);
        let mut sheet = Sheet::new(self.format, out).map_err(|error| self.unwritten(error))?;
        let copied = runtime(limits)?.block_on(self.copy(&reader, limits, &mut sheet, &bar));
        bar.finish_and_clear();
        let events = copied?;
        sheet.finish().map_err(|error| self.unwritten(error))?;
        if !self.quiet {
            close(events, &reader, &store)?;
        }
        Ok(End::Good)
    }

    /// Whether anything can lie between the ends.
    fn check(&self) -> Result<(), Failure> {
        match (self.from, self.to) {
            (Some(from), Some(to)) if from >= to => Err(Failure::usage(anyhow!(
                "--from {} is not before --to {}: no event lies between them",
                rfc3339(from),
                rfc3339(to)
            ))),
            _ => Ok(()),
        }
    }

    fn unwritten(&self, error: io::Error) -> Failure {
        let name = self.output.as_ref().map(|path| path.display().to_string());
        let name = name.unwrap_or_else(|| "standard output".to_owned());
        Failure::io(anyhow::Error::new(error).context(format!("cannot write to {name}")))
    }

    /// Goes through the days that have events, so that no more than a day's are sorted at a time; gives
    /// the number of those written.
    async fn copy(
        &self,
        reader: &Reader,
        limits: Limits,
        sheet: &mut Sheet,
        bar: &ProgressBar,
    ) -> Result<u64, Failure> {
        let failure = |error| failure(error, reader);
        let mut events = 0;
        let mut from = self.from.unwrap_or(0);
        let to = self.to.unwrap_or(i64::MAX);
        while let Some(first) = reader.next_event(from).map_err(Failure::io)?
            && first < to
        {
            let day_end = (first.div_euclid(DAY) + 1).saturating_mul(DAY);
            let end = day_end.min(to);
            let query = Query::new(reader, Span::Event(first, end - 1), limits).map_err(failure)?;
            let rows = query.sorted(self.filter(first, end), self.format.columns());
            let mut rows = rows.await.map_err(failure)?;
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(|error| failure(error.into()))?;
                sheet.write(&batch).map_err(|error| self.unwritten(error))?;
                events += batch.num_rows() as u64;
                bar.set_position(events);
            }
            from = end;
        }
        Ok(events)
    }

    /// What the flags ask for, of the events from one time on and before another.
    fn filter(&self, from: i64, to: i64) -> Expr {
        let time = || col(Column::EventTime.name());
        let span = time().gt_eq(moment(from)).and(time().lt(moment(to)));
        let asked = [
            one_of(
                &[Column::ActorId, Column::ActorEmail, Column::ActorName],
                &self.actor,
            ),
            one_of(&[Column::Action], &self.action),
            one_of(&[Column::EntityId, Column::EntityName], &self.entity),
        ];
        asked.into_iter().flatten().fold(span, Expr::and)
    }
}

/// The closing line.
fn close(events: u64, reader: &Reader, store: &Path) -> Result<(), Failure> {
    let hint = if events > 0 {
        String::new()
    } else if reader.next_event(0).map_err(Failure::io)?.is_some() {
        ": none is as the flags ask".to_owned()
    } else {
        format!(": the store in {} has none yet", store.display())
    };
    writeln!(io::stderr(), "{} events{hint}", thousands(events)).map_err(Failure::io)
}

/// That any of the columns has one of the values, if there are any.
fn one_of(columns: &[Column], values: &[String]) -> Option<Expr> {
    if values.is_empty() {
        return None;
    }
    let values: Vec<Expr> = values.iter().map(lit).collect();
    let columns = columns.iter();
    disjunction(columns.map(|column| col(column.name()).in_list(values.clone(), false)))
}

fn moment(micros: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(
        Some(micros),
        Some(UTC.into()),
    ))
}

impl Form {
    /// What it is made of.
    fn columns(self) -> ColumnSet {
        let all = ColumnSet::all();
        match self {
            Self::Csv => all.iter().filter(|column| *column != Column::Raw).collect(),
            Self::Parquet => all,
            Self::Json | Self::Ndjson => [Column::Raw].into_iter().collect(),
        }
    }
}

/// What events are written on.
enum Sheet {
    Json(Values, Output),
    Csv(Output),
    Parquet(Box<ArrowWriter<Output>>),
}

impl Sheet {
    fn new(form: Form, mut out: Output) -> io::Result<Self> {
        Ok(match form {
            Form::Json => Self::Json(Values::array(), out),
            Form::Ndjson => Self::Json(Values::lines(), out),
            Form::Csv => {
                out.text(&csv::header(&form.columns().schema())?)?;
                Self::Csv(out)
            }
            Form::Parquet => {
                let schema = form.columns().schema();
                let writer = ArrowWriter::try_new(out, schema, Some(properties()));
                Self::Parquet(Box::new(writer.map_err(io_error)?))
            }
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        match self {
            Self::Json(values, out) => {
                let raw = batch[Column::Raw.name()].as_string::<i64>();
                let mut events = (0..raw.len()).map(|row| raw.value(row));
                events.try_for_each(|event| values.write(&one_line(event), out))
            }
            Self::Csv(out) => out.text(&csv::rows(batch)?),
            Self::Parquet(writer) => {
                let batch = as_archived(batch).map_err(io::Error::other)?;
                writer.write(&batch).map_err(io_error)
            }
        }
    }

    fn finish(self) -> io::Result<()> {
        let out = match self {
            Self::Json(values, mut out) => {
                values.end(&mut out)?;
                out
            }
            Self::Csv(out) => out,
            Self::Parquet(mut writer) => {
                // What is left in its buffer at the end would fail without saying why.
                writer.flush().map_err(io_error)?;
                writer.sync()?;
                writer.into_inner().map_err(io_error)?
            }
        };
        out.finish()
    }
}

/// The event on one line: in JSON line breaks are nothing but space, they may only have come between
/// its parts.
fn one_line(event: &str) -> Cow<'_, str> {
    if event.contains(['\n', '\r']) {
        event.replace(['\n', '\r'], " ").into()
    } else {
        event.into()
    }
}

/// The batch with the types that the columns have in the archive.
fn as_archived(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = ColumnSet::all().schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, column)| cast(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::clone(&schema), columns)
}

fn properties() -> WriterProperties {
    /// Of a row group, which is held in memory until it is whole.
    const MOST_ROWS: usize = 1 << 17;
    const MOST_BYTES: usize = 128 << 20;
    let level = ZstdLevel::try_new(3).unwrap_or_default();
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(MOST_ROWS))
        .set_max_row_group_bytes(Some(MOST_BYTES))
        .build()
}

/// The error of the output, if it is one.
fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stands_on_one_line() {
        assert_eq!(one_line("{\"a\":1}"), "{\"a\":1}");
        assert_eq!(one_line("{\r\n  \"a\": 1\n}"), "{    \"a\": 1 }");
    }

    #[test]
    fn flags_are_values_and_never_sql() {
        let hostile = ["x' OR '1'='1".to_owned()];
        let filter = one_of(&[Column::ActorId, Column::ActorName], &hostile).unwrap();
        let Expr::BinaryExpr(both) = filter else {
            panic!("two columns are joined by OR");
        };
        let Expr::InList(list) = *both.left else {
            panic!("a column is in a list");
        };
        assert_eq!(list.list, [lit("x' OR '1'='1")]);
        assert!(one_of(&[Column::ActorId], &[]).is_none());
    }
}
