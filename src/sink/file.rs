//! A file of JSON lines, begun anew when it is large enough.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Delivery, Error, Format, Report, Sink};

/// The file at a path. What was written before is kept under the path with the time of day.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    format: Format,
    most_bytes: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// What was written whole.
    bytes: u64,
}

impl JsonLines {
    /// A file that holds at most so many bytes, and one delivery at least.
    pub fn new(path: PathBuf, format: Format, most_bytes: u64) -> Self {
        Self {
            path,
            format,
            most_bytes,
            open: None,
        }
    }

    fn write(&mut self, lines: &str, now: i64) -> io::Result<()> {
        // Somebody may have moved it away since.
        let held = self.open.take().filter(|open| open.is_at(&self.path));
        let mut open = match held {
            Some(open) => open,
            None => Open::at(&self.path)?,
        };
        if open.bytes > 0 && open.bytes + lines.len() as u64 > self.most_bytes {
            fs::rename(&self.path, kept(&self.path, now))?;
            open = Open::at(&self.path)?;
        }
        let written = open.file.write_all(lines.as_bytes());
        if let Err(error) = written.and_then(|()| open.file.sync_data()) {
            // Half a line would spoil the next one.
            open.file.set_len(open.bytes)?;
            return Err(error);
        }
        open.bytes += lines.len() as u64;
        self.open = Some(open);
        Ok(())
    }
}

#[async_trait]
impl Sink for JsonLines {
    async fn deliver(&mut self, deliveries: &[Delivery], now: i64) -> Report {
        let mut lines = String::new();
        for delivery in deliveries {
            lines.push_str(&delivery.rendered(self.format));
            lines.push('\n');
        }
        match self.write(&lines, now) {
            Ok(()) => Report::all(deliveries.len()),
            Err(error) => Report::none(Error {
                place: self.path.display().to_string(),
                reason: error.to_string(),
                remedy: "check that its folder is there and can be written, and that its disk has space",
                retry_after: None,
            }),
        }
    }
}

impl Open {
    /// Opens the file to go on with it; a line that was torn off is cut.
    fn at(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let bytes = whole_lines(&mut file)?;
        file.set_len(bytes)?;
        // The name is there after a power cut, too.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Self { file, bytes })
    }
}

impl Open {
    /// Whether the path still names this file.
    fn is_at(&self, path: &Path) -> bool {
        let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let there = fs::metadata(path).map(place);
        let here = self.file.metadata().map(place);
        here.is_ok_and(|here| there.is_ok_and(|there| here == there))
    }
}

/// How many bytes of the file are whole lines.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    const STEP: u64 = 64 << 10;
    let mut end = file.metadata()?.len();
    let mut piece = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(start))?;
        piece.clear();
        Read::by_ref(file)
            .take(end - start)
            .read_to_end(&mut piece)?;
        if let Some(at) = memchr::memrchr(b'\n', &piece) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Under which name the file is kept from now on: `anomalies.ndjson.20261127T153000Z`, and a number if
/// there is one of that name.
fn kept(path: &Path, now: i64) -> PathBuf {
    let time = Timestamp::from_microsecond(now).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut base = path.as_os_str().to_owned();
    base.push(format!(".{}", time.strftime("%Y%m%dT%H%M%SZ")));
    let numbered = |number: u64| {
        let mut name = base.clone();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        PathBuf::from(name)
    };
    let mut names = (0..).map(numbered);
    let free = names.find(|name| !name.exists());
    free.unwrap_or_else(|| PathBuf::from(base.clone()))
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    async fn deliver(sink: &mut JsonLines, now: i64) {
        let report = sink.deliver(&[delivery(1)], now).await;
        assert!(report.error.is_none(), "{report:?}");
    }

    fn delivery(id: u32) -> Delivery {
        Delivery {
            record: format!("{{\"id\":\"{id}\"}}"),
            found_at: 1_772_438_400_000_000,
            kind: Kind::Anomaly,
        }
    }

    const LINE: &str = "{\"id\":\"1\",\"envelope\":{\"found_at\":\"2026-03-02T08:00:00Z\"}}\n";

    #[tokio::test]
    async fn lines_are_appended_and_a_torn_one_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.ndjson");
        for torn in ["", "{\"id\":\"", &"x".repeat(200_000)] {
            fs::write(&path, format!("{LINE}{torn}")).unwrap();
            let mut sink = JsonLines::new(path.clone(), Format::Native, u64::MAX);
            deliver(&mut sink, 0).await;
            deliver(&mut sink, 0).await;
            assert_eq!(fs::read_to_string(&path).unwrap(), LINE.repeat(3));
        }
    }

    #[tokio::test]
    async fn a_full_file_is_kept_under_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.ndjson");
        let mut sink = JsonLines::new(path.clone(), Format::Native, 2 * LINE.len() as u64);
        for _ in 0..5 {
            deliver(&mut sink, 1_772_438_400_000_000).await;
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), LINE);
        for name in [
            "out.ndjson.20260302T080000Z",
            "out.ndjson.20260302T080000Z.1",
        ] {
            let text = fs::read_to_string(folder.path().join(name)).unwrap();
            assert_eq!(text, LINE.repeat(2), "{name}");
        }
    }

    #[tokio::test]
    async fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.ndjson");
        let mut sink = JsonLines::new(path.clone(), Format::Native, u64::MAX);
        for _ in 0..2 {
            deliver(&mut sink, 0).await;
            assert_eq!(fs::read_to_string(&path).unwrap(), LINE);
            fs::rename(&path, folder.path().join("moved")).unwrap();
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_named() {
        let path = PathBuf::from("/no/such/folder/out");
        let mut sink = JsonLines::new(path, Format::Native, 1);
        let report = sink.deliver(&[delivery(1)], 0).await;
        let error = report.error.unwrap().to_string();
        assert_eq!(report.settled, 0);
        assert!(error.starts_with("/no/such/folder/out: "), "{error}");
        assert!(error.contains("check that its folder"), "{error}");
    }
}
