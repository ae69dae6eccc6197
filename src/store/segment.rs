//! A segment: a Parquet file of the archive, with the events of one day in order of time.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowFilter,
};
use datafusion::parquet::arrow::arrow_writer::compute_leaves;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::SortingColumn;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::parquet::schema::types::ColumnPath;
use rayon::prelude::*;

use super::Error;
use crate::event::schema::{Column, ColumnSet};

/// Rows of a row group; what is skipped is skipped in these units, or in pages.
const GROUP_ROWS: usize = 1 << 17;
/// Rows of a batch that is read.
const BATCH_ROWS: usize = 8192;

/// An entry of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Below the folder of the store.
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    /// The least and the greatest order time, and event time; microseconds.
    pub order: (i64, i64),
    pub event: (i64, i64),
}

/// Who is asked for by name, most of the time.
const BLOOMED: [Column; 3] = [Column::ActorId, Column::EntityId, Column::Ip];
/// What hardly any two events share.
const UNIQUE: [Column; 3] = [Column::EventId, Column::Details, Column::Raw];

fn properties() -> WriterProperties {
    let path = |column: Column| ColumnPath::from(column.name());
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: Column::EventTime as i32,
            descending: false,
            nulls_first: false,
        }]));
    for column in BLOOMED {
        properties = properties.set_column_bloom_filter_enabled(path(column), true);
    }
    for column in UNIQUE {
        properties = properties.set_column_dictionary_enabled(path(column), false);
    }
    // In the order of time, so that pages can be told apart.
    for column in [Column::EventTime, Column::OrderTime] {
        let page = EnabledStatistics::Page;
        properties = properties.set_column_statistics_enabled(path(column), page);
    }
    for column in [Column::Details, Column::Raw] {
        let none = EnabledStatistics::None;
        properties = properties.set_column_statistics_enabled(path(column), none);
    }
    properties.build()
}

/// Writes a file of these rows, which are sorted by event time, and gives its size once it is on disk.
/// Columns are encoded in parallel, on the thread pool of whoever calls.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(path: &Path, batch: &RecordBatch) -> Result<u64, Error> {
    let failed = |error: ParquetError| match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => Error::io(path)(*source),
            Err(other) => Error::io(path)(std::io::Error::other(other)),
        },
        other => Error::io(path)(std::io::Error::other(other)),
    };
    let file = File::create(path).map_err(Error::io(path))?;
    let buffered = BufWriter::with_capacity(1 << 20, file);
    let schema = batch.schema();
    let writer = ArrowWriter::try_new(buffered, Arc::clone(&schema), Some(properties()));
    let writer = writer.and_then(ArrowWriter::into_serialized_writer);
    let (mut writer, columns) = writer.map_err(failed)?;
    for (group, start) in (0..batch.num_rows()).step_by(GROUP_ROWS).enumerate() {
        let rows = batch.slice(start, GROUP_ROWS.min(batch.num_rows() - start));
        let columns = columns.create_column_writers(group).map_err(failed)?;
        let columns = columns.into_par_iter().zip(rows.columns());
        // Every column is a flat one.
        let chunks = columns
            .zip(&schema.fields()[..])
            .map(|((mut writer, array), field)| {
                for leaf in compute_leaves(field, array)? {
                    writer.write(&leaf)?;
                }
                writer.close()
            });
        let chunks = chunks.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let mut group = writer.next_row_group().map_err(failed)?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group).map_err(failed)?;
        }
        group.close().map_err(failed)?;
    }
    let buffered = writer.into_inner().map_err(failed)?;
    let file = buffered
        .into_inner()
        .map_err(|error| Error::io(path)(error.into_error()))?;
    file.sync_all().map_err(Error::io(path))?;
    let size = fs::metadata(path).map_err(Error::io(path))?;
    Ok(size.len())
}

/// The rows of a file, those columns of them.
///
/// # Errors
/// When it is not there, or damaged.
pub(super) fn read(path: &Path, columns: ColumnSet) -> Result<ParquetRecordBatchReader, Error> {
    let builder = open(path)?;
    let mask = mask(&builder, columns);
    let reader = builder
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build();
    reader.map_err(damaged(path))
}

/// The rows of a file that have one of these times and one of these ids, with those columns.
///
/// # Errors
/// When it is not there, or damaged.
pub(super) fn find(
    path: &Path,
    columns: ColumnSet,
    times: &Arc<HashSet<i64>>,
    ids: &Arc<HashSet<String>>,
) -> Result<ParquetRecordBatchReader, Error> {
    let builder = open(path)?;
    let is_of = |column: Column| mask(&builder, [column].into_iter().collect());
    let wanted = Arc::clone(times);
    let by_time = ArrowPredicateFn::new(is_of(Column::EventTime), move |batch| {
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let found = times.values().iter().map(|time| wanted.contains(time));
        Ok(BooleanArray::from_iter(found.map(Some)))
    });
    let wanted = Arc::clone(ids);
    let by_id = ArrowPredicateFn::new(is_of(Column::EventId), move |batch| {
        let ids = batch.column(0).as_string_view();
        let found = (0..ids.len()).map(|row| wanted.contains(ids.value(row)));
        Ok(BooleanArray::from_iter(found.map(Some)))
    });
    let mask = mask(&builder, columns);
    let filter = RowFilter::new(vec![Box::new(by_time), Box::new(by_id)]);
    let reader = builder
        .with_projection(mask)
        .with_row_filter(filter)
        .with_batch_size(BATCH_ROWS)
        .build();
    reader.map_err(damaged(path))
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, Error> {
    let file = File::open(path).map_err(Error::io(path))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(damaged(path))
}

fn mask(builder: &ParquetRecordBatchReaderBuilder<File>, columns: ColumnSet) -> ProjectionMask {
    let fields = builder.schema().fields().iter().enumerate();
    let wanted = fields.filter(|(_, field)| {
        Column::by_name(field.name()).is_some_and(|column| columns.contains(column))
    });
    let roots: Vec<usize> = wanted.map(|(at, _)| at).collect();
    ProjectionMask::roots(builder.parquet_schema(), roots)
}

pub(super) fn damaged<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> Error {
    let what = path.display().to_string();
    move |error| Error::Damaged {
        what: what.clone(),
        reason: error.to_string(),
    }
}
