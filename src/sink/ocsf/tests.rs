use super::*;

const FOUND_AT: i64 = 1_772_438_400_250_999;

const RECORD: &str = r#"{
    "id": "b4a83f94", "rule": "travel_impossible", "rule_version": "a979ed12e35d",
    "title": "Impossible travel", "level": "medium", "reason": ["impossible_travel"],
    "event_time": "2026-03-02T01:03:46Z", "event_id": "e2", "key": "U7",
    "actor": {"id": "U7", "name": "Carlos \"the\" G.", "email": "carlos@corp.example",
        "type": "user", "team": "T6"},
    "entity": {"type": "channel", "id": "C9", "name": "ops-atlas-9"},
    "context": {"action": "public_channel_preview", "ip": "10.32.249.62", "user_agent": "slack/26",
        "session_id": "14826", "country": "AU", "city": "Sydney", "latitude": -33.8309,
        "longitude": 151.229, "accuracy_km": 200.0, "asn": 4200000422, "as_org": "Example DSL AU",
        "network_kind": "residential", "agent_family": "slack-android", "agent_version": "26.02",
        "agent_os": "Android", "agent_kind": "mobile", "app_id": "A1", "app_name": "Importer",
        "location": {"type": "workspace", "id": "T6", "name": "Engineering", "domain": "example-eng"}},
    "evidence": {"distance_km": 6305.68, "from": {"city": "Singapore"}, "to": null},
    "because": [{"condition": "speed_kmh > limit", "observed": 261243, "limit": 900},
        {"condition": "place not seen before", "observed": "Sydney, AU", "limit": null}],
    "events": ["e2", "e1"], "tags": ["attack.initial-access", "attack.t1078.004", "own.tag"],
    "shadow": true}"#;

/// A record of a trigger that nothing is known of.
const SPARSE: &str = r#"{
    "id": "b4", "rule": "own", "rule_version": "a9", "title": "Own", "level": "high", "reason": [],
    "event_time": "2026-03-02T01:03:46Z", "event_id": "e2", "key": null,
    "actor": {"id": null, "name": null, "email": null, "type": null, "team": null},
    "entity": {"type": null, "id": null, "name": null},
    "context": {"action": null, "ip": null, "country": null,
        "location": {"type": null, "id": null, "name": null, "domain": null}},
    "evidence": {}, "because": [], "events": ["e2"], "tags": []}"#;

fn found(record: &str) -> Value {
    serde_json::from_str(&finding(record, FOUND_AT)).unwrap()
}

fn assert_holds(found: &Value, expected: &[(&str, Value)]) {
    for (place, expected) in expected {
        assert_eq!(found.pointer(place), Some(expected), "{place}");
    }
}

#[test]
fn a_finding_tells_what_when_and_how_bad() {
    let found = found(RECORD);
    let millis = 1_772_413_426_000_i64;
    assert_holds(
        &found,
        &[
            ("/class_uid", json!(2004)),
            ("/type_uid", json!(200_401)),
            ("/time", json!(millis)),
            ("/severity_id", json!(3)),
            ("/severity", json!("Medium")),
            ("/message", json!("Impossible travel")),
            ("/metadata/uid", json!("b4a83f94")),
            ("/metadata/logged_time", json!(1_772_438_400_250_i64)),
            ("/finding_info/uid", json!("b4a83f94")),
            ("/finding_info/title", json!("Impossible travel")),
            (
                "/finding_info/desc",
                json!("speed_kmh > limit: 261243, limit 900; place not seen before: Sydney, AU"),
            ),
            ("/finding_info/types", json!(["impossible_travel"])),
            ("/finding_info/created_time", json!(1_772_438_400_250_i64)),
            ("/finding_info/last_seen_time", json!(millis)),
            ("/finding_info/analytic/uid", json!("travel_impossible")),
            ("/finding_info/analytic/version", json!("a979ed12e35d")),
            ("/finding_info/attacks/0/tactic/uid", json!("TA0001")),
            ("/finding_info/attacks/1/technique/uid", json!("T1078")),
            ("/finding_info/related_events/1/uid", json!("e1")),
            ("/raw_data", json!(RECORD)),
        ],
    );
    assert_eq!(found.pointer("/finding_info/attacks/2"), None);
}

#[test]
fn a_finding_tells_who_where_and_on_what() {
    let found = found(RECORD);
    let user = json!({
        "uid": "U7", "name": "Carlos \"the\" G.", "email_addr": "carlos@corp.example",
        "type_id": 1, "type": "User", "org": {"uid": "T6"},
    });
    let endpoint = json!({
        "ip": "10.32.249.62",
        "location": {"country": "AU", "city": "Sydney", "lat": -33.8309, "long": 151.229},
        "autonomous_system": {"number": 4_200_000_422_u32, "name": "Example DSL AU"},
    });
    let data = json!({"distance_km": 6305.68, "from": {"city": "Singapore"}, "to": null});
    let resources = json!([
        {"uid": "C9", "name": "ops-atlas-9", "type": "channel", "role_id": 1, "role": "Target"},
        {"uid": "T6", "name": "Engineering", "type": "workspace", "role_id": 4, "role": "Related"},
    ]);
    assert_holds(
        &found,
        &[
            ("/actor/user", user),
            ("/actor/session", json!({"uid": "14826"})),
            ("/actor/app_uid", json!("A1")),
            ("/actor/app_name", json!("Importer")),
            ("/evidences/0/actor", found["actor"].clone()),
            ("/evidences/0/uid", json!("e2")),
            (
                "/evidences/0/api/operation",
                json!("public_channel_preview"),
            ),
            ("/evidences/0/http_request/user_agent", json!("slack/26")),
            ("/evidences/0/src_endpoint", endpoint),
            ("/evidences/0/data", data),
            ("/resources", resources),
        ],
    );
}

#[test]
fn what_has_no_place_is_kept() {
    let expected = json!({
        "key": "U7",
        "context": {
            "accuracy_km": 200.0, "network_kind": "residential", "agent_family": "slack-android",
            "agent_version": "26.02", "agent_os": "Android", "agent_kind": "mobile",
            "location": {"domain": "example-eng"},
        },
        "because": [
            {"condition": "speed_kmh > limit", "observed": 261_243, "limit": 900},
            {"condition": "place not seen before", "observed": "Sydney, AU", "limit": null},
        ],
        "tags": ["own.tag"],
        "shadow": true,
    });
    assert_eq!(found(RECORD)["unmapped"], expected);
}

#[test]
fn a_finding_holds_nothing_that_is_not_known() {
    let found = found(SPARSE);
    for name in ["actor", "resources", "unmapped"] {
        assert_eq!(found.get(name), None, "{name}");
    }
    assert_eq!(found["evidences"], json!([{"uid": "e2", "data": {}}]));
    for name in ["desc", "types", "attacks"] {
        assert_eq!(found["finding_info"].get(name), None, "{name}");
    }
}

#[test]
fn what_the_schema_forbids_is_kept_apart() {
    let (endpoint, email) = ("/evidences/0/src_endpoint", "/actor/user/email_addr");
    let country = "/evidences/0/src_endpoint/location/country";
    for (place, value, mapped) in [
        ("/context/ip", "10.0.0.1, 10.0.0.2", endpoint),
        ("/context/ip", "localhost", endpoint),
        ("/context/country", "Australia", country),
        ("/actor/email", "carlos", email),
        ("/actor/email", "carlos@corp", email),
        ("/actor/email", "cär@corp.example", email),
        ("/actor/email", "a@b@corp.example", email),
        ("/actor/email", "@corp.example", email),
    ] {
        let mut record: Value = serde_json::from_str(RECORD).unwrap();
        *record.pointer_mut(place).unwrap() = json!(value);
        let found = found(&record.to_string());
        assert_eq!(found.pointer(mapped), None, "{value}");
        assert_eq!(found["unmapped"].pointer(place), Some(&json!(value)));
    }
}

#[test]
fn an_actor_that_is_no_user_is_called_what_it_is() {
    let record = RECORD.replace(r#""type": "user""#, r#""type": "bot""#);
    let found = found(&record);
    assert_holds(
        &found,
        &[
            ("/actor/user/type_id", json!(99)),
            ("/actor/user/type", json!("bot")),
        ],
    );
}

#[test]
fn what_is_no_record_is_a_finding_of_nothing() {
    for record in ["", "null", "[]", "{", r#"{"id":null,"tags":null}"#] {
        let found = found(record);
        assert_eq!(found["finding_info"]["uid"], "", "{record}");
        assert_eq!(found["severity"], "Unknown", "{record}");
        assert_eq!(found["raw_data"], record);
    }
}
