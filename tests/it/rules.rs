//! `gridwatch rules`: what is wrong is named where it stands, all of it at once.

use serde_json::{Value, json};

use super::{Folder, anomalies, gridwatch};

const GOOD: &str = "title: Many sign-ins
id: 0a1b2c3d-1111-4222-8333-444455556666
name: many_logins
status: test
level: medium
tags: [attack.t1078]
logsource: {product: slack, service: audit}
detect:
  kind: threshold
  where: action = 'user_login'
  key: actor_id
  measure: count(*)
  per: 10m
  at_least: 3
suppress: 1h
tests:
  - name: three within ten minutes
    base: {action: user_login, actor_id: U1}
    events:
      - {at: 0s, times: 3, every: 5m}
    anomalies:
      - {at: 10m, level: medium, key: U1}
  - name: three within eleven minutes
    base: {action: user_login, actor_id: U1}
    events:
      - {at: 0s, times: 2, every: 5m}
      - {at: 11m}
    anomalies: []
";

/// Checks the rule; gives the problems as `LINE:COL: message`.
fn problems(text: &str) -> Vec<String> {
    let folder = Folder::with(&[("rule.yml", text)]);
    let path = folder.path("rule.yml");
    let ran = gridwatch(&["rules", "check", &path], b"");
    let lines: Vec<String> = ran
        .out
        .lines()
        .map(|line| {
            line.strip_prefix(&format!("{path}:"))
                .unwrap_or(line)
                .to_owned()
        })
        .collect();
    assert_eq!(
        ran.code,
        Some(i32::from(!lines.is_empty())),
        "{}{}",
        ran.out,
        ran.err
    );
    lines
}

#[test]
fn a_good_rule_has_no_problems_and_finds() {
    assert_eq!(problems(GOOD), [""; 0]);
    let folder = Folder::with(&[("deep/er/rule.yaml", GOOD)]);
    let ran = gridwatch(&["rules", "test", &folder.path("")], b"");
    assert_eq!(
        (ran.code, ran.out.lines().count()),
        (Some(0), 2),
        "{}",
        ran.out
    );
    let event = |n: i64| {
        json!({"id": format!("e{n}"), "date_create": 1_772_438_400 + n * 60, "action": "user_login",
            "actor": {"type": "user", "user": {"id": "U1"}}})
    };
    let input: String = (0..5).map(|n| format!("{}\n", event(n))).collect();
    let ran = gridwatch(
        &[
            "detect",
            "--rules",
            &folder.path(""),
            "--only",
            "many_logins",
        ],
        input.as_bytes(),
    );
    let found = anomalies(&ran.out);
    assert_eq!(found.len(), 1, "{}", ran.err);
    assert_eq!(found[0]["events"], json!(["e2", "e1", "e0"]));
    assert_eq!(found[0]["evidence"], json!({"observed": 3}));
    let because = json!([{"condition": "count(*) within 10m >= 3", "observed": 3, "limit": 3}]);
    assert_eq!(found[0]["because"], because);
}

#[test]
fn each_problem_stands_where_it_is() {
    for (from, to, expected) in [
        (
            "kind: threshold",
            "kind: treshold",
            "9:9: `treshold` is not a kind; did you mean `threshold`?",
        ),
        (
            "level: medium\ntags",
            "level: hihg\ntags",
            "5:8: `hihg` is not a level",
        ),
        (
            "name: many_logins",
            "name: Many Logins",
            "3:7: `Many Logins` is not a name",
        ),
        (
            "id: 0a1b2c3d-",
            "id: 0a1b2c-",
            "2:5: `0a1b2c-1111-4222-8333-444455556666` is not a UUID",
        ),
        (
            "status: test",
            "status: done",
            "4:9: `done` is not a status",
        ),
        (
            "service: audit}",
            "service: access}",
            "7:12: `slack`/`access` is not read here",
        ),
        (
            "key: actor_id",
            "key: actor",
            "11:8: there is no column `actor`",
        ),
        (
            "key: actor_id",
            "key: actorid",
            "11:8: there is no column `actorid`; did you mean `actor_id`?",
        ),
        (
            "'user_login'\n  key",
            "'user_login' AND acton = 1\n  key",
            "10:10: `action = 'user_login' AND acton = 1`: there is no column `acton`; did you mean `action`?",
        ),
        (
            "'user_login'\n  key",
            "'user_login\n  key",
            "10:10: `action = 'user_login`: ",
        ),
        (
            "where: action = 'user_login'",
            "where: action",
            "10:10: `action` is ",
        ),
        (
            "where: action = 'user_login'",
            "where: lowr(action) = 'x'",
            "10:10: `lowr(action) = 'x'`: `lowr` is not a function that rules may call; did you mean `lower`?",
        ),
        (
            "where: action = 'user_login'",
            "where: random() > 0.5",
            "10:10: `random() > 0.5`: `random` is not a function",
        ),
        (
            "where: action = 'user_login'",
            "where: now() > order_time",
            "10:10: `now() > order_time`: `now` is not a function",
        ),
        (
            "where: action = 'user_login'",
            "where: action = 'x') OR (true",
            "10:10: ",
        ),
        (
            "per: 10m",
            "per: 10 minutes",
            "13:8: `10 minutes` is not a duration",
        ),
        ("per: 10m", "per: 3d", "13:8: `3d` is longer than the 48h"),
        (
            "measure: count(*)",
            "measure: median(asn)",
            "12:12: `median(asn)` is no measure",
        ),
        (
            "measure: count(*)",
            "measure: sum(ip)",
            "12:12: `sum(ip)`: sum adds whole numbers",
        ),
        (
            "action = 'user_login'",
            "action = 'user_logn'",
            "10:19: Slack has no action `user_logn`; did you mean `user_login`?",
        ),
        (
            "action = 'user_login'",
            "action IN ('user_login', 'dlp_policy_updated')",
            "10:35: Slack has no action `dlp_policy_updated`",
        ),
        (
            "action = 'user_login'",
            "action = 'user_login' AND asn = 'many'",
            "10:10: `action = 'user_login' AND asn = 'many'`: `asn` is a number",
        ),
        (
            "action = 'user_login'",
            "action = 'user_login' AND action = 'user_logout'",
            "9:3: the rule can never fire",
        ),
        (
            "action = 'user_login'",
            "event_time > 86400",
            "10:10: `event_time > 86400`",
        ),
        ("at_least: 3", "at_least: 0", "14:13: `0` is not a count"),
        ("at_least: 3", "atleast: 3", "14:3: unknown field `atleast`"),
        (
            "suppress: 1h",
            "suppress: soon",
            "15:11: `soon` is not a duration",
        ),
        (
            "{at: 0s, times: 3, every: 5m}",
            "{at: zero}",
            "17:5: `zero` is not a time",
        ),
        (
            "base: {action: user_login, actor_id: U1}\n    events:\n      - {at: 0s, times: 3",
            "base: {actoin: user_login}\n    events:\n      - {at: 0s, times: 3",
            "17:5: ",
        ),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let found = problems(&text);
        assert!(
            found.iter().any(|line| line.starts_with(expected)),
            "{to}: {found:#?}"
        );
    }
}

#[test]
fn all_problems_are_named_at_once() {
    let text = GOOD
        .replace("level: medium\ntags", "level: hihg\ntags")
        .replace("key: actor_id", "key: actorid")
        .replace("per: 10m", "per: ten")
        .replace("status: test", "status: done");
    let found = problems(&text);
    let places: Vec<&str> = found
        .iter()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(places, ["4:9", "5:8", "11:8", "13:8"], "{found:#?}");
    for text in [
        "",
        "{}",
        "title: x\n",
        "detect: {}\n",
        "title: x\nid: y\nname: z\nlevel: low\n",
        "- a\n",
        "\u{0}",
    ] {
        assert!(!problems(text).is_empty(), "{text:?}");
    }
}

fn sql(query: &str) -> String {
    format!(
        "title: Own query\nid: 0a1b2c3d-1111-4222-8333-444455556667\nname: own\nlevel: informational\ndetect:\n  \
         kind: sql\n  key: actor_id\n  query: >\n    {query}\ntests:\n  - name: nothing\n    events: \
         []\n    anomalies: []\n"
    )
}

#[test]
fn queries_are_one_select_over_the_events() {
    let columns = "event_id, event_time, order_time, actor_id";
    let order = "ORDER BY order_time, event_time, event_id";
    let good = [
        format!("SELECT {columns} FROM events WHERE action = 'user_login'"),
        format!("SELECT {columns}, 'high' AS level FROM events"),
        format!(
            "SELECT {columns}, lag(ip) OVER (PARTITION BY actor_id {order}) AS before FROM events QUALIFY ip <> before"
        ),
        format!(
            "SELECT {columns}, count(*) OVER (PARTITION BY ip ORDER BY order_time RANGE INTERVAL '1 hour' PRECEDING) AS n FROM events QUALIFY n > 5"
        ),
        format!("WITH a AS (SELECT * FROM events WHERE own_context) SELECT {columns} FROM a"),
        format!("SELECT {columns}, json_get_str(details, 'type') AS kind FROM events"),
    ];
    for query in good {
        assert_eq!(problems(&sql(&query)), [""; 0], "{query}");
    }
    let bad = [
        ("DROP TABLE events".to_owned(), "refused"),
        (format!("SELECT {columns} FROM events; SELECT 1"), "refused"),
        (format!("SELECT {columns} FROM nowhere"), "nowhere"),
        (format!("SELECT {columns} FROM events LIMIT 1"), "LIMIT"),
        (
            format!("SELECT {columns} FROM events ORDER BY order_time"),
            "ORDER BY",
        ),
        (format!("SELECT DISTINCT {columns} FROM events"), "DISTINCT"),
        (
            "SELECT actor_id, count(*) FROM events GROUP BY actor_id".to_owned(),
            "GROUP BY",
        ),
        (
            format!("SELECT {columns} FROM events WHERE ip IN (SELECT ip FROM events)"),
            "subquery",
        ),
        (
            format!("SELECT {columns} FROM events UNION SELECT {columns} FROM events"),
            "UNION",
        ),
        (
            "SELECT event_id, event_time FROM events".to_owned(),
            "order_time",
        ),
        (format!("SELECT {columns}, 7 AS level FROM events"), "level"),
        (
            format!("SELECT {columns}, 'hihg' AS level FROM events"),
            "hihg",
        ),
        (
            format!("SELECT {columns}, json_get(details, 'n') AS n FROM events"),
            "json_get_str",
        ),
        (
            format!("SELECT {columns}, row_number() OVER () AS n FROM events"),
            "order",
        ),
        (
            format!("SELECT {columns}, lag(ip) OVER (ORDER BY order_time) AS n FROM events"),
            "ties",
        ),
        (
            format!(
                "SELECT {columns}, lag(ip, -1) OVER (PARTITION BY actor_id {order}) AS n FROM events"
            ),
            "positive",
        ),
        (
            format!(
                "SELECT {columns}, count(*) OVER (PARTITION BY ip ORDER BY order_time RANGE INTERVAL '90 days' PRECEDING) AS n FROM events"
            ),
            "48 hours",
        ),
        (
            format!(
                "SELECT {columns}, count(*) OVER (ORDER BY order_time ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS n FROM events"
            ),
            "a rule may not use",
        ),
        (
            format!("SELECT {columns} FROM events WHERE action = $1"),
            "parameters",
        ),
        (
            format!("SELECT {columns}, date_part('fortnight', order_time) AS n FROM events"),
            "fortnight",
        ),
    ];
    for (query, word) in bad {
        let found = problems(&sql(&query));
        assert!(
            found.iter().any(|line| line.contains(word)),
            "{query}: {found:#?}"
        );
    }
}

/// The rules that come with the program: other files, dashboards and bindings name them.
const SHIPPED: &str = "\
    travel_impossible egress_new egress_many_new_sessions session_split session_forked session_new_asn \
    login_new_country login_new_hosting_asn login_tor login_bruteforce login_spray \
    login_fail_then_success login_after_deactivation agent_new_family agent_script_client \
    file_bulk_download file_bulk_download_fixed file_download_after_travel file_public_link_sensitive \
    file_malware file_malware_burst file_mass_share channel_mass_join channel_private_to_public \
    export_started app_added app_access_expanded app_removed privilege_escalation privilege_removed \
    owner_transferred policy_auth_weakened policy_defence_off organization_changed response_tampered \
    admin_mass_session_reset slack_anomaly risk_score";

#[test]
fn the_embedded_rules_are_listed_explained_and_pass_their_tests() {
    let ran = gridwatch(&["rules", "list", "--format", "json"], b"");
    let rules: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let mut names: Vec<&str> = rules.iter().filter_map(|r| r["name"].as_str()).collect();
    names.sort_unstable();
    let mut shipped: Vec<&str> = SHIPPED.split_whitespace().collect();
    shipped.sort_unstable();
    assert_eq!(names, shipped);
    for rule in &rules {
        for field in ["id", "title", "level", "status", "kind"] {
            assert!(rule[field].is_string(), "{field}");
        }
        let name = rule["name"].as_str().unwrap();
        let ran = gridwatch(&["rules", "explain", name], b"");
        assert_eq!(ran.code, Some(0));
        for word in ["SELECT", "FROM ", "row_number() OVER", "standing = 1"] {
            assert!(ran.out.contains(word), "{name}: {word}");
        }
    }
    assert_eq!(gridwatch(&["rules", "check"], b"").code, Some(0));
    let ran = gridwatch(&["rules", "test"], b"");
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert!(ran.out.lines().count() > 20);
}

#[test]
fn a_test_that_fails_says_how() {
    let folder = Folder::with(&[(
        "rule.yml",
        &GOOD.replace("at: 10m, level: medium", "at: 5m, level: high"),
    )]);
    let ran = gridwatch(&["rules", "test", &folder.path("rule.yml")], b"");
    assert_eq!(ran.code, Some(1));
    let line = ran
        .out
        .lines()
        .find(|line| line.contains("FAILED"))
        .unwrap();
    assert!(
        line.contains(
            "expected 2026-03-02T08:05:00Z high U1, found 2026-03-02T08:10:00Z medium U1"
        ),
        "{line}"
    );
}

#[test]
fn a_rule_of_the_same_name_takes_the_place_of_an_embedded_one() {
    let event = json!({"id": "e1", "date_create": 1, "action": "anomaly", "actor": {"type": "user", "user": {"id": "U1"}}});
    let rule = sql(
        "SELECT event_id, event_time, order_time, actor_id FROM events WHERE action = 'anomaly'",
    )
    .replace("name: own", "name: slack_anomaly");
    let folder = Folder::with(&[("rule.yml", &rule)]);
    let ran = gridwatch(
        &["detect", "--rules", &folder.path("rule.yml")],
        event.to_string().as_bytes(),
    );
    let found = anomalies(&ran.out);
    assert_eq!(found.len(), 1, "{}", ran.err);
    assert_eq!(found[0]["title"], "Own query");
    // Two rules cannot share an id, nor a name.
    let copy = folder.path("rule.yml");
    let twin = Folder::with(&[("twin.yml", &rule.replace("slack_anomaly", "other"))]);
    let ran = gridwatch(&["rules", "check", &copy, &twin.path("twin.yml")], b"");
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("is that of"), "{}", ran.out);
}

#[test]
fn what_runs_and_is_not_meant_is_refused_by_check_and_warned_of_by_detect() {
    let untested = GOOD.split("tests:").next().unwrap();
    let folder = Folder::with(&[("rule.yml", untested)]);
    let path = folder.path("rule.yml");
    let ran = gridwatch(&["rules", "check", "--format", "json", &path], b"");
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let problems: Value = serde_json::from_str(&ran.out).unwrap();
    let message = "the rule has no `tests`: write one that it must find, and one that it must not";
    let expected = json!([{"file": path, "line": 1, "column": 1, "message": message}]);
    assert_eq!(problems, expected);
    let ran = gridwatch(&["detect", "--rules", &path], b"");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.err.contains(&format!("warning: {path}:1:1: {message}")),
        "{}",
        ran.err
    );
    let ran = gridwatch(&["detect", "--quiet", "--rules", &path], b"");
    assert_eq!(ran.err, "");
}
