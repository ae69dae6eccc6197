//! Files and standard input, decompressed on the way.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::compression::decompress;

/// How far back zstd may look, as a power of 2: as far as `zstd --long=31` does.
const WINDOW_LOG: u32 = 31;

/// Why an input cannot be opened. What happens later, such as compressed data that is cut off, the
/// reader reports as [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing of this name.
    #[error("`{path}` does not exist; check the path, or give `-` to read standard input")]
    Missing { path: String },
    /// A folder, where a file is wanted.
    #[error("`{path}` is a directory; name the files in it instead")]
    Directory { path: String },
    /// It may not be read.
    #[error("`{path}` may not be read by this user; grant read permission, or run as its owner")]
    Denied { path: String },
    /// Anything else that the system reports.
    #[error("`{path}` cannot be opened; check that it is a readable file")]
    Unreadable {
        path: String,
        #[source]
        source: io::Error,
    },
}

/// Opens a file, or standard input for `-`. Gzip (of several members too) and zstd (of several
/// frames too) are recognised by their first bytes and decompressed; all else is passed on as it
/// is. `progress` grows by every byte taken from the input, compressed as it is, so that it ends at
/// [`size`].
///
/// # Errors
/// When the input cannot be opened, or its first bytes cannot be read.
pub fn open(path: &str, progress: Arc<AtomicU64>) -> Result<Box<dyn Read + Send>, Error> {
    if path == "-" {
        let counted = Counted {
            inner: io::stdin(),
            progress,
        };
        return decompress(counted, WINDOW_LOG).map_err(|error| explain(path, error));
    }
    let file = File::open(path).map_err(|error| explain(path, error))?;
    let counted = Counted {
        inner: file,
        progress,
    };
    decompress(counted, WINDOW_LOG).map_err(|error| explain(path, error))
}

/// The size on disk in bytes; `None` for standard input, pipes and what does not exist.
pub fn size(path: &str) -> Option<u64> {
    let metadata = Path::new(path).metadata().ok()?;
    (path != "-" && metadata.is_file()).then_some(metadata.len())
}

fn explain(path: &str, source: io::Error) -> Error {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::NotFound => Error::Missing { path },
        ErrorKind::IsADirectory => Error::Directory { path },
        ErrorKind::PermissionDenied => Error::Denied { path },
        _ => Error::Unreadable { path, source },
    }
}

/// Counts what is read through it.
struct Counted<R> {
    inner: R,
    progress: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.progress.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const TEXT: &[u8] = b"{\"id\":\"1\"}\n{\"id\":\"2\"}\n";

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(text, 3).unwrap()
    }

    /// What comes out of a file with these bytes; checks that the progress ends at the size.
    fn read_back(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let file = temporary(bytes);
        let path = file.path().to_str().unwrap();
        let progress = Arc::new(AtomicU64::new(0));
        let mut text = Vec::new();
        open(path, Arc::clone(&progress))
            .unwrap()
            .read_to_end(&mut text)?;
        assert_eq!(Some(progress.load(Ordering::Relaxed)), size(path));
        Ok(text)
    }

    fn temporary(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn failure(path: &str) -> String {
        let opened = open(path, Arc::default());
        opened
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn every_form_gives_the_same_text() {
        let (head, tail) = TEXT.split_at(7);
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9], &zstd(TEXT)[..]].concat();
        let forms = [
            TEXT.to_vec(),
            gzip(TEXT),
            [gzip(head), gzip(tail)].concat(),
            zstd(TEXT),
            [zstd(head), zstd(tail)].concat(),
            skipped,
        ];
        for bytes in forms {
            assert_eq!(read_back(&bytes).unwrap(), TEXT);
        }
    }

    #[test]
    fn short_inputs_pass_as_they_are() {
        for bytes in [&b""[..], b"{", b"{}\n", &[0x28, 0xb5]] {
            assert_eq!(read_back(bytes).unwrap(), bytes);
        }
    }

    #[test]
    fn data_cut_off_is_an_error_of_the_reader() {
        for bytes in [gzip(TEXT), zstd(TEXT)] {
            let error = read_back(&bytes[..bytes.len() - 3]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
        }
    }

    #[test]
    fn failures_name_the_path_and_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let missing = format!("{path}/none.ndjson");
        assert!(failure(&missing).starts_with(&format!("`{missing}` does not exist; check")));
        assert!(failure(path).starts_with(&format!("`{path}` is a directory; name")));
    }

    #[test]
    fn what_is_no_file_has_no_size() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["-", "/no/such/file", folder.path().to_str().unwrap()] {
            assert_eq!(size(path), None, "{path}");
        }
    }

    #[test]
    fn first_bytes_may_arrive_one_by_one() {
        struct Slow(Cursor<Vec<u8>>);
        impl Read for Slow {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let n = buffer.len().min(1);
                self.0.read(&mut buffer[..n])
            }
        }
        let mut text = Vec::new();
        let mut reader = decompress(Slow(Cursor::new(gzip(TEXT))), WINDOW_LOG).unwrap();
        reader.read_to_end(&mut text).unwrap();
        assert_eq!(text, TEXT);
    }
}
