//! Snapshots on disk: shortcuts, each a file that is whole or not there.
//!
//! ```text
//! "gridwatch snapshot\n" │ format │ watermark │ (length │ part)… │ CRC-32 of all before
//!        19 bytes           u32       i64        u64              u32
//! ```
//!
//! What the parts are, and whether they fit the rules of today, is for whoever wrote them to say. A
//! snapshot that cannot be read is left out.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{Error, Store};

const MAGIC: &[u8; 19] = b"gridwatch snapshot\n";
const FORMAT: u32 = 1;
/// Beside the newest the one before, should the newest be damaged.
const KEPT: usize = 2;
const ENDING: &str = "snapshot";

/// What rules remember when all rows before the watermark are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Microseconds.
    pub watermark: i64,
    pub parts: Vec<Vec<u8>>,
}

impl Store {
    /// Writes a snapshot, and removes the oldest.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, snapshot: &Snapshot) -> Result<u64, Error> {
        let folder = self.paths().snapshots();
        let path = folder.join(format!("{:020}.{ENDING}", snapshot.watermark));
        let unfinished = folder.join("unfinished");
        let bytes = write(&unfinished, snapshot).map_err(Error::io(&unfinished))?;
        fs::rename(&unfinished, &path).map_err(Error::io(&path))?;
        let opened = File::open(&folder).map_err(Error::io(&folder))?;
        opened.sync_all().map_err(Error::io(&folder))?;
        for old in self.snapshot_files()?.into_iter().skip(KEPT) {
            fs::remove_file(&old).map_err(Error::io(&old))?;
        }
        Ok(bytes)
    }

    /// The snapshots that can be read, the newest first; read one by one. Those beyond this watermark are
    /// removed: what they hold is not in the log any more, since an older state took the place of a newer
    /// one.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file not removed.
    pub fn snapshots(&self, evaluated: i64) -> Result<impl Iterator<Item = Snapshot>, Error> {
        let mut files = self.snapshot_files()?;
        while let Some(beyond) = files
            .first()
            .filter(|path| watermark(path) > Some(evaluated))
        {
            tracing::warn!(path = %beyond.display(), "a snapshot of what the log does not hold is removed");
            fs::remove_file(beyond).map_err(Error::io(beyond))?;
            files.remove(0);
        }
        let files = files.into_iter();
        let read = files.filter_map(|path| match fs::read(&path).map(|bytes| parse(&bytes)) {
            Ok(Some(snapshot)) => Some(snapshot),
            Ok(None) => {
                tracing::warn!(path = %path.display(), "a snapshot is damaged or of another version; it is left out");
                None
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a snapshot cannot be read; it is left out");
                None
            }
        });
        Ok(read.filter(move |snapshot| snapshot.watermark <= evaluated))
    }

    /// Ours alone, the newest first.
    fn snapshot_files(&self) -> Result<Vec<PathBuf>, Error> {
        let folder = self.paths().snapshots();
        let entries = fs::read_dir(&folder).map_err(Error::io(&folder))?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        let paths = paths.collect::<io::Result<Vec<_>>>();
        let mut paths = paths.map_err(Error::io(&folder))?;
        paths.retain(|path| watermark(path).is_some());
        paths.sort_by_key(|path| std::cmp::Reverse(watermark(path)));
        Ok(paths)
    }
}

/// The watermark of a snapshot, as the name of its file has it; `None` if it is none of ours.
fn watermark(path: &Path) -> Option<i64> {
    let stem = path.file_stem()?.to_str()?;
    let is_ours = path.extension()? == ENDING && stem.len() == 20;
    is_ours.then(|| stem.parse().ok())?
}

/// Writes to the file and to a checksum.
struct Summed<W> {
    inner: W,
    sum: crc32fast::Hasher,
    bytes: u64,
}

impl<W: Write> Summed<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        self.inner.write_all(bytes)
    }
}

fn write(path: &PathBuf, snapshot: &Snapshot) -> io::Result<u64> {
    let mut out = Summed {
        inner: BufWriter::with_capacity(1 << 20, File::create(path)?),
        sum: crc32fast::Hasher::new(),
        bytes: 0,
    };
    out.put(MAGIC)?;
    out.put(&FORMAT.to_le_bytes())?;
    out.put(&snapshot.watermark.to_le_bytes())?;
    for part in &snapshot.parts {
        out.put(&(part.len() as u64).to_le_bytes())?;
        out.put(part)?;
    }
    let sum = out.sum.finalize();
    out.inner.write_all(&sum.to_le_bytes())?;
    out.inner.into_inner()?.sync_all()?;
    Ok(out.bytes + 4)
}

/// What the bytes hold; `None` if they are not those of a whole snapshot of this format.
fn parse(bytes: &[u8]) -> Option<Snapshot> {
    let (covered, sum) = bytes.split_last_chunk::<4>()?;
    let rest = covered.strip_prefix(MAGIC)?;
    let (format, rest) = rest.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*format) != FORMAT || u32::from_le_bytes(*sum) != crc32fast::hash(covered)
    {
        return None;
    }
    let (watermark, mut rest) = rest.split_first_chunk::<8>()?;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (length, others) = rest.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (part, others) = others.split_at_checked(length)?;
        parts.push(part.to_vec());
        rest = others;
    }
    Some(Snapshot {
        watermark: i64::from_le_bytes(*watermark),
        parts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_snapshot_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let snapshot = |watermark: i64| Snapshot {
            watermark,
            parts: vec![vec![1, 2], Vec::new(), watermark.to_le_bytes().to_vec()],
        };
        for watermark in [5, 7, 9] {
            store.save(&snapshot(watermark)).unwrap();
        }
        let found = |evaluated| store.snapshots(evaluated).unwrap().next();
        assert_eq!(found(9), Some(snapshot(9)));
        let newest = &store.snapshot_files().unwrap()[0];
        for cut in [0, 20, 40] {
            let bytes = fs::read(newest).unwrap();
            fs::write(newest, &bytes[..cut.min(bytes.len())]).unwrap();
            assert_eq!(found(9), Some(snapshot(7)), "cut at {cut}");
            fs::write(newest, bytes).unwrap();
        }
        let mut bytes = fs::read(newest).unwrap();
        bytes[36] ^= 1;
        fs::write(newest, bytes).unwrap();
        assert_eq!(found(9), Some(snapshot(7)));
        assert_eq!(
            found(6),
            None,
            "the oldest made room, and those beyond are gone"
        );
        assert!(store.snapshot_files().unwrap().is_empty());
    }
}
