//! Batches in a temporary file, each readable by itself.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::BLOCK_ROWS;
use super::keys::Keys;

/// Bytes of the lines in a block.
const MOST_BYTES: usize = 4 << 20;

/// Sorted batches, in their order. The file has no name: it is gone with the process.
#[derive(Debug)]
pub(super) struct Blocks {
    file: Mutex<File>,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    /// Where it stands in the file. Every block is an Arrow IPC stream of its own, since streams
    /// may not change a dictionary once written.
    bytes: Range<u64>,
    rows: usize,
    /// Order times of the first and the last row.
    times: (i64, i64),
}

impl Blocks {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            file: Mutex::new(tempfile::tempfile()?),
            blocks: Vec::new(),
        })
    }

    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    pub fn rows(&self) -> usize {
        self.blocks.iter().map(|block| block.rows).sum()
    }

    /// The batch that begins at this row.
    pub fn at_row(&self, row: usize) -> usize {
        let mut first = 0;
        let before = self.blocks.iter().take_while(|block| {
            let is_before = first < row;
            first += block.rows;
            is_before
        });
        before.count()
    }

    /// The order time of the last row.
    pub fn last(&self) -> Option<i64> {
        self.blocks.last().map(|block| block.times.1)
    }

    /// Appends a batch that has rows, none of which is ordered before those written so far.
    pub fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let batch = compacted(batch).map_err(io::Error::other)?;
        let times = Keys::of(&batch).order_time.values();
        let times = (times[0], times[times.len() - 1]);
        let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
        let start = self.blocks.last().map_or(0, |block| block.bytes.end);
        file.seek(SeekFrom::Start(start))?;
        let mut writer = StreamWriter::try_new(BufWriter::new(&*file), &batch.schema())
            .map_err(io::Error::other)?;
        writer.write(&batch).map_err(io::Error::other)?;
        writer.into_inner().map_err(io::Error::other)?.flush()?;
        let end = file.stream_position()?;
        self.blocks.push(Block {
            bytes: start..end,
            rows: batch.num_rows(),
            times,
        });
        Ok(())
    }

    /// Reads the batch at this position.
    pub fn read(&self, at: usize) -> io::Result<RecordBatch> {
        let Range { start, end } = self.blocks[at].bytes;
        let mut bytes = vec![0; (end - start) as usize];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut bytes)?;
        }
        let mut reader = StreamReader::try_new(bytes.as_slice(), None).map_err(io::Error::other)?;
        match reader.next() {
            Some(batch) => batch.map_err(io::Error::other),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The positions of the batches that may hold rows of that order time.
    pub fn covering(&self, order_time: i64) -> Range<usize> {
        let start = self
            .blocks
            .partition_point(|block| block.times.1 < order_time);
        let end = self
            .blocks
            .partition_point(|block| block.times.0 <= order_time);
        start..end
    }
}

/// How many of the rows, whose lines have these lengths, a block takes: so many bytes at most, one
/// row at least.
pub(super) fn fitting(lines: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let fits = lines.take(BLOCK_ROWS).take_while(|line| {
        bytes += line;
        bytes <= MOST_BYTES
    });
    fits.count().max(1)
}

/// The batch with copies of its texts, in place of views into whatever they were read from.
pub fn compacted(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Utf8View => Arc::new(column.as_string_view().gc()),
            _ => Arc::clone(column),
        })
        .collect();
    RecordBatch::try_new(batch.schema(), columns)
}
