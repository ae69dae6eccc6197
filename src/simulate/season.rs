//! What happens to the whole organisation at once: it moves, and quarters end.

use super::calendar::{DAY, march_first, workday_before, workday_from, year};
use super::dice::{Dice, Purpose};
use super::person::Person;
use super::{Organisation, Plan};

/// Shorter plans have no time to learn what is usual before something else is.
const LEAST_DAYS: u32 = 14;
/// Share of the people who have much to do at a quarter's end (assumed).
const BUSY: f64 = 0.1;
/// The owner exports once in so many days.
const EXPORT_PERIOD: i64 = 30;

/// The days that are unlike others, as local days of each city (days since 1970-01-01).
pub(super) struct Season {
    /// From this day on the company's VPN leaves through another provider, elsewhere.
    pub(super) move_day: Option<i64>,
    /// The last two workdays of each quarter, in order.
    surge_days: Vec<i64>,
}

impl Season {
    pub(super) fn new(plan: &Plan) -> Self {
        let first = plan.start.div_euclid(DAY);
        let end = first + i64::from(plan.days);
        let is_long = plan.days >= LEAST_DAYS;
        let move_day = (plan.moves && is_long).then(|| {
            let mut dice = Dice::new(plan.seed, Purpose::Season, u64::MAX, 0);
            workday_from(first + i64::from(plan.days) * 3 / 5 + dice.between(-1, 1))
        });
        let mut surge_days = Vec::new();
        if plan.surge {
            surge_days = quarter_ends(first, end);
            if surge_days.is_empty() && is_long {
                surge_days.extend(last_workdays(end));
            }
        }
        Self {
            move_day,
            surge_days,
        }
    }
}

impl Organisation {
    /// The factor on what the person downloads that day; 1 on almost all days.
    pub(super) fn surge(&self, person: &Person, day: i64) -> f64 {
        let Ok(position) = self.season.surge_days.binary_search(&day) else {
            return 1.0;
        };
        // Both days of a quarter's end are alike.
        let quarter = position as u64 / 2;
        let mut dice = Dice::new(self.seed, Purpose::Season, person.number.into(), quarter);
        if dice.chance(BUSY) {
            3.0 + 3.0 * dice.unit()
        } else {
            1.0
        }
    }

    /// Whether the owner exports what was written on that day: once in 30 days.
    pub(super) fn is_export_day(&self, day: i64) -> bool {
        let first = self.start.div_euclid(DAY);
        let month = (day - first).div_euclid(EXPORT_PERIOD);
        let mut dice = Dice::new(self.seed, Purpose::Season, u64::MAX, month as u64);
        // Two days are left for a weekend.
        day == workday_from(first + month * EXPORT_PERIOD + dice.between(0, EXPORT_PERIOD - 3))
    }
}

/// The last two workdays of each quarter that has both from `first` on and before `end`.
fn quarter_ends(first: i64, end: i64) -> Vec<i64> {
    /// Days from the first of March to that of April, July, October and January.
    const QUARTERS: [i64; 4] = [31, 122, 214, 306];
    (year(first) - 1..=year(end))
        .flat_map(|year| QUARTERS.map(|days| march_first(year) + days))
        .map(last_workdays)
        .filter(|[one, two]| first <= *one && *two < end)
        .flatten()
        .collect()
}

/// The last two workdays before that day.
fn last_workdays(end: i64) -> [i64; 2] {
    let last = workday_before(end);
    [workday_before(last), last]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(plan: &Plan) -> (Option<i64>, Vec<i64>) {
        let season = Season::new(plan);
        let first = plan.start / DAY;
        let surge_days = season.surge_days.iter().map(|day| day - first).collect();
        (season.move_day.map(|day| day - first), surge_days)
    }

    #[test]
    fn a_month_has_a_move_after_its_middle_and_a_surge_at_its_end() {
        for seed in 0..20 {
            let (move_day, surge_days) = days(&Plan::new(10, 30, seed));
            assert!(matches!(move_day, Some(17..=21)), "{move_day:?}");
            assert_eq!(surge_days, [28, 29]);
        }
    }

    #[test]
    fn a_plan_that_reaches_no_quarters_end_has_its_own() {
        assert_eq!(days(&Plan::new(10, 14, 1)).1, [10, 11]);
        assert_eq!(days(&Plan::new(10, 29, 1)).1, [25, 28]);
        assert_eq!(days(&Plan::new(10, 13, 1)), (None, Vec::new()));
    }

    #[test]
    fn each_quarter_ends_on_two_workdays() {
        let (_, surge_days) = days(&Plan::new(10, 365, 1));
        // 30 and 31 March, 29 and 30 June, 29 and 30 September, 30 and 31 December 2026.
        assert_eq!(surge_days, [28, 29, 119, 120, 211, 212, 303, 304]);
    }

    #[test]
    fn neither_need_be() {
        let plan = Plan {
            moves: false,
            surge: false,
            ..Plan::new(10, 90, 1)
        };
        assert_eq!(days(&plan), (None, Vec::new()));
    }
}
