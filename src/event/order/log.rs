//! The events of an input, each once.

use std::io;
use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::super::time::MICROS;
use super::blocks::Blocks;
use super::keys::Keys;
use super::table::Table;
use super::{BLOCK_ROWS, Duplicates};

/// The log of a bounded input.
#[derive(Debug)]
pub struct Log {
    pub(super) schema: SchemaRef,
    pub(super) stored: Stored,
    pub(super) duplicates: Duplicates,
    /// The watermark at its end, where it is not that of its last event.
    pub(super) end: Option<i64>,
}

#[derive(Debug)]
pub(super) enum Stored {
    Memory(Table),
    Disk(Blocks),
}

/// What is left to read of a part of a log.
#[derive(Clone, Debug)]
pub struct Part(Range<usize>);

impl Log {
    /// The columns of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many events there are.
    pub fn rows(&self) -> usize {
        match &self.stored {
            Stored::Memory(table) => table.rows(),
            Stored::Disk(blocks) => blocks.rows(),
        }
    }

    /// The log, of which it is known that nothing more comes before this watermark, in microseconds.
    pub fn ending_at(mut self, watermark: i64) -> Self {
        self.end = Some(watermark);
        self
    }

    /// The watermark at its end, in microseconds: the second after its last one, unless it is known.
    pub fn watermark(&self) -> i64 {
        if let Some(end) = self.end {
            return end;
        }
        let last = match &self.stored {
            Stored::Memory(table) => table.last(),
            Stored::Disk(blocks) => blocks.last(),
        };
        last.map_or(i64::MIN, |last| (last.div_euclid(MICROS) + 1) * MICROS)
    }

    /// What came more than once.
    pub fn duplicates(&self) -> Duplicates {
        self.duplicates
    }

    /// Whether the input did not fit the memory budget.
    pub fn is_on_disk(&self) -> bool {
        matches!(self.stored, Stored::Disk(_))
    }

    /// Whether every part gives its rows by actor (the bytes of the id, NULL last) and then in
    /// canonical order, and no two parts share an actor. A log on disk is in canonical order.
    pub fn is_by_actor(&self) -> bool {
        matches!(self.stored, Stored::Memory(_))
    }

    /// The log in so many parts, some of which may be empty.
    pub fn parts(&self, count: usize) -> Vec<Part> {
        match &self.stored {
            Stored::Memory(table) => table.parts(count).into_iter().map(Part).collect(),
            Stored::Disk(blocks) => {
                let border = |part: usize| blocks.len() * part / count;
                (0..count)
                    .map(|part| Part(border(part)..border(part + 1)))
                    .collect()
            }
        }
    }

    /// The next batch of a part; `None` at its end.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn next(&self, part: &mut Part) -> Option<io::Result<RecordBatch>> {
        let Range { start, end } = part.0;
        if start >= end {
            return None;
        }
        Some(match &self.stored {
            Stored::Memory(table) => {
                part.0.start = end.min(start + BLOCK_ROWS);
                Ok(table.slice(start..part.0.start))
            }
            Stored::Disk(blocks) => {
                part.0.start += 1;
                blocks.read(start)
            }
        })
    }

    /// The batch in canonical order that begins at this row; `None` at the end.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn canonical(&self, start: usize) -> Option<io::Result<RecordBatch>> {
        match &self.stored {
            _ if start >= self.rows() => None,
            Stored::Memory(table) => {
                let batch = table.canonical(start, 4 * BLOCK_ROWS);
                Some(batch.map_err(io::Error::other))
            }
            Stored::Disk(blocks) => Some(blocks.read(blocks.at_row(start))),
        }
    }

    /// The lines of the events named by order time, event time (both in microseconds) and id, in the
    /// order of the names; best asked for in canonical order.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn raw(&self, names: &[(i64, i64, &str)]) -> io::Result<Vec<Option<String>>> {
        let mut last: Option<(usize, RecordBatch)> = None;
        let mut line = |(order_time, event_time, id): &(i64, i64, &str)| {
            let blocks = match &self.stored {
                Stored::Memory(table) => return Ok(table.raw(*order_time, *event_time, id)),
                Stored::Disk(blocks) => blocks,
            };
            for at in blocks.covering(*order_time) {
                let batch = match last.take().filter(|(read, _)| *read == at) {
                    Some((_, batch)) => batch,
                    None => blocks.read(at)?,
                };
                let (_, batch) = last.insert((at, batch));
                let keys = Keys::of(batch);
                let mut rows = (0..batch.num_rows()).map(|row| keys.at(row));
                if let Some(row) = rows.find(|row| row.is(*event_time, id)) {
                    return Ok(Some(row.raw.to_owned()));
                }
            }
            Ok(None)
        };
        names.iter().map(&mut line).collect()
    }
}
