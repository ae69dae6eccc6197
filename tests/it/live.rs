//! What the live engine refuses: queries that it cannot run, states that are none of its own, and
//! rules that remember too much.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use gridwatch::detect::live::Live;
use gridwatch::detect::plan::Planner;
use gridwatch::detect::{Program, Table};
use gridwatch::event::schema::{Column, UTC};

fn program(sql: &str) -> Program {
    Program {
        reads: Table::Events,
        sql: sql.to_owned(),
        key: vec!["actor_id".to_owned()],
        wait_micros: 0,
        conditions: Vec::new(),
        members: None,
    }
}

/// A query with this column.
fn with(column: &str) -> String {
    format!(
        "SELECT event_id, event_time, order_time, actor_id, {column} AS x, 'low' AS level FROM events"
    )
}

#[test]
fn what_cannot_run_event_by_event_is_refused_with_the_remedy() {
    const CANONICAL: &str = "PARTITION BY actor_id ORDER BY order_time, event_time, event_id";
    let planner = Planner::new().unwrap();
    let over = |call: &str, window: &str| with(&format!("{call} OVER ({window})"));
    let back = |call: &str, frame: &str| {
        over(
            call,
            &format!("PARTITION BY actor_id ORDER BY order_time {frame}"),
        )
    };
    let renamed = "SELECT event_id, event_time, order_time, actor_id, 'low' AS level, count(*) OVER \
                   (PARTITION BY actor_id ORDER BY order_time) AS n FROM (SELECT event_id, event_time, \
                   date_trunc('day', order_time) AS order_time, actor_id FROM events)";
    let lagging = format!(
        "SELECT lag(event_id) OVER ({CANONICAL}) AS event_id, event_time, order_time, actor_id, 'low' AS \
         level FROM events"
    );
    for (sql, wanted) in [
        (renamed.to_owned(), "not the event's own"),
        (lagging, "not the event's own"),
        (
            over("lag(ip) FILTER (WHERE own_context)", CANONICAL),
            "FILTER clause can only",
        ),
        (over("lag(ip, 2000)", CANONICAL), "1 to 1000 rows"),
        (
            over("count(*)", &format!("{CANONICAL} ROWS 5000 PRECEDING")),
            "use RANGE",
        ),
        (
            over(
                "count(*)",
                &format!("{CANONICAL} ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING"),
            ),
            "ends at a time",
        ),
        (back("count(DISTINCT ip)", ""), "give it a frame"),
        (back("sum(latitude)", ""), "CAST(round"),
        (
            back("sum(DISTINCT asn)", "RANGE INTERVAL '1 hour' PRECEDING"),
            "count(DISTINCT",
        ),
        (
            back("count(*)", "RANGE INTERVAL '3 days' PRECEDING"),
            "date_bin",
        ),
        (
            back("count(*)", "RANGE INTERVAL '1 month' PRECEDING"),
            "months",
        ),
        (
            back(
                "count(*)",
                "RANGE BETWEEN CURRENT ROW AND INTERVAL '2 hours' FOLLOWING",
            ),
            "1 hour",
        ),
        (
            back(
                "count(*)",
                "RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
            ),
            "1 hour",
        ),
        (
            back(
                "count(*)",
                "RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING",
            ),
            "write wait: 600s",
        ),
        (
            over(
                "count(*)",
                "PARTITION BY actor_id ORDER BY order_time, actor_id",
            ),
            "an order of its own",
        ),
        (
            over("count(*)", "PARTITION BY actor_id"),
            "without an order",
        ),
    ] {
        let refused = planner.check(&program(&sql));
        let said = refused
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(said.contains(wanted), "{sql}\n{said}");
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused_and_changes_nothing() {
    let planner = Planner::new().unwrap();
    let one = program(&with(
        "row_number() OVER (PARTITION BY actor_id ORDER BY order_time, event_time, event_id)",
    ));
    let other = program(&with(
        "count(*) OVER (PARTITION BY actor_id ORDER BY order_time)",
    ));
    let engine = Live::new(&planner, &[&one]).unwrap();
    let saved: Vec<Vec<u8>> = (0..Live::SHARDS)
        .map(|shard| engine.snapshot(shard).unwrap())
        .collect();
    let refusal = |program: &Program, saved: &[Vec<u8>]| {
        let mut engine = Live::new(&planner, &[program]).unwrap();
        engine.advance(7_000_000).unwrap();
        let refused = engine.restore(saved);
        assert!(refused.is_err() || engine.watermark() == i64::MIN);
        if refused.is_err() {
            assert_eq!(engine.watermark(), 7_000_000);
        }
        refused
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut saved = saved.clone();
        change(&mut saved[5]);
        saved
    };
    assert_eq!(refusal(&one, &saved), "");
    for (said, wanted) in [
        (refusal(&other, &saved), "is of other rules"),
        (refusal(&one, &saved[1..]), "not snapshots of all 64 shards"),
        (
            refusal(&one, &changed(&|bytes| bytes.truncate(80))),
            "is cut off",
        ),
        (
            refusal(&one, &changed(&|bytes| bytes.truncate(20))),
            "is cut off",
        ),
        (
            refusal(&one, &changed(&|bytes| bytes.truncate(3))),
            "is none of gridwatch",
        ),
        (
            refusal(&one, &changed(&|bytes| bytes[16] = 9)),
            "is of format 9, and this version reads format 3",
        ),
        (refusal(&one, &changed(&|bytes| bytes[90] ^= 1)), "checksum"),
    ] {
        assert!(said.contains(wanted), "{said}");
        assert!(said.contains("the state is built from the log"), "{said}");
    }
}

/// Events of a thousand people, one a second from this one on, each with a file of its own.
fn events(engine: &Live, from: i64, count: i64) -> RecordBatch {
    let schema = engine.columns().schema();
    let text = |name: &dyn Fn(i64) -> String| -> ArrayRef {
        let names = (from..from + count).map(|number| Some(name(number)));
        Arc::new(names.collect::<StringViewArray>())
    };
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match Column::by_name(field.name()) {
            Some(Column::EventId) => text(&|number| format!("{number:08}")),
            Some(Column::ActorId) => text(&|number| format!("U{}", number % 1000)),
            Some(Column::EntityId) => text(&|number| format!("file {number}")),
            _ => {
                let times = (from..from + count).map(|number| Some(number * 1_000_000));
                let times: TimestampMicrosecondArray = times.collect();
                Arc::new(times.with_timezone(UTC))
            }
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

#[test]
fn the_rule_that_remembers_too_much_is_stopped_and_the_others_go_on() {
    let planner = Planner::new().unwrap();
    let where_true = |column: &str, condition: &str| {
        program(&format!(
            "SELECT * FROM ({}) WHERE {condition}",
            with(column)
        ))
    };
    let heavy = where_true(
        "count(DISTINCT entity_id) OVER (PARTITION BY actor_id ORDER BY order_time RANGE INTERVAL '48 \
         hours' PRECEDING)",
        "x > 100",
    );
    let light = where_true(
        "row_number() OVER (PARTITION BY actor_id ORDER BY order_time, event_time, event_id)",
        "x % 50 = 1",
    );
    const MOST: usize = 4 << 20;
    let new = || {
        let engine = Live::new(&planner, &[&heavy, &light]).unwrap();
        engine.with_budget(MOST)
    };
    let mut alone = Live::new(&planner, &[&light]).unwrap();
    let mut engine = new();
    let mut stopped_at = None;
    for from in (0..150_000).step_by(10_000) {
        let expected = {
            alone.push(&events(&alone, from, 10_000)).unwrap();
            alone.advance((from + 10_000) * 1_000_000).unwrap()
        };
        engine.push(&events(&engine, from, 10_000)).unwrap();
        let found = engine.advance((from + 10_000) * 1_000_000).unwrap();
        assert!(!expected[0].is_empty() || from % 50_000 != 0);
        assert_eq!(found[1], expected[0]);
        if engine.failures()[0].is_some() {
            stopped_at.get_or_insert(from);
            let saved: Vec<Vec<u8>> = (0..Live::SHARDS)
                .map(|shard| engine.snapshot(shard).unwrap())
                .collect();
            engine = new();
            engine.restore(&saved).unwrap();
        }
    }
    assert!(stopped_at.is_some_and(|at| at > 0 && at < 140_000));
    let reason = engine.failures()[0].clone().unwrap();
    assert!(reason.contains("together may remember 4 MiB"), "{reason}");
    assert_eq!(engine.failures()[1], None);
    let (total, each) = engine.usage();
    assert!(total.bytes < MOST && each[0].bytes < MOST / 8);
    assert_eq!(each[1].keys, 1000);
}
