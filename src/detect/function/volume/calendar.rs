//! Hours of the week on the organisation's clock.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Hours of a week, from Monday at midnight.
pub(super) const SLOTS: usize = 168;
pub(super) const HOUR_SECS: i64 = 3600;
pub(super) const DAY_HOURS: i64 = 24;

/// The organisation's clock.
#[derive(Clone, Debug)]
pub(super) struct Calendar(TimeZone);

impl Calendar {
    /// The clock of an IANA zone; `None` if there is none of this name.
    pub fn of(zone: &str) -> Option<Self> {
        TimeZone::get(zone).ok().map(Self)
    }

    /// The hour of the week in which an hour begins, which is counted from 1970 in UTC. The hour that a
    /// clock shows twice in autumn is one hour of the week, and the one it leaves out in spring is none:
    /// nobody's habits move.
    pub fn slot(&self, hour: i64) -> usize {
        let second = hour.saturating_mul(HOUR_SECS);
        let offset = Timestamp::from_second(second)
            .map_or(0, |time| i64::from(self.0.to_offset(time).seconds()));
        let local = (second.saturating_add(offset)).div_euclid(HOUR_SECS);
        // 1970-01-01 was a Thursday.
        (local.saturating_add(3 * DAY_HOURS)).rem_euclid(SLOTS as i64) as usize
    }
}

/// The hours that are alike: the same hour of the day, on workdays or at the weekend.
pub(super) fn class(slot: usize) -> usize {
    let hour = slot % 24;
    if is_weekend(slot) { 24 + hour } else { hour }
}

/// Whether an hour of the week is a Saturday's or a Sunday's.
pub(super) fn is_weekend(slot: usize) -> bool {
    slot / 24 >= 5
}

/// How many classes there are.
pub(super) const CLASSES: usize = 48;

#[cfg(test)]
mod tests {
    use super::Calendar;

    #[test]
    fn hours_are_those_of_the_clock_on_the_wall() {
        let berlin = Calendar::of("Europe/Berlin").unwrap();
        let hour = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second() / 3600;
        for (time, slot) in [
            ("2026-03-23T08:00:00Z", 9),
            ("2026-03-30T07:00:00Z", 9),
            ("2026-03-29T00:00:00Z", 6 * 24 + 1),
            ("2026-03-29T01:00:00Z", 6 * 24 + 3),
            ("2026-10-25T00:00:00Z", 6 * 24 + 2),
            ("2026-10-25T01:00:00Z", 6 * 24 + 2),
            ("2026-03-22T23:00:00Z", 0),
        ] {
            assert_eq!(berlin.slot(hour(time)), slot, "{time}");
        }
        assert!(Calendar::of("Europe/Nowhere").is_none());
    }
}
