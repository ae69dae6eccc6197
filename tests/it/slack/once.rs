//! What Slack lists comes in, once, from where a first start begins.

use std::iter::repeat_n;

use super::SECOND;
use super::grid::{Grid, How, START};

#[test]
fn every_event_of_three_hours_comes_once() {
    let mut grid = Grid::new(How {
        since: -7_200,
        poll: 30,
        rewalk: 7_200,
        ..How::default()
    });
    grid.fill(3_600);
    grid.start();
    grid.run_to(3_660);
    grid.assert_sound("three hours");
    let calls = grid.calls();
    let queries = calls.iter().filter_map(|call| call.query.as_ref());
    let followed = queries.filter(|query| query.cursor.is_some()).count();
    assert!(followed > 1, "no walk had several pages");
}

#[test]
fn a_second_may_hold_more_than_a_page() {
    const TIED: usize = 25_000;
    let mut grid = Grid::new(How {
        since: -7_200,
        rewalk: 0,
        ..How::default()
    });
    grid.add_all("before", -3_700..-3_600);
    grid.add_all("tied", repeat_n(-3_600, TIED));
    grid.add_all("after", -3_599..-3_499);
    grid.start();
    grid.run_to(30);
    grid.assert_sound("a second with many events");
    assert_eq!(grid.ids().len(), TIED + 200);
}

#[test]
fn time_goes_on_without_events() {
    let mut grid = Grid::new(How::default());
    grid.start();
    grid.run_to(600);
    grid.await_judged(580);
    assert!(grid.ids().is_empty());
    grid.add_all("only", 700..701);
    grid.run_to(720);
    grid.assert_sound("a single event");
    assert_eq!(grid.ids(), ["only-0"]);
}

#[test]
fn a_first_start_takes_nothing_older() {
    for since in [0, -3_600] {
        let mut grid = Grid::new(How {
            since,
            ..How::default()
        });
        grid.add_all("old", (-10_800..since).step_by(60));
        grid.add_all("new", (since..600).step_by(60));
        grid.start();
        // The second look and the walks through the past come by.
        grid.run_to(900);
        let rows = grid.rows();
        let old = rows
            .iter()
            .find(|row| row.event_time < (START + since) * SECOND);
        assert!(old.is_none(), "since {since} s: {old:?} is older");
        let new = (600 - since).unsigned_abs() / 60;
        assert_eq!(rows.len() as u64, new, "since {since} s");
        grid.assert_polite("a first start");
    }
}

#[test]
fn a_small_memory_makes_small_steps() {
    let mut grid = Grid::new(How {
        since: -7_200,
        rewalk: 0,
        most_bytes: 256 << 10,
        ..How::default()
    });
    grid.fill(120);
    grid.start();
    grid.run_to(300);
    grid.assert_sound("little memory");
    let calls = grid.calls();
    let spans = calls.iter().filter_map(|call| {
        let query = call.query.as_ref()?;
        // The second look is for what happened later.
        let latest = query.latest.filter(|latest| *latest < START - 600)?;
        Some(latest - query.oldest?)
    });
    let short = spans.filter(|seconds| *seconds < 600).count();
    assert!(short > 5, "the past was walked through in long steps");
}
