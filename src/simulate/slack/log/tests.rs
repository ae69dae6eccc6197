use proptest::prelude::*;

use super::*;

/// An event of that second, by U1 about F1 unless the number is even.
fn line(second: i64, number: u32) -> String {
    let other = if number.is_multiple_of(2) { 2 } else { 1 };
    let action = if number.is_multiple_of(3) {
        "user_login"
    } else {
        "file_shared"
    };
    format!(
        r#"{{"id":"{number}","date_create":{second},"action":"{action}","actor":{{"type":"user","user":{{"id":"U{other}"}}}},"entity":{{"type":"file","file":{{"id":"F{other}"}}}}}}"#
    )
}

/// Events of these seconds with their delays in seconds; each has its position as its id.
fn log(events: &[(i64, i64)]) -> Log {
    let mut log = Log::new().unwrap();
    for (number, (second, delay)) in (0..).zip(events) {
        log.add(&line(*second, number), delay * SECOND).unwrap();
    }
    log
}

fn query(limit: u32) -> Query {
    Query {
        oldest: None,
        latest: None,
        limit,
        actions: Vec::new(),
        actor: None,
        entity: None,
        cursor: None,
    }
}

/// The numbers of a page's events.
fn numbers(page: &Page) -> Vec<u32> {
    let entries = page.entries.iter();
    entries.map(|entry| entry.position.number).collect()
}

#[test]
fn an_entry_is_small() {
    assert!(size_of::<Entry>() <= 40);
}

#[test]
fn a_page_holds_all_that_tie_with_its_last() {
    let mut log = log(&[(10, 0), (20, 0), (20, 0), (20, 0), (30, 0), (10, 0)]);
    for (limit, page, has_more) in [
        (1, vec![4], true),
        (2, vec![4, 3, 2, 1], true),
        (4, vec![4, 3, 2, 1], true),
        (5, vec![4, 3, 2, 1, 5, 0], false),
        (6, vec![4, 3, 2, 1, 5, 0], false),
    ] {
        let got = log.page(&query(limit), Position::END, 99 * SECOND).unwrap();
        assert_eq!(
            (numbers(&got), got.has_more),
            (page, has_more),
            "limit {limit}"
        );
    }
}

#[test]
fn bounds_are_inclusive_seconds() {
    let mut log = log(&[(10, 0), (20, 0), (30, 0)]);
    for (oldest, latest, page) in [
        (Some(20), None, vec![2, 1]),
        (Some(21), None, vec![2]),
        (None, Some(20), vec![1, 0]),
        (None, Some(19), vec![0]),
        (Some(20), Some(20), vec![1]),
        (Some(30), Some(10), vec![]),
        (Some(i64::MIN), Some(i64::MAX), vec![2, 1, 0]),
    ] {
        let asked = Query {
            oldest,
            latest,
            ..query(9)
        };
        let got = log.page(&asked, Position::END, 99 * SECOND).unwrap();
        assert_eq!(numbers(&got), page, "{oldest:?} to {latest:?}");
        assert!(!got.has_more);
    }
}

#[test]
fn what_is_delayed_comes_later_behind_what_was_seen() {
    let mut log = log(&[(10, 0), (11, 50), (12, -5)]);
    for (now, page) in [
        (9, vec![]),
        (10, vec![0]),
        (12, vec![2, 0]),
        (60, vec![2, 0]),
        (61, vec![2, 1, 0]),
    ] {
        let got = log.page(&query(9), Position::END, now * SECOND).unwrap();
        assert_eq!(numbers(&got), page, "at {now}");
        assert_eq!(log.count(now * SECOND), page.len() as u64);
    }
}

#[test]
fn filters_are_combined() {
    let mut log = log(&[(10, 0), (11, 0), (12, 0), (13, 0), (14, 0)]);
    let names =
        |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let text = |text: &str| Some(text.to_owned());
    for (actions, actor, entity, page) in [
        (names(&["user_login"]), None, None, vec![3, 0]),
        (
            names(&["user_login", "file_shared"]),
            None,
            None,
            vec![4, 3, 2, 1, 0],
        ),
        (names(&["app_installed"]), None, None, vec![]),
        (Vec::new(), text("U1"), None, vec![3, 1]),
        (Vec::new(), None, text("F2"), vec![4, 2, 0]),
        (Vec::new(), text("U1"), text("F2"), vec![]),
        (names(&["user_login"]), text("U2"), text("F2"), vec![0]),
    ] {
        let asked = Query {
            actions,
            actor,
            entity,
            ..query(9)
        };
        let got = log.page(&asked, Position::END, 99 * SECOND).unwrap();
        assert_eq!(numbers(&got), page, "{asked:?}");
    }
    assert!(log.has_action("user_login") && !log.has_action("app_installed"));
}

#[test]
fn new_events_are_given_once_in_their_own_time() {
    let mut log = log(&[(20, 0), (10, 99), (30, 0)]);
    let mut seconds = Vec::new();
    let mut read = |log: &mut Log, now: i64| {
        seconds.clear();
        let give = |line: &[u8]| {
            let event: Value = serde_json::from_slice(line).unwrap();
            seconds.push(event["date_create"].as_i64().unwrap());
        };
        log.read_new(now * SECOND, give).unwrap();
        seconds.clone()
    };
    assert_eq!(read(&mut log, 20), [10, 20]);
    log.add(&line(5, 9), 0).unwrap();
    assert_eq!(read(&mut log, 20), [5]);
    assert_eq!(read(&mut log, 30), [30]);
    assert_eq!(read(&mut log, 99), [0_i64; 0]);
}

#[test]
fn what_has_no_time_is_refused_and_not_shown() {
    let mut log = Log::new().unwrap();
    for text in [
        "",
        "{",
        "secret",
        r#"{"id":"secret"}"#,
        r#"{"date_create":"secret"}"#,
        r#"{"date_create":1.5}"#,
        r#"{"date_create":-1}"#,
        r#"{"date_create":4294967296}"#,
    ] {
        let error = log.add(text, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    assert_eq!(log.count(i64::MAX), 0);
}

#[test]
fn lines_come_back_as_they_were_added() {
    let mut log = Log::new().unwrap();
    for second in [3, 1, 2] {
        let text = format!("  {{ \"date_create\": {second}, \"é\": \"👍\" }}\n");
        log.add(&text, 0).unwrap();
    }
    let mut lines = Vec::new();
    let give = |line: &[u8]| lines.push(String::from_utf8(line.to_vec()).unwrap());
    log.read_seen(2 * SECOND, give).unwrap();
    let line = |second| format!("{{ \"date_create\": {second}, \"é\": \"👍\" }}");
    assert_eq!(lines, [line(1), line(2)]);
}

proptest! {
    #[test]
    fn a_walk_meets_every_event_once_the_newest_first(
        events in prop::collection::vec((0..20_i64, 0..10_i64), 0..60),
        late in prop::collection::vec((0..20_i64, 0..10_i64), 0..20),
        limit in 1_u32..8,
        now in 0..30_i64,
    ) {
        let mut log = log(&events);
        log.page(&query(1), Position::END, 0).unwrap();
        for (number, (second, delay)) in (100..).zip(&late) {
            log.add(&line(*second, number), delay * SECOND).unwrap();
        }
        let all = (0_u32..).zip(events.iter().chain(&late));
        let mut wanted: Vec<(i64, u32)> = all
            .filter(|(_, (second, delay))| second + delay <= now)
            .map(|(number, (second, _))| (*second, number))
            .collect();
        wanted.sort_unstable();
        wanted.reverse();
        let (mut met, mut before) = (Vec::new(), Position::END);
        loop {
            let page = log.page(&query(limit), before, now * SECOND).unwrap();
            let places = page.entries.iter().map(|entry| entry.position);
            met.extend(places.map(|place| (i64::from(place.second), place.number)));
            if !page.has_more {
                break;
            }
            prop_assert!(page.entries.len() >= limit as usize);
            before = page.entries[page.entries.len() - 1].position;
        }
        prop_assert_eq!(met, wanted);
    }
}
