//! What the poller promises, whatever Slack answers: tried on a log in memory, with clocks that are driven.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const S: i64 = MICROS;
const START: i64 = 1_772_438_400 * S;

fn settings() -> Settings {
    Settings {
        poll: 5 * S,
        overlap: 60 * S,
        rewalk: 8 * 3_600 * S,
        lag: 2 * S,
        since: START - 3_600 * S,
        calls_per_minute: 35,
        most_bytes: 64 << 20,
        seed: 1,
    }
}

/// An event: when it happened and when it can be seen, in seconds after the start.
#[derive(Clone, Copy, Debug)]
struct Event {
    time: i64,
    seen: i64,
}

/// Slack's log. A cursor is a place in it and its filters are forgotten, as Slack's are.
struct Log {
    events: Vec<Event>,
    page: usize,
    bytes: usize,
}

impl Log {
    fn page(&self, query: &Query, now: i64) -> (Page, Vec<usize>) {
        let second = |event: &Event| START / S + event.time;
        let mut there: Vec<usize> = (0..self.events.len())
            .filter(|at| START + self.events[*at].seen * S <= now)
            .collect();
        there.sort_by_key(|at| (second(&self.events[*at]), *at));
        there.reverse();
        let key = |at: &usize| (second(&self.events[*at]), *at);
        let after = query.cursor.as_ref().map(|cursor| {
            let (time, at) = cursor.split_once('/').unwrap();
            (time.parse::<i64>().unwrap(), at.parse::<usize>().unwrap())
        });
        there.retain(|at| {
            let (time, _) = key(at);
            query.oldest.is_none_or(|oldest| time >= oldest)
                && query.latest.is_none_or(|latest| time <= latest)
                && after.is_none_or(|after| key(at) < after)
        });
        let mut end = there.len().min(self.page);
        // A page holds all that tie with its last.
        while end > 0 && end < there.len() && key(&there[end]).0 == key(&there[end - 1]).0 {
            end += 1;
        }
        let next = (end < there.len()).then(|| {
            let (time, at) = key(&there[end - 1]);
            format!("{time}/{at}")
        });
        there.truncate(end);
        let page = Page {
            body: Bytes::new(),
            entries: there.len(),
            newest: there.first().map(|at| key(at).0),
            oldest: there.last().map(|at| key(at).0),
            next_cursor: next,
            server_time: Some(now / S),
        };
        (page, there)
    }
}

/// A call that goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Limited(u64),
    Down,
    Stale,
}

impl Fault {
    fn error(self) -> Option<Error> {
        let method = || "audit logs".to_owned();
        match self {
            Self::None => None,
            Self::Limited(retry_after_secs) => Some(Error::RateLimited {
                method: method(),
                retry_after_secs,
            }),
            Self::Down => Some(Error::Unavailable {
                method: method(),
                status: 503,
                code: String::new(),
            }),
            Self::Stale => Some(Error::Refused {
                method: method(),
                status: 400,
                code: "invalid_cursor".to_owned(),
                needed: None,
            }),
        }
    }
}

/// What a run came to.
#[derive(Default)]
struct Run {
    /// By event, when it was taken first, in seconds after the start.
    taken: BTreeMap<usize, i64>,
    /// When each call was made.
    calls: Vec<i64>,
    /// Each claim with the time at which it was made.
    claims: Vec<(i64, i64)>,
}

/// Runs a poller over a log for so many seconds; a walk's events are taken when it is whole.
fn run(log: &Log, settings: Settings, secs: i64, faults: &[Fault]) -> Run {
    let (mut now, end) = (START, START + secs * S);
    let at = |now| Moment { now, steady: now };
    let mut poller = Poller::new(settings, None, at(now));
    let mut run = Run::default();
    // What each page held; its body is its number.
    let mut held: Vec<Vec<usize>> = Vec::new();
    let mut faults = faults.iter();
    while now < end {
        match poller.next(at(now)) {
            Next::Wait(until) => {
                assert!(until > now, "it would wait for nothing");
                now = until;
            }
            Next::Call(query) => {
                run.calls.push(now);
                now += S / 10;
                let fault = faults.next().copied().unwrap_or(Fault::None);
                match fault.error() {
                    Some(error) => {
                        poller.failed(&error, at(now));
                    }
                    None => {
                        let (mut page, there) = log.page(&query, now);
                        let mut body = vec![0; there.len() * log.bytes];
                        body.extend(held.len().to_be_bytes());
                        page.body = body.into();
                        held.push(there);
                        poller.answered(page, at(now));
                    }
                }
            }
            Next::Deliver(walked) => {
                for page in &walked.pages {
                    let (_, number) = page.body.split_last_chunk().unwrap();
                    for event in &held[usize::from_be_bytes(*number)] {
                        run.taken.entry(*event).or_insert((now - START) / S);
                    }
                }
                if let Some(claim) = walked.complete_to {
                    run.claims.push((claim, now));
                }
                poller.delivered(walked.complete_to);
            }
        }
    }
    run
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        1 => (1_u64..40).prop_map(Fault::Limited),
        1 => Just(Fault::Down),
        1 => Just(Fault::Stale),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let delay = prop_oneof![8 => 0_i64..3, 2 => 3_i64..60, 1 => 60_i64..500, 1 => 600_i64..3_000];
    let event = (-3_600_i64..3_600, delay).prop_map(|(time, delay)| Event {
        time,
        seen: time + delay,
    });
    vec(event, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_taken_and_no_minute_has_too_many_calls(
        events in events(),
        page in 5_usize..40,
        faults in vec(fault(), 0..200),
        most in 20_usize..200,
    ) {
        let log = Log { events, page, bytes: 10 };
        let settings = Settings { most_bytes: most * 10, ..settings() };
        let run = run(&log, settings, 7 * 3_600, &faults);
        let all: BTreeSet<usize> = (0..log.events.len()).collect();
        let missing: Vec<_> = all.iter().filter(|at| !run.taken.contains_key(at)).collect();
        prop_assert!(missing.is_empty(), "{:?}", missing.iter().map(|at| log.events[**at]).collect::<Vec<_>>());
        for (at, call) in run.calls.iter().enumerate() {
            let recent = run.calls[..=at].iter().rev().take_while(|other| call - **other < 60 * S).count();
            prop_assert!(recent <= 35, "{recent} calls in a minute");
        }
    }

    #[test]
    fn a_claim_is_true_of_all_that_could_be_seen(
        events in events(),
        page in 1_usize..40,
        faults in vec(fault(), 0..100),
    ) {
        let log = Log { events, page, bytes: 10 };
        let run = run(&log, settings(), 2 * 3_600, &faults);
        prop_assert!(!run.claims.is_empty());
        for (claim, made) in run.claims {
            prop_assert!(claim <= made - 2 * S);
            for (at, event) in log.events.iter().enumerate() {
                let time = START + event.time * S;
                // It could be seen by the lag's end.
                let is_prompt = event.seen - event.time <= 1;
                if is_prompt && time < claim && event.time >= -3_600 {
                    let taken = run.taken.get(&at).map(|second| START + second * S);
                    prop_assert!(taken.is_some_and(|taken| taken <= made), "{event:?} by {claim}");
                }
            }
        }
    }
}

#[test]
fn what_is_late_is_taken_by_the_look_and_the_rewalk() {
    for (delay, most) in [
        (1, 12),
        (30, 12),
        (300, 130),
        (1_200, 1_300),
        (14_000, 1_300),
    ] {
        let event = Event {
            time: 100,
            seen: 100 + delay,
        };
        let log = Log {
            events: vec![event],
            page: 100,
            bytes: 10,
        };
        let run = run(&log, settings(), 6 * 3_600, &[]);
        let taken = run.taken[&0];
        assert!(
            taken >= event.seen && taken <= event.seen + most,
            "{delay}: {taken}"
        );
    }
}

#[test]
fn a_backfill_is_walked_through_once_and_tells_how_far_it_is() {
    let events = (0..3_600).map(|time| Event {
        time: time - 90_000,
        seen: time,
    });
    let log = Log {
        events: events.collect(),
        page: 100,
        bytes: 10,
    };
    let at = |now| Moment { now, steady: now };
    let mut now = START + 4_000 * S;
    let mut poller = Poller::new(settings(), Some(now), at(now));
    let wanted = Backfill {
        id: 7,
        from: START / S - 90_000,
        to: START / S - 86_401,
    };
    let (mut reached, mut taken) = (wanted.from, 0);
    while reached <= wanted.to {
        poller.backfill(Some(wanted));
        match poller.next(at(now)) {
            Next::Wait(until) => now = until,
            Next::Call(query) => {
                poller.answered(log.page(&query, now).0, at(now));
            }
            Next::Deliver(walked) => {
                if let Some((id, second)) = walked.reached {
                    assert!(id == 7 && second > reached);
                    assert_eq!(walked.complete_to, None, "it says nothing of what is new");
                    reached = second;
                    taken += walked.pages.iter().map(|page| page.entries).sum::<usize>();
                }
                poller.delivered(walked.complete_to);
            }
        }
        assert!(now < START + 40_000 * S, "it does not get on");
    }
    assert_eq!(taken, 3_600);
}

#[test]
fn a_refused_token_is_not_tried_again_at_once() {
    let refused = Error::Unauthorised {
        method: "audit logs".to_owned(),
        status: 401,
        code: String::new(),
        needed: None,
    };
    let at = |now| Moment { now, steady: now };
    let (mut now, mut calls) = (START, 0);
    let mut poller = Poller::new(settings(), None, at(now));
    while now < START + 3_600 * S {
        match poller.next(at(now)) {
            Next::Wait(until) => now = until,
            Next::Call(_) => {
                calls += 1;
                poller.failed(&refused, at(now));
            }
            Next::Deliver(_) => unreachable!("nothing came"),
        }
    }
    assert!((5..=12).contains(&calls), "{calls} calls in an hour");
}

/// 100,000 people: 50 events a second, and 300 for an hour; 900 bytes each.
#[test]
fn a_large_organisation_fits_into_the_budget() {
    struct Rate(i64, i64);
    impl Rate {
        /// Events up to this second.
        fn before(&self, second: i64) -> i64 {
            let Self(from, to) = self;
            50 * second + 250 * (second.clamp(*from, *to) - from)
        }
    }
    let rate = Rate(4 * 3_600, 5 * 3_600);
    let at = |now| Moment { now, steady: now };
    let mut now = START;
    let first = START / S;
    let settings = Settings {
        since: START - 60 * S,
        ..settings()
    };
    let mut poller = Poller::new(settings, None, at(now));
    let zeros = Bytes::from(vec![0; 20_000 * 900]);
    let mut calls: Vec<i64> = Vec::new();
    let mut behind: BTreeMap<i64, i64> = BTreeMap::new();
    while now < START + 6 * 3_600 * S {
        match poller.next(at(now)) {
            Next::Wait(until) => now = until,
            Next::Call(query) => {
                calls.push(now);
                now += S / 2;
                let newest = query.latest.unwrap_or(now / S).min(now / S);
                let newest = match &query.cursor {
                    Some(cursor) => cursor.parse::<i64>().unwrap() - 1,
                    None => newest,
                };
                let oldest = query.oldest.unwrap();
                // Whole seconds, from the newest back.
                let number =
                    |from: i64| rate.before(newest - first + 1) - rate.before(from - first);
                let mut from = newest;
                while from > oldest && number(from) < 9_999 {
                    from -= 1;
                }
                let entries = number(from).max(0) as usize;
                let page = Page {
                    body: zeros.slice(..entries * 900),
                    entries,
                    newest: Some(newest),
                    oldest: Some(from),
                    next_cursor: (from > oldest).then(|| from.to_string()),
                    server_time: Some(now / S),
                };
                poller.answered(page, at(now));
            }
            Next::Deliver(walked) => {
                if let Some(claim) = walked.complete_to {
                    let hour = (now - START) / S / 3_600;
                    let worst = behind.entry(hour).or_default();
                    *worst = (*worst).max((now - claim) / S);
                }
                poller.delivered(walked.complete_to);
            }
        }
    }
    for (position, call) in calls.iter().enumerate() {
        let recent = calls[..=position].iter().rev();
        assert!(recent.take_while(|other| call - **other < 60 * S).count() <= 35);
    }
    // When polls began, the claim was as old as the poll before and its pages.
    assert!(behind[&3] <= 12, "{behind:?}");
    assert!(behind[&4] <= 30, "{behind:?}");
}
