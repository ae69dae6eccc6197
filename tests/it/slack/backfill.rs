//! Starts in the middle of something, and spans of the past that somebody asks for.

use std::time::Duration;

use gridwatch::simulate::slack::Act;
use gridwatch::store::{Backfill, Store};

use super::grid::{Grid, How, SOURCE, START};
use super::{PATIENCE, SECOND, fault, wait_for};

/// An answer of this kind takes 1.6 s of real time.
const SLOW: Act = Act::SlowBody { millis: 200 };

#[test]
fn a_walk_that_is_cut_short_is_made_anew() {
    let mut grid = Grid::new(How {
        since: -7_200,
        rewalk: 7_200,
        ..How::default()
    });
    grid.fill(120);
    // The fifth call is for the second of two pages.
    grid.fake.script([fault(4, 1, SLOW)]);
    grid.start();
    wait_for("the second page", PATIENCE, || {
        (grid.fake.calls().len() > 4).then_some(())
    });
    grid.stop();
    let kept = grid.ids().len();
    assert!(kept < 10_000, "{kept} events of half a walk are there");
    grid.start();
    grid.run_to(300);
    grid.assert_complete("after a start in the middle of a walk");
    grid.assert_on_time("after a start in the middle of a walk");
}

#[test]
fn starts_lose_and_double_nothing() {
    let mut grid = Grid::new(How::default());
    grid.add_all("new", (0..600).step_by(2));
    for end in [90, 95, 400, 660] {
        grid.start();
        grid.run_to(end);
        grid.stop();
    }
    grid.assert_complete("after several starts");
    grid.assert_on_time("after several starts");
}

/// A source that begins now, with an event every 10 s of these seconds of the past, and memory for slices of
/// some 20 minutes.
fn with_past(first: i64, end: i64) -> Grid {
    let mut grid = Grid::new(How {
        rewalk: 0,
        most_bytes: 64 << 10,
        ..How::default()
    });
    grid.add_all("old", (first..end).step_by(10));
    grid.start();
    grid.run_to(5);
    assert!(grid.ids().is_empty());
    grid
}

/// Asks for all from one second to another; gives the number of the request.
fn ask(grid: &Grid, first: i64, last: i64) -> i64 {
    let store = Store::open(&grid.data()).unwrap();
    let span = (START + first, START + last);
    store
        .ask_for(SOURCE, span, "the test", grid.time.now())
        .unwrap()
}

fn progress(grid: &Grid, id: i64) -> Backfill {
    grid.reader().backfill(id).unwrap().unwrap()
}

#[test]
fn a_past_that_is_asked_for_comes_also_after_a_start_in_the_middle() {
    let mut grid = with_past(-21_600, -3_600);
    let id = ask(&grid, -21_600, -3_601);
    grid.fake.script([fault(2, 4, SLOW)]);
    grid.time.allow((START + 30) * SECOND);
    let most = Duration::from_secs(60);
    wait_for("some of the past", most, || {
        let progress = progress(&grid, id);
        (progress.reached > progress.first).then_some(())
    });
    grid.stop();
    let part = progress(&grid, id);
    assert!(!part.is_over && part.reached < part.last, "{part:?}");
    assert_eq!(part.events, grid.ids().len() as u64);
    grid.start();
    grid.run_to(180);
    let whole = progress(&grid, id);
    assert!(
        whole.is_over && whole.reached == whole.last + 1,
        "{whole:?}"
    );
    assert_eq!(whole.events, 1_800);
    grid.assert_complete("a back-fill");
    let rows = grid.rows();
    assert!(
        rows.iter()
            .all(|row| row.is_late && row.order_time == row.event_time)
    );
}

#[test]
fn a_past_that_is_not_wanted_any_more_is_left() {
    const DAY: i64 = 86_400;
    let grid = with_past(-DAY, -3_600);
    let id = ask(&grid, -DAY, -3_601);
    grid.run_to(30);
    let part = progress(&grid, id);
    assert!(!part.is_over && part.reached > part.first, "{part:?}");
    let store = Store::open(&grid.data()).unwrap();
    assert!(store.end_backfill(id, grid.time.now()).unwrap());
    assert!(!store.end_backfill(id, grid.time.now()).unwrap());
    let asked = || {
        let calls = grid.calls().into_iter();
        let latest = calls.filter_map(|call| call.query?.latest);
        latest.filter(|latest| *latest < START - 3_600).count()
    };
    let before = asked();
    grid.run_to(600);
    // One may have been under way.
    let more = asked() - before;
    assert!(more <= 1, "{more} calls were made for nobody");
    let left = progress(&grid, id);
    assert!(left.is_over && left.reached < left.last, "{left:?}");
    assert!(grid.ids().len() < grid.fake.ids().len());
    grid.assert_polite("a back-fill");
}
