//! Slack's audit log, asked for again and again: what to ask next, and what follows from the answers.
//!
//! ```text
//! poll      what is new, and a little before it ──┐
//! look      the last ten minutes ─────────────────┤   budget     walk         walked
//! rewalk    the last hours, for what came late ───┼─► (calls a ─► (pages of ─► (a slice, whole:
//! backfill  what somebody asked for ──────────────┘   minute)     a slice)     events and claim)
//! ```
//!
//! Slack gives pages with the newest event first, and its list grows while it is read, at the end and, as
//! events come late, in the middle. So a span counts as read only when a walk through all of it is over, and
//! the recent past is read several times; whoever takes the events drops those that it knows. Long spans are
//! cut into slices, the oldest first, so that the memory in use does not grow with them.
//!
//! Nothing here reads a clock or does I/O: [`Poller::next`] says what to do, and is told what came of it.

mod budget;
mod round;
#[cfg(test)]
mod tests;
mod walk;

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use self::budget::Budget;
use self::round::{Round, Slices};
use self::walk::{Step, Walk};
use crate::event::time::MICROS;
use crate::slack::Error;
use crate::slack::audit::{MOST_ENTRIES, Page, Query};

/// How the log is asked for; times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From one poll to the next.
    pub poll: i64,
    /// How far each poll goes back behind what is known to be in.
    pub overlap: i64,
    /// How much of the past is walked through again and again.
    pub rewalk: i64,
    /// An event that is older when it comes counts as delayed.
    pub lag: i64,
    /// Nothing before it is asked for, but in a back-fill; by the clock.
    pub since: i64,
    pub calls_per_minute: u32,
    /// The most bytes of pages that are held at a time, for each of four walks.
    pub most_bytes: usize,
    /// Sets apart the pauses of several programs that fail together.
    pub seed: u64,
}

/// When something is asked for, or comes; microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the clock.
    pub now: i64,
    /// By a clock that goes on evenly.
    pub steady: i64,
}

/// What to do next.
#[derive(Debug)]
pub enum Next {
    /// Ask Slack for this page, and tell [`Poller::answered`] or [`Poller::failed`].
    Call(Query),
    /// Take these events, and tell [`Poller::delivered`].
    Deliver(Walked),
    /// There is nothing to do before this steady time.
    Wait(i64),
}

/// A slice that was walked through.
#[derive(Debug)]
pub struct Walked {
    /// Those with the oldest events first.
    pub pages: Vec<Page>,
    /// All events before this time are in with them, in microseconds; `None` if they say nothing of it.
    pub complete_to: Option<i64>,
    /// The back-fill that this is a part of, and up to which second it has come.
    pub reached: Option<(i64, i64)>,
}

/// A span that somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backfill {
    pub id: i64,
    /// Unix seconds, both within.
    pub from: i64,
    pub to: i64,
}

/// Why a walk is made; the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Poll,
    Look,
    Backfill,
    Rewalk,
}

const PURPOSES: [Purpose; 4] = [
    Purpose::Poll,
    Purpose::Look,
    Purpose::Backfill,
    Purpose::Rewalk,
];

/// The second look goes back so far, and is taken so often.
const LOOK_BACK: i64 = 600 * MICROS;
const LOOK_EVERY: i64 = 60 * MICROS;
/// The past is walked through at most so often.
const REWALK_EVERY: i64 = 600 * MICROS;
/// Calls of a minute that polls and looks leave to the others, whatever there is to do.
const SPARE: u32 = 2;
/// A token that is refused is tried again after so long, at first and at most.
const REFUSED: (i64, i64) = (60 * MICROS, 600 * MICROS);
/// A page that failed so often is asked for without its cursor.
const MOST_FAILURES: u32 = 5;

/// What is walked through for one purpose.
#[derive(Debug)]
struct Lane {
    round: Option<Round>,
    /// How long its slices are: it walks through another time than the others do.
    slices: Slices,
    /// When the next round begins, by the steady clock.
    due: i64,
    /// When the round under way began.
    begun: i64,
    /// Pages of the last whole round.
    pages: u32,
}

/// Decides what is asked for, and when.
#[derive(Debug)]
pub struct Poller {
    settings: Settings,
    budget: Budget,
    lanes: [Lane; PURPOSES.len()],
    /// All events before it are in, in microseconds.
    claim: Option<i64>,
    backfill: Option<Backfill>,
    /// Which of the last two purposes has the next spare call.
    is_rewalks_turn: bool,
    /// What the call under way is for, and when it was made.
    asked: Option<(Purpose, Moment)>,
    /// What waits to be taken.
    ready: Option<Walked>,
    backoff: ExponentialBackoff,
    failures: u32,
    /// Slack's clock in microseconds, and when it was that by ours.
    by_slack: Option<(i64, i64)>,
}

impl Poller {
    /// Begins behind what an earlier run is known to have in, in microseconds, if there was one.
    pub fn new(settings: Settings, claim: Option<i64>, at: Moment) -> Self {
        let lanes = PURPOSES.map(|_| Lane {
            round: None,
            slices: Slices::new(settings.most_bytes),
            due: at.steady,
            begun: at.steady,
            pages: 1,
        });
        Self {
            budget: Budget::new(settings.calls_per_minute),
            lanes,
            claim,
            backfill: None,
            is_rewalks_turn: false,
            asked: None,
            ready: None,
            backoff: backoff(settings.seed),
            failures: 0,
            by_slack: None,
            settings,
        }
    }

    /// Walks through this span with what the budget leaves; ends one that nobody wants any more.
    pub fn backfill(&mut self, wanted: Option<Backfill>) {
        let id = |backfill: &Backfill| backfill.id;
        if self.backfill.as_ref().map(id) != wanted.as_ref().map(id) {
            self.lane(Purpose::Backfill).round = None;
            self.backfill = wanted;
        }
    }

    /// What to do now.
    pub fn next(&mut self, at: Moment) -> Next {
        if let Some(walked) = self.ready.take() {
            return Next::Deliver(walked);
        }
        let mut soonest = at.steady + LOOK_EVERY;
        for purpose in self.order() {
            let Some(when) = self.when(purpose, at) else {
                continue;
            };
            if when > at.steady {
                soonest = soonest.min(when);
            } else if self.begin(purpose, at) {
                return Next::Call(self.call(purpose, at));
            }
        }
        Next::Wait(soonest)
    }

    /// The page that was asked for.
    pub fn answered(&mut self, page: Page) {
        let Some((purpose, asked)) = self.asked.take() else {
            return;
        };
        self.failures = 0;
        self.backoff = backoff(self.settings.seed);
        if let Some(second) = page.server_time {
            self.by_slack = Some((second * MICROS, asked.steady));
        }
        let now = self.present(asked) / MICROS;
        let Lane { round, slices, .. } = &mut self.lanes[purpose as usize];
        // It may not be wanted any more.
        let Some(walk) = round.as_mut().and_then(Round::under_way) else {
            return;
        };
        match walk.take(page, asked.now) {
            Step::More if slices.is_too_large(walk, now) => {
                slices.shorten(walk, now);
                self.drop_walk(purpose);
            }
            Step::More => {}
            Step::Stuck => {
                self.drop_walk(purpose);
                self.rest(asked.steady);
            }
            Step::Done => self.finish(purpose, asked),
        }
    }

    /// Why the page that was asked for did not come.
    pub fn failed(&mut self, error: &Error, at: Moment) {
        let Some((purpose, _)) = self.asked.take() else {
            return;
        };
        self.failures += 1;
        match error {
            Error::RateLimited {
                retry_after_secs, ..
            } => {
                let wait = i64::try_from(*retry_after_secs).unwrap_or(i64::MAX / MICROS);
                self.budget.rest(at.steady.saturating_add(wait * MICROS));
            }
            Error::Unauthorised { .. } => {
                let wait = REFUSED.0 << (self.failures - 1).min(8);
                self.budget.rest(at.steady + wait.min(REFUSED.1));
            }
            Error::Refused { status: 400, .. } if self.has_cursor(purpose) => {
                // A cursor does not live for ever.
                self.drop_cursor(purpose, at.steady);
            }
            Error::Refused { .. } => {
                self.drop_walk(purpose);
                self.rest(at.steady);
            }
            Error::Unavailable { .. } | Error::Connection { .. } | Error::Malformed { .. } => {
                self.rest(at.steady);
                if self.failures.is_multiple_of(MOST_FAILURES) && self.has_cursor(purpose) {
                    self.drop_cursor(purpose, at.steady);
                }
            }
        }
    }

    /// The page that was asked for came, and cannot be used just now.
    pub fn unusable(&mut self, at: Moment) {
        if let Some((purpose, _)) = self.asked.take() {
            self.failures += 1;
            self.drop_walk(purpose);
            self.rest(at.steady);
        }
    }

    /// What was given to be taken is taken.
    pub fn delivered(&mut self, complete_to: Option<i64>) {
        self.claim = self.claim.max(complete_to);
    }

    /// Calls that failed since one succeeded.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn lane(&mut self, purpose: Purpose) -> &mut Lane {
        &mut self.lanes[purpose as usize]
    }

    /// The purposes, those that come first before the others.
    fn order(&self) -> [Purpose; PURPOSES.len()] {
        let mut order = PURPOSES;
        if self.is_rewalks_turn {
            order.swap(2, 3);
        }
        order
    }

    /// When the next call for this purpose may be made; `None` while there is nothing to ask.
    fn when(&mut self, purpose: Purpose, at: Moment) -> Option<i64> {
        let is_behind = self.is_behind(at);
        let lane = &self.lanes[purpose as usize];
        let due = if lane.round.is_some() {
            at.steady
        } else {
            lane.due
        };
        match purpose {
            Purpose::Poll => Some(due.max(self.budget.free_at(at.steady))),
            _ if is_behind => None,
            Purpose::Look => Some(due.max(self.budget.free_at(at.steady))),
            Purpose::Backfill if self.backfill.is_none() => None,
            Purpose::Rewalk if self.settings.rewalk <= LOOK_BACK => None,
            Purpose::Backfill | Purpose::Rewalk => {
                let urgent = self.urgent();
                Some(due.max(self.budget.spare_at(at.steady, urgent)))
            }
        }
    }

    /// Whether polls are far behind the present, and have all calls to themselves.
    fn is_behind(&self, at: Moment) -> bool {
        self.claim
            .is_none_or(|claim| claim < self.present(at) - LOOK_BACK)
    }

    /// The present, by the clock or by Slack's if that is behind it: what lies ahead of Slack, it refuses.
    fn present(&self, at: Moment) -> i64 {
        let by_slack = self.by_slack.map_or(i64::MAX, |(time, steady)| {
            time.saturating_add(at.steady - steady + MICROS)
        });
        at.now.min(by_slack)
    }

    /// Begins a round, unless one is under way; false if there is nothing to walk through yet.
    fn begin(&mut self, purpose: Purpose, at: Moment) -> bool {
        if self.lane(purpose).round.is_some() {
            return true;
        }
        let round = self.round(purpose, at);
        let is_empty = round.is_over();
        let lane = self.lane(purpose);
        lane.begun = at.steady;
        lane.round = Some(round);
        if is_empty {
            self.end(purpose, at);
        }
        !is_empty
    }

    fn call(&mut self, purpose: Purpose, at: Moment) -> Query {
        self.budget.take(at.steady);
        self.asked = Some((purpose, at));
        if matches!(purpose, Purpose::Backfill | Purpose::Rewalk) {
            self.is_rewalks_turn = purpose == Purpose::Backfill;
        }
        let now = self.present(at) / MICROS;
        let Lane { round, slices, .. } = self.lane(purpose);
        let walk = round.as_mut().map(|round| round.walk(slices, now));
        walk.map_or_else(Query::default, |walk| walk.query(MOST_ENTRIES))
    }

    /// What is to be walked through.
    fn round(&self, purpose: Purpose, at: Moment) -> Round {
        let Settings {
            overlap,
            rewalk,
            since,
            ..
        } = self.settings;
        let present = self.present(at);
        let second = |time: i64| time.max(since).div_euclid(MICROS);
        match (purpose, self.backfill) {
            (Purpose::Look, _) => {
                let end = present - overlap.min(LOOK_BACK);
                Round::new(second(present - LOOK_BACK), Some(second(end)))
            }
            (Purpose::Rewalk, _) => {
                Round::new(second(present - rewalk), Some(second(present - LOOK_BACK)))
            }
            (Purpose::Backfill, Some(wanted)) => Round::new(wanted.from, Some(wanted.to)),
            (Purpose::Poll | Purpose::Backfill, _) => {
                let begin = self.claim.map_or(since, |claim| claim - overlap);
                Round::new(second(begin), None)
            }
        }
    }

    /// A slice is walked through.
    fn finish(&mut self, purpose: Purpose, at: Moment) {
        let now = self.present(at) / MICROS;
        let Lane { round, slices, .. } = &mut self.lanes[purpose as usize];
        let Some(round) = round else {
            return;
        };
        let Some(walk) = round.finish_walk() else {
            return;
        };
        slices.learn(&walk, now);
        let complete_to = (purpose == Purpose::Poll)
            .then(|| complete_to(&walk, self.settings.lag))
            .flatten();
        let backfill = self.backfill.filter(|_| purpose == Purpose::Backfill);
        let reached = backfill.map(|backfill| (backfill.id, round.next()));
        self.ready = Some(Walked {
            pages: walk.into_pages(),
            complete_to,
            reached,
        });
        if round.is_over() {
            self.end(purpose, at);
        }
    }

    /// All that was to be walked through is.
    fn end(&mut self, purpose: Purpose, at: Moment) {
        if purpose == Purpose::Backfill {
            self.backfill = None;
        }
        let lane = self.lane(purpose);
        if let Some(round) = lane.round.take() {
            lane.pages = round.pages().max(1);
        }
        let every = self.every(purpose);
        let lane = self.lane(purpose);
        lane.due = (lane.begun + every).max(at.steady);
    }

    /// From the beginning of one round to that of the next. Where the budget does not suffice, polls and
    /// looks are made less often, by the same factor.
    fn every(&self, purpose: Purpose) -> i64 {
        let stretched = |every: i64| {
            let most = f64::from(self.budget.per_minute().saturating_sub(SPARE).max(1));
            (every as f64 * (self.demand() / most).max(1.0)) as i64
        };
        match purpose {
            Purpose::Poll => stretched(self.settings.poll),
            Purpose::Look => stretched(LOOK_EVERY),
            Purpose::Rewalk => REWALK_EVERY,
            Purpose::Backfill => 0,
        }
    }

    /// Calls a minute that polls and looks would make.
    fn demand(&self) -> f64 {
        let pages = |purpose: Purpose| f64::from(self.lanes[purpose as usize].pages);
        let per_minute = |every: i64| (60 * MICROS) as f64 / every.max(1) as f64;
        pages(Purpose::Poll) * per_minute(self.settings.poll)
            + pages(Purpose::Look) * per_minute(LOOK_EVERY)
    }

    /// Calls of a minute that polls and looks need.
    fn urgent(&self) -> u32 {
        let most = self.budget.per_minute().saturating_sub(SPARE);
        (self.demand().ceil() as u32).min(most)
    }

    fn has_cursor(&mut self, purpose: Purpose) -> bool {
        under_way(&mut self.lanes, purpose).is_some_and(|walk| walk.has_cursor())
    }

    fn drop_cursor(&mut self, purpose: Purpose, steady: i64) {
        let step = under_way(&mut self.lanes, purpose).map(Walk::resume);
        if step == Some(Step::Stuck) {
            self.drop_walk(purpose);
            self.rest(steady);
        }
    }

    fn drop_walk(&mut self, purpose: Purpose) {
        if let Some(round) = &mut self.lane(purpose).round {
            round.drop_walk();
        }
    }

    fn rest(&mut self, steady: i64) {
        let wait = self.backoff.next().unwrap_or(LONGEST_PAUSE);
        let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        self.budget.rest(steady.saturating_add(wait));
    }
}

fn under_way(lanes: &mut [Lane], purpose: Purpose) -> Option<&mut Walk> {
    lanes[purpose as usize].round.as_mut()?.under_way()
}

/// All before this time is in, in microseconds, once this walk's events are.
fn complete_to(walk: &Walk, lag: i64) -> Option<i64> {
    let by_begin = walk.begun()? - lag;
    let latest = walk.span().1.map(|latest| (latest + 1) * MICROS);
    Some(latest.map_or(by_begin, |latest| latest.min(by_begin)))
}

/// Pauses after failures, from one second to a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

fn backoff(seed: u64) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_secs(1))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .with_jitter_seed(seed)
        .without_max_times()
        .build()
}
