//! Promises of the whole program, each in a file.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod archive;
mod careless;
mod config;
mod defects;
mod demo;
mod detect;
mod home;
mod invariance;
mod kinds;
mod live;
mod ocsf;
mod one_answer;
mod rules;
mod service;
mod service_config;
mod simulated;
mod sinks;
mod slack;
mod tidy;

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use gridwatch::pipeline::{Again, Input};

/// What a run of the command came to.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the command with these arguments and this standard input.
fn gridwatch(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gridwatch"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may end before it has read all.
    let feeding = std::thread::spawn(move || stdin.write_all(&input).ok());
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    Ran {
        code: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// These lines as an input, which can be read once only or again.
fn input(lines: &[String], can_repeat: bool) -> Input {
    let bytes = lines.join("\n").into_bytes();
    let again: Again = {
        let bytes = bytes.clone();
        Box::new(move || Ok(Box::new(Cursor::new(bytes.clone()))))
    };
    Input {
        name: "test".to_owned(),
        reader: Box::new(Cursor::new(bytes)),
        again: can_repeat.then_some(again),
    }
}

/// A temporary folder with these files.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// A path in the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The anomalies of an NDJSON output.
fn anomalies(out: &str) -> Vec<serde_json::Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
