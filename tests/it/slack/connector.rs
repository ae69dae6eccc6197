//! What other connectors fail at: see the table of this module.

use std::collections::HashMap;

use arrow::array::AsArray;
use gridwatch::event::schema::Column;
use gridwatch::simulate::slack::{Act, FakeSlack, Options, Query};
use serde_json::json;

use super::grid::{Grid, How, SOURCE, START, event};
use super::{RUNTIME, fault};

/// With an event every 5 s up to this second.
fn usual(end: i64) -> Grid {
    let grid = Grid::new(How::default());
    grid.add_all("new", (0..end).step_by(5));
    grid
}

fn queries(grid: &Grid) -> Vec<Query> {
    let calls = grid.calls().into_iter();
    calls.filter_map(|call| call.query).collect()
}

/// The values of a column of text by the ids of their events.
fn texts(grid: &Grid, column: Column) -> HashMap<String, Option<String>> {
    let mut texts = HashMap::new();
    for batch in grid.load(&[Column::EventId, column]) {
        let ids = batch[Column::EventId.name()].as_string_view();
        let values = batch[column.name()].as_string_view();
        for (id, value) in ids.iter().zip(values) {
            texts.insert(id.unwrap().to_owned(), value.map(str::to_owned));
        }
    }
    texts
}

#[test]
fn a_page_of_html_is_none_of_slacks() {
    let mut grid = usual(300);
    grid.fake.script([fault(0, 8, Act::Html)]);
    grid.start();
    grid.run_to(60);
    let reasons = grid.reasons();
    let is_told = |reason: &String| {
        let words = ["none of Slack's", "check that the endpoint is Slack's"];
        words.iter().all(|word| reason.contains(word))
    };
    assert!(reasons.iter().any(is_told), "{reasons:?}");
    grid.run_to(900);
    grid.assert_sound("after pages of HTML");
}

/// Asks for a page with events of one action so many times, as another app does; gives the last answer.
fn other_app(fake: &FakeSlack, calls: usize) -> String {
    gridwatch::tls::provide();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}logs", fake.audit_endpoint());
    RUNTIME.block_on(async {
        let mut text = String::new();
        for _ in 0..calls {
            let request = client.get(&url).bearer_auth(fake.token());
            let query = [("action", "user_login"), ("limit", "1")];
            let answer = request.query(&query).send().await.unwrap();
            text = answer.text().await.unwrap();
        }
        text
    })
}

#[test]
fn success_says_no_ok() {
    let mut grid = usual(60);
    grid.start();
    grid.run_to(120);
    let page = other_app(&grid.fake, 1);
    assert!(page.starts_with("{\"entries\":[{"), "{page}");
    assert!(!page.contains("\"ok\""), "{page}");
    grid.assert_sound("without `ok`");
}

#[test]
fn a_walk_ends_with_an_empty_cursor_or_with_none() {
    // The fake writes both, in turn.
    let mut grid = usual(240);
    grid.start();
    grid.run_to(300);
    let queries = queries(&grid);
    assert!(queries.len() > 20);
    assert!(queries.iter().all(|query| query.cursor.is_none()));
    grid.assert_sound("the last page");
}

#[test]
fn an_empty_address_is_no_address() {
    let mut grid = Grid::new(How::default());
    for (id, address) in [("empty", json!("")), ("absent", json!(null))] {
        let line = json!({
            "id": id,
            "date_create": START + 5,
            "action": "user_login",
            "context": {"ip_address": address, "ua": ""},
        });
        grid.fake.add(&line.to_string()).unwrap();
    }
    grid.start();
    grid.run_to(30);
    grid.assert_sound("an empty address");
    let addresses = texts(&grid, Column::Ip);
    assert_eq!(addresses["empty"], None);
    assert_eq!(addresses["absent"], None);
}

#[test]
fn a_cursor_that_expired_is_given_up() {
    // With two calls a minute, the next page is asked for after a minute.
    let mut grid = Grid::new(How {
        since: -7_200,
        rewalk: 7_200,
        calls_per_minute: 2,
        options: Options {
            cursor_secs: 30,
            ..Options::default()
        },
        ..How::default()
    });
    grid.fill(600);
    grid.start();
    grid.run_to(1_200);
    grid.assert_sound("expired cursors");
    let calls = grid.calls();
    let expired: Vec<usize> = (0..calls.len())
        .filter(|at| calls[*at].status == 400)
        .collect();
    assert!(!expired.is_empty());
    for at in expired {
        let is_repeated = calls.get(at + 1).is_some_and(|next| {
            let next = next.query.as_ref();
            next.is_some_and(|query| query.cursor.is_some()) && next == calls[at].query.as_ref()
        });
        assert!(!is_repeated, "an expired cursor was sent again");
    }
}

#[test]
fn each_page_is_asked_for_with_the_same_span() {
    let mut grid = Grid::new(How {
        since: -7_200,
        rewalk: 7_200,
        ..How::default()
    });
    grid.fill(60);
    grid.start();
    grid.run_to(90);
    let queries = queries(&grid);
    let span = |query: &Query| (query.oldest, query.latest);
    let mut followed = 0;
    for (at, query) in queries.iter().enumerate() {
        if query.cursor.is_some() {
            let mut firsts = queries[..at].iter().filter(|first| first.cursor.is_none());
            assert!(firsts.any(|first| span(first) == span(query)), "{query:?}");
            followed += 1;
        }
    }
    assert!(followed > 1);
    grid.assert_sound("several pages");
}

#[test]
fn all_actions_come_without_a_list_of_them() {
    let mut grid = Grid::new(How::default());
    for number in 0..60 {
        let line = event(&format!("event-{number}"), 5, "U1");
        let line = line.replace("user_login", &format!("action_of_tomorrow_{number}"));
        grid.fake.add(&line).unwrap();
    }
    grid.start();
    grid.run_to(30);
    grid.assert_sound("60 actions");
    let queries = queries(&grid);
    assert!(queries.iter().all(|query| query.actions.is_empty()));
}

#[test]
fn what_slack_writes_is_kept_as_it_is() {
    let mut grid = Grid::new(How::default());
    let second = START + 5;
    let lines = [
        // Microseconds beside seconds.
        (
            "anomaly",
            format!(
                r#"{{"id":"anomaly","date_create":{second},"action":"anomaly","details":{{"action_timestamp":{second}123456,"reason":["tor"]}}}}"#
            ),
        ),
        (
            "number",
            format!(
                r#"{{"id":"number","date_create":{second},"action":"user_login","context":{{"session_id":123}},"field_of_tomorrow":{{"a":[1.50,1e3]}}}}"#
            ),
        ),
        (
            "text",
            format!(
                r#"{{"id":"text","date_create":{second},"action":"user_login","context":{{"session_id":"0123","ua":"a\/b \u00e9"}}}}"#
            ),
        ),
    ];
    for (_, line) in &lines {
        grid.fake.add(line).unwrap();
    }
    grid.start();
    grid.run_to(30);
    grid.assert_sound("events of all kinds");
    let raw = texts(&grid, Column::Raw);
    for (id, line) in &lines {
        assert_eq!(raw[*id].as_ref(), Some(line));
    }
    let sessions = texts(&grid, Column::SessionId);
    assert_eq!(sessions["number"].as_deref(), Some("123"));
    assert_eq!(sessions["text"].as_deref(), Some("0123"));
    let times: Vec<i64> = grid.rows().iter().map(|row| row.event_time).collect();
    assert_eq!(times, [second * super::SECOND; 3]);
}

#[test]
fn other_apps_may_use_up_the_limit() {
    let mut grid = usual(360);
    grid.start();
    for minute in 0..6 {
        grid.run_to(60 * minute + 25);
        other_app(&grid.fake, 45);
    }
    grid.run_to(600);
    grid.assert_sound("beside another app");
    let calls = grid.calls();
    let limited = calls.iter().filter(|call| call.status == 429).count();
    assert!(limited > 0, "the limit was never reached");
    let results = &grid.metrics.source_calls_total;
    let results = results.with_label_values(&[SOURCE, "rate_limited"]);
    assert_eq!(results.get(), limited as u64);
}
