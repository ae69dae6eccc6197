//! `gridwatch export`.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use arrow::array::AsArray;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use gridwatch::event::schema::{COLUMNS, ColumnSet};
use serde_json::{Value, json};

use super::{ACTIONS, EVENTS, Kept, START, STEP, csv_rows, event};
use crate::gridwatch;

#[test]
fn every_form_gives_all_events_in_their_order() {
    let (kept, events) = Kept::usual();
    let ran = kept.run("export", &["--format", "ndjson"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.lines().eq(&events));
    assert_eq!(ran.err, "300 events\n");
    let again = gridwatch(&["detect"], ran.out.as_bytes());
    assert!(again.err.contains("300 events, 0 rejects"), "{}", again.err);
    let ran = kept.run("export", &["--format", "json", "--quiet"]);
    let array: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert!(array.into_iter().eq((0..EVENTS).map(event)));
    assert_eq!(ran.err, "");

    let found = csv_rows(&kept.run("export", &["--format", "csv"]).out);
    let names = COLUMNS.iter().map(|(_, name)| *name);
    assert!(names.filter(|name| *name != "raw").eq(&found[0]));
    let column = |name: &str| found[0].iter().position(|known| known == name).unwrap();
    assert_eq!(found.len(), EVENTS + 1);
    for (n, row) in found[1..].iter().enumerate() {
        assert_eq!(row[column("event_id")], format!("e{n:03}"));
        assert_eq!(row[column("action")], ACTIONS[n % 3]);
        assert_eq!(row[column("details")], format!("{{\"n\":{n}}}"));
        assert_eq!(row[column("late")], "false");
    }

    let path = kept.0.path("taken.parquet");
    let ran = kept.run("export", &["--format", "parquet", "--output", &path]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{}", ran.err);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    let wanted = ColumnSet::all().schema();
    for (field, wanted) in reader.schema().fields().iter().zip(wanted.fields()) {
        assert_eq!(field.name(), wanted.name());
        assert_eq!(field.data_type(), wanted.data_type());
    }
    let mut raw: Vec<String> = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let lines = batch["raw"].as_string_view().iter().flatten();
        raw.extend(lines.map(str::to_owned));
    }
    assert_eq!(raw, events);
    let mut files: Vec<_> = fs::read_dir(kept.0.path(".")).unwrap().collect();
    files.retain(|file| file.as_ref().unwrap().path().is_file());
    assert_eq!(
        files.len(),
        2,
        "the configuration and what was taken out: {files:?}"
    );
}

fn number(id: &str) -> usize {
    id.trim_start_matches('e').parse().unwrap()
}

/// The numbers of the events that an export gives.
fn exported(kept: &Kept, arguments: &[&str]) -> Vec<usize> {
    let mut all = vec!["--format", "ndjson"];
    all.extend(arguments);
    let ran = kept.run("export", &all);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
    let events = ran
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .map(|event| number(event["id"].as_str().unwrap()))
        .collect()
}

/// Flags, and which events they mean.
type Case<'a> = (&'a [&'a str], &'a dyn Fn(usize) -> bool);

#[test]
fn flags_narrow_what_is_taken_out() {
    let (kept, _) = Kept::usual();
    let second = |n: usize| START + n as i64 * STEP;
    let monday = START + 3_600;
    let seconds = (monday - 1_200).to_string();
    let cases: [Case<'_>; 15] = [
        (&["--actor", "U1"], &|n| n % 5 == 1),
        (&["--actor", "u2@example.com"], &|n| n % 5 == 2),
        (&["--actor", "Name 3"], &|n| n % 5 == 3),
        (&["--actor", "U1", "--actor", "Name 3"], &|n| {
            matches!(n % 5, 1 | 3)
        }),
        (&["--actor", "u1"], &|_| false),
        (&["--actor", "x' OR '1'='1"], &|_| false),
        (&["--action", "user_login"], &|n| n % 3 == 0),
        (
            &["--action", "user_login", "--action", "user_logout"],
            &|n| n % 3 != 1,
        ),
        (&["--entity", "F2"], &|n| n % 7 == 2),
        (
            &[
                "--entity",
                "File 2",
                "--actor",
                "U4",
                "--action",
                "user_logout",
            ],
            &|n| n % 7 == 2 && n % 5 == 4 && n % 3 == 2,
        ),
        (&["--from", "2026-03-03", "--to", "2026-03-04"], &|n| {
            (monday + 86_400..monday + 172_800).contains(&second(n))
        }),
        (
            &[
                "--from",
                "2026-03-01T23:20:00Z",
                "--to",
                "2026-03-02T01:20:00+01:00",
            ],
            &|n| (START + 1_200..monday + 1_200).contains(&second(n)),
        ),
        (&["--from", seconds.as_str(), "--actor", "U0"], &|n| {
            second(n) >= monday - 1_200 && n % 5 == 0
        }),
        (&["--to", "2026-03-02 00:00:01"], &|n| second(n) <= monday),
        (&["--from", "2027-01-01"], &|_| false),
    ];
    for (arguments, is_meant) in cases {
        let expected: Vec<usize> = (0..EVENTS).filter(|n| is_meant(*n)).collect();
        assert_eq!(exported(&kept, arguments), expected, "{arguments:?}");
    }
    let ran = kept.run("export", &["--format", "csv", "--from", "2027-01-01"]);
    assert_eq!(ran.err, "0 events: none is as the flags ask\n");
}

#[test]
fn order_is_that_of_time_wherever_events_are() {
    // They came from the last to the first, and those of one second in turn.
    let events: Vec<String> = (0..EVENTS)
        .rev()
        .map(|n| {
            let mut event = event(n);
            event["date_create"] = (START + (n / 10) as i64 * 7_200).into();
            event.to_string()
        })
        .collect();
    for sealed in [0, 128, EVENTS] {
        let kept = Kept::with(&events, sealed);
        // With the memory that is usual, and with next to none.
        for memory in ["", "memory: {query_mib: 4}\n"] {
            let config = format!("store: {{path: data}}\n{memory}");
            fs::write(kept.0.path("gridwatch.yaml"), config).unwrap();
            let all: Vec<usize> = (0..EVENTS).collect();
            assert_eq!(exported(&kept, &[]), all, "{sealed} {memory}");
        }
    }
}

#[test]
fn what_was_pretty_comes_out_on_one_line() {
    let pretty = serde_json::to_string_pretty(&event(1))
        .unwrap()
        .replace('\n', "\r\n");
    let kept = Kept::with(&[event(0).to_string(), pretty], 1);
    let ran = kept.run("export", &["--format", "ndjson"]);
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, [event(0), event(1)]);
}

#[test]
fn hostile_cells_are_no_formulas() {
    let texts = [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2+3",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "a,\"b\"\r\n=1",
        "'=1",
    ];
    let hostile = |(n, text): (usize, &&str)| {
        let mut event = event(n);
        event["actor"]["user"]["name"] = (*text).into();
        event["context"]["ua"] = (*text).into();
        event["details"] = json!({"=1": text});
        event.to_string()
    };
    let events: Vec<String> = texts.iter().enumerate().map(hostile).collect();
    let kept = Kept::with(&events, 4);
    let sql = "SELECT actor_name, user_agent, -1.5 AS number FROM events ORDER BY event_id";
    let asked = csv_rows(&kept.run("query", &["--format", "csv", sql]).out);
    let taken = csv_rows(&kept.run("export", &["--format", "csv"]).out);
    let column = |name: &str| taken[0].iter().position(|known| known == name).unwrap();
    for (n, text) in texts.iter().enumerate() {
        let mark = if text.starts_with(['a', '\'']) {
            ""
        } else {
            "'"
        };
        let cell = format!("{mark}{text}");
        assert_eq!(asked[n + 1], [cell.as_str(), &cell, "-1.5"]);
        for name in ["actor_name", "user_agent"] {
            assert_eq!(taken[n + 1][column(name)], cell);
        }
        let details = json!({"=1": text}).to_string();
        assert_eq!(taken[n + 1][column("details")], details);
    }
    assert!(
        kept.run("export", &["--format", "ndjson"])
            .out
            .lines()
            .eq(&events)
    );
}

#[test]
fn where_nothing_is_that_is_said() {
    let empty = Kept::with(&[], 0);
    let missing = Kept::with(&[], 0);
    let data = missing.0.path("data");
    fs::remove_dir_all(&data).unwrap();
    let none = format!(
        "0 events: the store in {} has none yet\n",
        empty.0.path("data")
    );
    for (format, lines) in [("ndjson", 0), ("json", 1), ("csv", 1)] {
        let ran = empty.run("export", &["--format", format]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), none.as_str()));
        assert_eq!(ran.out.lines().count(), lines, "{}", ran.out);
    }
    let found = empty.query("SELECT count(*) AS n, max(ip) AS ip FROM events");
    assert_eq!(found, [json!({"n": 0, "ip": null})]);
    assert_eq!(
        empty.query("SELECT count(*) AS n FROM anomalies"),
        [json!({"n": 0})]
    );
    for (verb, arguments) in [
        ("query", vec!["SELECT 1"]),
        ("export", vec!["--format", "csv"]),
    ] {
        let ran = missing.run(verb, &arguments);
        let wanted = format!("there is no store in {data}; `gridwatch run` makes one");
        assert_eq!((ran.code, ran.out.as_str()), (Some(74), ""), "{}", ran.err);
        assert!(ran.err.contains(&wanted), "{}", ran.err);
    }
    assert!(!fs::exists(data).unwrap(), "looking makes nothing");
}

#[test]
fn mistakes_are_told_from_failures() {
    let (kept, events) = Kept::usual();
    let (folder, file) = (kept.0.path("."), kept.0.path("taken.csv"));
    let nowhere = kept.0.path("no/such/folder.csv");
    for (arguments, code, wanted) in [
        (vec![], 2, "--format"),
        (vec!["--format", "xml"], 2, "xml"),
        (
            vec!["--format", "csv", "--from", "yesterday"],
            2,
            "write a date, 2026-03-02",
        ),
        (
            vec![
                "--format",
                "csv",
                "--from",
                "2026-03-02",
                "--to",
                "2026-03-02",
            ],
            2,
            "--from 2026-03-02T00:00:00Z is not before --to 2026-03-02T00:00:00Z",
        ),
        (
            vec!["--format", "csv", "--output", &folder],
            2,
            "is no file: name another",
        ),
        (
            vec!["--format", "csv", "--output", "/dev/null"],
            2,
            "/dev/null is no file",
        ),
        (
            vec!["--format", "csv", "--output", &nowhere],
            74,
            "cannot write",
        ),
        (vec!["--format", "csv", "--output", &file], 0, "300 events"),
        (
            vec!["--format", "csv", "--output", &file, "--actor", "U1"],
            0,
            "60 events",
        ),
    ] {
        let ran = kept.run("export", &arguments);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (Some(code), ""),
            "{arguments:?}: {}",
            ran.err
        );
        assert!(ran.err.contains(wanted), "{arguments:?}: {}", ran.err);
    }
    assert_eq!(
        csv_rows(&fs::read_to_string(&file).unwrap()).len(),
        events.len() / 5 + 1
    );
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let (kept, _) = Kept::usual();
    let sql = "SELECT * FROM events CROSS JOIN generate_series(1, 100)";
    for arguments in [
        ["query", "--format", "csv", sql],
        ["query", "--format", "ndjson", sql],
        ["export", "--format", "csv", "--quiet"],
        ["export", "--format", "parquet", "--quiet"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gridwatch"))
            .args(arguments)
            .args(["--config", &kept.0.path("gridwatch.yaml")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), err.as_ref()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}
