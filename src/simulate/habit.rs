//! What some people do all the time and most never: lasting traits that look like harm.

use super::Organisation;
use super::agent::Family;
use super::calendar::local_day;
use super::dice::{Dice, Purpose};

/// A person's habits, a pure function of the seed and the number. All shares are assumed.
pub(super) struct Habits {
    /// Downloads eight times as much as others, evenly: a designer, a lawyer. 2 % do.
    pub(super) downloads_much: bool,
    /// Fetches some dozen files every Monday morning for a report. 1 % do.
    pub(super) reports: bool,
    /// Shares so many files a day (least, most) with another organisation: 3 % a few, 0.3 % more.
    pub(super) shares: Option<(i64, i64)>,
    /// Works through a program of the person's own too. 1 % do.
    pub(super) script: Option<Script>,
}

/// A program that uses a token of the person's.
#[derive(Clone, Copy)]
pub(super) struct Script {
    pub(super) family: Family,
    /// The local day from which it runs; half of them ran before the plan began.
    pub(super) first_day: i64,
}

impl Organisation {
    /// The habits of the person of that number who lives in that city.
    pub(super) fn habits(&self, number: u32, city: usize) -> Habits {
        let mut dice = Dice::new(self.seed, Purpose::Habit, number.into(), 0);
        let downloads_much = dice.chance(0.02);
        let reports = dice.chance(0.01);
        let shares = match dice.below(1_000) {
            0..30 => Some((1, 5)),
            30..33 => Some((10, 20)),
            _ => None,
        };
        let script = dice.chance(0.01).then(|| {
            let family = if dice.chance(0.6) {
                Family::PythonRequests
            } else {
                Family::Curl
            };
            let later = dice.between(0, 1) * dice.below(self.days.into()) as i64;
            Script {
                family,
                first_day: local_day(self.start, city) + later,
            }
        });
        Habits {
            downloads_much,
            reports,
            shares,
            script,
        }
    }
}
