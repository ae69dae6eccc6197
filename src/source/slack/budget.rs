//! The calls that may be made: so many in any minute, whatever they are for.
//!
//! A token bucket, as rate limiters keep it, would let its burst through on top of its rate; what Slack
//! counts is a minute, so this does too.

use std::collections::VecDeque;

/// A minute, in microseconds.
const MINUTE: i64 = 60_000_000;

/// The calls of the last minute, by the steady clock in microseconds.
#[derive(Debug)]
pub struct Budget {
    per_minute: usize,
    calls: VecDeque<i64>,
    /// Nothing may be called before.
    not_before: i64,
}

impl Budget {
    /// So many calls a minute, and one at least.
    pub fn new(per_minute: u32) -> Self {
        Self {
            per_minute: per_minute.max(1) as usize,
            calls: VecDeque::new(),
            not_before: i64::MIN,
        }
    }

    pub fn per_minute(&self) -> u32 {
        self.per_minute as u32
    }

    /// When the next call may be made.
    pub fn free_at(&mut self, steady: i64) -> i64 {
        self.forget(steady);
        let oldest = self
            .calls
            .front()
            .filter(|_| self.calls.len() >= self.per_minute);
        let free = oldest.map_or(steady, |oldest| oldest + MINUTE);
        free.max(self.not_before)
    }

    /// When a call may be made that leaves so many of a minute's calls to others.
    pub fn spare_at(&mut self, steady: i64, others: u32) -> i64 {
        let free = self.free_at(steady);
        let own = self.per_minute.saturating_sub(others as usize).max(1);
        let surplus = (self.calls.len() + 1).checked_sub(own);
        // So many calls must have fallen out of the minute before.
        let last = surplus.and_then(|surplus| self.calls.get(surplus.checked_sub(1)?));
        last.map_or(free, |last| free.max(last + MINUTE))
    }

    /// Notes a call.
    pub fn take(&mut self, steady: i64) {
        self.calls.push_back(steady);
    }

    /// Lets nothing be called for a while.
    pub fn rest(&mut self, until: i64) {
        self.not_before = self.not_before.max(until);
    }

    fn forget(&mut self, steady: i64) {
        while self
            .calls
            .front()
            .is_some_and(|oldest| steady - oldest >= MINUTE)
        {
            self.calls.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_minute_has_more_calls_than_it_may(
            per_minute in 1_u32..40,
            waits in proptest::collection::vec((0_i64..5_000_000, 0_u32..50), 1..300),
        ) {
            let mut budget = Budget::new(per_minute);
            let (mut now, mut calls) = (0, Vec::new());
            for (wait, others) in waits {
                now += wait;
                let at = budget.spare_at(now, others);
                prop_assert!(at >= now && budget.free_at(now) <= at);
                now = at;
                budget.take(now);
                calls.push(now);
                let own = per_minute.saturating_sub(others).max(1) as usize;
                let recent = calls.iter().filter(|call| now - **call < MINUTE).count();
                prop_assert!(recent <= own, "{recent} calls, {own} may be");
            }
        }
    }

    #[test]
    fn a_rest_holds_everything_up() {
        let mut budget = Budget::new(2);
        budget.take(0);
        budget.rest(5);
        assert_eq!((budget.free_at(1), budget.free_at(9)), (5, 9));
        budget.take(9);
        assert_eq!(budget.free_at(10), MINUTE);
    }
}
