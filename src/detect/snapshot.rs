//! Snapshots: the state of a shard as bytes, and back.
//!
//! A snapshot is a shortcut: what it holds follows from the log, so one that does not fit is refused,
//! never repaired. It is read by nothing but this program, in the same version and with the same
//! rules, which is why it holds the state as it is, and not in a form that others could read.
//!
//! ```text
//! "gridwatch shard\n" │ format │ rules │ shard │ watermark │ length │ body │ CRC-32 of all before
//!      16 bytes          u32     [u8;32]  u32       i64        u64               u32
//! ```

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::function::volume::Table;
use super::graph::Graph;
use super::shard::Shard;
use super::window::{Keys, Saved};
use super::{Error, Program};

const MAGIC: &[u8; 16] = b"gridwatch shard\n";

/// The version of the format; it changes with every change of what a state holds.
const FORMAT: u32 = 3;

/// Bytes before the body.
const HEAD: usize = 16 + 4 + 32 + 4 + 8 + 8;

/// What the programs are, and how they are run: a state of others means nothing to them.
pub(super) fn fingerprint(graph: &Graph, programs: &[Program]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(env!("CARGO_PKG_VERSION"));
    hasher.update(format!(
        "{:?}{:?}{:?}",
        graph.tables, graph.groups, graph.calls
    ));
    for program in programs {
        // Debug output names every part of a program and delimits them.
        hasher.update(format!("{program:?}\n"));
    }
    hasher.finalize().into()
}

/// What is written.
pub(super) struct State<'a> {
    pub shard: &'a Shard,
    pub watermark: i64,
    /// By program, why it goes no further.
    pub failures: &'a [Option<String>],
    /// The tables that hold, with their days.
    pub days: &'a [(i64, Table)],
}

/// What was read.
pub(super) struct Restored {
    pub shard: Shard,
    pub watermark: i64,
    pub failures: Vec<Option<String>>,
    pub days: Vec<(i64, Table)>,
}

#[derive(Serialize)]
struct Body<'a> {
    failures: &'a [Option<String>],
    days: &'a [(i64, Table)],
    spaces: &'a [Keys],
    windows: Vec<Window>,
}

#[derive(Deserialize)]
struct Read {
    failures: Vec<Option<String>>,
    days: Vec<(i64, Table)>,
    spaces: Vec<Keys>,
    windows: Vec<Window>,
}

#[derive(Serialize, Deserialize)]
struct Window {
    held: Vec<u8>,
    slots: Vec<Vec<u8>>,
    /// Rows whose frames have not ended, as an Arrow IPC stream; empty if there are none.
    carried: Vec<u8>,
}

/// The state of a shard.
///
/// # Errors
/// [`Error::Failed`] if it cannot be written, which is a defect.
pub(super) fn write(state: &State<'_>, rules: &[u8; 32]) -> Result<Vec<u8>, Error> {
    let shard = state.shard;
    let failed = |error: &dyn std::fmt::Display| {
        Error::Failed(format!("shard {} cannot be saved: {error}", shard.number))
    };
    let windows = shard.windows.iter().map(|window| {
        let saved = window.save().map_err(|error| failed(&error))?;
        Ok(Window {
            held: saved.held,
            slots: saved.slots,
            carried: to_ipc(&saved.carried).map_err(|error| failed(&error))?,
        })
    });
    let body = Body {
        failures: state.failures,
        days: state.days,
        spaces: &shard.spaces,
        windows: windows.collect::<Result<_, Error>>()?,
    };
    let body = postcard::to_stdvec(&body).map_err(|error| failed(&error))?;
    let mut bytes = Vec::with_capacity(HEAD + body.len() + 4);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(rules);
    bytes.extend_from_slice(&(shard.number as u32).to_le_bytes());
    bytes.extend_from_slice(&state.watermark.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&body);
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// What a snapshot holds.
///
/// # Errors
/// [`Error::Refused`] if the snapshot is damaged, of another version, or of other rules.
pub(super) fn read(graph: &Graph, rules: &[u8; 32], bytes: &[u8]) -> Result<Restored, Error> {
    let refused = |reason: &str| {
        Err(Error::Refused(format!(
            "the snapshot {reason}; leave it out, and the state is built from the log"
        )))
    };
    if bytes.get(..MAGIC.len()) != Some(MAGIC) {
        return refused("is none of gridwatch");
    }
    let mut head = Head(&bytes[MAGIC.len()..]);
    let format = head.take().map(u32::from_le_bytes);
    if format != Some(FORMAT) {
        let found = format.map_or("cut off".to_owned(), |format| format!("of format {format}"));
        return refused(&format!(
            "is {found}, and this version reads format {FORMAT}"
        ));
    }
    let (Some(of), Some(number), Some(watermark), Some(length)) = (
        head.take::<32>(),
        head.take().map(u32::from_le_bytes),
        head.take().map(i64::from_le_bytes),
        head.take().map(u64::from_le_bytes),
    ) else {
        return refused("is cut off");
    };
    let body_bytes = bytes.len().checked_sub(HEAD + 4);
    if body_bytes.is_none() || usize::try_from(length).ok() != body_bytes {
        return refused("is cut off");
    }
    let (covered, checksum) = bytes.split_at(bytes.len() - 4);
    if checksum != crc32fast::hash(covered).to_le_bytes() {
        return refused("is damaged: its checksum does not fit");
    }
    if of != *rules {
        return refused("is of other rules");
    }
    let number = number as usize;
    if number >= super::shard::SHARDS {
        return refused(&format!("is of shard {number}, which there is not"));
    }
    let Ok(body) = super::window::from_bytes::<Read>(&covered[HEAD..]) else {
        return refused("does not hold what its format says");
    };
    let mut shard = Shard::new(graph, number);
    if body.spaces.len() != shard.spaces.len() || body.windows.len() != shard.windows.len() {
        return refused("does not hold what its rules need");
    }
    shard.spaces = body.spaces;
    for (window, stored) in shard.windows.iter_mut().zip(body.windows) {
        let Ok(carried) = from_ipc(&stored.carried) else {
            return refused("does not hold what its format says");
        };
        let saved = Saved {
            held: stored.held,
            slots: stored.slots,
            carried,
        };
        if window.load(saved).is_err() {
            return refused("does not hold what its rules need");
        }
    }
    Ok(Restored {
        shard,
        watermark,
        failures: body.failures,
        days: body.days,
    })
}

/// What is left of the head.
struct Head<'a>(&'a [u8]);

impl Head<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }
}

fn to_ipc(batches: &[RecordBatch]) -> Result<Vec<u8>, arrow::error::ArrowError> {
    let Some(first) = batches.first() else {
        return Ok(Vec::new());
    };
    // One batch, so that dictionaries need no replacement.
    let batch = arrow::compute::concat_batches(&first.schema(), batches)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(&batch)?;
    writer.into_inner()
}

fn from_ipc(bytes: &[u8]) -> Result<Vec<RecordBatch>, arrow::error::ArrowError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    StreamReader::try_new(bytes, None)?.collect()
}
