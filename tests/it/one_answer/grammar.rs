//! Random rules: every function, frame, stage and `wait` that rules may use.

use gridwatch::detect::{Condition, Members, Program, Table};
use proptest::prelude::*;

/// A SELECT around another one: windows over its rows.
#[derive(Clone, Debug)]
pub struct Level {
    windows: Vec<String>,
    filter: Option<String>,
    /// Seconds that its windows look ahead.
    wait: i64,
}

fn pick(from: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(from).prop_map(str::to_owned)
}

const PARTITIONS: &[&str] = &[
    "PARTITION BY actor_id",
    "PARTITION BY actor_id",
    "PARTITION BY ip",
    "PARTITION BY entity_id",
    "PARTITION BY asn",
    "PARTITION BY actor_id, action",
    "PARTITION BY own_context, latitude",
    "PARTITION BY actor_id, date_bin(INTERVAL '1 hour', order_time)",
    "PARTITION BY date_bin(INTERVAL '5 minutes', order_time), ip",
    "PARTITION BY actor_id, date_trunc('day', order_time)",
    "PARTITION BY actor_id, CAST(date_bin(INTERVAL '2 hours', order_time) AS DATE)",
    "",
];
const PANES: &[&str] = &[
    "PARTITION BY actor_id, date_bin(INTERVAL '1 hour', order_time)",
    "PARTITION BY date_bin(INTERVAL '5 minutes', order_time), ip",
    "PARTITION BY entity_id, date_trunc('hour', order_time)",
    "PARTITION BY date_bin(INTERVAL '1 hour', order_time, TIMESTAMP '2020-01-01T00:10:00'), actor_id",
];
const PREDICATES: &[&str] = &[
    "action = 'act_1'",
    "action IN ('act_1', 'act_2')",
    "action <> 'act_0' AND app_id IS NULL",
    "app_id IS NULL",
    "in_list('moving', actor_id) AND NOT in_list('moving', asn)",
    "actor_id IS NOT NULL",
    "own_context",
    "asn > 3",
    "event_time < order_time",
    "entity_id LIKE 'F%' AND action LIKE '%1'",
    "latitude BETWEEN -30 AND 30 OR ip IS NULL",
    "concat(action, '!') <> 'act_3!'",
    "@ IS NOT NULL",
];
const NUMBERS: &[&str] = &[
    "asn",
    "asn * 2 - 7",
    "CAST(latitude * 10 AS BIGINT)",
    "CASE WHEN own_context THEN 1 ELSE -1 END",
    "character_length(entity_id)",
];
const VALUES: &[&str] = &[
    "entity_id",
    "ip",
    "asn",
    "latitude",
    "event_time",
    "order_time",
    "action",
    "country",
    "own_context",
    "concat(actor_id, '/', ip)",
    "round(latitude / 100)",
    "group_of('moving', actor_id)",
    "@",
    "@",
];
const CANONICAL: &str = "ORDER BY order_time, event_time, event_id";
const LOOKING_BACK: &[i64] = &[0, 1, 7, 60, 600, 3600, 86_400, 172_800];

/// A frame by time: its text, and the seconds it looks ahead.
fn range() -> impl Strategy<Value = (String, i64)> {
    let back = prop::sample::select(LOOKING_BACK);
    let shape = (
        back,
        0..10_u8,
        prop::sample::select(&[1_i64, 30, 600, 3600][..]),
    );
    shape.prop_map(|(back, shape, other)| match shape {
        0..=4 => (
            format!("RANGE BETWEEN INTERVAL '{back} seconds' PRECEDING AND CURRENT ROW"),
            0,
        ),
        5 | 6 => (
            format!(
                "RANGE BETWEEN INTERVAL '{back} seconds' PRECEDING AND INTERVAL '{other} seconds' \
                 FOLLOWING"
            ),
            other,
        ),
        7 => (
            format!(
                "RANGE BETWEEN INTERVAL '1 second' FOLLOWING AND INTERVAL '{other} seconds' \
                 FOLLOWING"
            ),
            other,
        ),
        8 => {
            let (far, near) = (back.max(other), back.min(other));
            (
                format!(
                    "RANGE BETWEEN INTERVAL '{far} seconds' PRECEDING AND INTERVAL '{near} \
                     seconds' PRECEDING"
                ),
                0,
            )
        }
        _ => (
            format!("RANGE BETWEEN CURRENT ROW AND INTERVAL '{other} seconds' FOLLOWING"),
            other,
        ),
    })
}

fn rows() -> impl Strategy<Value = String> {
    (0..6_usize, 0..4_usize).prop_map(|(more, end)| match (more, end) {
        (more, 0) => format!("ROWS BETWEEN {more} PRECEDING AND CURRENT ROW"),
        (5, end) => format!("ROWS BETWEEN UNBOUNDED PRECEDING AND {end} PRECEDING"),
        (more, end) => format!("ROWS BETWEEN {} PRECEDING AND {end} PRECEDING", more + end),
    })
}

fn aggregate() -> impl Strategy<Value = String> {
    let value = pick(VALUES);
    let number = pick(NUMBERS);
    let counted = prop_oneof![
        Just("count(*)".to_owned()),
        value.prop_map(|value| format!("count({value})")),
        pick(VALUES).prop_map(|value| format!("count({value}, ip)")),
        pick(VALUES).prop_map(|value| format!("count(DISTINCT {value})")),
        (pick(&["min", "max"]), pick(VALUES)).prop_map(|(name, value)| format!("{name}({value})")),
        (pick(&["sum", "avg", "stddev"]), number)
            .prop_map(|(name, value)| format!("{name}({value})")),
    ];
    (counted, prop::option::weighted(0.3, pick(PREDICATES))).prop_map(|(counted, filter)| {
        match filter {
            Some(filter) => format!("{counted} FILTER (WHERE {filter})"),
            None => counted,
        }
    })
}

/// A window as SQL, and the seconds it looks ahead.
fn window() -> impl Strategy<Value = (String, i64)> {
    let partition = || pick(PARTITIONS);
    prop_oneof![
        4 => (aggregate(), partition(), range()).prop_map(|(call, by, (frame, ahead))| {
            (format!("{call} OVER ({by} ORDER BY order_time {frame})"), ahead)
        }),
        2 => (aggregate(), partition(), rows()).prop_filter("distinct without an end", |(call, _, frame)| {
            !(call.contains("DISTINCT") && frame.contains("UNBOUNDED"))
        }).prop_map(|(call, by, frame)| {
            (format!("{call} OVER ({by} {CANONICAL} {frame})"), 0)
        }),
        2 => (aggregate(), pick(PANES)).prop_map(|(call, by)| {
            (format!("{call} OVER ({by} ORDER BY order_time)"), 0)
        }),
        1 => (aggregate(), partition()).prop_filter("distinct without an end", |(call, _)| {
            !call.contains("DISTINCT")
        }).prop_map(|(call, by)| (format!("{call} OVER ({by} ORDER BY order_time)"), 0)),
        1 => (pick(&["bool_and", "bool_or"]), pick(PREDICATES), partition()).prop_map(|(name, p, by)| {
            (format!("{name}({p}) OVER ({by} ORDER BY order_time)"), 0)
        }),
        2 => (pick(VALUES), partition(), 1..4_u8, any::<bool>()).prop_map(|(value, by, back, ignore)| {
            let nulls = if ignore { " IGNORE NULLS" } else { "" };
            (format!("lag({value}, {back}){nulls} OVER ({by} {CANONICAL})"), 0)
        }),
        1 => (pick(&["asn, 2, -1", "order_time, 1, TIMESTAMP '2020-01-01'", "ip, 1, 'none'"]), partition())
            .prop_map(|(value, by)| (format!("lag({value}) OVER ({by} {CANONICAL})"), 0)),
        1 => partition().prop_map(|by| (format!("row_number() OVER ({by} {CANONICAL})"), 0)),
        1 => (pick(&["first_value", "last_value"]), pick(VALUES), partition(), prop::option::of(rows()), any::<bool>())
            .prop_map(|(name, value, by, frame, ignore)| {
                let nulls = if ignore { " IGNORE NULLS" } else { "" };
                let frame = frame.unwrap_or_default();
                (format!("{name}({value}){nulls} OVER ({by} {CANONICAL} {frame})"), 0)
            }),
        1 => (pick(&["entity_id", "ip"]), partition(), prop::sample::select(&[0_i64, 60, 3600][..])).prop_map(|(value, by, learn)| {
            (format!("first_seen({value}, event_time, {learn}, 86400, {}) OVER ({by} {CANONICAL})", learn % 7), 0)
        }),
        1 => partition().prop_map(|by| {
            (format!(
                "travel(latitude, longitude, accuracy_km, ip, asn, network_kind, country, city, \
                 session_id, event_time, event_id, 900.0, 500.0, 43200, 7200, 3600, 86400, \
                 CASE WHEN in_list('moving', actor_id) THEN 1 ELSE 0 END, 3) OVER ({by} {CANONICAL})"
            ), 0)
        }),
        1 => partition().prop_map(|by| {
            (format!(
                "session_split(session_id, asn, action, ip, network_kind, event_time, event_id, 1800, \
                 86400) OVER ({by} {CANONICAL})"
            ), 0)
        }),
        1 => partition().prop_map(|by| (format!(
            "usual(order_time, CASE WHEN own_context THEN 1 ELSE 0 END, 86400, 300000) OVER ({by} \
             {CANONICAL})"
        ), 0)),
        2 => (pick(PARTITIONS), any::<bool>()).prop_map(|(by, is_marked)| {
            // Its keys outlive a day.
            let by = if by.contains("date_") { String::new() } else { by };
            let mark = if is_marked { "CASE WHEN own_context THEN 'benign 1700090000 1700080000' ELSE 'attack 1700000000 1700000000' END" } else { "NULL" };
            (format!(
                "volume(abs(asn) % 60, character_length(entity_id), NULL, order_time, {mark}, 864000, \
                 '{VOLUME}') OVER ({by} {CANONICAL})"
            ), 0)
        }),
        1 => (pick(PREDICATES), pick(PREDICATES), pick(PREDICATES), partition(), pick(&["2:600 1:90000", "1:0 1:60 1:3600", "3:30"]))
            .prop_map(|(one, two, three, by, steps)| {
                let bit = |predicate: &str, bit: u8| {
                    format!("CASE WHEN {} THEN {bit} ELSE 0 END", predicate.replace('@', "asn"))
                };
                (format!(
                    "sequence({} + {}, {}, order_time, event_time, event_id, '{steps}', 90000) OVER ({by} \
                     {CANONICAL})",
                    bit(&one, 1), bit(&two, 2), bit(&three, 2)
                ), 0)
            }),
    ]
}

/// Settings under which a few events are enough to find something; `%` in quotes becomes a name.
const VOLUME: &str = r#"{"name":"%","windows":["a","b"],"learn_secs":86400,"at_least":2,"surprise":{"low":0.5,"high":1.5},"time_zone":"Europe/Berlin","least_hours":2}"#;

fn level() -> impl Strategy<Value = Level> {
    let windows = prop::collection::vec(window(), 1..4);
    (windows, prop::option::weighted(0.5, pick(PREDICATES))).prop_map(|(windows, filter)| {
        // Of windows that look ahead one a level, since each makes its rows wait.
        let mut wait = 0;
        let mut kept = Vec::new();
        for (window, ahead) in windows {
            if ahead == 0 || wait == 0 {
                wait += ahead;
                kept.push(window);
            }
        }
        Level {
            windows: kept,
            filter,
            wait,
        }
    })
}

/// A rule over up to three stages of windows, each of which may read what those below gave.
pub fn program() -> impl Strategy<Value = Program> {
    let levels = prop::collection::vec(level(), 1..4);
    let shape = (
        levels,
        any::<[u8; 4]>(),
        prop::option::weighted(0.4, 1..4000_i64),
    );
    shape.prop_map(|(levels, dice, suppress)| {
        let mut relation = "events".to_owned();
        let mut names: Vec<String> = Vec::new();
        let mut wait = 0;
        for (depth, level) in levels.iter().enumerate() {
            let mut columns = String::new();
            let mut new = Vec::new();
            for (at, window) in level.windows.iter().enumerate() {
                let name = format!("w{depth}_{at}");
                // `@` is what a window below gave, of whichever type, or a column.
                let below = names.get(dice[at % 4] as usize % names.len().max(1));
                let window = window.replace('@', below.map_or("asn", String::as_str));
                let window = window.replace("\"%\"", &format!("\"{name}\""));
                // A day's table is made when the day is over.
                let window = match wait + level.wait > 0 && window.contains("volume(") {
                    true => format!("row_number() OVER ({CANONICAL})"),
                    false => window,
                };
                columns += &format!(", {window} AS {name}");
                new.push(name);
            }
            let below = names.first().map_or("asn", String::as_str);
            let filter = level.filter.as_ref();
            let filter = filter.map(|f| format!(" WHERE {}", f.replace('@', below)));
            let filter = filter.unwrap_or_default();
            relation = format!("(SELECT *{columns} FROM {relation}{filter})");
            names.extend(new);
            wait += level.wait;
        }
        let shown = names.join(", ");
        let mut sql = format!(
            "SELECT event_id, event_time, order_time, actor_id, {shown}, CASE WHEN own_context THEN \
             'high' ELSE 'low' END AS level FROM {relation}"
        );
        if dice[0] % 3 == 0 {
            sql += &format!(" WHERE {} IS NOT NULL", names[dice[1] as usize % names.len()]);
        }
        if let Some(suppress) = suppress {
            sql = format!(
                "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY actor_id, level, \
                 date_bin(INTERVAL '{suppress} seconds', order_time) {CANONICAL}) AS standing FROM \
                 ({sql})) WHERE standing = 1"
            );
        }
        let members = (dice[2] % 4 == 0).then(|| Members {
            sql: "SELECT event_id, event_time, order_time, actor_id FROM events WHERE action <> \
                  'act_0' AND actor_id IS NOT NULL"
                .to_owned(),
            span_micros: 600_000_000,
        });
        Program {
            sql,
            reads: Table::Events,
            key: vec!["actor_id".to_owned()],
            wait_micros: wait * 1_000_000,
            conditions: vec![Condition {
                text: "it is so".to_owned(),
                observed: names.iter().take(1).cloned().collect(),
                limit: true.into(),
            }],
            members,
        }
    })
}
