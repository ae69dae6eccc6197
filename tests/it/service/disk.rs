//! Disks that are full, cannot be written, or give back something else than was written.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Folder, LOG, Service, assert_same, body, gridwatch, second, wait_for};

/// Says so where it is seen, whatever the harness captures.
fn skip(test: &str, reason: &str) {
    let mut err = io::stderr().lock();
    writeln!(err, "SKIPPED {test}: {reason}").unwrap();
}

fn succeeds(command: &[&str]) -> bool {
    let ran = Command::new(command[0])
        .args(&command[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    ran.is_ok_and(|status| status.success())
}

/// Something that is mounted at a path until the test is over.
struct Mount(String);

impl Mount {
    /// A file system of this size; `None` where none may be mounted.
    fn tmpfs(path: &Path, size: &str) -> Option<Self> {
        let path = path.display().to_string();
        let option = format!("size={size}");
        let mounted = succeeds(&["mount", "-t", "tmpfs", "-o", &option, "tmpfs", &path]);
        mounted.then_some(Self(path))
    }

    /// The folder itself, which cannot be written from now on.
    fn read_only(path: &Path) -> Option<Self> {
        let path = path.display().to_string();
        let mounted = succeeds(&["mount", "--bind", &path, &path]).then(|| Self(path.clone()))?;
        succeeds(&["mount", "-o", "remount,ro,bind", &path]).then_some(mounted)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        succeeds(&["umount", "-l", &self.0]);
    }
}

/// Where there is little space, until some is freed.
enum Space {
    /// A file system of its own, with a file that is in the way.
    Own { _mount: Mount, ballast: PathBuf },
    /// Files of the process must not grow beyond a limit.
    Limit,
}

impl Space {
    const SIZE: &str = "64m";
    const BALLAST: usize = 58 << 20;
    /// In KiB, for each file.
    const LIMIT: &str = "trap '' XFSZ; ulimit -S -f 3000 && exec \"$@\"";

    fn scarce(folder: &Path) -> Option<Self> {
        if let Some(mount) = Mount::tmpfs(folder, Self::SIZE) {
            let ballast = folder.join("ballast");
            fs::write(&ballast, vec![1; Self::BALLAST]).unwrap();
            return Some(Self::Own {
                _mount: mount,
                ballast,
            });
        }
        let can_limit = succeeds(&["bash", "-c", Self::LIMIT, "bash", "prlimit", "--version"]);
        can_limit.then_some(Self::Limit)
    }

    fn start(&self, service: &mut Service) {
        match self {
            Self::Own { .. } => service.spawn(),
            Self::Limit => service.spawn_by(&["bash", "-c", Self::LIMIT, "bash"]),
        }
        service.await_ready();
    }

    fn free(&self, service: &Service) {
        match self {
            Self::Own { ballast, .. } => fs::remove_file(ballast).unwrap(),
            Self::Limit => {
                let pid = service.child.as_ref().unwrap().id().to_string();
                let freed = succeeds(&["prlimit", "--pid", &pid, "--fsize=unlimited"]);
                assert!(freed, "the limit could not be lifted");
            }
        }
    }
}

#[test]
fn a_full_disk_loses_nothing_and_passes() {
    const BATCH: usize = 500;
    let folder = Folder::with(&[("store/.keep", "")]);
    let data = PathBuf::from(folder.path("store"));
    let Some(space) = Space::scarce(&data) else {
        skip(
            "a_full_disk",
            "neither a tmpfs can be mounted nor a file limited",
        );
        return;
    };
    let mut service = Service::over(&data, &LOG, "");
    space.start(&mut service);
    let client = service.sender();
    let batches: Vec<&[String]> = LOG.lines.chunks(BATCH).collect();
    let (mut taken, mut refusals) = (0, 0);
    while refusals < 3 {
        assert!(taken < batches.len(), "the disk never was full");
        let answer = client.push(body(batches[taken])).unwrap();
        if answer.status == 200 {
            (taken, refusals) = (taken + 1, 0);
            continue;
        }
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(answer.retry_after.is_some());
        refusals += 1;
    }
    assert!(taken > 0);
    let unready = wait_for("unreadiness", Duration::from_secs(10), || {
        service.readiness().filter(|answer| answer.status == 503)
    });
    assert!(unready.text.contains("state.db"), "{}", unready.text);
    service.assert_keeps(&LOG.lines[..taken * BATCH]);

    // Nobody sends anything to who is not ready, so nothing but itself can find out.
    space.free(&service);
    wait_for("readiness", Duration::from_secs(15), || {
        service.is_ready().then_some(())
    });
    for batch in &batches[taken..] {
        client.push_patiently(batch);
    }
    service.await_judged(second(LOG.lines.last().unwrap()));
    service.stop();
    service.assert_keeps(&LOG.lines);
    assert_same(
        "an anomaly",
        &service.stored(),
        &service.found_in_store("history"),
    );
    assert!(service.assert_told() > 20);
    println!(
        "{taken} of {} batches went in before it was full",
        batches.len()
    );
}

/// A store with sealed segments and nothing else, whose service has ended.
fn sealed(lines: &[String]) -> Service {
    let mut service = Service::new(&LOG, "");
    service.start();
    service.sender().push(body(lines)).unwrap();
    service.await_judged(second(lines.last().unwrap()));
    let reader = service.reader();
    wait_for("a seal", Duration::from_secs(30), || {
        (reader.totals().unwrap().tail_rows == 0).then_some(())
    });
    drop(reader);
    service.stop();
    service
}

/// The files of the archive.
fn segments(service: &Service) -> Vec<PathBuf> {
    let days = fs::read_dir(service.data.join("events")).unwrap();
    let files = days.flat_map(|day| fs::read_dir(day.unwrap().path()).unwrap());
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "parquet"));
    files.sort();
    files
}

#[test]
fn a_store_that_cannot_be_written_is_named() {
    let mut service = sealed(&LOG.lines[..1000]);
    let data = service.data.display().to_string();
    match Mount::read_only(&service.data) {
        Some(_mount) => {
            let (code, said) = service.refuse();
            assert_eq!(code, Some(74), "{said}");
            assert!(said.contains(&data) && said.contains("ead-only"), "{said}");
        }
        None => skip("a_store_that_cannot_be_written", "nothing can be mounted"),
    }
    fs::remove_dir_all(&service.data).unwrap();
    fs::write(&service.data, "a file").unwrap();
    let (code, said) = service.refuse();
    assert_eq!(code, Some(74), "{said}");
    assert!(said.contains(&data), "{said}");
}

/// Gives what is left of the bytes of a file; `None` if it is gone.
type Damage = fn(&[u8]) -> Option<Vec<u8>>;

const DAMAGES: [(&str, Damage); 5] = [
    ("cut short", |whole| Some(whole[..whole.len() / 2].to_vec())),
    ("cut at its last bytes", |whole| {
        Some(whole[..whole.len() - 3].to_vec())
    }),
    ("empty", |_| Some(Vec::new())),
    ("gone", |_| None),
    // What every reader wants: the ids of events.
    ("overwritten", |whole| {
        let mut bytes = whole.to_vec();
        for byte in &mut bytes[4..2000] {
            *byte ^= 0x5a;
        }
        Some(bytes)
    }),
];

#[test]
fn a_segment_that_is_damaged_is_named() {
    let mut service = sealed(&LOG.lines[..3000]);
    let segment = segments(&service).remove(0);
    let file = segment.file_name().unwrap().to_str().unwrap();
    let whole = fs::read(&segment).unwrap();
    let config = service.config();
    let query = [
        "query",
        "--config",
        &config,
        "SELECT max(event_id), max(raw) FROM events",
    ];
    let archive = ["detect", "--archive", "--config", &config, "--execution"];
    for (name, damage) in DAMAGES {
        match damage(&whole) {
            Some(bytes) => fs::write(&segment, bytes).unwrap(),
            None => fs::remove_file(&segment).unwrap(),
        }
        let live = [&archive[..], &["live"]].concat();
        let history = [&archive[..], &["history"]].concat();
        for arguments in [&query[..], &live, &history] {
            let ran = gridwatch(arguments, b"");
            assert_eq!(ran.code, Some(74), "{name}: {arguments:?}: {}", ran.err);
            assert!(ran.err.contains(file), "{name}: {arguments:?}: {}", ran.err);
            assert!(!ran.err.contains("panicked"), "{name}: {}", ran.err);
        }
        let (code, said) = service.refuse();
        assert_eq!(code, Some(74), "{name}: {said}");
        assert!(
            said.contains(file) && !said.contains("panicked"),
            "{name}: {said}"
        );
        fs::write(&segment, &whole).unwrap();
    }
    service.start();
    service.stop();
    service.assert_keeps(&LOG.lines[..3000]);
}

/// All that the state holds in its one file, with no log beside it.
fn whole_state(service: &Service) -> (PathBuf, Vec<u8>) {
    let path = service.data.join("state.db");
    let state = rusqlite::Connection::open(&path).unwrap();
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let is_busy: i64 = state.query_row(checkpoint, [], |row| row.get(0)).unwrap();
    assert_eq!(is_busy, 0);
    state.close().unwrap();
    let bytes = fs::read(&path).unwrap();
    (path, bytes)
}

/// Puts something else in the place of the state.
fn replace_state(path: &Path, bytes: Option<&[u8]>) {
    for ending in ["", "-wal", "-shm"] {
        // They need not be there.
        let _ = fs::remove_file(format!("{}{ending}", path.display()));
    }
    if let Some(bytes) = bytes {
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_state_that_is_cut_short_is_refused() {
    let mut service = sealed(&LOG.lines[..1000]);
    let (path, whole) = whole_state(&service);
    let other = b"this is a letter and no database at all".repeat(1000);
    for bytes in [
        &whole[..whole.len() / 2],
        &whole[..16_384],
        &whole[..100],
        &other,
    ] {
        replace_state(&path, Some(bytes));
        let (code, said) = service.refuse();
        assert_eq!(code, Some(74), "{said}");
        for wanted in ["state.db", "restore it from a backup"] {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
    replace_state(&path, Some(&whole));
    service.start();
    service.stop();
    service.assert_keeps(&LOG.lines[..1000]);
}

/// What the archive holds is worth more than the state that names it.
#[test]
fn an_archive_whose_state_is_gone_is_left_alone() {
    let mut service = sealed(&LOG.lines[..1000]);
    let (path, whole) = whole_state(&service);
    let before = segments(&service);
    assert!(!before.is_empty());
    for bytes in [None, Some(&b""[..]), Some(&b"x"[..])] {
        replace_state(&path, bytes);
        service.spawn();
        let ended = wait_for("a start or an end", Duration::from_secs(30), || {
            let ended = service.child.as_mut().unwrap().try_wait().unwrap();
            (ended.is_some() || service.is_ready()).then_some(ended)
        });
        assert_eq!(segments(&service), before, "{}", service.log());
        let ended = ended.and_then(|status| status.code());
        assert_eq!(ended, Some(74), "{}", service.log());
        service.child = None;
    }
    replace_state(&path, Some(&whole));
    service.start();
    service.stop();
    service.assert_keeps(&LOG.lines[..1000]);
}
