//! Snapshots are shortcuts: whatever becomes of them, the answer is the same.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::kill::{WITH_RULES, write_rules};
use super::{LOG, Log, Service, USUAL, assert_same, body, second};

/// The snapshots of a store, the oldest first.
fn snapshots(service: &Service) -> Vec<PathBuf> {
    let entries = fs::read_dir(service.data.join("snapshots")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "snapshot"));
    paths.sort();
    paths
}

/// Pushes events of whole seconds and waits until they are judged.
fn judge(service: &Service, lines: &[String]) {
    let answer = service.sender().push(body(lines)).unwrap();
    assert_eq!(answer.receipt(), (lines.len() as u64, 0, 0));
    service.await_judged(second(lines.last().unwrap()));
}

/// Positions at which the log can be cut into parts of about this size.
fn cuts(log: &Log, size: usize, parts: usize) -> Vec<usize> {
    let cuts = (1..=parts).map(|part| log.cut(part * size));
    std::iter::once(0).chain(cuts).collect()
}

/// What becomes of the snapshots, the newest of which is named.
type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 4] = [
    ("cut short", |newest| {
        let bytes = fs::read(newest).unwrap();
        fs::write(newest, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("one bit is another", |newest| {
        let mut bytes = fs::read(newest).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(newest, bytes).unwrap();
    }),
    ("all are empty", |newest| {
        for entry in fs::read_dir(newest.parent().unwrap()).unwrap() {
            fs::write(entry.unwrap().path(), "").unwrap();
        }
    }),
    ("all are gone", |newest| {
        for entry in fs::read_dir(newest.parent().unwrap()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }),
];

#[test]
fn snapshots_that_are_damaged_are_left_out() {
    let mut service = Service::new(&LOG, WITH_RULES);
    write_rules(&service);
    let cuts = cuts(&LOG, 2000, DAMAGES.len() + 1);
    for (part, (name, damage)) in DAMAGES.iter().enumerate() {
        service.start();
        judge(&service, &LOG.lines[cuts[part]..cuts[part + 1]]);
        service.stop();
        let newest = snapshots(&service).pop();
        let newest = newest.unwrap_or_else(|| panic!("{name}: there is none"));
        damage(&newest);
    }
    service.start();
    judge(
        &service,
        &LOG.lines[cuts[DAMAGES.len()]..cuts[DAMAGES.len() + 1]],
    );
    service.stop();
    let lines = &LOG.lines[..cuts[DAMAGES.len() + 1]];
    service.assert_keeps(lines);
    assert_same("an anomaly", &service.stored(), &service.found_in(lines));
    assert!(
        service.log().contains("it is left out"),
        "{}",
        service.log()
    );
}

#[test]
fn foreign_files_do_not_push_out_our_own_snapshots() {
    let mut service = Service::new(&LOG, WITH_RULES);
    write_rules(&service);
    let cuts = cuts(&LOG, 1000, 2);
    let folder = service.data.join("snapshots");
    for name in ["z.snapshot", "99999999999999999998.snapshot", "notes.txt"] {
        fs::write(folder.join(name), "not ours").unwrap();
    }
    service.start();
    judge(&service, &LOG.lines[..cuts[1]]);
    service.stop();
    let before = service.log().len();
    service.start();
    judge(&service, &LOG.lines[cuts[1]..cuts[2]]);
    service.stop();
    let log = service.log().split_off(before);
    let ours = snapshots(&service).into_iter().filter(|path| {
        let bytes = fs::read(path).unwrap();
        bytes.starts_with(b"gridwatch snapshot\n")
    });
    assert!(ours.count() > 0, "a snapshot of ours made room for others");
    assert!(!log.contains("from_snapshot=false"), "{log}");
    let lines = &LOG.lines[..cuts[2]];
    assert_same("an anomaly", &service.stored(), &service.found_in(lines));
}

/// A value that is new to a person is found, and then it is known.
const NEW_VALUE: &str = "title: New export
id: 00000000-0000-4000-8000-000000000077
name: new_export
status: test
level: medium
logsource: {product: slack, service: audit}
detect: {kind: new_value, where: action = 'manual_export_started', key: actor_id, value: entity_id, learn: 1h}
suppress: 0s
";

/// An export of this file by the one person who does that.
fn export(id: &str, second: i64, file: &str) -> String {
    json!({
        "id": id,
        "date_create": second,
        "action": "manual_export_started",
        "actor": {"type": "user", "user": {"id": "UEXPORTS"}},
        "entity": {"type": "file", "file": {"id": file}},
        "context": {"ip_address": "203.0.113.9"},
    })
    .to_string()
}

/// A backup of the state and the archive comes back, and snapshots of what came after it are left.
#[test]
fn a_snapshot_of_what_is_not_in_the_log_any_more_is_left_out() {
    let mut service = Service::new(&LOG, WITH_RULES);
    fs::create_dir(service.folder.path("rules")).unwrap();
    fs::write(service.folder.path("rules/new_export.yml"), NEW_VALUE).unwrap();
    let cuts = cuts(&LOG, 2500, 5);
    // Parts of the log, some of which end with an export.
    let files = [Some("F0"), Some("F1"), None, None, Some("F1")];
    let part = |number: usize| {
        let mut lines = LOG.lines[cuts[number]..cuts[number + 1]].to_vec();
        let last = second(&lines[lines.len() - 1]);
        lines.extend(files[number].map(|file| export(&format!("export-{number}"), last, file)));
        lines
    };
    service.start();
    judge(&service, &part(0));
    service.stop();
    let backup = service.folder.path("backup");
    copy(&service.data, Path::new(&backup));
    // Two runs, so that all snapshots are of what is not in the backup.
    for number in [1, 2] {
        service.start();
        judge(&service, &part(number));
        service.stop();
    }
    let snapshots = service.folder.path("snapshots");
    fs::rename(service.data.join("snapshots"), &snapshots).unwrap();
    fs::remove_dir_all(&service.data).unwrap();
    fs::rename(&backup, &service.data).unwrap();
    fs::remove_dir_all(service.data.join("snapshots")).unwrap();
    fs::rename(&snapshots, service.data.join("snapshots")).unwrap();
    // Part 1 is lost for good. The log goes on beyond the snapshots, and has none of its own.
    let store = USUAL.replace("snapshot_secs: 1", "snapshot_secs: 86400");
    service.configure(&store, WITH_RULES);
    service.start();
    judge(&service, &[part(2), part(3)].concat());
    service.kill();
    service.start();
    judge(&service, &part(4));
    service.stop();
    service.assert_keeps(&[part(0), part(2), part(3), part(4)].concat());
    for execution in ["history", "live"] {
        let found = service.found_in_store(execution);
        assert_same(execution, &service.stored(), &found);
    }
    let found = |record: &String| record.contains("\"new_export\"") && record.contains("export-4");
    assert!(
        service.stored().iter().any(found),
        "what is new again was not found"
    );
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
