//! The demo, as whoever tries the program first meets it.

use std::process::{Command, Stdio};

use super::gridwatch;
use super::service::{PATIENCE, pause, wait_for};

#[test]
fn it_ends_after_the_time_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("anomalies.ndjson").display().to_string();
    let ran = gridwatch(
        &["demo", "--for", "20", "--speed", "3600", "--out", &out],
        b"",
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.err.contains("attacks that began in them were found"),
        "{}",
        ran.err
    );
}

#[test]
fn it_ends_in_order_when_it_is_asked_to() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gridwatch"))
        .args(["demo", "--for", "600"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It simulates the organisation first, for some seconds.
    pause(std::time::Duration::from_secs(40));
    let id = child.id().to_string();
    let asked = Command::new("kill").args(["-INT", &id]).status();
    assert!(asked.unwrap().success());
    let status = wait_for("its end", PATIENCE, || child.try_wait().unwrap());
    let mut err = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut err).unwrap();
    assert_eq!(status.code(), Some(0), "{err}");
    assert!(err.contains("anomalies in"), "{err}");
}
