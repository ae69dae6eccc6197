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
    let mut missed: Vec<String> = Vec::new();
    let labels = lines(&folder.path("org/labels.ndjson"));
    assert!(labels.len() >= 6);
    for label in &labels {
        let ids: Vec<&str> = label["event_ids"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        for rule in label["rules"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
        {
            let is_found = ids
                .iter()
                .any(|id| of_event.get(id).is_some_and(|rules| rules.contains(rule)));
            if !is_found {
                missed.push(format!("{} by {rule}", label["attack"]));
            }
        }
    }
    // Same-country journeys cannot all be told from a detour of traffic.
    missed.retain(|missed| !missed.contains("travel_far_city"));
    assert!(missed.is_empty(), "{missed:?}");
    let attacked: HashSet<&str> = labels
        .iter()
        .filter_map(|label| label["user"].as_str())
        .collect();
    let mut alarms: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for anomaly in &found {
        if !attacked.contains(anomaly["actor"]["id"].as_str().unwrap()) {
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
    assert_eq!(
        alarms.get(&("file_bulk_download", "high")),
        None,
        "{alarms:?}"
    );
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
        "--users", "60", "--days", "30", "--seed", "11", "--out", &out,
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
    assert!(live.lines().count() > 20);
    assert_eq!(live, history);
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
    let stolen: HashSet<&str> = labels
        .iter()
        .filter_map(|label| label["session_id"].as_str())
        .collect();
    let hits = stolen.intersection(&found).count();
    let false_alarms = found.difference(&stolen).count();
    // Whoever is away for half an hour is not seen twice; 300 people for 9 days are 2,700 person-days.
    let told = format!("{hits} of {} found, {false_alarms} besides", stolen.len());
    assert!(stolen.len() >= 20 && hits * 2 >= stolen.len(), "{told}");
    assert!(false_alarms <= 1, "{told}");
}
