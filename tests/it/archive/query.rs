//! `gridwatch query`.

use std::fs;

use gridwatch::event::schema::COLUMNS;
use gridwatch::event::time::MICROS;
use gridwatch::store::{Advance, Found};
use serde_json::{Value, json};

use super::{EVENTS, Kept, START, csv_rows};
use crate::anomalies;

#[test]
fn queries_see_archive_and_tail_as_one() {
    let (kept, _) = Kept::usual();
    let count = |is_meant: &dyn Fn(usize) -> bool| (0..EVENTS).filter(|n| is_meant(*n)).count();
    for (condition, expected) in [
        ("true", EVENTS),
        ("actor_id = 'U3'", count(&|n| n % 5 == 3)),
        (
            "action = 'user_login' AND entity_id = 'F2'",
            count(&|n| n % 3 == 0 && n % 7 == 2),
        ),
        (
            "event_time >= '2026-03-03' AND event_time < '2026-03-04'",
            72,
        ),
        ("json_get_int(details, 'n') >= 250", 50),
        (
            "source = 'push' AND NOT late AND order_time = event_time",
            EVENTS,
        ),
        (
            "event_id IN (SELECT event_id FROM events WHERE ip = '198.51.100.4')",
            count(&|n| n % 9 == 4),
        ),
    ] {
        let found = kept.query(&format!(
            "SELECT count(*) AS n FROM events WHERE {condition}"
        ));
        assert_eq!(found, [json!({"n": expected})], "{condition}");
    }
    let found =
        kept.query("SELECT action, count(*) AS n FROM events GROUP BY action ORDER BY action");
    let expected = ["file_downloaded", "user_login", "user_logout"];
    assert_eq!(
        found,
        expected.map(|action| json!({"action": action, "n": 100}))
    );
    let found = kept.query("SELECT min(event_time) AS first, max(event_time) AS last FROM events");
    let ends = json!({"first": "2026-03-01T23:00:00Z", "last": "2026-03-06T02:40:00Z"});
    assert_eq!(found, [ends]);
    let found = kept.query("SELECT details->'n' AS n, city FROM events WHERE event_id = 'e007'");
    assert_eq!(found, [json!({"n": "7", "city": null})]);
    assert_eq!(kept.query("DESCRIBE events").len(), COLUMNS.len());
    let tables = kept.query("SHOW TABLES");
    for name in ["events", "anomalies"] {
        assert!(
            tables.iter().any(|table| table["table_name"] == name),
            "{name}"
        );
    }
}

#[test]
fn rows_come_in_the_form_that_is_asked_for() {
    let (kept, _) = Kept::usual();
    let sql =
        "SELECT event_id, event_time, latitude, 5 - 7 AS n FROM events ORDER BY event_id LIMIT 2";
    let run = |format: &str, sql: &str| {
        let ran = kept.run("query", &["--format", format, sql]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran
    };
    let row = |id: &str, time: &str| json!({"event_id": id, "event_time": time, "latitude": null, "n": -2});
    let rows = [
        row("e000", "2026-03-01T23:00:00Z"),
        row("e001", "2026-03-01T23:20:00Z"),
    ];
    assert_eq!(anomalies(&run("ndjson", sql).out), rows);
    let array: Vec<Value> = serde_json::from_str(&run("json", sql).out).unwrap();
    assert_eq!(array, rows);
    let found = csv_rows(&run("csv", sql).out);
    assert_eq!(found[0], ["event_id", "event_time", "latitude", "n"]);
    assert_eq!(found[2], ["e001", "2026-03-01T23:20:00Z", "", "-2"]);
    let table = run("table", sql).out;
    for text in ["event_id", "e000", "2026-03-01T23:20:00Z"] {
        assert!(table.contains(text), "{text}: {table}");
    }
    let list = run("table", "SELECT * FROM events ORDER BY event_id LIMIT 2").out;
    assert!(list.starts_with("row 1\n  event_id"), "{list}");
    let none = "SELECT action, ip FROM events WHERE false";
    assert_eq!(run("json", none).out, "[]\n");
    assert_eq!(run("csv", none).out, "action,ip\n");
    assert_eq!(run("ndjson", none).out, "");
    let long = run("table", "SELECT value FROM generate_series(1, 10001)");
    assert!(
        long.err.contains("only the first 10,000 rows"),
        "{}",
        long.err
    );
    assert!(!long.out.contains("10001"));
}

#[test]
fn anomalies_are_a_table() {
    let (kept, _) = Kept::usual();
    let found = |n: usize| Found {
        id: format!("a{n:04}"),
        rule: ["one", "two"][n % 2].to_owned(),
        level: "high",
        order_time: (START + n as i64) * MICROS,
        event_time: (START + n as i64) * MICROS,
        event_id: format!("e{:03}", n % EVENTS),
        exception: n.is_multiple_of(10).then(|| "known".to_owned()),
        shadow: n.is_multiple_of(4),
        record: json!({"id": n}).to_string(),
    };
    let found: Vec<Found> = (0..2_500).map(found).collect();
    let advance = Advance {
        control: &[],
        watermark: (START + 5_000) * MICROS,
        found: &found,
        sinks: &[],
        now: (START + 5_000) * MICROS,
    };
    kept.store().advance(&advance).unwrap();
    for (sql, expected) in [
        ("SELECT count(*) AS n FROM anomalies", json!({"n": 2500})),
        (
            "SELECT count(*) AS n FROM anomalies WHERE exception IS NULL AND NOT shadow",
            json!({"n": 1750}),
        ),
        (
            "SELECT rule, count(*) AS n FROM anomalies GROUP BY rule ORDER BY rule LIMIT 1",
            json!({"rule": "one", "n": 1250}),
        ),
        (
            "SELECT id, event_time, found_at, record FROM anomalies WHERE id = 'a2400'",
            json!({
                "id": "a2400",
                "event_time": "2026-03-01T23:40:00Z",
                "found_at": "2026-03-02T00:23:20Z",
                "record": "{\"id\":2400}",
            }),
        ),
        (
            "SELECT count(*) AS n FROM anomalies a JOIN events e ON a.event_id = e.event_id WHERE e.actor_id = 'U1'",
            json!({"n": 500}),
        ),
    ] {
        assert_eq!(kept.query(sql), [expected], "{sql}");
    }
}

#[test]
fn a_query_changes_nothing_and_says_what_is_wrong() {
    let (kept, events) = Kept::usual();
    let target = kept.0.path("taken.csv");
    let copy = format!("COPY events TO '{target}' STORED AS CSV");
    let outside = format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{target}'");
    for (sql, wanted) in [
        (
            "DROP TABLE events",
            "a query changes nothing: write a SELECT",
        ),
        ("CREATE TABLE x AS SELECT 1 AS a", "a query changes nothing"),
        ("CREATE VIEW x AS SELECT 1 AS a", "a query changes nothing"),
        ("DELETE FROM anomalies", ""),
        ("UPDATE anomalies SET rule = 'x'", ""),
        ("INSERT INTO events SELECT * FROM events", ""),
        (
            "EXPLAIN ANALYZE INSERT INTO events SELECT * FROM events",
            "",
        ),
        (copy.as_str(), ""),
        (outside.as_str(), "a query changes nothing"),
        (
            "SET datafusion.execution.batch_size = 1",
            "a query changes nothing",
        ),
        ("BEGIN", "Unsupported SQL statement"),
        (
            "SELECT * FROM '/etc/passwd'",
            "the tables are events and anomalies",
        ),
        ("SELECT 1; SELECT 2", ""),
        ("", ""),
        ("SELECT nope FROM events", "No field named nope"),
        (
            "SELECT nope FROM events",
            "the tables are events and anomalies",
        ),
        (
            "SELECT * FROM event",
            "table 'event' not found; the tables are events and anomalies",
        ),
        ("SELEC 1", "sql parser error"),
        ("SELECT nope(action) FROM events", "nope"),
        (
            "SELECT 1 / (n - n) FROM (SELECT json_get_int(details, 'n') AS n FROM events)",
            "ivide by zero",
        ),
    ] {
        let ran = kept.run("query", &[sql]);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (Some(2), ""),
            "{sql}: {}",
            ran.err
        );
        assert!(
            ran.err.contains(wanted) && !ran.err.is_empty(),
            "{sql}: {}",
            ran.err
        );
    }
    assert!(!fs::exists(target).unwrap());
    let found = kept.query("SELECT count(*) AS n FROM events");
    assert_eq!(found, [json!({"n": events.len()})]);
}

#[test]
fn a_query_ends_when_its_time_is_over() {
    let (kept, _) = Kept::usual();
    let million = "generate_series(1, 1000000)";
    let sql = format!("SELECT sum(a.value * b.value % 7) FROM {million} a CROSS JOIN {million} b");
    let ran = kept.run("query", &["--timeout-secs", "1", &sql]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(70), ""), "{}", ran.err);
    assert!(ran.err.contains("ended after 1 s"), "{}", ran.err);
    assert!(ran.err.contains("raise --timeout-secs"), "{}", ran.err);
    let ran = kept.run("query", &["--timeout-secs", "0", "SELECT 1"]);
    assert_eq!(ran.code, Some(2));
}
