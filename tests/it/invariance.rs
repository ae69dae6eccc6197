//! The order of rows, the split into batches and files, the number of threads and the memory do not
//! change the anomalies, to the byte.

use std::sync::{Arc, LazyLock};

use gridwatch::detect::Table;
use gridwatch::detect::history::Resources;
use gridwatch::detect::plan::Planner;
use gridwatch::enrich::Enricher;
use gridwatch::enrich::network::Networks;
use gridwatch::event::schema::ColumnSet;
use gridwatch::list::Lists;
use gridwatch::pipeline::{self, Execution, Job};
use gridwatch::rule::exception::Exceptions;
use gridwatch::rule::{self, Rule, embedded};
use gridwatch::simulate::{self, Attacks, Plan};
use proptest::prelude::*;

use super::input;

/// The embedded rules, with limits that a small organisation reaches.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let planner = Planner::new().unwrap();
    let load = |(file, text): &(&str, &str)| {
        let text = text.replace("at_least: 100", "at_least: 12");
        rule::load(file, &text, &planner, &Exceptions::default()).unwrap()
    };
    embedded::RULES.iter().map(load).collect()
});

/// Lines and networks of an organisation that is attacked much.
static ORGANISATION: LazyLock<(Vec<String>, String)> = LazyLock::new(|| {
    let attacks = Attacks {
        first_day: 6,
        ..Attacks::plenty(1)
    };
    let plan = Plan {
        attacks,
        ..Plan::new(150, 9, 5)
    };
    let (mut events, mut networks) = (Vec::new(), Vec::new());
    simulate::write(
        &plan,
        &mut events,
        &mut networks,
        &mut Vec::new(),
        &mut |_| (),
    )
    .unwrap();
    let lines = String::from_utf8(events)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    (lines, String::from_utf8(networks).unwrap())
});

/// How the rules are run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    History,
    /// From input that can be read once only.
    Live,
    /// From input that can be read again.
    Streaming,
}

/// The records of these files, one JSON object a line.
fn records(files: &[Vec<String>], resources: Resources, way: Way) -> String {
    let mut networks = Networks::new();
    networks
        .add_csv("networks.csv", ORGANISATION.1.as_bytes())
        .unwrap();
    let job = Job {
        rules: &RULES,
        input: Table::Events,
        lists: Lists::default(),
        enricher: Arc::new(Enricher::new(networks)),
        resources,
        execution: match way {
            Way::History => Execution::History,
            Way::Live | Way::Streaming => Execution::Live,
        },
        extra: ColumnSet::default(),
        quiet_micros: 0,
        counted_since: Vec::new(),
        recorded_days: Vec::new(),
    };
    let input = |lines: &Vec<String>| input(lines, way == Way::Streaming);
    let outcome =
        pipeline::detect(files.iter().map(input).collect(), &job, &mut |_| Ok(())).unwrap();
    assert_eq!(outcome.rejects, 0);
    assert_eq!(outcome.failures, []);
    let record = |anomaly| serde_json::to_string(anomaly).unwrap() + "\n";
    outcome.anomalies.iter().map(record).collect()
}

const WHOLE: Resources = Resources {
    threads: 2,
    memory_bytes: 1 << 30,
    state_bytes: usize::MAX,
};

static EXPECTED: LazyLock<String> =
    LazyLock::new(|| records(std::slice::from_ref(&ORGANISATION.0), WHOLE, Way::History));

/// So few people on so few days do not move, nor do they do everything.
const SILENT: [&str; 9] = [
    "app_removed",
    "egress_new",
    "file_bulk_download",
    "file_bulk_download_fixed",
    "file_download_after_travel",
    "organization_changed",
    "owner_transferred",
    "privilege_removed",
    "session_forked",
];

#[test]
fn every_other_rule_finds_something() {
    let is_found = |rule: &&Rule| EXPECTED.contains(&format!("\"rule\":\"{}\"", rule.name));
    let silent = RULES.iter().filter(|rule| !is_found(rule));
    for rule in silent {
        assert!(SILENT.contains(&rule.name.as_str()), "{}", rule.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_but_the_events_counts(
        order in Just((0..ORGANISATION.0.len()).collect::<Vec<_>>()).prop_shuffle(),
        is_shuffled in any::<bool>(),
        copies in prop::collection::vec(0..ORGANISATION.0.len(), 0..50),
        pieces in 1..5_usize,
        threads in 1..5_usize,
        memory_bytes in prop::sample::select(vec![1_usize << 20, 1 << 30]),
        way in prop::sample::select(vec![Way::History, Way::Live, Way::Streaming]),
    ) {
        let lines = &ORGANISATION.0;
        let mut shuffled: Vec<String> = if is_shuffled {
            order.iter().map(|at| lines[*at].clone()).collect()
        } else {
            lines.clone()
        };
        shuffled.extend(copies.iter().map(|at| lines[*at].clone()));
        let size = shuffled.len().div_ceil(pieces);
        let files: Vec<Vec<String>> = shuffled.chunks(size).map(<[String]>::to_vec).collect();
        let found = records(&files, Resources { threads, memory_bytes, ..WHOLE }, way);
        prop_assert_eq!(&found, &*EXPECTED);
    }
}
