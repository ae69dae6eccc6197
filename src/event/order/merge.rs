//! Several sorted runs become one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;

use super::blocks::Blocks;
use super::keys::{Keys, Row};
use super::{BLOCK_ROWS, Duplicates};

/// Bytes of the lines in a merged block.
const PAGE_BYTES: usize = 4 << 20;

/// Merges the runs, each event once.
pub(super) fn merge(runs: &[Blocks], duplicates: &mut Duplicates) -> io::Result<Blocks> {
    let mut merged = Blocks::new()?;
    let mut cursors = Vec::with_capacity(runs.len());
    for run in runs {
        cursors.push(Cursor {
            run,
            at: 0,
            row: 0,
            batch: run.read(0)?,
        });
    }
    let mut heap: BinaryHeap<Reverse<(Key, usize)>> = cursors
        .iter()
        .enumerate()
        .map(|(number, cursor)| Reverse((cursor.key(), number)))
        .collect();
    let mut page = Page::default();
    let mut last: Option<Key> = None;
    while let Some(Reverse((key, number))) = heap.pop() {
        let cursor = &mut cursors[number];
        let kept = last
            .as_ref()
            .filter(|last| last.row().is_same_event(&key.row()));
        if let Some(kept) = kept {
            duplicates.count(&kept.row(), &key.row());
        } else {
            page.add(number, cursor);
            last = Some(key);
        }
        if page.rows.len() == BLOCK_ROWS || page.bytes >= PAGE_BYTES {
            page.write(&mut merged)?;
        }
        if cursor.advance()? {
            heap.push(Reverse((cursor.key(), number)));
        }
    }
    page.write(&mut merged)?;
    Ok(merged)
}

struct Cursor<'a> {
    run: &'a Blocks,
    at: usize,
    row: usize,
    batch: RecordBatch,
}

impl Cursor<'_> {
    fn key(&self) -> Key {
        Key::of(&Keys::of(&self.batch).at(self.row))
    }

    /// Moves to the next row; false at the end of the run.
    fn advance(&mut self) -> io::Result<bool> {
        self.row += 1;
        if self.row == self.batch.num_rows() {
            self.at += 1;
            self.row = 0;
            if self.at == self.run.len() {
                return Ok(false);
            }
            self.batch = self.run.read(self.at)?;
        }
        Ok(true)
    }
}

/// A row's place in the order, of its own.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    order_time: i64,
    event_time: i64,
    event_id: String,
    raw: String,
}

impl Key {
    fn of(row: &Row<'_>) -> Self {
        Self {
            order_time: row.order_time,
            event_time: row.event_time,
            event_id: row.event_id.to_owned(),
            raw: row.raw.to_owned(),
        }
    }

    fn row(&self) -> Row<'_> {
        Row {
            order_time: self.order_time,
            event_time: self.event_time,
            event_id: &self.event_id,
            raw: &self.raw,
        }
    }
}

/// The block in the making: rows of the batches under the cursors.
#[derive(Default)]
struct Page {
    batches: Vec<RecordBatch>,
    /// Run and block of each of `batches`.
    origins: Vec<(usize, usize)>,
    rows: Vec<(usize, usize)>,
    /// Of their lines.
    bytes: usize,
}

impl Page {
    fn add(&mut self, number: usize, cursor: &Cursor<'_>) {
        let origin = (number, cursor.at);
        let known = self.origins.iter().rposition(|known| *known == origin);
        let batch = known.unwrap_or_else(|| {
            self.origins.push(origin);
            self.batches.push(cursor.batch.clone());
            self.batches.len() - 1
        });
        self.rows.push((batch, cursor.row));
        self.bytes += Keys::of(&cursor.batch).at(cursor.row).raw.len();
    }

    fn write(&mut self, merged: &mut Blocks) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        merged.write(&interleave_record_batch(&batches, &self.rows).map_err(io::Error::other)?)?;
        *self = Self::default();
        Ok(())
    }
}
