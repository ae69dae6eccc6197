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
mod lane;
mod round;
#[cfg(test)]
mod tests;
mod walk;

use self::budget::Budget;
use self::lane::Lane;
use self::round::Round;
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
    /// What the pages of a slice may take, in bytes, but for the last page and for single seconds; four
    /// slices may be under way.
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
/// A back-fill that is refused so often is refused for good.
const MOST_REFUSALS: u32 = 3;

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
    /// What was in before the first rewalk.
    first_claim: Option<i64>,
    /// Slack's clock in microseconds, and when it was that by ours.
    by_slack: Option<(i64, i64)>,
}

impl Poller {
    /// Begins behind what an earlier run is known to have in, in microseconds, if there was one.
    pub fn new(settings: Settings, claim: Option<i64>, at: Moment) -> Self {
        let lanes = PURPOSES.map(|_| Lane::new(settings.most_bytes, at.steady, settings.seed));
        Self {
            budget: Budget::new(settings.calls_per_minute),
            lanes,
            claim,
            backfill: None,
            is_rewalks_turn: false,
            asked: None,
            ready: None,
            first_claim: claim,
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

    /// The page that was asked for; false if it leads nowhere.
    pub fn answered(&mut self, page: Page, at: Moment) -> bool {
        let Some((purpose, asked)) = self.asked.take() else {
            return true;
        };
        // By Slack's clock, which may have been read as late as the answer came.
        let took = at.steady - asked.steady;
        let by_slack = page.server_time.map(|second| second * MICROS - took);
        if let Some(time) = by_slack {
            self.by_slack = Some((time, asked.steady));
        }
        // Slack tells whole seconds; a clock that is not ahead of them is the better one.
        let is_ahead = page
            .server_time
            .is_some_and(|second| asked.now > (second + 1) * MICROS);
        let asked_at = by_slack.filter(|_| is_ahead).unwrap_or(asked.now);
        let now = self.present(asked) / MICROS;
        let lane = self.lane(purpose);
        let Lane { round, slices, .. } = lane;
        // It may not be wanted any more.
        let Some(walk) = round.as_mut().and_then(Round::under_way) else {
            return true;
        };
        let step = walk.take(page, asked_at);
        if step == Step::More && slices.is_too_large(walk, now) {
            slices.shorten(walk, now);
            lane.drop_walk();
        }
        if step == Step::Stuck {
            lane.stuck(at.steady);
            return false;
        }
        lane.succeeded();
        if step == Step::Done {
            self.finish(purpose, asked);
        }
        true
    }

    /// Why the page that was asked for did not come. Gives the back-fill that Slack refuses for good, if it
    /// was for one.
    pub fn failed(&mut self, error: &Error, at: Moment) -> Option<Backfill> {
        let (purpose, _) = self.asked.take()?;
        let lane = &mut self.lanes[purpose as usize];
        lane.failures += 1;
        let has_cursor = lane.walk().is_some_and(|walk| walk.has_cursor());
        match error {
            Error::RateLimited {
                retry_after_secs, ..
            } => {
                let wait = i64::try_from(*retry_after_secs).unwrap_or(i64::MAX / MICROS);
                self.budget.rest(at.steady.saturating_add(wait * MICROS));
            }
            Error::Unauthorised { .. } => {
                let wait = REFUSED.0 << (lane.failures - 1).min(8);
                self.budget.rest(at.steady + wait.min(REFUSED.1));
            }
            // A cursor does not live for ever.
            Error::Refused { status: 400, .. } if has_cursor => lane.drop_cursor(at.steady),
            Error::Refused { .. } => {
                lane.drop_walk();
                lane.rest(at.steady);
                let is_final = lane.failures >= MOST_REFUSALS && purpose == Purpose::Backfill;
                return self.backfill.filter(|_| is_final);
            }
            Error::Unavailable { .. } | Error::Connection { .. } | Error::Malformed { .. } => {
                lane.rest(at.steady);
                if lane.failures.is_multiple_of(MOST_FAILURES) && has_cursor {
                    lane.drop_cursor(at.steady);
                }
            }
        }
        None
    }

    /// The page that was asked for came, and cannot be used just now.
    pub fn unusable(&mut self, at: Moment) {
        if let Some((purpose, _)) = self.asked.take() {
            self.lane(purpose).stuck(at.steady);
        }
    }

    /// What was given could not be taken, and is given up: it says nothing of what is new, and comes again.
    pub fn undelivered(&mut self, is_backfill: bool, at: Moment) {
        if is_backfill {
            let lane = self.lane(Purpose::Backfill);
            lane.round = None;
            lane.due = at.steady + LOOK_EVERY;
        }
    }

    /// What was given to be taken is taken.
    pub fn delivered(&mut self, complete_to: Option<i64>) {
        self.claim = self.claim.max(complete_to);
    }

    /// Calls for the purpose that fares worst that failed since one succeeded.
    pub fn failures(&self) -> u32 {
        let failures = self.lanes.iter().map(|lane| lane.failures);
        failures.max().unwrap_or(0)
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
        let due = self.lane(purpose).ready_at(at.steady);
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
        let far = LOOK_BACK.max(3 * self.every(Purpose::Poll));
        self.claim
            .is_none_or(|claim| claim < self.present(at) - far)
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
        let is_spare = matches!(purpose, Purpose::Backfill | Purpose::Rewalk);
        self.budget.take(at.steady, is_spare);
        self.asked = Some((purpose, at));
        if is_spare {
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
                // After a long stop nobody has looked for what came late before it.
                let begin = self.first_claim.map_or(present, |claim| claim.min(present));
                Round::new(second(begin - rewalk), Some(second(present - LOOK_BACK)))
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
        match purpose {
            Purpose::Backfill => self.backfill = None,
            Purpose::Rewalk => self.first_claim = None,
            Purpose::Poll | Purpose::Look => {}
        }
        let lane = self.lane(purpose);
        // A poll of several slices was a catch-up, and says nothing of the next.
        let is_usual = |round: &Round| purpose != Purpose::Poll || round.is_single();
        if let Some(round) = lane.round.take().filter(is_usual) {
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
}

/// All before this time is in, in microseconds, once this walk's events are: a whole second.
fn complete_to(walk: &Walk, lag: i64) -> Option<i64> {
    let by_begin = walk.begun()? - lag;
    let latest = walk.span().1.map(|latest| (latest + 1) * MICROS);
    let complete_to = latest.map_or(by_begin, |latest| latest.min(by_begin));
    Some(complete_to.div_euclid(MICROS) * MICROS)
}
