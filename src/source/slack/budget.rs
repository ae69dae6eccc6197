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
    /// Those among them that were spare.
    spare: VecDeque<i64>,
    /// Nothing may be called before.
    not_before: i64,
}

impl Budget {
    /// So many calls a minute, and one at least.
    pub fn new(per_minute: u32) -> Self {
        Self {
            per_minute: per_minute.max(1) as usize,
            calls: VecDeque::new(),
            spare: VecDeque::new(),
            not_before: i64::MIN,
        }
    }

    pub fn per_minute(&self) -> u32 {
        self.per_minute as u32
    }

    /// When the next call may be made.
    pub fn free_at(&mut self, steady: i64) -> i64 {
        let free = free_at(&mut self.calls, self.per_minute, steady);
        free.max(self.not_before)
    }

    /// When a spare call may be made: one that leaves so many of a minute's calls to others.
    pub fn spare_at(&mut self, steady: i64, others: u32) -> i64 {
        let own = self.per_minute.saturating_sub(others as usize).max(1);
        let spare = free_at(&mut self.spare, own, steady);
        spare.max(self.free_at(steady))
    }

    /// Notes a call.
    pub fn take(&mut self, steady: i64, is_spare: bool) {
        self.calls.push_back(steady);
        if is_spare {
            self.spare.push_back(steady);
        }
    }

    /// Lets nothing be called for a while.
    pub fn rest(&mut self, until: i64) {
        self.not_before = self.not_before.max(until);
    }
}

/// When there are fewer than so many calls in the minute before.
fn free_at(calls: &mut VecDeque<i64>, most: usize, steady: i64) -> i64 {
    while calls
        .front()
        .is_some_and(|oldest| steady - oldest >= MINUTE)
    {
        calls.pop_front();
    }
    // So many must have fallen out of the minute before.
    let last = (calls.len() + 1)
        .checked_sub(most + 1)
        .filter(|_| calls.len() >= most);
    let last = last.and_then(|surplus| calls.get(surplus));
    last.map_or(steady, |last| last + MINUTE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_minute_has_more_calls_than_it_may(
            per_minute in 1_u32..40,
            waits in proptest::collection::vec((0_i64..5_000_000, any::<bool>(), 0_u32..50), 1..300),
        ) {
            let mut budget = Budget::new(per_minute);
            let (mut now, mut calls, mut spare) = (0, Vec::new(), Vec::new());
            let recent = |calls: &[i64], now: i64| calls.iter().filter(|call| now - **call < MINUTE).count();
            for (wait, is_spare, others) in waits {
                now += wait;
                let free = budget.free_at(now);
                let at = if is_spare { budget.spare_at(now, others) } else { free };
                prop_assert!(at >= now && free <= at);
                now = at;
                budget.take(now, is_spare);
                calls.push(now);
                if is_spare {
                    spare.push(now);
                    let own = per_minute.saturating_sub(others).max(1) as usize;
                    prop_assert!(recent(&spare, now) <= own);
                }
                prop_assert!(recent(&calls, now) <= per_minute as usize);
            }
        }
    }

    #[test]
    fn urgent_calls_do_not_count_twice() {
        let mut budget = Budget::new(35);
        for call in 0..17 {
            budget.take(call, false);
        }
        for call in 17..35 {
            assert_eq!(budget.spare_at(call, 17), call);
            budget.take(call, true);
        }
        assert_eq!(budget.spare_at(35, 17), MINUTE + 17);
    }

    #[test]
    fn a_rest_holds_everything_up() {
        let mut budget = Budget::new(2);
        budget.take(0, false);
        budget.rest(5);
        assert_eq!((budget.free_at(1), budget.free_at(9)), (5, 9));
        budget.take(9, false);
        assert_eq!(budget.free_at(10), MINUTE);
    }
}
