//! Whose account begins or ends within the plan.

use super::Organisation;
use super::calendar::{DAY, HOUR, MINUTE, local_day, moment, workday_from};
use super::dice::{Dice, Purpose};

/// Shares of the people who join in a week, and who leave (assumed: a sixth in a year each).
const WEEKLY: f64 = 0.003;
/// Share of those who leave that comes back within days (assumed).
const RETURNS: f64 = 0.15;

/// The day, local, and the moment, in Unix seconds, of a first sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) day: i64,
    pub(super) time: i64,
}

/// When somebody has an account; most people always do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stay {
    /// There was no account before.
    pub(super) joined: Option<Arrival>,
    /// When the account is deactivated, in Unix seconds.
    pub(super) left: Option<i64>,
    /// When it is used again, minutes after it was reactivated.
    pub(super) returned: Option<Arrival>,
}

impl Stay {
    /// Whether the person can do anything at that moment.
    pub(super) fn is_active(&self, time: i64) -> bool {
        let has_begun = self.joined.is_none_or(|joined| joined.time <= time);
        let has_left = self.left.is_some_and(|left| left <= time);
        let is_back = self.returned.is_some_and(|back| back.time <= time);
        has_begun && (!has_left || is_back)
    }

    /// The moment of the first sign-ins, if they are on that local day.
    pub(super) fn begins_at(&self, day: i64) -> Option<i64> {
        let arrivals = [self.joined, self.returned];
        let today = arrivals.into_iter().flatten().find(|one| one.day == day);
        today.map(|arrival| arrival.time)
    }

    pub(super) fn begins_on(&self, day: i64) -> bool {
        self.begins_at(day).is_some()
    }
}

impl Organisation {
    /// The stay of the person of that number who lives in that city and begins to work at that
    /// minute of the day.
    pub(super) fn stay(&self, number: u32, city: usize, start_minute: i64) -> Stay {
        let mut dice = Dice::new(self.seed, Purpose::Stay, number.into(), 0);
        // Nobody does more than one of the two, however long the plan is.
        let share = (WEEKLY * f64::from(self.days) / 7.0).min(0.5);
        let unit = dice.unit();
        if unit >= 2.0 * share {
            return Stay::default();
        }
        let arrival = |day: i64| Arrival {
            day,
            time: moment(day * DAY + start_minute * MINUTE, city),
        };
        let drawn = dice.below(self.days.into()) as i64;
        let day = workday_from(local_day(self.start, city) + drawn);
        if unit < share {
            return Stay {
                joined: Some(arrival(day)),
                ..Stay::default()
            };
        }
        let evening = day * DAY + dice.between(16 * HOUR, 18 * HOUR);
        let comes_back = dice.chance(RETURNS);
        let back = workday_from(day + dice.between(2, 9));
        Stay {
            joined: None,
            left: Some(moment(evening, city)),
            returned: comes_back.then(|| arrival(back)),
        }
    }
}
