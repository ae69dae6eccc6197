//! Many senders at a time, and one that sends more than there is room for.

use std::thread;
use std::time::Duration;

use gridwatch::clock::{Clock, Stopwatch};

use super::client::Client;
use super::{LOG, Service, body, finding, pause};

/// So many lines are nearly all that a source with 1 MiB has room for.
const BATCH: usize = 400;

/// Nobody waits longer for an answer while there is room.
const SOON: Duration = Duration::from_secs(2);

#[test]
fn under_pressure_some_are_sent_away_and_nothing_is_lost() {
    const SENDERS: usize = 8;
    // Events wait for 5 s of silence before the last of them are judged, and keep their room.
    let slow = "sources: {push: {type: push, lateness_secs: 5}}";
    let mut service = Service::new(&LOG, &format!("memory: {{ingest_mib: 1}}\n{slow}"));
    service.start();
    let too_much = service
        .sender()
        .push(body(&LOG.lines[..2 * BATCH]))
        .unwrap();
    assert_eq!(too_much.status, 413, "{}", too_much.text);
    let sent_away: usize = thread::scope(|scope| {
        let send = |batch: &'static [String]| {
            let client = service.sender();
            scope.spawn(move || client.push_patiently(batch))
        };
        let senders: Vec<_> = LOG.lines.chunks(BATCH).take(SENDERS).map(send).collect();
        senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .sum()
    });
    println!("{sent_away} requests of {SENDERS} senders were sent away");
    assert!(sent_away > 0);
    service.stop();
    service.assert_keeps(&LOG.lines[..SENDERS * BATCH]);
}

/// Sends these lines of the old log, and new events, at one time; each sender waits for its answer
/// before it goes on. Gives the longest time that each had to wait.
fn old_and_new(old: &Client, new: &Client, lines: &[String]) -> [Duration; 2] {
    let longest = |client: &Client, batches: &mut dyn Iterator<Item = Vec<u8>>| {
        let mut longest = Duration::ZERO;
        for batch in batches {
            let watch = Stopwatch::start();
            let answer = client.push(batch).unwrap();
            longest = longest.max(watch.elapsed());
            assert_eq!(answer.receipt().1, 0);
        }
        longest
    };
    thread::scope(|scope| {
        let old = scope.spawn(|| longest(old, &mut lines.chunks(200).map(body)));
        let new = scope.spawn(|| longest(new, &mut (0..BATCHES).map(new_events)));
        [old.join().unwrap(), new.join().unwrap()]
    })
}

/// Requests with new events, and events of each.
const BATCHES: usize = 20;
const NEW: usize = 50;

/// Events of just now.
fn new_events(batch: usize) -> Vec<u8> {
    let now = Clock::system().now() / 1_000_000;
    let events = (0..NEW).map(|n| finding(&format!("new-{batch}-{n}"), now));
    body(&events.collect::<Vec<String>>())
}

#[test]
fn senders_of_old_and_new_events_do_not_wait_for_each_other() {
    let two = "sources: {old: {type: push}, new: {type: push}}";
    for (blocks, names) in [("", ["push", "push"]), (two, ["old", "new"])] {
        let mut service = Service::new(&LOG, blocks);
        service.start();
        let [old, new] = names.map(|name| service.sender().to(name));
        let longest = old_and_new(&old, &new, &LOG.lines[..4000]);
        println!("{names:?}: the longest answers took {longest:?}");
        assert!(longest.iter().all(|time| *time < SOON), "{longest:?}");
        service.stop();
        let totals = service.reader().totals().unwrap();
        let kept = totals.tail_rows + totals.segment_rows;
        assert_eq!(kept, 4000 + (BATCHES * NEW) as u64);
    }
}

/// One source holds the watermark back, so that another has no room for a while: the first must be
/// able to go on, or neither is.
#[test]
fn a_source_that_is_full_keeps_no_other_waiting() {
    const SENDERS: usize = 16;
    let sources = "sources: {slow: {type: push, lateness_secs: 60}, full: {type: push}}";
    let mut service = Service::new(&LOG, &format!("memory: {{ingest_mib: 1}}\n{sources}"));
    service.start();
    let [slow, full] = ["slow", "full"].map(|name| service.sender().to(name));
    assert_eq!(slow.push(body(&LOG.lines[..1])).unwrap().status, 200);
    let watch = Stopwatch::start();
    let is_over = || watch.elapsed() > Duration::from_secs(5);
    let longest = thread::scope(|scope| {
        for sender in 1..=SENDERS {
            let (full, start) = (full.clone(), sender * BATCH);
            scope.spawn(move || {
                let batch = &LOG.lines[start..start + BATCH];
                while !is_over() && full.push(body(batch)).unwrap().status == 429 {}
            });
        }
        let mut longest = Duration::ZERO;
        for n in 1..5 {
            pause(Duration::from_secs(1));
            let watch = Stopwatch::start();
            let answer = slow.push(body(&LOG.lines[n..=n])).unwrap();
            longest = longest.max(watch.elapsed());
            assert_eq!(answer.receipt(), (1, 0, 0));
        }
        longest
    });
    println!("the longest answer took {longest:?}");
    assert!(longest < SOON, "{longest:?}");
    service.kill();
}
