//! What the labels of a simulated organisation name is found, and not much else.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;

use gridwatch::simulate::{self, Attacks, Plan};
use serde_json::Value;

use super::{Folder, anomalies, gridwatch};

fn lines(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn session(label: &Value) -> Option<&str> {
    label["session_id"].as_str()
}

fn words(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

#[test]
fn attacks_are_found_and_quiet_people_are_left_alone() {
    let folder = Folder::with(&[]);
    let out = folder.path("org");
    let ran = gridwatch(
        &[
            "generate", "--users", "400", "--days", "12", "--seed", "3", "--out", &out,
        ],
        b"",
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let (events, networks) = (
        folder.path("org/events.ndjson"),
        folder.path("org/networks.csv"),
    );
    let ran = gridwatch(&["detect", "--networks", &networks, &events], b"");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let found = anomalies(&ran.out);
    let mut of_event: HashMap<&str, HashSet<&str>> = HashMap::new();
    for anomaly in &found {
        for event in anomaly["events"].as_array().unwrap() {
            let rules = of_event.entry(event.as_str().unwrap()).or_default();
            rules.insert(anomaly["rule"].as_str().unwrap());
        }
    }
    let labels = lines(&folder.path("org/labels.ndjson"));
    let kinds: HashSet<&str> = labels.iter().filter_map(|l| l["attack"].as_str()).collect();
    assert_eq!(kinds.len(), 28, "{kinds:?}");
    // Attacks that none of their rules found, and rules that did not find theirs.
    let (mut unseen, mut missed, mut expected) = (Vec::new(), Vec::new(), 0);
    for label in &labels {
        let (ids, rules) = (words(&label["event_ids"]), words(&label["rules"]));
        let is_found = |rule: &&str| {
            ids.iter()
                .any(|id| of_event.get(id).is_some_and(|rules| rules.contains(rule)))
        };
        let attack = label["attack"].as_str().unwrap();
        // Same-country journeys cannot all be told from a detour of traffic.
        if attack == "travel_far_city" {
            continue;
        }
        if !rules.is_empty() && !rules.iter().any(is_found) {
            unseen.push(attack);
        }
        expected += rules.len();
        missed.extend(
            rules
                .iter()
                .filter(|rule| !is_found(rule))
                .map(|rule| format!("{attack} by {rule}")),
        );
    }
    assert!(unseen.is_empty(), "{unseen:?}, {missed:?}");
    assert!(missed.len() * 10 <= expected, "{missed:?} of {expected}");
    let attacked: HashSet<&str> = labels
        .iter()
        .flat_map(|label| {
            let people = words(&label["about"]["people"]);
            people.into_iter().chain(label["user"].as_str())
        })
        .collect();
    let mut alarms: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for anomaly in &found {
        let actor = anomaly["actor"]["id"].as_str();
        if !actor.is_some_and(|actor| attacked.contains(actor)) {
            let (rule, level) = (
                anomaly["rule"].as_str().unwrap(),
                anomaly["level"].as_str().unwrap(),
            );
            *alarms.entry((rule, level)).or_default() += 1;
        }
    }
    // 400 people for 12 days: 4.8 thousand person-days.
    let high = alarms
        .get(&("travel_impossible", "high"))
        .copied()
        .unwrap_or_default();
    assert!(high <= 10, "{alarms:?}");
    // People hand over what their team has.
    let archives = alarms
        .get(&("file_bulk_download", "high"))
        .copied()
        .unwrap_or_default();
    assert!(archives <= 2, "{alarms:?}");
}

#[test]
fn equal_arguments_give_equal_files() {
    let folder = Folder::with(&[]);
    for out in ["a", "b"] {
        let path = folder.path(out);
        let ran = gridwatch(
            &[
                "generate", "--users", "30", "--days", "2", "--seed", "9", "--out", &path,
            ],
            b"",
        );
        assert_eq!(ran.code, Some(0), "{}", ran.err);
    }
    for file in ["events.ndjson", "networks.csv", "labels.ndjson"] {
        let read = |out: &str| fs::read(folder.path(&format!("{out}/{file}"))).unwrap();
        assert!(read("a") == read("b"), "{file}");
    }
}

#[test]
fn thirty_days_are_judged_alike_live_and_on_history() {
    let folder = Folder::with(&[]);
    let out = folder.path("org");
    let plan = [
        "--users",
        "300",
        "--days",
        "30",
        "--seed",
        "11",
        "--attacks",
        "1",
        "--out",
        &out,
    ];
    let ran = gridwatch(&[&["generate"], &plan[..]].concat(), b"");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let (events, networks) = (
        folder.path("org/events.ndjson"),
        folder.path("org/networks.csv"),
    );
    let detect = |execution: &str| {
        let arguments = ["--networks", &networks, "--execution", execution, &events];
        let ran = gridwatch(&[&["detect"], &arguments[..]].concat(), b"");
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran.out
    };
    let (live, history) = (detect("live"), detect("history"));
    assert!(live == history);
    // The organisation moves, clocks are put forward, and enough is known to tell what is unlikely.
    for rule in [
        "travel_impossible",
        "file_bulk_download",
        "egress_new",
        "risk_score",
    ] {
        let named = format!("\"rule\":\"{rule}\"");
        assert!(live.contains(&named), "{rule}");
    }
}

#[test]
fn stolen_sessions_are_found_while_their_owners_are_at_work() {
    let plan = Plan {
        attacks: Attacks {
            stolen_sessions: 400.0,
            ..Attacks::none()
        },
        ..Plan::new(300, 9, 3)
    };
    let (mut events, mut networks, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    simulate::write(&plan, &mut events, &mut networks, &mut labels, &mut |_| ()).unwrap();
    let networks = String::from_utf8(networks).unwrap();
    let folder = Folder::with(&[("networks.csv", &networks)]);
    let networks = folder.path("networks.csv");
    let ran = gridwatch(
        &["detect", "--only", "session_split", "--networks", &networks],
        &events,
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let found = anomalies(&ran.out);
    let found: HashSet<&str> = found.iter().filter_map(|a| a["key"].as_str()).collect();
    let labels = String::from_utf8(labels).unwrap();
    let labels: Vec<Value> = labels
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let stolen: HashSet<&str> = labels.iter().filter_map(session).collect();
    // Whoever sits in an office leaves by an address that is not judged.
    let is_judged = |label: &&Value| words(&label["rules"]).contains(&"session_split");
    let judged = labels.iter().filter(is_judged);
    let judged: HashSet<&str> = judged.filter_map(session).collect();
    let hits = judged.intersection(&found).count();
    let false_alarms = found.difference(&stolen).count();
    // 300 people for 9 days are 2,700 person-days.
    let told = format!(
        "{hits} of {} found, {} stolen, {false_alarms} besides",
        judged.len(),
        stolen.len()
    );
    assert!(
        judged.len() >= 10 && hits * 10 >= judged.len() * 9,
        "{told}"
    );
    assert!(judged.len() * 2 >= stolen.len(), "{told}");
    assert!(false_alarms <= 1, "{told}");
}
