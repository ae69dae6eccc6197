//! Who is who in Slack, as lists that rules ask.

use std::sync::Arc;

use gridwatch::detect::Table;
use gridwatch::enrich::Enricher;
use gridwatch::enrich::network::Networks;
use gridwatch::event::schema::ColumnSet;
use gridwatch::list::Lists;
use gridwatch::pipeline::{Execution, Job, counted_since, detect_kept, recorded_days};
use gridwatch::simulate::slack::{Group, Options, Person, Role};
use gridwatch::store::ListChange;
use serde_json::Value;

use super::grid::{Grid, How, RESOURCES, event, rules};
use super::{PATIENCE, wait_for};

const OWNER: &str = "U00000OWNER";
const FIRST: &str = "U00000FIRST";
const SECOND_PERSON: &str = "U0000SECOND";
const BOT: &str = "U000000BOT";

/// What an owner does, and what a member of the group does.
const RULES: &[&str] = &[
    "title: An owner acts
id: 00000000-0000-4000-8000-000000000001
name: owner_acts
status: test
level: medium
logsource: {product: slack, service: audit}
detect:
  kind: match
  where: in_list('slack_owners', actor_id)
  key: actor_id
suppress: 0s
",
    "title: Somebody on call acts
id: 00000000-0000-4000-8000-000000000002
name: on_call_acts
status: test
level: low
logsource: {product: slack, service: audit}
detect:
  kind: match
  where: in_list('slack_group_on_call', actor_id)
  key: actor_id
suppress: 0s
",
];

/// The group whose members are on call.
fn on_call(person: &str) -> Vec<Group> {
    vec![Group {
        id: "S000000CALL".to_owned(),
        handle: "On-Call".to_owned(),
        users: vec![person.to_owned()],
    }]
}

/// A service that asks who is who every ten minutes; a method is refused with a code.
fn organisation(refused: &[(&str, &str)]) -> Grid {
    let bot = Person {
        is_bot: true,
        ..Person::new(BOT, Role::Member)
    };
    let people = vec![
        Person::new(OWNER, Role::Owner),
        Person::new(FIRST, Role::Member),
        Person::new(SECOND_PERSON, Role::Admin),
        bot,
    ];
    let refused = refused.iter().map(|(method, code)| {
        let method = (*method).to_owned();
        (method, (*code).to_owned())
    });
    let options = Options {
        people,
        groups: on_call(FIRST),
        refused: refused.collect(),
        ..Options::default()
    };
    let mut grid = Grid::new(How {
        lists_every: Some(600),
        rules: RULES,
        options,
        ..How::default()
    });
    grid.start();
    grid.run_to(60);
    grid
}

/// Waits until so many changes of lists count; gives them by the names of their lists.
fn await_changes(grid: &Grid, count: usize) -> Vec<ListChange> {
    let reader = grid.reader();
    let changes = wait_for("changes of lists", PATIENCE, || {
        let changes = reader.list_changes().unwrap();
        (changes.len() >= count).then_some(changes)
    });
    let mut changes: Vec<ListChange> = changes.into_iter().map(|(_, change)| change).collect();
    changes.sort_by(|one, other| one.list.cmp(&other.list));
    changes
}

fn names(changes: &[ListChange]) -> Vec<&str> {
    changes.iter().map(|change| change.list.as_str()).collect()
}

fn added<'a>(changes: &'a [ListChange], list: &str) -> Vec<&'a str> {
    let mut of_list = changes.iter().filter(|change| change.list == list);
    let change = of_list.next().unwrap();
    change.added.iter().map(String::as_str).collect()
}

fn act(grid: &Grid, id: &str, second: i64, person: &str) {
    grid.fake.add(&event(id, second, person)).unwrap();
}

/// What the rules find in what the service keeps.
fn found_again(grid: &Grid, execution: Execution) -> Vec<String> {
    let reader = Arc::new(grid.reader());
    let lists = Lists::default();
    let rules = rules(RULES, &lists);
    let job = Job {
        rules: &rules,
        input: Table::Events,
        lists,
        enricher: Arc::new(Enricher::new(Networks::new())),
        resources: RESOURCES,
        execution,
        extra: ColumnSet::default(),
        quiet_micros: 0,
        counted_since: counted_since(&reader, &rules).unwrap(),
        recorded_days: recorded_days(&reader, &rules).unwrap(),
    };
    let outcome = detect_kept(&reader, &job, false).unwrap();
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    let anomalies = outcome.anomalies.iter();
    anomalies
        .map(|anomaly| serde_json::to_string(anomaly).unwrap())
        .collect()
}

#[test]
fn people_and_groups_count_from_when_they_are_known() {
    let mut grid = organisation(&[]);
    let changes = await_changes(&grid, 4);
    let lists = [
        "slack_admins",
        "slack_bots",
        "slack_group_on_call",
        "slack_owners",
    ];
    assert_eq!(names(&changes), lists);
    assert_eq!(added(&changes, "slack_owners"), [OWNER]);
    assert_eq!(added(&changes, "slack_bots"), [BOT]);
    assert_eq!(added(&changes, "slack_group_on_call"), [FIRST]);
    act(&grid, "owner", 120, OWNER);
    act(&grid, "first", 121, FIRST);
    act(&grid, "second", 122, SECOND_PERSON);
    grid.run_to(300);
    grid.fake.set_groups(on_call(SECOND_PERSON));
    grid.run_to(660);
    await_changes(&grid, 5);
    act(&grid, "first-later", 720, FIRST);
    act(&grid, "second-later", 721, SECOND_PERSON);
    grid.run_to(900);
    grid.await_judged(721);
    grid.stop();
    let stored = grid.reader().anomalies().unwrap();
    let events = stored.iter().map(|record| {
        let record: Value = serde_json::from_str(record).unwrap();
        record["event_id"].as_str().unwrap().to_owned()
    });
    let events: Vec<String> = events.collect();
    assert_eq!(events, ["owner", "first", "second-later"]);
    for execution in [Execution::Live, Execution::History] {
        assert_eq!(found_again(&grid, execution), stored, "{execution:?}");
    }
}

#[test]
fn refused_groups_leave_people_known() {
    let grid = organisation(&[("usergroups.list", "missing_scope")]);
    let changes = await_changes(&grid, 3);
    let lists = ["slack_admins", "slack_bots", "slack_owners"];
    assert_eq!(names(&changes), lists);
    assert_eq!(added(&changes, "slack_owners"), [OWNER]);
    let reasons = grid.reasons();
    let is_told = |reason: &String| reason.starts_with("Slack's user groups: ");
    assert!(reasons.iter().any(is_told), "{reasons:?}");
    assert_eq!(grid.reader().members("slack_group_on_call").unwrap(), None);
}

#[test]
fn people_are_asked_for_otherwise_where_the_organisation_does_not_tell() {
    let grid = organisation(&[("admin.users.list", "not_allowed_token_type")]);
    let changes = await_changes(&grid, 4);
    assert_eq!(added(&changes, "slack_owners"), [OWNER]);
    assert_eq!(added(&changes, "slack_bots"), [BOT]);
    let calls = grid.fake.calls();
    assert!(calls.iter().any(|call| call.method == "users.list"));
    let reasons = grid.reasons();
    assert!(reasons.is_empty(), "{reasons:?}");
}
