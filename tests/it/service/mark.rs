//! Marks and tables of days: what people say of anomalies counts from then on, in every run over the log.

use std::time::Duration;

use serde_json::{Value, json};

use super::{LOG, Log, MONDAY, Service, assert_same, gridwatch, pause, wait_for};

const DAY: i64 = 86_400;
/// So many people fetch a file a day: enough active hours to tell what is unlikely.
const PEOPLE: usize = 500;
/// The day of the hauls.
const HAUL: i64 = 9;

fn download(id: &str, second: i64, person: &str, file: &str) -> String {
    json!({
        "id": id,
        "date_create": second,
        "action": "file_downloaded",
        "actor": {"type": "user", "user": {"id": person}},
        "entity": {"type": "file", "file": {"id": file}},
        "context": {"ip_address": "198.51.100.7", "session_id": "11111111111"},
    })
    .to_string()
}

/// Ordinary days, from this one up to another.
fn days(first: i64, end: i64) -> Vec<String> {
    let of_day = |day: i64| {
        (0..PEOPLE).map(move |person| {
            let second = MONDAY + day * DAY + 8 * 3600 + person as i64;
            let file = format!("F{person}");
            download(
                &format!("day-{day}-{person}"),
                second,
                &format!("U{person}"),
                &file,
            )
        })
    };
    (first..end).flat_map(of_day).collect()
}

/// Two people fetch a hundred files each, in the hour in which people are active.
fn hauls(day: i64) -> Vec<String> {
    let hauls = (0..100_i64).flat_map(|file| {
        ["U1", "U2"].map(|person| {
            let second = MONDAY + day * DAY + 8 * 3600 + 1800 + 5 * file;
            let id = format!("haul-{day}-{person}-{file:03}");
            download(&id, second, person, &format!("G{file}"))
        })
    });
    hauls.collect()
}

/// The stored anomalies of the statistical rule: id, person and day.
fn found(service: &Service) -> Vec<(String, String, i64)> {
    let found = service.stored().into_iter().filter_map(|record| {
        let record: Value = serde_json::from_str(&record).unwrap();
        let time: jiff::Timestamp = record["event_time"].as_str()?.parse().ok()?;
        let text = |field: &str| record[field].as_str().map(str::to_owned);
        (record["rule"] == "file_bulk_download")
            .then(|| Some((text("id")?, text("key")?, (time.as_second() - MONDAY) / DAY)))?
    });
    found.collect()
}

fn mark(service: &Service, id: &str, verdict: &str) -> crate::Ran {
    let config = service.config();
    let arguments = [
        "mark", id, verdict, "--reason", "we asked", "--config", &config,
    ];
    gridwatch(&arguments, b"")
}

fn push(service: &Service, lines: &[String]) {
    for lines in lines.chunks(1000) {
        service.sender().push_patiently(lines);
    }
}

fn await_judged(service: &Service, lines: &[String]) {
    service.await_judged(super::second(lines.last().unwrap()));
}

#[test]
fn what_is_marked_benign_is_learned_and_an_attack_is_not() {
    let log = Log {
        lines: days(0, HAUL),
        networks: LOG.networks.clone(),
    };
    let mut service = Service::new(&log, "");
    service.start();
    let first = [log.lines, hauls(HAUL)].concat();
    push(&service, &first);
    // The next second closes the last one.
    let next = days(HAUL + 1, HAUL + 2);
    push(&service, &next[..1]);
    await_judged(&service, &first);
    let hits = wait_for("the hauls", Duration::from_secs(60), || {
        let found = found(&service);
        let has = |person: &str| found.iter().any(|(_, key, _)| key == person);
        (has("U1") && has("U2")).then_some(found)
    });
    for (id, person, day) in &hits {
        assert_eq!(*day, HAUL, "{hits:?}");
        let verdict = if person == "U1" { "benign" } else { "attack" };
        let ran = mark(&service, id, verdict);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
    }
    wait_for("the marks", Duration::from_secs(10), || {
        let marks = service.reader().marks().ok()?;
        (marks.len() == hits.len()).then_some(())
    });
    service.kill();
    service.start();
    push(&service, &next[1..]);
    push(&service, &hauls(HAUL + 1));
    push(&service, &days(HAUL + 2, HAUL + 3)[..1]);
    await_judged(&service, &hauls(HAUL + 1));
    pause(Duration::from_millis(200));
    service.stop();
    let again: Vec<String> = found(&service)
        .into_iter()
        .filter_map(|(_, person, day)| (day == HAUL + 1).then_some(person))
        .collect();
    assert!(
        !again.is_empty() && again.iter().all(|person| person == "U2"),
        "{again:?}"
    );
    for execution in ["live", "history"] {
        assert_same(
            "an anomaly",
            &service.stored(),
            &service.found_in_store(execution),
        );
    }
    let tables = service.reader().control("day").unwrap();
    let mut watermarks: Vec<i64> = tables.iter().map(|(watermark, _)| *watermark).collect();
    watermarks.dedup();
    assert_eq!(watermarks.len(), tables.len(), "a table was recorded twice");
    assert!(tables.len() >= HAUL as usize, "{}", tables.len());
}

#[test]
fn a_mark_names_an_anomaly_and_says_why() {
    let log = Log {
        lines: days(0, 1),
        networks: LOG.networks.clone(),
    };
    let service = Service::new(&log, "");
    let ran = mark(&service, "0123", "benign");
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.contains("there is no anomaly `0123`"),
        "{}",
        ran.err
    );
    let ran = mark(&service, "0123", "harmless");
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("use benign or attack"), "{}", ran.err);
}
