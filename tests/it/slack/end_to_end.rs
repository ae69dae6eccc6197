//! The program itself in real time, with a fake Slack in place of the real one.

use std::fs;
use std::time::Duration;

use gridwatch::clock::{Clock, Stopwatch};
use gridwatch::simulate::slack::{Act, FakeSlack, Options};

use super::grid::{START, event};
use super::{LOG, PATIENCE, RUNTIME, SECOND, Service, fault, finding, is_long, wait_for};

fn fake() -> FakeSlack {
    let starting = FakeSlack::start(Options::default(), Clock::system());
    RUNTIME.block_on(starting).unwrap()
}

/// A service that walks through the log of the fake, with these settings of the source and blocks; not
/// started yet.
fn service(fake: &FakeSlack, settings: &str, blocks: &str) -> Service {
    let endpoint = fake.audit_endpoint();
    let source = format!(
        "{{type: slack, token: {{file: token}}, audit_endpoint: \"{endpoint}\", {settings}}}"
    );
    let service = Service::new(&LOG, &format!("sources: {{grid: {source}}}\n{blocks}"));
    fs::write(service.folder.path("token"), fake.token()).unwrap();
    service
}

/// In Unix seconds.
fn now() -> i64 {
    Clock::system().now() / SECOND
}

#[test]
fn a_theft_is_told_within_seconds() {
    const POLL_SECS: u64 = 2;
    const MOST: Duration = Duration::from_secs(POLL_SECS + 4);
    let fake = fake();
    let settings = format!("poll_secs: {POLL_SECS}, since: now");
    let mut service = service(&fake, &settings, "");
    service.start();
    wait_for("a first call", PATIENCE, || {
        (!fake.calls().is_empty()).then_some(())
    });
    for number in 0..2 {
        let id = format!("theft-{number}");
        fake.add(&finding(&id, now())).unwrap();
        let watch = Stopwatch::start();
        let told = service.folder.path("anomalies.ndjson");
        wait_for("the anomaly in the file", PATIENCE, || {
            let text = fs::read_to_string(&told).unwrap_or_default();
            text.contains(&format!("\"{id}\"")).then_some(())
        });
        let time = watch.elapsed();
        println!("with a poll every {POLL_SECS} s the anomaly was told after {time:?}");
        assert!(time < MOST, "it took {time:?}");
    }
    service.stop();
}

/// The memory that a program says it takes, in MiB.
fn resident_mib(metrics: &str) -> u64 {
    let mut lines = metrics.lines();
    let bytes = lines.find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    let bytes: f64 = bytes.unwrap().parse().unwrap();
    (bytes as u64) >> 20
}

#[test]
fn memory_does_not_grow_with_the_past_that_is_fetched() {
    const MOST_MIB: u64 = 300;
    let events: i64 = if is_long() { 200_000 } else { 10_000 };
    let fake = fake();
    let begin = now() - 6 * 3_600;
    for number in 0..events {
        let second = begin + number * 5 * 3_600 / events - START;
        let line = event(&format!("past-{number}"), second, "U1");
        // What no rule looks at.
        let added = fake.add(&line.replace("user_login", "emoji_added"));
        added.unwrap();
    }
    fake.script([
        fault(2, 1, Act::CutBody),
        fault(4, 1, Act::Truncated),
        fault(5, 1, Act::EmptyPage),
        fault(6, 1, Act::Status(500)),
    ]);
    let mut service = service(&fake, "since: 7h", "memory: {ingest_mib: 64}");
    let client = service.client(&service.token("metrics"));
    let resident = || resident_mib(&client.get("/metrics").unwrap().text);
    service.start();
    let before = resident();
    let (mut most, reader) = (before, service.reader());
    wait_for("the past", 5 * PATIENCE, || {
        most = most.max(resident());
        let totals = reader.totals().unwrap();
        let kept = totals.tail_rows + totals.segment_rows;
        (kept == events.unsigned_abs()).then_some(())
    });
    println!("{events} events took {before} MiB at the start and {most} MiB at most");
    assert!(most - before < MOST_MIB, "{before} MiB, then {most} MiB");
    service.stop();
}
