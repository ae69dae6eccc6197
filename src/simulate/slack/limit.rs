//! How often a method may be called: so many times within any 60 s.

use std::collections::VecDeque;

/// Microseconds.
const SECOND: i64 = 1_000_000;
const WINDOW: i64 = 60 * SECOND;

/// The calls that were let in.
#[derive(Debug, Default)]
pub(super) struct Limit {
    /// Steady microseconds, the oldest first; none is older than the window.
    admitted: VecDeque<i64>,
}

impl Limit {
    /// Lets a call in at `now`, in steady microseconds, unless `most` were let in within the last 60 s.
    ///
    /// # Errors
    /// The whole seconds after which one is let in again, at least 1.
    pub fn admit(&mut self, now: i64, most: u32) -> Result<(), u64> {
        let is_past = |at: &i64| now - at >= WINDOW;
        while self.admitted.front().is_some_and(is_past) {
            self.admitted.pop_front();
        }
        if self.admitted.len() < most as usize {
            self.admitted.push_back(now);
            return Ok(());
        }
        let oldest = self.admitted.front().copied().unwrap_or(now);
        let wait = (oldest + WINDOW - now).max(1).unsigned_abs();
        Err(wait.div_ceil(SECOND.unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_call_is_let_in_when_the_oldest_of_the_last_minute_is_past() {
        let mut limit = Limit::default();
        for (now, answer) in [
            (0, Ok(())),
            (10 * SECOND, Ok(())),
            (10 * SECOND, Err(50)),
            (10 * SECOND + 1, Err(50)),
            (59 * SECOND, Err(1)),
            (WINDOW - 1, Err(1)),
            (WINDOW, Ok(())),
            (WINDOW, Err(10)),
            (WINDOW + 10 * SECOND, Ok(())),
        ] {
            assert_eq!(limit.admit(now, 2), answer, "at {now}");
        }
    }

    #[test]
    fn nothing_is_let_in_where_nothing_may_be() {
        assert_eq!(Limit::default().admit(0, 0), Err(60));
    }

    proptest! {
        #[test]
        fn whoever_waits_as_told_is_let_in_and_no_minute_holds_more(
            most in 1_u32..5,
            steps in prop::collection::vec(0..30 * SECOND, 1..40),
        ) {
            let mut limit = Limit::default();
            let (mut now, mut admitted) = (0, Vec::new());
            for step in steps {
                now += step;
                if let Err(secs) = limit.admit(now, most) {
                    prop_assert!(secs >= 1);
                    now += i64::try_from(secs).unwrap() * SECOND;
                    prop_assert_eq!(limit.admit(now, most), Ok(()));
                }
                admitted.push(now);
                let recent = admitted.iter().filter(|at| now - **at < WINDOW).count();
                prop_assert!(recent <= most as usize);
            }
        }
    }
}
