//! Time that goes on when everybody waits for it, as far as the test allows.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use gridwatch::clock::Clock;

/// How long somebody waits in real time before he looks whether the service ends.
const MOMENT: Duration = Duration::from_millis(20);
/// How long the test waits in real time for a time to come.
const PATIENCE: Duration = Duration::from_secs(300);

/// The time of a service, of a fake Slack and of their test; microseconds.
#[derive(Clone)]
pub struct Time(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    now: i64,
    /// How far a clock that goes wrong is ahead.
    ahead: i64,
    /// The test allows no more.
    end: i64,
    /// So many threads must wait before it goes on.
    waiters: usize,
    /// By thread, until when it waits.
    waiting: HashMap<ThreadId, i64>,
}

impl Time {
    /// It stands until it is allowed to go on, and then goes on while so many threads wait.
    pub fn new(now: i64, waiters: usize) -> Self {
        let state = State {
            now,
            ahead: 0,
            end: now,
            waiters,
            waiting: HashMap::new(),
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    /// A clock that is right.
    pub fn clock(&self) -> Clock {
        let (time, other) = (self.clone(), self.clone());
        Clock::driven(move || time.now(), move |until| other.pause(until))
    }

    /// One whose time of day [`Time::set_ahead`] moves.
    pub fn wrong_clock(&self) -> Clock {
        let time = self.clone();
        self.clock().with_time_of_day(move || {
            let state = time.state();
            state.now + state.ahead
        })
    }

    pub fn now(&self) -> i64 {
        self.state().now
    }

    /// The wrong clock is so far ahead from now on.
    pub fn set_ahead(&self, ahead: i64) {
        self.state().ahead = ahead;
    }

    /// Lets it go on up to then.
    pub fn allow(&self, end: i64) {
        let mut state = self.state();
        state.end = end;
        state.go_on();
        self.0.changed.notify_all();
    }

    /// Lets it go on up to then, until nobody has anything to do before a later time.
    pub fn run_until(&self, end: i64) {
        self.allow(end);
        let changed = &self.0.changed;
        let waited =
            changed.wait_timeout_while(self.state(), PATIENCE, |state| !state.is_settled());
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        let (now, waiting) = (state.now, state.waiting.len());
        // Others need it, also while a test fails.
        drop(state);
        assert!(
            !timeout.timed_out(),
            "it is {now} and does not become {end}: {waiting} threads wait"
        );
    }

    fn pause(&self, until: i64) {
        let thread = thread::current().id();
        let mut state = self.state();
        state.waiting.insert(thread, until);
        state.go_on();
        let changed = &self.0.changed;
        changed.notify_all();
        let waited = changed.wait_timeout_while(state, MOMENT, |state| state.now < until);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting.remove(&thread);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// If all wait, it becomes what is waited for first.
    fn go_on(&mut self) {
        let first = self.waiting.values().min().copied();
        if let Some(first) = first.filter(|_| self.waiting.len() >= self.waiters) {
            self.now = self.now.max(first.min(self.end));
        }
    }

    fn is_settled(&self) -> bool {
        let is_later = |until: &i64| *until > self.now;
        self.now >= self.end
            && self.waiting.len() >= self.waiters
            && self.waiting.values().all(is_later)
    }
}
