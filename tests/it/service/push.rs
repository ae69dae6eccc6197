//! What an answer promises: events that are on disk, once each, and nothing for whoever may not push.

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use gridwatch::clock::Clock;
use serde_json::{Value, json};

use super::{LOG, MONDAY, Service, assert_same, body, finding, second, wait_for};

/// The clock, in Unix seconds.
fn now() -> i64 {
    Clock::system().now() / 1_000_000
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn page(events: &[String]) -> Vec<u8> {
    let entries = events.join(",");
    format!("{{\"entries\":[{entries}],\"response_metadata\":{{\"next_cursor\":\"\"}}}}")
        .into_bytes()
}

/// Gives a request with these events.
type Form = fn(&[String]) -> Vec<u8>;

/// How events may come: by name, what is said of their coding, and the form.
const FORMS: [(&str, Option<&str>, Form); 9] = [
    ("lines", None, body),
    ("lines that are called plain", Some("identity"), body),
    ("a page of the API", None, page),
    ("an array", None, |events| {
        format!("[{}]", events.join(",\n")).into_bytes()
    }),
    ("gzip", None, |events| gzip(&body(events))),
    ("gzip that is named", Some("gzip"), |events| {
        gzip(&body(events))
    }),
    ("zstd", None, |events| zstandard(&body(events))),
    ("zstd that is named", Some("zstd"), |events| {
        zstandard(&page(events))
    }),
    ("a page in gzip", None, |events| gzip(&page(events))),
];

#[test]
fn every_form_is_on_disk_when_it_is_answered() {
    let mut service = Service::new(&LOG, "");
    let mut pushed = Vec::new();
    for (number, (name, coding, form)) in FORMS.into_iter().enumerate() {
        let at = |n: usize| MONDAY + (2 * number + n) as i64;
        let events = [0, 1].map(|n| finding(&format!("form-{number}-{n}"), at(n)));
        service.start();
        let client = service.sender();
        for expected in [(2, 0, 0), (0, 2, 0)] {
            let bytes = form(&events);
            let answer = match coding {
                Some(coding) => client.push_coded(bytes, coding),
                None => client.push(bytes),
            };
            assert_eq!(answer.unwrap().receipt(), expected, "{name}");
        }
        service.kill();
        pushed.extend(events);
        service.assert_keeps(&pushed);
    }
    service.start();
    service.await_judged(second(pushed.last().unwrap()));
    service.stop();
    assert_eq!(service.stored().len(), pushed.len());
    service.assert_told();
}

#[test]
fn what_cannot_be_read_is_refused_whole() {
    let mut service = Service::new(&LOG, "");
    service.start();
    let client = service.sender();
    let bytes = gzip(&body(&[finding("cut-off", MONDAY)]));
    let cut_off = client.push(bytes[..bytes.len() - 5].to_vec()).unwrap();
    assert_eq!(cut_off.status, 400, "{}", cut_off.text);
    assert!(cut_off.text.contains("send it whole"), "{}", cut_off.text);
    let other = client.push_coded(bytes, "br").unwrap();
    assert_eq!(other.status, 415, "{}", other.text);
    let elsewhere = client
        .to("grid")
        .push(body(&[finding("lost", MONDAY)]))
        .unwrap();
    assert_eq!(elsewhere.status, 404, "{}", elsewhere.text);
    assert!(elsewhere.text.contains("use push"), "{}", elsewhere.text);
    assert_eq!(client.push(Vec::new()).unwrap().receipt(), (0, 0, 0));
    service.stop();
    service.assert_keeps(&[]);
}

#[test]
fn what_is_no_event_is_told_by_its_line() {
    let mut service = Service::new(&LOG, "");
    service.start();
    let client = service.sender();
    let good: Vec<String> = (0..4)
        .map(|n| finding(&format!("good-{n}"), MONDAY))
        .collect();
    let [a, b, c, d] = good.as_slice() else {
        unreachable!("there are four")
    };
    for (text, receipt, lines) in [
        (
            format!("not json\n{a}\n{{\"id\":\"x\"}}\n\n{a}\r\n7\n{{}}"),
            (1, 1, 4),
            vec![1, 3, 6, 7],
        ),
        (
            format!("[\n{b},\n5,\n{{\"id\":\"x\"}}\n]"),
            (1, 0, 2),
            vec![3, 4],
        ),
        (
            format!("{{\"entries\":[\n{c},\n{{\"id\":\"x\"}}\n], \"response_metadata\":{{}}}}"),
            (1, 0, 1),
            vec![3],
        ),
        (format!("{d}\n{{\"id\":\"torn"), (1, 0, 1), vec![2]),
    ] {
        let answer = client.push(text.clone().into_bytes()).unwrap();
        assert_eq!(answer.receipt(), receipt, "{text}: {}", answer.text);
        let answer = answer.json();
        let rejects = answer["rejects"].as_array().unwrap();
        let told: Vec<Option<i64>> = rejects.iter().map(|r| r["line"].as_i64()).collect();
        let lines: Vec<Option<i64>> = lines.into_iter().map(Some).collect();
        assert_eq!(told, lines, "{answer}");
        for reject in rejects {
            assert_eq!(reject["input"], "push");
            assert_ne!(reject["reason"], "");
        }
    }
    service.stop();
    service.assert_keeps(&good);
    assert_eq!(rejects(&service), [("malformed".to_owned(), 8)]);
}

/// How many rejects of each kind are kept.
fn rejects(service: &Service) -> Vec<(String, i64)> {
    let state = rusqlite::Connection::open(service.data.join("state.db")).unwrap();
    let query = "SELECT kind, count(*) FROM reject GROUP BY kind ORDER BY kind";
    let mut query = state.prepare(query).unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_future_is_refused_and_moves_nothing() {
    let mut service = Service::new(&LOG, "");
    service.start();
    let client = service.sender();
    let tomorrow = now() + 86_400;
    let events = [finding("soon", now() + 60), finding("tomorrow", tomorrow)];
    let answer = client.push(body(&events)).unwrap();
    assert_eq!(answer.receipt(), (1, 0, 1), "{}", answer.text);
    let receipt = answer.json();
    let reject = &receipt["rejects"][0];
    assert_eq!(reject["input"], "push", "{reject}");
    assert_eq!(reject["text"], json!(events[1]));
    let reason = reject["reason"].as_str().unwrap();
    assert!(reason.contains("ahead of the clock"), "{reason}");
    let metric = "rejects_total{kind=\"future\",source=\"push\"}";
    assert!(service.metric(metric) > 0.0);
    service.await_judged(second(&events[0]));
    let watermark = service.reader().watermark().unwrap().unwrap();
    assert!(watermark < tomorrow * 1_000_000);
    service.stop();
    service.assert_keeps(&events[..1]);
    assert_eq!(rejects(&service), [("future".to_owned(), 1)]);
}

#[test]
fn an_event_counts_once_however_often_it_comes() {
    let mut service = Service::new(&LOG, "");
    service.start();
    // The same id at another second is another event.
    let events = [
        finding("a", MONDAY),
        finding("a", MONDAY + 1),
        finding("b", MONDAY),
    ];
    let twice = [&events[..], &events[..]].concat();
    let push = |service: &Service| {
        let answer = service.sender().push(body(&twice)).unwrap();
        answer.receipt()
    };
    assert_eq!(push(&service), (3, 3, 0), "in one request");
    assert_eq!(push(&service), (0, 6, 0), "in another request");
    assert!(service.metric("duplicates_total{source=\"push\"}") > 8.0);
    service.await_judged(MONDAY + 1);
    let sealed = |service: &Service| {
        let totals = service.reader().totals().unwrap();
        (totals.tail_rows == 0 && totals.segment_rows == 3).then_some(())
    };
    wait_for("a seal", Duration::from_secs(30), || sealed(&service));
    assert_eq!(push(&service), (0, 6, 0), "sealed");
    service.stop();
    service.start();
    assert_eq!(push(&service), (0, 6, 0), "after a restart");
    service.kill();
    service.start();
    assert_eq!(push(&service), (0, 6, 0), "after a crash");
    service.stop();
    service.assert_keeps(&events);
}

/// At a start the newest half million of events are learned by heart, and a little more.
#[test]
fn duplicates_that_are_older_than_memory_are_found_in_the_archive() {
    const EVENTS: usize = 600_000;
    const BATCH: usize = 60_000;
    let line = |n: usize| {
        let second = MONDAY + n as i64 / 50;
        format!("{{\"id\":\"{n:08x}\",\"date_create\":{second},\"action\":\"a\"}}")
    };
    let lines = |range: Range<usize>| body(&range.map(line).collect::<Vec<_>>());
    let mut service = Service::new(&LOG, "");
    let store = "seal_secs: 1, seal_rows: 131072, snapshot_secs: 3600";
    service.configure(store, "");
    service.start();
    for start in (0..EVENTS).step_by(BATCH) {
        let answer = service.sender().push(lines(start..start + BATCH)).unwrap();
        assert_eq!(answer.receipt(), (BATCH as u64, 0, 0));
    }
    service.await_judged(MONDAY + (EVENTS as i64 - 1) / 50);
    service.stop();
    service.start();
    for start in [0, BATCH / 2, EVENTS - 1000] {
        let answer = service.sender().push(lines(start..start + 1000)).unwrap();
        assert_eq!(answer.receipt(), (0, 1000, 0), "from {start} on");
    }
    // A new one of the oldest second, and then it is known.
    let new = body(&[finding("new", MONDAY)]);
    let answer = service.sender().push(new.clone()).unwrap();
    assert_eq!(answer.receipt(), (1, 0, 0));
    assert_eq!(answer.json()["late"], 1);
    let known = service.sender().push(new.clone()).unwrap();
    assert_eq!(known.receipt(), (0, 1, 0));
    service.kill();
    service.start();
    let known = service.sender().push(new).unwrap();
    assert_eq!(known.receipt(), (0, 1, 0), "after a crash");
    service.stop();
    let totals = service.reader().totals().unwrap();
    assert_eq!(totals.tail_rows + totals.segment_rows, EVENTS as u64 + 1);
}

#[test]
fn tokens_open_what_they_are_for_and_show_up_nowhere() {
    let mut service = Service::new(&LOG, "");
    service.level = "trace";
    service.start();
    let (ingest, metrics) = (service.ingest.clone(), service.metrics.clone());
    let event = body(&[finding("secret", MONDAY)]);
    let mut answers = Vec::new();
    for (token, pushed, read) in [
        ("", 401, 401),
        ("gw_ingest_0000", 401, 401),
        (&ingest[..ingest.len() - 1], 401, 401),
        (metrics.as_str(), 403, 200),
        (ingest.as_str(), 200, 403),
    ] {
        let client = service.client(token);
        let push = client.push(event.clone()).unwrap();
        let get = client.get("/metrics").unwrap();
        assert_eq!((push.status, get.status), (pushed, read), "{token}");
        answers.extend([push, get, client.get(&format!("/{ingest}")).unwrap()]);
    }
    // One that is made while the service runs counts within two seconds.
    let owner = service.token("owner");
    wait_for("the new token", Duration::from_secs(4), || {
        let answer = service.client(&owner).push(event.clone()).unwrap();
        (answer.status == 200).then_some(())
    });
    service.stop();
    service.assert_keeps(&[finding("secret", MONDAY)]);
    answers.retain(|answer| answer.status != 200);
    for token in [&ingest, &metrics, &owner] {
        let secret = token.splitn(3, '_').nth(2).unwrap();
        for answer in &answers {
            assert!(!answer.text.contains(secret), "{answer:?}");
        }
        assert_absent(Path::new(&service.folder.path("log")), secret);
        assert_absent(&service.data, secret);
    }
}

/// Fails if the text stands in this file, or in a file of this folder.
fn assert_absent(path: &Path, text: &str) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            assert_absent(&entry.unwrap().path(), text);
        }
        return;
    }
    let bytes = fs::read(path).unwrap();
    let found = memchr::memmem::find(&bytes, text.as_bytes());
    assert_eq!(found, None, "{} holds a token", path.display());
}

#[test]
fn an_old_file_is_judged_once_its_sender_falls_silent() {
    // A lateness of a second, and three seconds for the rest.
    let most = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 4 });
    let mut service = Service::new(&LOG, "");
    service.start();
    let events = LOG.lines.len() as u64;
    let answer = service.sender().push(body(&LOG.lines)).unwrap();
    assert_eq!(answer.receipt(), (events, 0, 0));
    let waited = service.await_judged(second(LOG.lines.last().unwrap()));
    let stored = service.stored();
    let seconds = waited.as_secs_f64();
    println!(
        "{} anomalies of {events} events told {seconds:.2} s after the answer",
        stored.len()
    );
    assert!(waited < most, "{waited:?}");
    assert_same("an anomaly", &stored, &service.found_in(&LOG.lines));
    assert!(stored.len() > 20);
    service.assert_told();
    service.stop();
}

/// The clock does not move an old file on, so that nothing but the event itself can.
#[test]
fn an_event_that_comes_after_its_second_was_over_is_judged_all_the_same() {
    let mut service = Service::new(&LOG, "");
    service.start();
    let push = |service: &Service, id: &str, second: i64| {
        let answer = service.sender().push(body(&[finding(id, second)])).unwrap();
        assert_eq!(answer.receipt(), (1, 0, 0));
    };
    let found = |service: &Service, id: &str| {
        let records = service.stored().into_iter();
        let mut records = records.map(|record| serde_json::from_str::<Value>(&record).unwrap());
        records.any(|record| record["event_id"] == id).then_some(())
    };
    push(&service, "first", MONDAY);
    service.await_judged(MONDAY);
    push(&service, "second", MONDAY);
    wait_for("a delayed finding", Duration::from_secs(10), || {
        found(&service, "second")
    });
    push(&service, "third", MONDAY - 1);
    service.kill();
    service.start();
    wait_for(
        "a delayed finding after a crash",
        Duration::from_secs(10),
        || found(&service, "third"),
    );
    service.stop();
}
