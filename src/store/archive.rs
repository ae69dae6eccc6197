//! Sealing: from the blocks of the tail to the segments of the archive.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::segment::{self, Segment};
use super::{Error, Reader, Store, tail};
use crate::event::order::arranged;
use crate::event::schema::{Column, ColumnSet};

/// What was sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    pub rows: u64,
    pub segments: u64,
}

impl Store {
    /// Moves the oldest blocks of the tail to the archive, about so many rows of them and one block at
    /// least. The reader must be of this store.
    ///
    /// # Errors
    /// When a file or the manifest cannot be written; the tail then still holds all of it.
    pub fn seal(&self, reader: &Reader, most_rows: u64) -> Result<Sealed, Error> {
        let blocks = reader.oldest_blocks(most_rows)?;
        let (Some((first, ..)), Some((last, ..))) = (blocks.first(), blocks.last()) else {
            return Ok(Sealed::default());
        };
        let (first, last) = (*first, *last);
        let batches = blocks.into_iter();
        let batches = batches.map(|(_, events, admission)| tail::decode(&events, &admission));
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        let mut segments = Vec::new();
        for (day, rows) in by_day(&batches) {
            let batch = arranged(&ColumnSet::all().schema(), &batches, &rows);
            let batch = batch.map_err(|error| Error::Query(error.to_string()))?;
            let name = format!("{first:012}-{last:012}.parquet");
            segments.push(self.write_segment(&date(day), &name, &batch)?);
        }
        self.enter(&segments, last)?;
        Ok(Sealed {
            rows: segments.iter().map(|segment| segment.rows).sum(),
            segments: segments.len() as u64,
        })
    }

    /// Writes a segment, so that it is whole and on disk when this returns.
    fn write_segment(&self, date: &str, name: &str, batch: &RecordBatch) -> Result<Segment, Error> {
        let folder = self.paths().events().join(format!("date={date}"));
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let path = folder.join(name);
        let unfinished = path.with_extension("tmp");
        let bytes = segment::write(&unfinished, batch)?;
        fs::rename(&unfinished, &path).map_err(Error::io(&path))?;
        for folder in [folder.as_path(), &self.paths().events()] {
            sync(folder)?;
        }
        Ok(Segment {
            path: format!("events/date={date}/{name}"),
            rows: batch.num_rows() as u64,
            bytes,
            order: range(batch, Column::OrderTime),
            event: range(batch, Column::EventTime),
        })
    }

    /// Removes the files of the archive that the manifest does not name: they are left of a seal that
    /// did not come to its end, and the tail holds their rows. Gives their paths.
    ///
    /// # Errors
    /// When a folder cannot be read, or a file not removed.
    pub fn remove_orphans(&self, reader: &Reader) -> Result<Vec<String>, Error> {
        let known = reader.segment_paths()?;
        let events = self.paths().events();
        let mut removed = Vec::new();
        for day in entries(&events)? {
            let Some(day_name) = name(&day).filter(|name| name.starts_with("date=")) else {
                continue;
            };
            for file in entries(&day)? {
                let Some(file_name) = name(&file) else {
                    continue;
                };
                let path = format!("events/{day_name}/{file_name}");
                let is_ours = [".parquet", ".tmp"]
                    .iter()
                    .any(|end| file_name.ends_with(end));
                if is_ours && !known.contains(&path) {
                    fs::remove_file(&file).map_err(Error::io(&file))?;
                    removed.push(path);
                }
            }
        }
        Ok(removed)
    }
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>, Error> {
    let read = fs::read_dir(folder).map_err(Error::io(folder))?;
    let paths = read.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<Result<_, _>>().map_err(Error::io(folder))
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// What a folder holds is on disk once the folder is.
fn sync(folder: &Path) -> Result<(), Error> {
    let opened = File::open(folder).map_err(Error::io(folder))?;
    opened.sync_all().map_err(Error::io(folder))
}

/// A row, named by batch and row.
type Place = (usize, usize);

/// The rows of each day (in days since 1970), sorted by event time and id.
fn by_day(batches: &[RecordBatch]) -> BTreeMap<i64, Vec<Place>> {
    const DAY: i64 = 86_400_000_000;
    let mut rows: Vec<(i64, &str, Place)> = Vec::new();
    for (at, batch) in batches.iter().enumerate() {
        let times = batch[Column::EventTime.name()].as_primitive::<TimestampMicrosecondType>();
        let ids = batch[Column::EventId.name()].as_string_view();
        let named = times.values().iter().zip(ids).enumerate();
        rows.extend(named.map(|(row, (time, id))| (*time, id.unwrap_or_default(), (at, row))));
    }
    rows.sort_unstable();
    let mut days: BTreeMap<i64, Vec<Place>> = BTreeMap::new();
    for (time, _, place) in rows {
        days.entry(time.div_euclid(DAY)).or_default().push(place);
    }
    days
}

/// A day since 1970 as `2026-03-02`.
fn date(day: i64) -> String {
    let time = Timestamp::from_second(day.saturating_mul(86_400)).unwrap_or(Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(time).date().to_string()
}

fn range(batch: &RecordBatch, column: Column) -> (i64, i64) {
    let times = batch[column.name()].as_primitive::<TimestampMicrosecondType>();
    let times = times.values();
    let least = times.iter().min().copied().unwrap_or(i64::MAX);
    let greatest = times.iter().max().copied().unwrap_or(i64::MIN);
    (least, greatest)
}
