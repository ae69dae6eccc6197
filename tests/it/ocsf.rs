//! Findings of OCSF keep to its schema, whatever is in the records that they are made of.

mod schema;

use std::collections::BTreeSet;

use gridwatch::anomaly::{Actor, Anomaly, Because, Context, Entity, Level, Location};
use gridwatch::sink::ocsf::finding;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use self::schema::SCHEMA;
use super::{Folder, gridwatch};

const FOUND_AT: i64 = 1_775_000_000_000_000;

/// A rule of every kind: match, threshold, new_value, travel, volume, session_split, sequence, sql.
const KINDS: [&str; 8] = [
    "export_started",
    "login_bruteforce",
    "session_new_asn",
    "travel_impossible",
    "file_bulk_download",
    "session_split",
    "login_after_deactivation",
    "risk_score",
];

fn finding_of(record: &str) -> Value {
    serde_json::from_str(&finding(record, FOUND_AT)).unwrap()
}

#[test]
fn findings_of_every_kind_of_rule_keep_to_the_schema() {
    let folder = Folder::with(&[]);
    let out = folder.path("org");
    let plan = [
        "--users", "400", "--days", "12", "--seed", "3", "--out", &out,
    ];
    let ran = gridwatch(&[&["generate"], &plan[..]].concat(), b"");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let (events, networks) = (
        folder.path("org/events.ndjson"),
        folder.path("org/networks.csv"),
    );
    let arguments = ["--format", "ndjson", "--networks", &networks, &events];
    let ran = gridwatch(&[&["detect"], &arguments[..]].concat(), b"");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let mut rules = BTreeSet::new();
    for record in ran.out.lines() {
        let finding = finding_of(record);
        let violations = SCHEMA.violations(&finding);
        assert!(violations.is_empty(), "{violations:#?} of {record}");
        let rule = &finding["finding_info"]["analytic"]["uid"];
        rules.insert(rule.as_str().unwrap().to_owned());
    }
    for rule in KINDS {
        assert!(rules.contains(rule), "{rule} is not among {rules:?}");
    }
}

/// What is written into an event, and what networks are called.
#[derive(Clone, Debug)]
struct Written {
    texts: [Option<String>; 10],
    coordinates: Option<(f64, f64)>,
    asn: Option<i64>,
}

fn record(written: &Written, level: Level) -> String {
    let [
        id,
        name,
        email,
        kind,
        entity,
        ip,
        country,
        city,
        session,
        app,
    ] = written.texts.clone();
    let anomaly = Anomaly {
        id: "b4a83f94da0525201f941e32dfab65ea".to_owned(),
        rule: "own_rule".to_owned(),
        rule_version: "a979ed12e35d".to_owned(),
        title: "Own rule".to_owned(),
        level,
        reason: name.clone().into_iter().collect(),
        event_time: "2026-03-02T01:03:46Z".to_owned(),
        event_id: "e1".to_owned(),
        key: id.clone(),
        actor: Actor {
            id: id.clone(),
            name: name.clone(),
            email,
            kind: kind.clone(),
            team: city.clone(),
        },
        entity: Entity {
            kind,
            id: entity,
            name,
        },
        context: Context {
            ip,
            country,
            city: city.clone(),
            latitude: written.coordinates.map(|(latitude, _)| latitude),
            longitude: written.coordinates.map(|(_, longitude)| longitude),
            asn: written.asn,
            session_id: session,
            user_agent: app.clone(),
            app_name: app,
            location: Location {
                id,
                domain: city,
                ..Location::default()
            },
            ..Context::default()
        },
        evidence: Map::new(),
        because: vec![Because::new("count >= limit", 3, 2)],
        events: vec!["e1".to_owned()],
        tags: vec!["attack.t1078".to_owned()],
        exception: None,
        shadow: false,
    };
    serde_json::to_string(&anomaly).unwrap()
}

/// What attackers write, and what they do not write.
fn text() -> impl Strategy<Value = Option<String>> {
    let known = prop::sample::select(vec![
        "",
        "user",
        "AU",
        "au",
        "192.0.2.1",
        "::1",
        "fe80::1%eth0",
        "192.0.2.1:80",
        "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
        "a@b.c",
        "a@b",
        "a\"@b.c",
        "\u{0}",
        "\u{202e}",
        "\"}",
        "null",
    ]);
    prop::option::of(prop_oneof![known.prop_map(str::to_owned), any::<String>()])
}

fn written() -> impl Strategy<Value = Written> {
    let coordinates = prop::option::of((-90_f64..90.0, -180_f64..180.0));
    let asn = prop::option::of(0_i64..=i64::from(u32::MAX));
    let texts = prop::array::uniform10(text());
    (texts, coordinates, asn).prop_map(|(texts, coordinates, asn)| Written {
        texts,
        coordinates,
        asn,
    })
}

proptest! {
    #[test]
    fn findings_of_any_text_keep_to_the_schema(
        written in written(),
        level in prop::sample::select(Level::ALL.to_vec()),
    ) {
        let record = record(&written, level);
        let finding = finding_of(&record);
        let violations = SCHEMA.violations(&finding);
        prop_assert!(violations.is_empty(), "{violations:#?} of {record}");
        prop_assert_eq!(finding["raw_data"].as_str(), Some(record.as_str()));
    }
}

#[test]
fn what_is_wrong_with_a_finding_is_told() {
    let texts = "U1 Ann ann@corp.example user F1 192.0.2.1 AU Sydney 123 slack";
    let mut texts = texts.split(' ').map(|text| Some(text.to_owned()));
    let written = Written {
        texts: std::array::from_fn(|_| texts.next().unwrap()),
        coordinates: Some((-33.8, 151.2)),
        asn: Some(64_496),
    };
    let sound = finding_of(&record(&written, Level::High));
    assert_eq!(SCHEMA.violations(&sound), Vec::<String>::new());
    for (place, value, expected) in [
        ("/finding_info", None, "/finding_info: missing"),
        ("/finding_info/uid", None, "/finding_info/uid: missing"),
        ("/metadata/product", None, "/metadata/product: missing"),
        ("/metadata/product/name", None, "/metadata/product: none of"),
        (
            "/finding_info/analytic/type_id",
            None,
            "/finding_info/analytic/type_id: missing",
        ),
        (
            "/finding_info/attacks/0/technique",
            None,
            "/finding_info/attacks/0: none of",
        ),
        ("/time", None, "/time: missing"),
        (
            "/time",
            Some(json!(1_775_000_000)),
            "/time: 1775000000 is no timestamp_t",
        ),
        ("/time", Some(json!("2026-03-02T01:03:46Z")), "/time: "),
        (
            "/severity_id",
            Some(json!(7)),
            "/severity_id: 7 has no meaning",
        ),
        (
            "/severity",
            Some(json!("Awful")),
            "/severity_id: severity does not say High",
        ),
        ("/severity", None, ""),
        (
            "/type_uid",
            Some(json!(200_402)),
            "/type_uid: does not follow",
        ),
        (
            "/metadata/version",
            Some(json!("1.5.0")),
            "/metadata/version: ",
        ),
        (
            "/metadata/profiles",
            Some(json!([])),
            "/actor: its profile is not named",
        ),
        ("/evidences", Some(json!({})), "/evidences: no list"),
        (
            "/evidences",
            Some(json!([{"uid": "e1"}])),
            "/evidences/0: none of",
        ),
        (
            "/evidences/0/src_endpoint/ip",
            Some(json!("localhost")),
            "/evidences/0/src_endpoint/ip: ",
        ),
        (
            "/actor/user/email_addr",
            Some(json!("ann")),
            "/actor/user/email_addr: ",
        ),
        (
            "/actor/user/nick",
            Some(json!("ann")),
            "/actor/user/nick: unknown",
        ),
        ("/actor/user", Some(json!("ann")), "/actor/user: no user"),
        ("/actor", Some(json!({})), "/actor: none of"),
        ("/is_alert", Some(json!("yes")), "/is_alert: "),
    ] {
        let mut finding = sound.clone();
        let (object, field) = place.rsplit_once('/').unwrap();
        let object = finding
            .pointer_mut(object)
            .unwrap()
            .as_object_mut()
            .unwrap();
        match value {
            Some(value) => object.insert(field.to_owned(), value),
            None => object.remove(field),
        };
        let violations = SCHEMA.violations(&finding);
        if expected.is_empty() {
            assert!(violations.is_empty(), "{place}: {violations:?}");
        } else {
            let is_told = violations.iter().any(|told| told.starts_with(expected));
            assert!(is_told, "{place}: {violations:?}");
        }
    }
}
