//! When Slack is away for long, refuses the token, or a clock is wrong.

use gridwatch::simulate::slack::Act;
use serde_json::Value;

use super::grid::{Grid, How, SOURCE, START};
use super::{PATIENCE, SECOND, fault, wait_for};

/// With an event every 10 s up to this second, at work for ten minutes.
fn at_work(end: i64) -> Grid {
    let mut grid = Grid::new(How {
        poll: 30,
        rewalk: 3_600,
        ..How::default()
    });
    grid.add_all("new", (0..end).step_by(10));
    grid.start();
    grid.run_to(600);
    let gaps = grid.gaps();
    assert!(gaps.is_empty(), "{gaps:?}");
    grid
}

/// Waits until so many openings and closings of gaps are recorded; gives the last.
fn await_gap(grid: &Grid, records: usize) -> Value {
    wait_for("a gap", PATIENCE, || {
        let gaps = grid.gaps();
        assert!(gaps.len() <= records, "{gaps:?}");
        gaps.into_iter().nth(records - 1)
    })
}

fn assert_all_well(grid: &Grid) {
    let reasons = grid.reasons();
    assert!(reasons.is_empty(), "{reasons:?}");
}

/// The second of a time in a record.
fn second(time: &Value) -> i64 {
    let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    time.as_second() - START
}

/// Fails `FAILURES` times, which takes an hour at least, and comes back.
fn outage(act: Act, status: u16) {
    const FAILURES: u32 = 60;
    let grid = at_work(8_400);
    grid.fake.script([fault(0, FAILURES, act)]);
    grid.run_to(1_800);
    let open = await_gap(&grid, 1);
    assert_eq!(open["source"], SOURCE);
    assert_eq!(open["to"], Value::Null);
    let from = second(&open["from"]);
    assert!((560..600).contains(&from), "it begins at {from} s");
    grid.run_to(9_000);
    let closed = await_gap(&grid, 2);
    assert_eq!(closed["from"], open["from"]);
    assert_eq!(second(&closed["to"]), from, "the watermark did not go on");
    grid.assert_sound("after an outage");
    let calls = grid.calls();
    let failed = calls.iter().filter(|call| call.status == status);
    let failed: Vec<i64> = failed.map(|call| call.at).collect();
    assert_eq!(failed.len(), FAILURES as usize);
    let time = (failed[failed.len() - 1] - failed[0]) / SECOND;
    assert!(time > 3_200, "it took no more than {time} s");
}

#[test]
fn an_hour_without_slack_leaves_a_gap_that_closes() {
    outage(Act::Status(503), 503);
}

#[test]
fn an_hour_without_a_connection_leaves_a_gap_that_closes() {
    outage(Act::HangUp, 0);
}

#[test]
fn a_token_that_is_refused_is_told_and_tried_with_patience() {
    let grid = at_work(1_800);
    grid.fake.revoke_token();
    grid.run_to(1_200);
    let reasons = grid.reasons();
    let is_told = |reason: &String| reason.starts_with("source grid: Slack refuses the token");
    assert!(reasons.iter().any(is_told), "{reasons:?}");
    await_gap(&grid, 1);
    grid.fake.restore_token();
    grid.run_to(2_400);
    await_gap(&grid, 2);
    assert_all_well(&grid);
    grid.assert_sound("after the token was refused");
    grid.assert_waits("the token", 401, 60);
    let calls = grid.calls();
    let refused = calls.iter().filter(|call| call.status == 401).count();
    assert!((2..6).contains(&refused), "it was tried {refused} times");
}

/// The time of day is ahead by so much for a while; gives what is told then.
fn jump(seconds: i64) -> Vec<String> {
    let grid = at_work(2_700);
    grid.time.set_ahead(seconds * SECOND);
    grid.run_to(1_800);
    let reasons = grid.reasons();
    grid.time.set_ahead(0);
    grid.run_to(3_000);
    let what = format!("{seconds} s ahead for a while");
    grid.assert_sound(&what);
    for kind in ["future", "malformed"] {
        let rejects = &grid.metrics.rejects_total;
        let rejects = rejects.with_label_values(&[SOURCE, kind]).get();
        assert_eq!(rejects, 0, "{what}: {kind}");
    }
    grid.await_judged(2_900);
    assert_all_well(&grid);
    reasons
}

#[test]
fn a_clock_that_is_an_hour_ahead_for_a_while_does_no_harm() {
    jump(3_600);
}

#[test]
fn a_clock_that_is_an_hour_behind_for_a_while_is_told_and_does_no_harm() {
    let reasons = jump(-3_600);
    let is_told = |reason: &String| reason.contains("3600 s behind Slack's");
    assert!(reasons.iter().any(is_told), "{reasons:?}");
}
