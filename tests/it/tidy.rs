//! The house stays as it is drawn: who may import whom, and how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

use super::repository;

/// The modules that each module may use besides itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("tls", &[]),
    ("telemetry", &[]),
    ("config", &[]),
    ("list", &["event", "config"]),
    ("event", &[]),
    ("slack", &["config", "tls"]),
    ("source", &["event", "slack"]),
    ("enrich", &["event"]),
    ("anomaly", &[]),
    ("admit", &["event"]),
    ("store", &["event", "admit"]),
    ("sink", &["event", "tls", "clock"]),
    ("serve", &["event", "telemetry", "clock"]),
    ("detect", &["event", "list", "config", "anomaly"]),
    ("rule", &["detect", "event", "config", "anomaly"]),
    ("respond", &["anomaly", "event"]),
    ("simulate", &["clock"]),
    (
        "pipeline",
        &[
            "source",
            "event",
            "enrich",
            "admit",
            "store",
            "detect",
            "rule",
            "list",
            "anomaly",
            "sink",
            "slack",
            "serve",
            "telemetry",
            "clock",
        ],
    ),
];

const MOST_LINES: usize = 500;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn modules_use_only_what_they_may() {
    let mut files = Vec::new();
    sources(&repository("src"), &mut files);
    assert!(files.len() > 50);
    for file in files {
        let inside = file
            .strip_prefix(repository("src"))
            .unwrap()
            .with_extension("");
        let module = inside.iter().next().unwrap().to_str().unwrap();
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            assert!(
                matches!(module, "main" | "lib" | "cli"),
                "{module} is not in the table"
            );
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        // Tests at the end of a file may use anything.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        if inside.ends_with("tests") {
            continue;
        }
        for (at, _) in code.match_indices("crate::") {
            let name: String = code[at + 7..]
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect();
            let is_allowed = name == module || allowed.contains(&name.as_str());
            assert!(is_allowed, "{} uses {name}", file.display());
        }
    }
}

#[test]
fn files_are_short_enough_to_read() {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        sources(&repository(folder), &mut files);
    }
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", file.display());
    }
}

/// Work that is not done belongs into an issue.
#[test]
fn nothing_is_left_undone() {
    let mut files = Vec::new();
    sources(&repository("src"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for word in ["TODO", "FIXME"] {
            assert!(!text.contains(word), "{} holds {word}", file.display());
        }
    }
}
