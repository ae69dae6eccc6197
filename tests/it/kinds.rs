//! Rules of every kind with the tests that they carry, and the promise of one answer for whole runs:
//! lists, exceptions, states and rules over anomalies included.

use std::sync::{Arc, LazyLock};

use gridwatch::detect::Table;
use gridwatch::detect::history::Resources;
use gridwatch::detect::plan::Planner;
use gridwatch::enrich::Enricher;
use gridwatch::enrich::network::Networks;
use gridwatch::event::schema::ColumnSet;
use gridwatch::list::{self, Lists};
use gridwatch::pipeline::{self, Execution, Job, Outcome};
use gridwatch::rule::exception::Exceptions;
use gridwatch::rule::{self, Rule, State};
use proptest::prelude::*;
use serde_json::json;

use super::{Folder, gridwatch, input, repository};

#[test]
fn rules_of_every_kind_are_right_and_pass_their_tests() {
    let folder = repository("tests/it/kinds").display().to_string();
    for verb in ["check", "test"] {
        let ran = gridwatch(&["rules", verb, &folder], b"");
        assert_eq!(ran.code, Some(0), "{verb}: {}{}", ran.out, ran.err);
    }
}

/// The second of the first event.
const START: i64 = 1_772_438_400;

const NETWORKS: &str = "network,country,city,latitude,longitude,accuracy_km,asn,as_org,kind
192.0.2.0/28,DE,Berlin,52.52,13.40,20,64496,Example Fibre,residential
192.0.2.16/28,SG,Singapore,1.35,103.82,20,64498,Example Hosting,hosting
192.0.2.32/28,JP,Tokyo,35.68,139.69,20,64499,Example Cable,residential
";

/// Entries that begin and end while the events happen.
const MOVING: &str = "type: value
owner: the test
reason: it moves
entries:
  - {value: U0, until: 2026-03-02T08:10:00Z}
  - {value: U1, from: 2026-03-02T08:05:00Z, until: 2026-03-02T10:00:00Z}
";

const EXCEPTIONS: &str = "
- {name: one_person, rules: [signed_in, many_files], when: actor_id = 'U2', owner: t, reason: t, until: '2026-03-02T08:20:00Z'}
- {name: listed, rules: [quiet], when: \"in_list('moving', actor_id)\", owner: t, reason: t}
- {name: loud, rules: [above_steps], when: rule = 'many_files', owner: t, reason: t}
";

/// Rules over events and over anomalies, each by its name and its `detect`.
const RULES: [(&str, &str); 11] = [
    (
        "signed_in",
        "{kind: match, where: action = 'user_login', key: actor_id, level_by: {low: \"in_list('moving', actor_id)\"}}",
    ),
    (
        "many_files",
        "{kind: threshold, where: action = 'file_downloaded', key: actor_id, measure: count(distinct entity_id), per: 20m, at_least: 2}",
    ),
    (
        "quiet",
        "{kind: sequence, key: actor_id, within: 1h, steps: [{where: action = 'user_login'}], not_followed_by: {where: action = 'file_downloaded', within: 10m}}",
    ),
    (
        "steps",
        "{kind: sequence, key: actor_id, within: 2h, steps: [{where: action = 'user_login', times: 2, gap: 30m}, {where: action = 'file_downloaded', unless: action = 'user_logout'}]}",
    ),
    ("split", "{kind: session_split, key: session_id}"),
    (
        "tried",
        "{kind: match, where: action = 'user_logout', key: actor_id}",
    ),
    (
        "moved",
        "{kind: travel, key: actor_id, trusted: [moving], learn: 1h}",
    ),
    (
        "above_quiet",
        "{kind: sql, key: actor_id, wait: 3m, query: \"SELECT event_id, event_time, order_time, actor_id FROM \
         (SELECT *, count(*) OVER (PARTITION BY actor_id ORDER BY order_time RANGE BETWEEN CURRENT ROW AND \
         INTERVAL '3 minutes' FOLLOWING) AS n FROM anomalies) WHERE n = 1\"}",
    ),
    (
        "above_count",
        "{kind: threshold, from: anomalies, key: actor_id, measure: count(distinct rule), per: 1h, at_least: 2}",
    ),
    (
        "above_steps",
        "{kind: sequence, from: anomalies, key: actor_id, within: 1h, define: {grade: anomaly_level}, evidence: [grade], steps: [{where: rule = 'signed_in'}, {where: rule <> 'signed_in'}], not_followed_by: {where: rule = 'quiet', within: 5m}}",
    ),
    (
        "above_new",
        "{kind: new_value, from: anomalies, key: actor_id, value: \"concat(rule, anomaly_level)\", learn: 10m}",
    ),
];

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let moving = list::yaml("moving.yaml", MOVING).unwrap();
    Lists::new([("moving".to_owned(), moving)].into())
});

static LOADED: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let planner = Planner::with_lists(&LISTS).unwrap();
    let exceptions = Exceptions::parse("exceptions.yaml", EXCEPTIONS).unwrap();
    let load = |(number, (name, detect)): (usize, &(&str, &str))| {
        let suppress = ["0s", "5m", "1h"][number % 3];
        let text = format!(
            "title: {name}\nid: 00000000-0000-4000-8000-{number:012}\nname: {name}\nstatus: test\nlevel: \
             medium\nlogsource: {{product: slack, service: audit}}\ndetect: {detect}\nsuppress: {suppress}\n"
        );
        let mut rule = rule::load(name, &text, &planner, &exceptions).unwrap();
        if name == &"tried" {
            rule.state = State::Shadow;
        }
        rule
    };
    RULES.iter().enumerate().map(load).collect()
});

/// Seconds since the one before, person, action, session and where from.
type Happening = (i64, u8, u8, u8, u8);

fn line(number: usize, time: i64, happening: &Happening) -> String {
    let (_, actor, action, session, place) = happening;
    let action = [
        "user_login",
        "file_downloaded",
        "user_logout",
        "file_downloaded",
    ][usize::from(*action)];
    let agent = ["curl/8.5.0", "python-requests/2.32.3"][usize::from(place % 2)];
    json!({
        "id": format!("00000000-0000-4000-8000-{number:012}"),
        "date_create": time,
        "action": action,
        "actor": {"type": "user", "user": {"id": format!("U{actor}"), "email": "a@example.com"}},
        "entity": {"type": "file", "file": {"id": format!("F{session}")}},
        "context": {
            "ip_address": format!("192.0.2.{}", u32::from(*place) * 16 + 1),
            "session_id": session,
            "ua": agent,
        },
    })
    .to_string()
}

fn run(lines: &[String], execution: Execution, can_repeat: bool, threads: usize) -> Outcome {
    let mut networks = Networks::new();
    networks
        .add_csv("networks.csv", NETWORKS.as_bytes())
        .unwrap();
    let job = Job {
        rules: &LOADED,
        input: Table::Events,
        lists: LISTS.clone(),
        enricher: Arc::new(Enricher::new(networks)),
        resources: Resources {
            threads,
            memory_bytes: 1 << 30,
            state_bytes: usize::MAX,
        },
        execution,
        extra: ColumnSet::default(),
        quiet_micros: 0,
        counted_since: Vec::new(),
        recorded_days: Vec::new(),
    };
    let input = input(lines, can_repeat);
    let outcome = pipeline::detect(vec![input], &job, &mut |_| Ok(())).unwrap();
    assert_eq!((outcome.rejects, &outcome.failures), (0, &Vec::new()));
    outcome
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whole_runs_give_one_answer(
        happenings in prop::collection::vec(
            (prop_oneof![3 => 0..3_i64, 3 => 3..200_i64, 1 => 200..2000_i64], 0..4_u8, 0..4_u8, 0..3_u8, 0..3_u8),
            0..80,
        ),
        threads in 1..3_usize,
    ) {
        let mut time = START;
        let lines: Vec<String> = happenings
            .iter()
            .enumerate()
            .map(|(number, happening)| {
                time += happening.0;
                line(number, time, happening)
            })
            .collect();
        let history = run(&lines, Execution::History, false, threads);
        for can_repeat in [true, false] {
            let live = run(&lines, Execution::Live, can_repeat, threads);
            prop_assert_eq!(&live.anomalies, &history.anomalies);
            prop_assert_eq!(&live.excepted, &history.excepted);
        }
    }
}

/// What the property compares is there to be compared.
#[test]
fn every_rule_of_the_property_finds_something_and_is_excepted_where_it_can_be() {
    let mut time = START;
    let lines: Vec<String> = (0..2000_usize)
        .map(|number| {
            let dice = number.wrapping_mul(2_654_435_761) >> 7;
            let pick = |shift: usize, most: usize| (dice >> shift) % most;
            time += [1, 20, 90, 700][pick(0, 4)];
            let happening = (
                0,
                pick(3, 4) as u8,
                pick(9, 4) as u8,
                pick(13, 3) as u8,
                pick(17, 3) as u8,
            );
            line(number, time, &happening)
        })
        .collect();
    let outcome = run(&lines, Execution::Live, true, 2);
    for (name, _) in RULES {
        let found = outcome
            .anomalies
            .iter()
            .filter(|anomaly| anomaly.rule == name);
        assert!(found.count() > 0, "{name} found nothing");
    }
    for name in ["one_person", "listed", "loud"] {
        let named =
            |anomaly: &&gridwatch::anomaly::Anomaly| anomaly.exception.as_deref() == Some(name);
        assert!(
            outcome.excepted.iter().any(|a| named(&a)),
            "{name} excepts nothing"
        );
    }
    let seen = outcome
        .anomalies
        .iter()
        .filter(|anomaly| anomaly.rule.starts_with("above"));
    let ids: Vec<&str> = outcome
        .anomalies
        .iter()
        .map(|anomaly| anomaly.id.as_str())
        .collect();
    for anomaly in seen {
        assert!(
            ids.contains(&anomaly.event_id.as_str()),
            "{anomaly:?} rests on no anomaly"
        );
    }
    let tried = outcome.anomalies.iter().filter(|anomaly| anomaly.shadow);
    let tried: Vec<&str> = tried.map(|anomaly| anomaly.id.as_str()).collect();
    let mut events = outcome.anomalies.iter().flat_map(|anomaly| &anomaly.events);
    assert!(
        !events.any(|id| tried.contains(&id.as_str())),
        "a rule that is tried out was heard"
    );
}

#[test]
fn reports_of_tests_are_read_by_build_servers() {
    let folder = repository("tests/it/kinds").display().to_string();
    let ran = gridwatch(&["rules", "test", &folder, "--format", "junit"], b"");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let suites = ran.out.matches("<testsuite ").count();
    assert_eq!(suites, 6, "{}", ran.out);
    for part in [
        "<?xml version=\"1.0\"",
        "<testsuite name=\"failed_then_in\" tests=\"7\"",
        "<testcase name=\"three failures and a sign-in\"",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let rule = std::fs::read_to_string(repository("tests/it/kinds/loud_person.yml")).unwrap();
    let folder = Folder::with(&[("rule.yml", &rule.replace("key: U1}]", "key: '<U1>'}]"))]);
    let ran = gridwatch(
        &[
            "rules",
            "test",
            &folder.path("rule.yml"),
            "--format",
            "junit",
        ],
        b"",
    );
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.out.contains("<failure message=\"expected"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("&lt;U1&gt;"), "{}", ran.out);
}
