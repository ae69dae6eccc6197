//! The configuration file and what it names: lists, exceptions, states of rules.

use serde_json::{Value, json};

use super::{Folder, Ran, anomalies, gridwatch};

const RULE: &str = "title: Sign-in from elsewhere
id: 0a1b2c3d-1111-4222-8333-444455556666
name: elsewhere
status: test
level: medium
tags: []
logsource: {product: slack, service: audit}
detect:
  kind: match
  where: action = 'user_login' AND NOT in_list('offices', ip)
  define: {department: \"group_of('departments', actor_id)\"}
  key: actor_id
  evidence: [department]
suppress: 1h
";

pub const CONFIG: &str = "
rules: {paths: [rules]}
lists:
  offices: {file: offices.yaml}
  departments: {file: departments.csv}
exceptions: {file: exceptions.yaml}
";

pub const OFFICES: &str = "type: cidr
owner: network team
reason: an office
entries:
  - 203.0.113.0/24
  - {value: 198.51.100.7, from: 2026-03-02, until: 2026-03-03}
";

pub const DEPARTMENTS: &str = "value,group,owner,reason,until
U1,sales,hr,moved,2026-03-03
U1,finance,hr,hired,
";

pub const EXCEPTIONS: &str = "
- name: on_call
  rules: [elsewhere]
  when: actor_id = 'U9' AND group_of('departments', actor_id) IS NULL
  owner: ann@example.com
  reason: signs in from trains
  until: 2026-03-04
";

fn login(id: usize, day: i64, second: i64, actor: &str, ip: &str) -> Value {
    json!({
        "id": format!("e{id}"),
        "date_create": 1_772_409_600 + (day - 2) * 86_400 + second,
        "action": "user_login",
        "actor": {"type": "user", "user": {"id": actor}},
        "entity": {"type": "user", "user": {"id": actor}},
        "context": {"ip_address": ip, "ua": "curl/8.5.0", "session_id": 5},
    })
}

fn folder(changed: &[(&str, &str)]) -> Folder {
    let mut files = vec![
        ("rules/elsewhere.yml", RULE),
        ("gridwatch.yaml", CONFIG),
        ("offices.yaml", OFFICES),
        ("departments.csv", DEPARTMENTS),
        ("exceptions.yaml", EXCEPTIONS),
    ];
    for (name, text) in changed {
        files.retain(|(known, _)| known != name);
        files.push((name, text));
    }
    Folder::with(&files)
}

/// Days of March 2026, with who signed in from where.
fn events() -> String {
    let logins = [
        (2, 0, "U1", "203.0.113.9"),
        (2, 10, "U2", "198.51.100.7"),
        (2, 20, "U1", "198.51.100.8"),
        (3, 0, "U2", "198.51.100.7"),
        (3, 10, "U1", "192.0.2.1"),
        (3, 20, "U9", "192.0.2.2"),
        (3, 30, "U9", "192.0.2.3"),
        (4, 0, "U9", "192.0.2.2"),
    ];
    let lines = logins.iter().enumerate();
    lines
        .map(|(id, (day, second, actor, ip))| format!("{}\n", login(id, *day, *second, actor, ip)))
        .collect()
}

#[test]
fn lists_and_exceptions_are_asked_about_the_time_of_the_event() {
    let folder = folder(&[]);
    let (config, excepted) = (
        folder.path("gridwatch.yaml"),
        folder.path("excepted.ndjson"),
    );
    for execution in ["live", "history"] {
        let arguments = [
            "detect",
            "--config",
            &config,
            "--only",
            "elsewhere",
            "--execution",
            execution,
            "--excepted",
            &excepted,
        ];
        let ran = gridwatch(&arguments, events().as_bytes());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let found: Vec<(Value, Value)> = anomalies(&ran.out)
            .iter()
            .map(|a| (a["event_id"].clone(), a["evidence"]["department"].clone()))
            .collect();
        let expected = [
            (json!("e2"), json!("sales")),
            (json!("e3"), Value::Null),
            (json!("e4"), json!("finance")),
            (json!("e7"), Value::Null),
        ];
        assert_eq!(found, expected);
        let kept = anomalies(&std::fs::read_to_string(&excepted).unwrap());
        let kept: Vec<(&Value, &Value)> = kept
            .iter()
            .map(|a| (&a["event_id"], &a["exception"]))
            .collect();
        let on_call = json!("on_call");
        assert_eq!(kept, [(&json!("e5"), &on_call), (&json!("e6"), &on_call)]);
        assert!(
            ran.err.contains("2 matches excepted: on_call 2"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn states_say_which_rules_run_and_who_hears_of_them() {
    let states = format!("{CONFIG}\n").replace(
        "{paths: [rules]}",
        "{paths: [rules], off: [slack_anomaly, agent_script_client], shadow: [elsewhere]}",
    );
    let folder = folder(&[("gridwatch.yaml", &states)]);
    let config = folder.path("gridwatch.yaml");
    let ran = gridwatch(
        &["detect", "--config", &config, "--fail-on", "medium"],
        events().as_bytes(),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let found = anomalies(&ran.out);
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|anomaly| anomaly["shadow"] == true));
    assert!(!ran.err.contains("slack_anomaly"));
    let ran = gridwatch(
        &["rules", "--config", &config, "list", "--format", "json"],
        b"",
    );
    let listed: Value = serde_json::from_str(&ran.out).unwrap();
    let state = |name: &str| {
        let rules = listed.as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["name"] == name).unwrap();
        rule["state"].clone()
    };
    assert_eq!(state("slack_anomaly"), "off");
    assert_eq!(state("elsewhere"), "shadow");
    assert_eq!(state("travel_impossible"), "on");
}

#[test]
fn what_is_wrong_is_named_where_it_stands() {
    let mut missed = Vec::new();
    for (file, from, to, wanted) in [
        (
            "gridwatch.yaml",
            "paths",
            "path",
            "gridwatch.yaml:2:9: unknown field `path`; did you mean `paths`?",
        ),
        (
            "gridwatch.yaml",
            "offices:",
            "Offices:",
            "a list cannot be called `Offices`",
        ),
        (
            "gridwatch.yaml",
            "offices:",
            "office:",
            "there is no list `offices`; did you mean `office`?",
        ),
        (
            "gridwatch.yaml",
            "[rules]}",
            "[rules], off: [elswhere]}",
            "gridwatch.yaml:2:31: there is no rule `elswhere`; did you mean `elsewhere`?",
        ),
        (
            "gridwatch.yaml",
            "[rules]}",
            "[rules]}\norganisation: {time_zone: Berlin}",
            "`Berlin` is no time zone",
        ),
        (
            "offices.yaml",
            "cidr",
            "cider",
            "offices.yaml:1:7: `cider` is no type of list",
        ),
        (
            "offices.yaml",
            "203.0.113.0/24",
            "203.0.113.0/33",
            "offices.yaml:5:5: `203.0.113.0/33` is no network",
        ),
        (
            "offices.yaml",
            "owner: network team\n",
            "",
            "an entry needs `value`, `owner` and `reason`",
        ),
        (
            "offices.yaml",
            "until: 2026-03-03",
            "untill: 2026-03-03",
            "unknown field `untill`; did you mean `until`?",
        ),
        (
            "offices.yaml",
            "until: 2026-03-03",
            "until: 2026-03-01",
            "`until` is not after `from`",
        ),
        ("offices.yaml", "entries", "entry", "unknown field `entry`"),
        (
            "departments.csv",
            "U1,sales",
            ",sales",
            "departments.csv:2:1: an entry needs",
        ),
        (
            "departments.csv",
            "U1,finance,hr,hired,",
            "U1,finance",
            "departments.csv:3:1",
        ),
        (
            "departments.csv",
            "2026-03-03",
            "soon",
            "`until` is `soon`: write a date",
        ),
        (
            "exceptions.yaml",
            "actor_id = 'U9'",
            "actor = 'U9'",
            "exceptions.yaml:4:9: `actor = 'U9'",
        ),
        (
            "exceptions.yaml",
            "[elsewhere]",
            "[elsewere]",
            "exception `on_call` is made of `elsewere`, which is no rule",
        ),
        (
            "exceptions.yaml",
            "  owner: ann@example.com\n",
            "",
            "an exception needs `name`, `rules`, `when`, `owner` and `reason`",
        ),
        (
            "exceptions.yaml",
            "2026-03-04",
            "tomorrow",
            "`tomorrow`: write a date",
        ),
        (
            "exceptions.yaml",
            "actor_id = 'U9' AND",
            "1 + 1 --",
            "and a condition is wanted",
        ),
        (
            "rules/elsewhere.yml",
            "in_list('offices', ip)",
            "in_list(ip, 'offices')",
            "needs the name of a list in quotes",
        ),
    ] {
        let good = match file {
            "gridwatch.yaml" => CONFIG,
            "offices.yaml" => OFFICES,
            "departments.csv" => DEPARTMENTS,
            "exceptions.yaml" => EXCEPTIONS,
            _ => RULE,
        };
        assert!(good.contains(from), "{file}: {from}");
        let folder = folder(&[(file, &good.replacen(from, to, 1))]);
        let config = folder.path("gridwatch.yaml");
        let ran = gridwatch(&["detect", "--config", &config], b"");
        if ran.code != Some(2) || !ran.err.contains(wanted) {
            missed.push(format!("{file}: {to}: {}", ran.err));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Runs a verb of `rules` on this rule, with the configuration but for these files and exceptions.
fn rules(verb: &str, rule: &str, changed: &[(&str, &str)]) -> Ran {
    let own = [("rules/elsewhere.yml", rule), ("exceptions.yaml", "[]")];
    let folder = folder(&[&own, changed].concat());
    let (config, rules) = (folder.path("gridwatch.yaml"), folder.path("rules"));
    gridwatch(&["rules", verb, &rules, "--config", &config], b"")
}

#[test]
fn a_value_is_new_to_a_person_a_group_or_the_organisation() {
    const NEW: &str = "title: New program
id: 0a1b2c3d-1111-4222-8333-444455556677
name: new_program
status: test
level: low
tags: []
logsource: {product: slack, service: audit}
detect:
  kind: new_value
  where: own_context
  key: actor_id
  value: agent_family
  learn: 1h
  SETTINGS
suppress: 0s
tests:
  - name: two of one department, one of none
    base: {action: file_downloaded, user_agent: curl/8.5.0, session_id: 7, ip: 192.0.2.1}
    events:
      - {at: 0s, actor_id: U1}
      - {at: 1m, actor_id: U2}
      - {at: 2m, actor_id: U3}
      - {at: 2h, actor_id: U1, user_agent: python-requests/2.32.3}
      - {at: 3h, actor_id: U2, user_agent: python-requests/2.32.3}
      - {at: 4h, actor_id: U3, user_agent: python-requests/2.32.3}
    anomalies: FOUND
";
    const STAFF: &str = "value,group,owner,reason\nU1,sales,hr,x\nU2,sales,hr,x\n";
    for (settings, found) in [
        (
            "per: key",
            "[{at: 2h, key: U1}, {at: 3h, key: U2}, {at: 4h, key: U3}]",
        ),
        ("per: group\n  groups: departments", "[{at: 2h, key: U1}]"),
        ("per: organisation", "[{at: 2h, key: U1}]"),
        ("history: 2", "[]"),
        (
            "history: 1",
            "[{at: 2h, key: U1}, {at: 3h, key: U2}, {at: 4h, key: U3}]",
        ),
    ] {
        let rule = NEW.replace("SETTINGS", settings).replace("FOUND", found);
        let ran = rules("test", &rule, &[("departments.csv", STAFF)]);
        assert_eq!(ran.code, Some(0), "{settings}: {}{}", ran.out, ran.err);
    }
    for (settings, wanted) in [
        ("per: group", "`per: group` needs `groups`"),
        ("per: team", "`team` is no `per`"),
        (
            "groups: departments",
            "`groups` has no meaning with `per: key`",
        ),
        ("per: group\n  groups: teams", "there is no list `teams`"),
    ] {
        let rule = NEW.replace("SETTINGS", settings).replace("FOUND", "[]");
        let ran = rules("check", &rule, &[]);
        assert_eq!(ran.code, Some(1), "{settings}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(wanted), "{settings}: {}", ran.out);
    }
}

#[test]
fn a_journey_weighs_less_where_lists_trust_its_ends() {
    const TRAVEL: &str = "title: Travel
id: 0a1b2c3d-1111-4222-8333-444455556688
name: trusting_travel
status: test
level: high
tags: []
logsource: {product: slack, service: audit}
detect:
  kind: travel
  key: actor_id
  trusted: [offices, partners]
suppress: 1h
tests:
  - name: home, an office, and a partner's system
    networks: |
      network,country,city,latitude,longitude,accuracy_km,asn,as_org,kind
      198.51.100.128/25,DE,Berlin,52.52,13.40,20,64496,Example Fibre,residential
      203.0.113.0/24,SG,Singapore,1.35,103.82,20,64498,Example Broadband,residential
      192.0.2.0/24,JP,Tokyo,35.68,139.69,20,64510,Example Partner,hosting
      192.88.99.0/24,US,Boston,42.36,-71.06,20,64511,Example Cable,residential
    base: {actor_id: U1, action: file_downloaded, entity_id: F1}
    events:
      - {at: 0s, times: 10, every: 1d, ip: 198.51.100.200, session_id: 1}
      - {at: 9d 40m, action: user_login, ip: 203.0.113.9, session_id: 2}
      - {at: 9d 20h, ip: 203.0.113.9, session_id: 2}
      - {at: 9d 20h 10m, action: user_login, ip: 192.0.2.9, session_id: 3}
      - {at: 9d 22h, action: user_login, ip: 192.88.99.9, session_id: 4}
      - {at: 19d, ip: 198.51.100.200, session_id: 1}
      - {at: 19d 40m, action: user_login, ip: 192.88.99.10, session_id: 5}
    anomalies:
      - {at: 9d 40m, level: medium}
      - {at: 9d 22h, level: medium}
";
    const PARTNERS: &str = "type: asn\nowner: ann\nreason: partner\nentries: [AS64510]\n";
    let lists = CONFIG.replace("lists:\n", "lists:\n  partners: {file: partners.yaml}\n");
    let ran = rules(
        "test",
        TRAVEL,
        &[("gridwatch.yaml", &lists), ("partners.yaml", PARTNERS)],
    );
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
}
