//! What is walked through for one purpose, and how that fares.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::round::{Round, Slices};
use super::walk::{Step, Walk};

/// The rounds of one purpose; times are of the steady clock, in microseconds.
#[derive(Debug)]
pub struct Lane {
    pub round: Option<Round>,
    /// How long its slices are: it walks through another time than the others do.
    pub slices: Slices,
    /// When the next round begins.
    pub due: i64,
    /// When the round under way began.
    pub begun: i64,
    /// Pages of the last round, but for a catch-up.
    pub pages: u32,
    /// Calls that failed since one succeeded.
    pub failures: u32,
    backoff: ExponentialBackoff,
    not_before: i64,
    seed: u64,
}

/// Pauses after failures, from one second to a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Lane {
    /// One that is due, with slices that take so many bytes at most.
    pub fn new(most_bytes: usize, steady: i64, seed: u64) -> Self {
        Self {
            round: None,
            slices: Slices::new(most_bytes),
            due: steady,
            begun: steady,
            pages: 1,
            failures: 0,
            backoff: backoff(seed),
            not_before: i64::MIN,
            seed,
        }
    }

    /// When it has something to ask for.
    pub fn ready_at(&self, steady: i64) -> i64 {
        let due = if self.round.is_some() {
            steady
        } else {
            self.due
        };
        due.max(self.not_before)
    }

    /// A call succeeded, and led somewhere.
    pub fn succeeded(&mut self) {
        if self.failures > 0 {
            self.failures = 0;
            self.backoff = backoff(self.seed);
        }
    }

    /// Asks for nothing for a while, longer each time.
    pub fn rest(&mut self, steady: i64) {
        let wait = self.backoff.next().unwrap_or(LONGEST_PAUSE);
        let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        self.not_before = steady.saturating_add(wait);
    }

    pub fn walk(&mut self) -> Option<&mut Walk> {
        self.round.as_mut()?.under_way()
    }

    /// Goes on without the cursor.
    pub fn drop_cursor(&mut self, steady: i64) {
        if self.walk().map(Walk::resume) == Some(Step::Stuck) {
            self.stuck(steady);
        }
    }

    /// The walk leads nowhere: it begins anew, after a while.
    pub fn stuck(&mut self, steady: i64) {
        self.failures += 1;
        self.drop_walk();
        self.rest(steady);
    }

    /// Gives up the walk under way; its slice is walked through anew.
    pub fn drop_walk(&mut self) {
        if let Some(round) = &mut self.round {
            round.drop_walk();
        }
    }
}

fn backoff(seed: u64) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_secs(1))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .with_jitter_seed(seed)
        .without_max_times()
        .build()
}
