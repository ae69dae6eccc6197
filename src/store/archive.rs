//! Sealing: from the blocks of the tail to the segments of the archive.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rayon::prelude::*;

use super::segment::{self, Segment};
use super::{Error, Reader, Store};
use crate::event::order::arranged;
use crate::event::schema::{Column, ColumnSet};

/// What was sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    pub rows: u64,
    pub segments: u64,
}

/// Rows of the newest blocks, as they were admitted, so that most need not be read to be sealed.
#[derive(Debug)]
pub struct Fresh {
    most_rows: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    rows: usize,
    /// By the number of the block.
    batches: BTreeMap<i64, RecordBatch>,
}

impl Fresh {
    /// At most so many rows.
    pub fn new(most_rows: usize) -> Self {
        Self {
            most_rows,
            held: Mutex::default(),
        }
    }

    /// Holds the rows of a block, if there is room.
    pub fn insert(&self, number: i64, batch: RecordBatch) {
        let mut held = self.held();
        if held.rows + batch.num_rows() <= self.most_rows {
            held.rows += batch.num_rows();
            held.batches.insert(number, batch);
        }
    }

    fn get(&self, number: i64) -> Option<RecordBatch> {
        self.held().batches.get(&number).cloned()
    }

    /// Lets go of the blocks up to this one.
    fn forget(&self, last: i64) {
        let mut held = self.held();
        let newer = held.batches.split_off(&last.saturating_add(1));
        held.batches = newer;
        held.rows = held.batches.values().map(RecordBatch::num_rows).sum();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Moves the oldest blocks of the tail to the archive, about so many rows of them and one block at
    /// least. The reader must be of this store; blocks whose rows are at hand are not read.
    ///
    /// # Errors
    /// When a file or the manifest cannot be written; the tail then still holds all of it.
    pub fn seal(&self, reader: &Reader, most_rows: u64, fresh: &Fresh) -> Result<Sealed, Error> {
        let blocks = reader.oldest_blocks(most_rows)?;
        let (Some(first), Some(last)) = (blocks.first().copied(), blocks.last().copied()) else {
            return Ok(Sealed::default());
        };
        let batches = blocks
            .into_par_iter()
            .map(|number| match fresh.get(number) {
                Some(batch) => Ok(batch),
                None => reader.block(number),
            });
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        let mut segments = Vec::new();
        let written = by_day(&batches).into_iter().try_for_each(|(day, rows)| {
            let batch = arranged(&ColumnSet::all().schema(), &batches, &rows);
            let batch = batch.map_err(|error| Error::Query(error.to_string()))?;
            let name = format!("{first:012}-{last:012}");
            segments.push(self.write_segment(&date(day), &name, &batch)?);
            Ok(())
        });
        if let Err(error) = written.and_then(|()| self.enter(&segments, last)) {
            self.discard(reader, &segments);
            return Err(error);
        }
        fresh.forget(last);
        Ok(Sealed {
            rows: segments.iter().map(|segment| segment.rows).sum(),
            segments: segments.len() as u64,
        })
    }

    /// Removes files that were written and not entered. Where that cannot be told, they stay, and the next
    /// start sees to them.
    fn discard(&self, reader: &Reader, segments: &[Segment]) {
        let Ok(known) = reader.segment_paths() else {
            return;
        };
        for segment in segments
            .iter()
            .filter(|segment| !known.contains(&segment.path))
        {
            let path = self.paths().folder().join(&segment.path);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "an unfinished segment is left");
            }
        }
    }

    /// Writes a segment, so that it is whole and on disk when this returns.
    fn write_segment(&self, date: &str, name: &str, batch: &RecordBatch) -> Result<Segment, Error> {
        let folder = self.paths().events().join(format!("date={date}"));
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        // One of this name may be left of a state that was replaced by an older one.
        let mut names = (0..).map(|again| match again {
            0 => format!("{name}.parquet"),
            again => format!("{name}.{again}.parquet"),
        });
        let is_free = |name: &String| !folder.join(name).exists();
        let name = names
            .find(is_free)
            .unwrap_or_else(|| format!("{name}.parquet"));
        let path = folder.join(&name);
        let unfinished = folder.join(format!("{name}{UNFINISHED}"));
        let bytes = segment::write(&unfinished, batch).inspect_err(|_| {
            // What it takes may be what is missing; if it stays, the next start removes it.
            let _ = fs::remove_file(&unfinished);
        })?;
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

    /// Removes what a seal that did not come to its end has left: files that the manifest does not name,
    /// and whose rows the tail holds. Gives their paths. Any other file is left alone.
    ///
    /// # Errors
    /// [`Error::Damaged`] if there is an archive and the state knows nothing of it; when a folder cannot
    /// be read, or a file not removed.
    pub fn remove_orphans(&self, reader: &Reader) -> Result<Vec<String>, Error> {
        let known = reader.segment_paths()?;
        let events = self.paths().events();
        let (mut removed, mut strange, mut highest) = (Vec::new(), 0, 0);
        for day in entries(&events)? {
            let Some(day_name) = name(&day).filter(|name| name.starts_with("date=")) else {
                continue;
            };
            for file in entries(&day)? {
                let Some(file_name) = name(&file) else {
                    continue;
                };
                let path = format!("events/{day_name}/{file_name}");
                if known.contains(&path) {
                    continue;
                }
                let is_left = match file_name.strip_suffix(".parquet") {
                    Some(stem) => match numbers(stem) {
                        Some((first, last)) => {
                            highest = highest.max(last);
                            reader.holds_blocks(first, last)?
                        }
                        None => false,
                    },
                    None => file_name.ends_with(UNFINISHED),
                };
                if is_left {
                    fs::remove_file(&file).map_err(Error::io(&file))?;
                    removed.push(path);
                } else {
                    strange += 1;
                }
            }
        }
        if strange > 0 && known.is_empty() && reader.is_new()? {
            return Err(Error::Damaged {
                what: self.paths().state().display().to_string(),
                reason: format!("it knows nothing of the {strange} files of the archive beside it"),
            });
        }
        if strange > 0 {
            tracing::warn!(
                files = strange,
                "files that the store knows nothing of are left alone"
            );
            // An older state took the place of a newer one: new blocks must not be taken for theirs.
            self.number_blocks_from(highest)?;
        }
        Ok(removed)
    }
}

/// How a file that is being written ends.
const UNFINISHED: &str = ".tmp";

/// The first and the last block of a segment, as its name has them.
fn numbers(stem: &str) -> Option<(i64, i64)> {
    let (first, last) = stem.split('.').next()?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
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
