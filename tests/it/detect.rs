//! `gridwatch detect` as its users meet it.

use std::io::Write;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{Folder, anomalies, gridwatch};

/// Slack's own finding, which `slack_anomaly` passes on.
fn finding(id: &str, second: i64, agent: &str) -> Value {
    json!({
        "id": id,
        "date_create": 1_772_438_400 + second,
        "action": "anomaly",
        "actor": {"type": "user", "user": {"id": "U1", "name": "Ann", "email": "ann@example.com"}},
        "entity": {"type": "user", "user": {"id": "U1"}},
        "context": {"ip_address": "203.0.113.9", "ua": agent, "session_id": null},
        "details": {"reason": ["tor", "ip_address"]},
    })
}

fn found(ran: &super::Ran) -> Vec<String> {
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let ids = anomalies(&ran.out);
    ids.iter()
        .map(|anomaly| anomaly["event_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_record_says_who_what_where_and_why() {
    let ran = gridwatch(
        &["detect"],
        finding("e1", 0, "curl/8.5.0").to_string().as_bytes(),
    );
    let record = anomalies(&ran.out).remove(0);
    assert_eq!(record["id"].as_str().unwrap().len(), 32);
    assert_eq!(record["rule_version"].as_str().unwrap().len(), 12);
    for (path, value) in [
        ("/rule", json!("slack_anomaly")),
        ("/title", json!("Anomaly found by Slack")),
        ("/level", json!("high")),
        ("/reason", json!(["tor", "ip_address"])),
        ("/event_time", json!("2026-03-02T08:00:00Z")),
        ("/event_id", json!("e1")),
        ("/actor/id", json!("U1")),
        ("/actor/email", json!("ann@example.com")),
        ("/entity/type", json!("user")),
        ("/entity/name", Value::Null),
        ("/context/ip", json!("203.0.113.9")),
        ("/context/user_agent", json!("curl/8.5.0")),
        ("/context/session_id", Value::Null),
        ("/context/country", Value::Null),
        ("/context/agent_family", json!("curl")),
        (
            "/because/0",
            json!({"condition": "action = 'anomaly'", "observed": "anomaly", "limit": "anomaly"}),
        ),
        ("/events", json!(["e1"])),
        ("/tags/0", json!("attack.initial-access")),
    ] {
        assert_eq!(record.pointer(path), Some(&value), "{path}");
    }
}

#[test]
fn every_form_of_input_gives_the_same() {
    let (a, b) = (finding("e1", 0, ""), finding("e2", 6 * 3600, ""));
    let lines = format!("{a}\n{b}\n");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(lines.as_bytes()).unwrap();
    let page = json!({"entries": [a, b], "response_metadata": {"next_cursor": ""}});
    let expected = gridwatch(&["detect"], lines.as_bytes()).out;
    assert_eq!(anomalies(&expected).len(), 2);
    for input in [
        gzip.finish().unwrap(),
        zstd::encode_all(lines.as_bytes(), 1).unwrap(),
        page.to_string().into_bytes(),
        serde_json::to_vec_pretty(&page).unwrap(),
        json!([b, a]).to_string().into_bytes(),
        format!("{b}\r\n\r\n{a}\r\n{a}").into_bytes(),
    ] {
        let ran = gridwatch(&["detect", "-"], &input);
        assert_eq!(ran.out, expected, "{}", ran.err);
    }
}

#[test]
fn what_is_no_event_is_kept_and_nothing_stops() {
    let folder = Folder::with(&[]);
    let path = folder.path("rejects.ndjson");
    let mut input = format!("{}\nnot json\n", finding("e1", 0, "")).into_bytes();
    input.extend_from_slice(b"\xff\xfe\n{\"id\":\"x\",\"action\":\"a\"}\n");
    input.extend_from_slice(finding("e2", 6 * 3600, "").to_string().as_bytes());
    let ran = gridwatch(&["detect", "--rejects", &path], &input);
    assert_eq!(found(&ran), ["e1", "e2"]);
    assert!(ran.err.contains("2 events, 3 rejects"), "{}", ran.err);
    let rejects = anomalies(&std::fs::read_to_string(path).unwrap());
    let seen: Vec<_> = rejects
        .iter()
        .map(|r| {
            (
                r["line"].as_u64().unwrap(),
                r["text"].clone(),
                r["base64"].clone(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (2, json!("not json"), Value::Null),
            (3, Value::Null, json!("//4=")),
            (4, json!(r#"{"id":"x","action":"a"}"#), Value::Null),
        ]
    );
    assert!(
        rejects[2]["reason"]
            .as_str()
            .unwrap()
            .contains("date_create")
    );
    assert_eq!(rejects[0]["input"], "-");
}

#[test]
fn exit_codes_tell_findings_from_mistakes() {
    let event = finding("e1", 0, "").to_string();
    let folder = Folder::with(&[
        ("bad.yml", "title: x\n"),
        ("events.ndjson", &event),
        ("cut.gz", "\u{1f}"),
    ]);
    let events = folder.path("events.ndjson");
    let bad = folder.path("bad.yml");
    for (arguments, code, text) in [
        (vec!["detect", events.as_str()], 0, ""),
        (vec!["detect", "--fail-on", "critical", &events], 0, ""),
        (vec!["detect", "--fail-on", "high", &events], 1, ""),
        (vec!["detect", "--fail-on", "hihg", &events], 2, "hihg"),
        (
            vec!["detect", "--only", "slack_anomly", &events],
            2,
            "did you mean `slack_anomaly`?",
        ),
        (
            vec!["detect", "--rules", &bad, &events],
            2,
            "bad.yml:1:1: the rule needs `detect`",
        ),
        (vec!["detect", "/no/such/file"], 74, "/no/such/file"),
        (
            vec!["detect", "--networks", "/no/such.csv", &events],
            2,
            "/no/such.csv",
        ),
        (
            vec!["detect", "--rejects", &events, &events],
            2,
            "is an input",
        ),
        (vec!["detect", "--no-such-flag"], 2, "--no-such-flag"),
    ] {
        let ran = gridwatch(&arguments, b"");
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(text), "{arguments:?}: {}", ran.err);
    }
    // A file that is cut off is named, and was not taken for whole.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(event.as_bytes()).unwrap();
    let bytes = gzip.finish().unwrap();
    let ran = gridwatch(&["detect", "-"], &bytes[..bytes.len() - 4]);
    assert_eq!(ran.code, Some(74));
    assert!(
        ran.err.contains("- cannot be read to its end"),
        "{}",
        ran.err
    );
    assert_eq!(std::fs::read_to_string(&events).unwrap(), event);
}

#[test]
fn hostile_names_do_not_reach_terminal_or_spreadsheet() {
    let mut event = finding("=cmd|x", 0, "\u{1b}]0;pwned\u{7}\u{202e}agent");
    event["actor"]["user"]["email"] = "@sum(1)\u{1b}[2J".into();
    let input = event.to_string();
    for format in ["table", "csv"] {
        let ran = gridwatch(&["detect", "--format", format], input.as_bytes());
        assert!(
            !ran.out.contains(['\u{1b}', '\u{7}', '\u{202e}']),
            "{}",
            ran.out
        );
    }
    let ran = gridwatch(&["detect", "--format", "csv"], input.as_bytes());
    let mut reader = csv::Reader::from_reader(ran.out.as_bytes());
    let row = reader.records().next().unwrap().unwrap();
    assert_eq!(&row[7], "'=cmd|x");
    assert_eq!(&row[11], "'@sum(1)\\u{1b}[2J");
    let ran = gridwatch(&["detect", "--format", "json"], input.as_bytes());
    let all: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(all[0]["event_id"], "=cmd|x");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let events: String = (0..2000)
        .map(|n| format!("{}\n", finding(&format!("e{n}"), n * 7200, "")))
        .collect();
    let folder = Folder::with(&[("events.ndjson", &events)]);
    for format in ["ndjson", "csv"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gridwatch"))
            .args(["detect", "--format", format, &folder.path("events.ndjson")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("pipe"));
    }
}

#[test]
fn a_rule_that_fails_does_not_silence_the_others() {
    let rule = "title: Divides
id: 11111111-2222-4333-8444-555555555555
name: divides
level: low
detect:
  kind: match
  where: 1 / (octet_length(actor_id) - 2) > 5
  key: actor_id
";
    let folder = Folder::with(&[("divides.yml", rule)]);
    let input = finding("e1", 0, "").to_string();
    let ran = gridwatch(
        &["detect", "--rules", &folder.path("divides.yml")],
        input.as_bytes(),
    );
    assert_eq!(ran.code, Some(70), "{}", ran.err);
    assert_eq!(anomalies(&ran.out).len(), 1);
    assert!(
        ran.err.contains("rule divides (") && ran.err.contains("ivide"),
        "{}",
        ran.err
    );
}

/// Actions that others' rules for Slack watch, by Panther's list (panther-analysis, rules/slack_rules).
const WATCHED: &str = "\
    anomaly app_approved app_installed app_resources_added app_resources_granted app_restricted \
    app_scopes_expanded app_uninstalled barrier_deleted barrier_updated bot_token_upgraded \
    bulk_session_reset_by_admin ekm_logging_config_set ekm_slackbot_unenroll_notification_sent \
    ekm_unenrolled file_malicious_content_detected idp_configuration_added idp_configuration_deleted \
    idp_prod_configuration_updated intune_disabled legal_hold_policy_entities_deleted \
    legal_hold_policy_exclusion_added legal_hold_policy_released legal_hold_policy_updated \
    native_dlp_rule_deactivated native_dlp_violation_deleted org_app_workspace_added \
    org_app_workspace_removed organization_created organization_deleted owner_transferred \
    permissions_assigned pref.sso_setting_changed pref.two_factor_auth_changed \
    private_channel_converted_to_public role_change_to_admin role_change_to_owner role_change_to_user \
    service_owner_transferred user_session_invalidated user_session_reset_by_admin";

#[test]
fn every_action_that_others_watch_raises_something_however_little_it_says() {
    for actor in [json!({"type": "user", "user": {"id": "U1"}}), Value::Null] {
        let event = |(number, action): (usize, &str)| {
            let second = 1_772_438_400 + 60 * number as i64;
            let event =
                json!({"id": action, "date_create": second, "action": action, "actor": actor});
            format!("{event}\n")
        };
        let lines: String = WATCHED.split_whitespace().enumerate().map(event).collect();
        let ran = gridwatch(&["detect"], lines.as_bytes());
        let found = anomalies(&ran.out);
        for action in WATCHED.split_whitespace() {
            let is_found = found.iter().any(|anomaly| anomaly["event_id"] == action);
            assert!(is_found, "{action} of {actor}: {}", ran.err);
        }
    }
}
