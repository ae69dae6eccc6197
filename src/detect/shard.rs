//! Shards: the unit of state, of parallel work and of snapshots.
//!
//! Every key belongs to one of a fixed number of shards, by a fixed hash of our own, so that neither
//! the number of threads nor the version of a library decides where state is. A shard is a
//! synchronous state machine that owns all of its keys' windows and nothing else.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray, UInt32Array};
use arrow::compute::{take, take_record_batch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

use super::graph::{Graph, Group};
use super::window::{KeyedWindow, Keys, Prepared};

/// How many shards there are.
pub const SHARDS: usize = 64;

/// The shard of a key.
pub(super) fn shard_of(hash: u64) -> usize {
    (hash >> 58) as usize
}

/// A hash of a key's bytes: fixed for good, since snapshots are cut by it. Eight bytes at a time are
/// multiplied by an odd constant and folded; the end mixes as `splitmix64` does (Steele, Lea and
/// Flood, 2014).
pub(super) fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = FACTOR ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    let mut add = |word: u64| {
        let product = u128::from(state ^ word) * u128::from(FACTOR);
        state = (product as u64) ^ ((product >> 64) as u64).rotate_left(29);
    };
    for chunk in &mut chunks {
        add(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
    }
    let mut last = [0; 8];
    last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    add(u64::from_le_bytes(last));
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// How the parts of a key become bytes.
#[derive(Debug)]
pub(super) enum Encoding {
    /// One text as it is.
    Text,
    /// Anything else, as Arrow's row format writes it.
    Rows(RowConverter),
}

impl Encoding {
    /// # Errors
    /// When a part is of a type that cannot be compared.
    pub fn new(parts: &[DataType]) -> Result<Self, ArrowError> {
        if let [DataType::Utf8View] = parts {
            return Ok(Self::Text);
        }
        let fields = parts.iter().map(|part| SortField::new(part.clone()));
        Ok(Self::Rows(RowConverter::new(fields.collect())?))
    }

    /// The keys of some rows.
    ///
    /// # Errors
    /// When the arrays are not of the types that were announced.
    pub fn keys(&self, parts: &[ArrayRef], rows: usize) -> Result<KeyColumn, ArrowError> {
        let bytes = match self {
            Self::Text => KeyBytes::Text(parts[0].as_string_view().clone()),
            Self::Rows(_) if parts.is_empty() => KeyBytes::None,
            Self::Rows(converter) => KeyBytes::Rows(converter.convert_columns(parts)?, Vec::new()),
        };
        let hashes = (0..rows).map(|row| hash(bytes.get(row))).collect();
        Ok(KeyColumn { bytes, hashes })
    }
}

/// The keys of the rows of a batch.
#[derive(Debug)]
pub(super) struct KeyColumn {
    bytes: KeyBytes,
    hashes: Vec<u64>,
}

#[derive(Debug)]
enum KeyBytes {
    None,
    Text(StringViewArray),
    /// And which of them each row has; all in their order if there are none.
    Rows(Rows, Vec<u32>),
}

impl KeyBytes {
    /// No text holds this byte, so that NULL is a key of its own.
    const NULL: &[u8] = &[0xff];

    #[inline]
    fn get(&self, row: usize) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Text(texts) if texts.is_null(row) => Self::NULL,
            Self::Text(texts) => texts.value(row).as_bytes(),
            Self::Rows(rows, places) => {
                let row = places.get(row).map_or(row, |place| *place as usize);
                rows.row(row).data()
            }
        }
    }
}

impl KeyColumn {
    /// Hash and bytes of a row's key.
    #[inline]
    pub fn get(&self, row: usize) -> (u64, &[u8]) {
        (self.hashes[row], self.bytes.get(row))
    }

    /// The rows by shard, and the keys in that order.
    ///
    /// # Errors
    /// On a defect.
    pub fn by_shard(self) -> Result<(ByShard, Self), ArrowError> {
        let (rows, starts) = parted(self.hashes.iter().map(|hash| shard_of(*hash)), SHARDS);
        let hashes = rows.iter().map(|row: &u32| self.hashes[*row as usize]);
        let hashes = hashes.collect();
        let rows = UInt32Array::from(rows);
        let bytes = match self.bytes {
            KeyBytes::None => KeyBytes::None,
            KeyBytes::Text(texts) => {
                KeyBytes::Text(take(&texts, &rows, None)?.as_string_view().clone())
            }
            KeyBytes::Rows(keys, _) => KeyBytes::Rows(keys, rows.values().to_vec()),
        };
        Ok((ByShard { rows, starts }, Self { bytes, hashes }))
    }
}

/// The rows of a batch parted by shard, each shard's in their order. Whatever shards read is put into
/// this order first, once for all of them: each then reads on, and does not leap through the batch.
#[derive(Debug)]
pub(super) struct ByShard {
    rows: UInt32Array,
    starts: Vec<u32>,
}

/// Rows in the order of their parts, each part's in their own order, and where each of so many parts
/// begins, and one more. `parts` gives the part of each row.
pub(super) fn parted(
    parts: impl ExactSizeIterator<Item = usize> + Clone,
    count: usize,
) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0_u32; count + 1];
    for part in parts.clone() {
        starts[part + 1] += 1;
    }
    for part in 0..count {
        starts[part + 1] += starts[part];
    }
    let (mut next, mut rows) = (starts.clone(), vec![0; parts.len()]);
    for (row, part) in (0..).zip(parts) {
        let at = &mut next[part];
        rows[*at as usize] = row;
        *at += 1;
    }
    (rows, starts)
}

impl ByShard {
    /// Where the rows of a shard stand among all of them.
    pub fn range(&self, shard: usize) -> Range<usize> {
        self.starts[shard] as usize..self.starts[shard + 1] as usize
    }

    /// The array in the order of shards.
    ///
    /// # Errors
    /// When the array has fewer rows, which is a defect.
    pub fn arranged(&self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        take(array, &self.rows, None)
    }

    /// The batch in the order of shards.
    ///
    /// # Errors
    /// When the batch has fewer rows, which is a defect.
    pub fn arranged_batch(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        take_record_batch(batch, &self.rows)
    }

    /// For each row where it stands in the order of shards.
    pub fn places(&self) -> UInt32Array {
        let mut places = vec![0; self.rows.len()];
        for (place, row) in (0..).zip(self.rows.values()) {
            places[*row as usize] = place;
        }
        places.into()
    }
}

/// The windows of all keys that belong here.
#[derive(Debug)]
pub(super) struct Shard {
    pub number: usize,
    /// One for each space of the graph.
    pub spaces: Vec<Keys>,
    /// One for each group of the graph.
    pub windows: Vec<KeyedWindow>,
    /// By group, whether its window may hold something: most windows of rules on rare actions do not, and
    /// are not looked at.
    busy: Vec<bool>,
}

impl Shard {
    pub fn new(graph: &Graph, number: usize) -> Self {
        Self {
            number,
            spaces: graph.spaces.iter().map(|_| Keys::default()).collect(),
            windows: (0..graph.groups.len())
                .map(|group| KeyedWindow::new(graph, group))
                .collect(),
            // What is put into a new shard may be one that was saved.
            busy: vec![true; graph.groups.len()],
        }
    }

    /// The window of a group takes its rows.
    ///
    /// # Errors
    /// When the input is not what a call reads.
    pub fn take(
        &mut self,
        at: usize,
        group: &Group,
        batch: &Prepared,
    ) -> datafusion::error::Result<()> {
        self.busy[at] = true;
        self.windows[at].take(&mut self.spaces[group.space], batch, self.number)
    }

    /// Lets go of all that no row from the watermark on can reach.
    pub fn settle(&mut self, graph: &Graph, watermark: i64) {
        for (at, busy) in self.busy.iter_mut().enumerate().filter(|(_, busy)| **busy) {
            let space = graph.groups[at].space;
            self.windows[at].settle(&mut self.spaces[space], watermark);
            *busy = !self.windows[at].is_empty();
        }
    }

    /// Stops the calls of a group at these positions.
    pub fn stop(&mut self, at: usize, group: &Group, calls: impl Iterator<Item = usize>) {
        self.windows[at].stop(&mut self.spaces[group.space], calls);
    }
}
