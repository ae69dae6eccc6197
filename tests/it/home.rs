//! A person who stays at home cannot be made to travel, or to change the program, by what others do
//! in that person's name.

use serde_json::{Value, json};

use super::{Folder, anomalies, gridwatch};

const NETWORKS: &str = "network,country,city,latitude,longitude,accuracy_km,asn,as_org,kind
198.51.100.0/24,DE,Berlin,52.52,13.40,20,64496,Example Fibre,residential
203.0.113.0/24,AU,Sydney,-33.87,151.21,20,64498,Example Broadband,residential
";
const DESKTOP: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, \
    like Gecko) Slack/4.47.65 Chrome/142.0.7444.65 Electron/39.2.0 Safari/537.36 Slack_SSB/4.47.65";

fn event(number: usize, second: i64, action: &str, context: &Value) -> Value {
    json!({
        "id": format!("00000000-0000-4000-8000-{number:012}"),
        "date_create": 1_772_438_400 + second,
        "action": action,
        "actor": {"type": "user", "user": {"id": "U1", "name": "Ann", "email": "ann@example.com", "team": "T1"}},
        "entity": {"type": "user", "user": {"id": "U1", "name": "Ann", "email": "ann@example.com", "team": "T1"}},
        "context": context,
    })
}

fn at_home(number: usize, second: i64) -> Value {
    let context =
        json!({"ip_address": "198.51.100.7", "ua": DESKTOP, "session_id": 11_111_111_111_i64});
    event(number, second, "canvas_opened", &context)
}

fn elsewhere(number: usize, second: i64, action: &str) -> Value {
    let context = json!({"ip_address": "203.0.113.9", "ua": "python-requests/2.32.3", "session_id": "99999999999"});
    event(number, second, action, &context)
}

/// Ten days at home, an event every two hours, and these a minute after the last ones.
fn found_among(others: impl Fn(usize, i64) -> Value, count: usize) -> Vec<String> {
    let mut events: Vec<Value> = (0..120).map(|n| at_home(n, n as i64 * 7200)).collect();
    events.extend((0..count).map(|n| others(1000 + n, 118 * 7200 + 60 + n as i64)));
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    let folder = Folder::with(&[("networks.csv", NETWORKS)]);
    let ran = gridwatch(
        &["detect", "--networks", &folder.path("networks.csv")],
        lines.as_bytes(),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("0 rejects"), "{}", ran.err);
    let rules = anomalies(&ran.out);
    rules
        .iter()
        .map(|anomaly| anomaly["rule"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_same_from_a_person_is_found() {
    let rules = found_among(|n, second| elsewhere(n, second, "user_login"), 1);
    let expected = [
        "agent_new_family",
        "agent_script_client",
        "login_new_country",
        "session_new_asn",
        "travel_impossible",
        "risk_score",
    ];
    assert_eq!(rules, expected);
}

#[test]
fn failed_sign_ins_and_requests_prove_nothing() {
    let actions = [
        "user_login_failed",
        "user_password_reset_requested",
        "ip_allowlist_access_denied",
        "user_session_reset_by_admin",
        "user_session_invalidated",
        "user_created",
        "an_action_of_tomorrow",
    ];
    let others = |n: usize, second| elsewhere(n, second, actions[n % actions.len()]);
    let mut rules = found_among(others, 7 * 20);
    // What is done to the person, and not by the person.
    rules.retain(|rule| !["admin_mass_session_reset", "login_bruteforce"].contains(&rule.as_str()));
    assert_eq!(rules, [""; 0]);
}

#[test]
fn an_invitation_carries_the_inviters_context() {
    let inviter = json!({"type": "user", "user": {"id": "U2", "name": "Bob"}});
    for details in [
        json!({"type": "INVITED", "inviter": inviter}),
        json!({"inviter": {"id": "U2"}}),
        json!({"type": "KICKED", "kicker": inviter}),
        json!({"type": "JOINED", "is_workflow": true}),
    ] {
        let others = |n, second| {
            let mut event = elsewhere(n, second, "user_channel_join");
            event["details"] = details.clone();
            event
        };
        assert_eq!(found_among(others, 5), [""; 0], "{details}");
    }
}

#[test]
fn apps_and_agents_call_from_where_they_run() {
    for (part, value) in [
        ("app", json!({"id": "A1", "name": "Sync"})),
        ("acting_agent", json!("Slackbot")),
    ] {
        let others = |n, second| {
            let mut event = elsewhere(n, second, "file_uploaded");
            event["context"][part] = value.clone();
            event
        };
        assert_eq!(found_among(others, 5), [""; 0], "{part}");
    }
}

#[test]
fn findings_of_slack_are_passed_on_and_prove_no_journey() {
    let others = |n, second| {
        let mut event = elsewhere(n, second, "anomaly");
        event["details"] = json!({
            "reason": ["asn", "ip_address"],
            "action_timestamp": 1_772_438_400_000_000_i64,
            "previous_ip_address": "198.51.100.7",
        });
        event
    };
    assert_eq!(found_among(others, 5), ["slack_anomaly"]);
}

#[test]
fn bots_and_slack_itself_are_nobody() {
    for (id, email) in [
        ("USLACKUSER", "x@example.com"),
        ("USLACKSECURITY", "x@example.com"),
        ("U9", "botuser-T1-A1@slack-bots.com"),
    ] {
        // At home first, so that only what is proven keeps them from travelling.
        let others = |n: usize, second: i64| {
            let mut event = if n.is_multiple_of(2) {
                at_home(n, second)
            } else {
                elsewhere(n, second, "user_login")
            };
            event["actor"]["user"]["id"] = id.into();
            event["actor"]["user"]["email"] = email.into();
            event
        };
        assert_eq!(found_among(others, 6), [""; 0], "{id}");
    }
}
