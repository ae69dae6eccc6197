//! Whatever goes wrong between Slack and the service, nothing is lost and nothing is doubled.

use gridwatch::simulate::slack::{Act, Fault};
use proptest::prelude::*;

use super::grid::{Grid, How};
use super::{fault, is_long};

/// What Slack asks for after too many calls, in seconds.
const RETRY_AFTER: i64 = 20;

const LIMITED: Act = Act::RateLimited {
    retry_after_secs: RETRY_AFTER as u64,
};

/// After a token was refused it is tried again no sooner, in seconds.
const REFUSED: i64 = 60;

/// A past of two hours and some minutes of the present, in which these faults happen. The fourth call is for
/// the first of two pages, the fifth for the second.
fn survive(what: &str, faults: &[Fault]) -> Grid {
    let mut grid = Grid::new(How {
        since: -7_200,
        poll: 30,
        rewalk: 7_200,
        ..How::default()
    });
    grid.fill(480);
    grid.fake.script(faults.iter().cloned());
    grid.start();
    grid.run_to(480);
    use_up_faults(&grid);
    // A token that was refused is tried again after ten minutes at most, all else after two.
    let is_refused = faults.iter().any(|fault| fault.act == Act::Forbidden);
    grid.run_on(if is_refused { 720 } else { 180 });
    grid.assert_sound(what);
    grid.assert_waits(what, 429, RETRY_AFTER);
    grid.assert_waits(what, 403, REFUSED);
    grid
}

/// Lets time go by until no fault waits, or none happens any more: a cursor is stale only where there is one.
fn use_up_faults(grid: &Grid) {
    let (mut waiting, mut rounds) = (grid.fake.waiting_faults(), 0);
    while waiting > 0 && rounds < 3 {
        grid.run_on(900);
        rounds += 1;
        if grid.fake.waiting_faults() < waiting {
            (waiting, rounds) = (grid.fake.waiting_faults(), 0);
        }
    }
}

fn survive_each<const N: usize>(cases: [(&str, &[Fault]); N]) {
    for (what, faults) in cases {
        let grid = survive(what, faults);
        assert_eq!(grid.fake.waiting_faults(), 0, "{what}: not all happened");
    }
}

#[test]
fn limits_are_kept_and_lose_nothing() {
    survive_each([
        ("limited from the start", &[fault(0, 6, LIMITED)]),
        (
            "limited between pages, and later once more",
            &[fault(4, 3, LIMITED), fault(12, 5, LIMITED)],
        ),
    ]);
}

#[test]
fn failures_of_slack_lose_and_double_nothing() {
    survive_each([
        (
            "500, then 503 between pages",
            &[
                fault(1, 2, Act::Status(500)),
                fault(4, 4, Act::Status(503)),
                fault(14, 1, Act::Status(502)),
            ],
        ),
        (
            "a page that never comes while it is asked for with a cursor",
            &[fault(4, 12, Act::Status(500))],
        ),
        (
            "another page for people",
            &[fault(2, 2, Act::Html), fault(4, 2, Act::Html)],
        ),
    ]);
}

#[test]
fn broken_connections_lose_and_double_nothing() {
    survive_each([
        (
            "nothing is answered",
            &[fault(0, 2, Act::HangUp), fault(4, 3, Act::HangUp)],
        ),
        (
            "a body is cut, and others are slow",
            &[
                fault(3, 2, Act::CutBody),
                fault(6, 1, Act::CutBody),
                fault(0, 12, Act::SlowBody { millis: 5 }),
            ],
        ),
    ]);
}

#[test]
fn broken_bodies_lose_and_double_nothing() {
    survive_each([(
        "no JSON",
        &[
            fault(3, 2, Act::Malformed),
            fault(4, 2, Act::Truncated),
            fault(12, 1, Act::Malformed),
        ],
    )]);
}

#[test]
fn strange_cursors_lose_and_double_nothing() {
    survive_each([
        ("stale", &[fault(0, 2, Act::StaleCursor)]),
        (
            "to where it came from, once",
            &[fault(3, 1, Act::LoopCursor)],
        ),
        (
            "to where it came from, always",
            &[fault(3, 5, Act::LoopCursor)],
        ),
        (
            "empty pages in the middle, and entries that come twice",
            &[
                fault(3, 2, Act::EmptyPage),
                fault(3, 2, Act::DoubleEntries),
                fault(9, 2, Act::EmptyPage),
            ],
        ),
    ]);
}

#[test]
fn an_answer_that_never_ends_is_given_up() {
    // It takes half a minute of real time.
    if is_long() {
        survive_each([("no end", &[fault(4, 1, Act::Stall)])]);
    }
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let acts = prop::sample::select(vec![
        LIMITED,
        Act::Status(500),
        Act::Status(502),
        Act::Forbidden,
        Act::Html,
        Act::HangUp,
        Act::CutBody,
        Act::SlowBody { millis: 2 },
        Act::Malformed,
        Act::Truncated,
        Act::StaleCursor,
        Act::LoopCursor,
        Act::EmptyPage,
        Act::DoubleEntries,
    ]);
    (0..40_u32, 1..4_u32, acts).prop_map(|(after, times, act)| fault(after, times, act))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if is_long() { 60 } else { 2 },
        max_shrink_iters: 6,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn all_of_it_together_loses_and_doubles_nothing(
        faults in prop::collection::vec(any_fault(), 3..12),
    ) {
        survive("all together", &faults);
    }
}
