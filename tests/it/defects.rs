//! Defects that were seen in rules of others, each written as a rule of ours: `rules check` finds them
//! and says where and what to write instead. All of these rules run.

use super::{Folder, gridwatch};

/// A rule with this `detect`, and tests that do not matter here.
fn rule(detect: &str) -> String {
    format!(
        "title: Defective\nid: 0a1b2c3d-3333-4222-8333-444455556666\nname: defective\nstatus: test\nlevel: \
         low\nlogsource: {{product: slack, service: audit}}\ndetect:\n{detect}\ntests:\n  - {{name: none, \
         events: [], anomalies: []}}\n"
    )
}

fn matching(condition: &str) -> String {
    rule(&format!(
        "  kind: match\n  key: actor_id\n  where: >\n    {condition}"
    ))
}

/// A query whose rows have a column `w`, and a condition on it.
fn window(call: &str, condition: &str) -> String {
    rule(&format!(
        "  kind: sql\n  key: actor_id\n  query: |\n    SELECT event_id, event_time, order_time, actor_id, ip, \
         w FROM (\n      SELECT *, {call} AS w FROM events WHERE action = 'user_login'\n    ) WHERE {condition}"
    ))
}

/// What `rules check` says of the rule.
fn said(text: &str) -> String {
    let folder = Folder::with(&[("rule.yml", text)]);
    let ran = gridwatch(&["rules", "check", &folder.path("rule.yml")], b"");
    assert_eq!(
        ran.code,
        Some(i32::from(!ran.out.is_empty())),
        "{}{}",
        ran.out,
        ran.err
    );
    ran.out.replace(&folder.path("rule.yml"), "")
}

const CANONICAL: &str = "ORDER BY order_time, event_time, event_id";

#[test]
fn windows_that_test_themselves_are_named() {
    let past = "RANGE BETWEEN INTERVAL '24 hours' PRECEDING AND CURRENT ROW";
    let before = "RANGE BETWEEN INTERVAL '24 hours' PRECEDING AND INTERVAL '1 second' PRECEDING";
    let by_time = |call: &str, frame: &str| {
        format!("{call} OVER (PARTITION BY actor_id ORDER BY order_time {frame})")
    };
    let in_order = |call: &str, frame: &str| {
        format!("{call} OVER (PARTITION BY actor_id {CANONICAL} {frame})")
    };
    for (call, condition, wanted) in [
        (by_time("count(*)", past), "w = 0", Some("is never below 1")),
        (by_time("count(*)", past), "1 > w", Some("is never below 1")),
        (by_time("count(*)", before), "w = 0", None),
        (by_time("count(*)", past), "w = 1", None),
        (
            by_time("count(*) FILTER (WHERE ip IS NULL)", past),
            "w = 0",
            None,
        ),
        (
            in_order("last_value(ip)", ""),
            "w <> ip",
            Some("its last value is that of the event itself"),
        ),
        (
            in_order("last_value(ip)", "ROWS BETWEEN 9 PRECEDING AND 1 PRECEDING"),
            "w <> ip",
            None,
        ),
        (
            by_time("max(asn)", past),
            "asn > w",
            Some("nothing lies beyond"),
        ),
        (by_time("max(asn)", past), "asn = w", None),
        (
            by_time("avg(asn)", past),
            "asn > 3 * w",
            Some("the event is part of what it is measured by"),
        ),
        (by_time("avg(asn)", before), "asn > 3 * w", None),
        (in_order("lag(ip)", ""), "w <> ip", None),
    ] {
        // However often it fires.
        let text = window(&call, condition).replace("level: low", "level: informational");
        let found = said(&text);
        match wanted {
            None => assert_eq!(found, "", "{call}: {condition}"),
            Some(wanted) => {
                assert!(found.contains(wanted), "{call}: {condition}: {found}");
                assert!(found.contains("1 PRECEDING"), "{found}");
            }
        }
    }
    // A city is looked up and never compared.
    let found = said(&window(&in_order("lag(city)", ""), "ip IS NOT NULL"));
    assert!(found.contains("its windows decide nothing"), "{found}");
}

#[test]
fn what_is_not_there_is_named_with_its_place() {
    for (condition, wanted) in [
        (
            "action = 'channel_converted_to_public'",
            ":11:14: Slack has no action `channel_converted_to_public`",
        ),
        (
            "action = 'dlp_policy_updated'",
            "Slack has no action `dlp_policy_updated`",
        ),
        (
            "action = 'app_scopes_expanded' AND json_get_str(details, 'new_scope') IS NOT NULL",
            "no event has a field `new_scope` in `details`, as far as is known; did you mean `new_scopes`?",
        ),
        (
            "action = 'user_login' AND json_get_str(details, 'previous_ua') IS NOT NULL",
            "no event of user_login has a field `previous_ua` in `details`, which anomaly has",
        ),
        (
            "network_kind = 'datacenter'",
            "`network_kind` is never `datacenter`",
        ),
        ("user_agent = ''", "write user_agent IS NULL"),
        (
            "user_agent IS NULL",
            "an empty agent is ordinary on uploads",
        ),
        ("actor_nam = 'x'", "did you mean `actor_name`?"),
        ("asn = 'many'", "`asn` is a number, and 'many' is none"),
        ("event_time > INTERVAL '1 day'", "event_time"),
        ("event_time > 86400", "event_time"),
    ] {
        let found = said(&matching(condition));
        assert!(found.contains(wanted), "{condition}: {found}");
    }
    for (detect, wanted) in [
        (
            "  kind: mach\n  key: actor_id",
            ":8:9: `mach` is not a kind; did you mean `match`?",
        ),
        (
            "  kind: match\n  key: actor_id\n  define: {place: city}\n  where: own_context",
            "`place` is defined, and nothing reads it",
        ),
        (
            "  kind: match\n  key: actor_id\n  from: anomalies\n  where: rule = 'travel'",
            "there is no rule `travel`",
        ),
        (
            "  kind: match\n  key: actor_id\n  from: anomaly\n  where: own_context",
            "`anomaly` is no table: use events or anomalies",
        ),
        (
            "  kind: threshold\n  key: actor_id\n  measure: count(*)\n  per: 2h\n  at_least: 5\nhorizon: 1h",
            "its windows look 10800s back, and `horizon` says 1h",
        ),
    ] {
        let found = said(&rule(detect));
        assert!(found.contains(wanted), "{detect}: {found}");
    }
}

#[test]
fn rules_that_fire_all_day_are_named() {
    for (condition, is_noisy) in [
        // Any ending of one to four letters is suspicious, which nearly all files have.
        (
            "action = 'file_downloaded' AND regexp_like(entity_name, '[.][a-z0-9]{1,4}$')",
            true,
        ),
        ("action IN ('file_shared', 'file_downloaded')", true),
        (
            "action = 'file_downloaded' AND regexp_like(entity_name, '[.](exe|scr)$')",
            false,
        ),
        ("action = 'ekm_unenrolled'", false),
    ] {
        let found = said(&matching(condition));
        assert_eq!(
            found.contains("times a day for 1,000 people"),
            is_noisy,
            "{condition}: {found}"
        );
        let informational = matching(condition).replace("level: low", "level: informational");
        assert_eq!(said(&informational), "", "{condition}");
    }
}

#[test]
fn actions_that_are_newer_than_the_catalogue_come_from_a_file() {
    let folder = Folder::with(&[
        ("rules/rule.yml", &matching("action = 'teleport_opened'")),
        (
            "gridwatch.yaml",
            "rules: {paths: [rules], actions: actions.json}",
        ),
        (
            "actions.json",
            r#"{"actions": {"user": ["user_login", "teleport_opened"]}}"#,
        ),
        ("wrong.yaml", "rules: {actions: wrong.json}"),
        ("wrong.json", r#"{"ok": false}"#),
    ]);
    let (rules, config) = (folder.path("rules"), folder.path("gridwatch.yaml"));
    let without = gridwatch(&["rules", "check", &rules], b"");
    assert!(
        without
            .out
            .contains("Slack has no action `teleport_opened`"),
        "{}",
        without.out
    );
    let with = gridwatch(&["rules", "check", &rules, "--config", &config], b"");
    assert_eq!(
        (with.code, with.out.as_str()),
        (Some(0), ""),
        "{}",
        with.err
    );
    let wrong = gridwatch(
        &["rules", "check", "--config", &folder.path("wrong.yaml")],
        b"",
    );
    assert!(wrong.err.contains("no list of actions"), "{}", wrong.err);
    assert!(wrong.err.contains("/audit/v1/actions"), "{}", wrong.err);
}
