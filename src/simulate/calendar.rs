//! When people work, and where they are: local time, days, trips.

use super::Organisation;
use super::city::CITIES;
use super::dice::{Dice, Purpose, hash};
use super::person::Person;

pub(super) const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 3_600;
pub(super) const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// Length of the part of the day that is as busy as any other.
pub(super) const PLATEAU_MINUTES: i64 = 11 * 60;

/// Seconds of the city's clock since 1970-01-01T00:00:00 of that clock.
pub(super) fn local(time: i64, city: usize) -> i64 {
    time + CITIES[city].offset(time)
}

/// The moment at which the city's clock shows so many seconds, in Unix seconds: the first of two in
/// the hour that clocks show twice.
pub(super) fn moment(local: i64, city: usize) -> i64 {
    let city = &CITIES[city];
    let standard = local - city.standard_offset();
    let ahead = standard - HOUR;
    if city.offset(ahead) > city.standard_offset() {
        ahead
    } else {
        standard
    }
}

/// Days since 1970-01-01 on the city's calendar.
pub(super) fn local_day(time: i64, city: usize) -> i64 {
    local(time, city).div_euclid(DAY)
}

/// 0 is Monday. 1970-01-01 was a Thursday.
pub(super) fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

/// That day, or the Monday after it if it is of a weekend.
pub(super) fn workday_from(day: i64) -> i64 {
    day + (7 - weekday(day)) * i64::from(weekday(day) >= 5)
}

/// The last day before it that is not of a weekend.
pub(super) fn workday_before(day: i64) -> i64 {
    match weekday(day) {
        0 => day - 3,
        6 => day - 2,
        _ => day - 1,
    }
}

/// The year of that day, or of one at most two days away.
pub(super) fn year(day: i64) -> i64 {
    const MEAN_YEAR: i64 = 31_556_952;
    1970 + (day * DAY).div_euclid(MEAN_YEAR)
}

/// The first of March of the year, in days since 1970-01-01.
pub(super) fn march_first(year: i64) -> i64 {
    const BEFORE_1970: i64 = 719_468;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) - BEFORE_1970
}

/// Whether the moment lies in the person's working hours, on whatever day.
pub(super) fn is_plateau(person: &Person, time: i64, city: usize) -> bool {
    let minute = local(time, city).rem_euclid(DAY) / MINUTE;
    (person.start_minute..person.start_minute + PLATEAU_MINUTES).contains(&minute)
}

/// One person's day, as far as it is the same all day.
#[derive(Clone, Copy)]
pub(super) struct Day {
    pub(super) works: bool,
    /// In the office during working hours.
    pub(super) office: bool,
    /// On the company's VPN during these local hours.
    pub(super) vpn: Option<(i64, i64)>,
    /// On a consumer VPN during these local hours.
    pub(super) consumer_vpn: Option<(i64, i64)>,
}

/// A journey out and back within one week; times in Unix seconds.
#[derive(Clone, Copy)]
pub(super) struct Trip {
    pub(super) city: usize,
    /// Take-off and landing.
    pub(super) out: (i64, i64),
    pub(super) back: (i64, i64),
    /// Whether the person uses the network on board.
    pub(super) wifi: bool,
}

/// Where a person is.
#[derive(Clone, Copy)]
pub(super) enum Whereabouts {
    Home,
    /// In another city.
    Away(usize),
    /// Between cities: offline, or on the network on board.
    Travelling {
        online: bool,
    },
}

impl Organisation {
    /// The person's local day (days since 1970-01-01).
    pub(super) fn day(&self, person: &Person, day: i64) -> Day {
        let mut dice = Dice::new(self.seed, Purpose::Day, person.number.into(), day as u64);
        let absent = dice.chance(0.07) && !person.stay.begins_on(day);
        let office = person.has_office && dice.chance(0.45);
        let start = person.start_minute / 60;
        let on_vpn = dice.chance(0.6);
        let (from, hours) = (start + dice.between(0, 2), dice.between(2, 8));
        let vpn = if self.season.move_day == Some(day) {
            // Everybody is asked to try the new one.
            Some((start, start + PLATEAU_MINUTES / 60))
        } else {
            on_vpn.then_some((from, from + hours))
        };
        let on_consumer_vpn = dice.chance(0.5);
        let evening = dice.between(12, 19);
        Day {
            works: weekday(day) < 5 && !absent,
            office,
            vpn: vpn.filter(|_| person.uses_vpn && !office),
            consumer_vpn: (person.uses_consumer_vpn && on_consumer_vpn)
                .then_some((evening, evening + 4)),
        }
    }

    /// The journey of the person in the week that contains `time`, counted from the plan's start.
    /// 2 % of the people travel in a week.
    fn trip(&self, person: &Person, time: i64) -> Option<Trip> {
        let week = (time - self.start).div_euclid(WEEK);
        let mut dice = Dice::new(self.seed, Purpose::Trip, person.number.into(), week as u64);
        if !dice.chance(0.02) {
            return None;
        }
        let here = &CITIES[person.city];
        let stays_near = dice.chance(0.6);
        let is_fit = |city: &usize| {
            let far = here.distance(&CITIES[*city]);
            far > 150.0 && (CITIES[*city].continent == here.continent || !stays_near)
        };
        let fit: Vec<usize> = (0..CITIES.len()).filter(is_fit).collect();
        let city = *fit.get(dice.index(fit.len()))?;
        let duration = journey_secs(here.distance(&CITIES[city]));
        let first_day = self.start + week * WEEK + dice.between(0, 2) * DAY;
        let take_off = first_day + dice.between(6 * HOUR, 17 * HOUR);
        let landing = take_off + duration;
        let latest = self.start + (week + 1) * WEEK - duration - 2 * HOUR;
        let return_at = (landing + dice.between(DAY, 3 * DAY)).min(latest);
        Some(Trip {
            city,
            out: (take_off, landing),
            back: (return_at, return_at + duration),
            wifi: duration > 2 * HOUR && dice.chance(0.35),
        })
    }

    pub(super) fn whereabouts(&self, person: &Person, time: i64) -> Whereabouts {
        /// Before take-off and after landing: way, checks, luggage.
        const BEFORE: i64 = 75 * MINUTE;
        const AFTER: i64 = 40 * MINUTE;
        const CLIMB: i64 = 20 * MINUTE;
        let Some(trip) = self.trip(person, time) else {
            return Whereabouts::Home;
        };
        for (from, to) in [trip.out, trip.back] {
            if (from - BEFORE..to + AFTER).contains(&time) {
                let online = trip.wifi && (from + CLIMB..to - CLIMB).contains(&time);
                return Whereabouts::Travelling { online };
            }
        }
        if (trip.out.1..trip.back.0).contains(&time) {
            Whereabouts::Away(trip.city)
        } else {
            Whereabouts::Home
        }
    }

    /// The city by whose clock the person lives.
    pub(super) fn clock_city(&self, person: &Person, time: i64) -> usize {
        match self.whereabouts(person, time) {
            Whereabouts::Away(city) => city,
            Whereabouts::Home | Whereabouts::Travelling { .. } => person.city,
        }
    }

    /// How many times the home address has changed. 60 % keep one for a month or longer, a quarter
    /// for about a week, the others are given a new one every night. Networks do not know of daylight
    /// saving, so nobody goes back to the address before.
    pub(super) fn lease(&self, person: &Person, time: i64) -> u64 {
        let number = hash(self.seed, Purpose::Address, person.number.into(), u64::MAX);
        let spread = (number >> 32) as i64;
        let (period, phase) = match number % 100 {
            0..60 => (DAY * (30 + spread % 90), spread % (90 * DAY)),
            60..85 => (DAY * (3 + spread % 8), spread % (7 * DAY)),
            // Between three and four at night.
            _ => (DAY, -(3 * HOUR + spread % HOUR)),
        };
        (time + CITIES[person.city].standard_offset() + phase).div_euclid(period) as u64
    }
}

/// By air at 800 km/h and half an hour for climb and approach; below 600 km by rail at 200 km/h.
fn journey_secs(distance_km: f64) -> i64 {
    if distance_km < 600.0 {
        (distance_km / 200.0 * HOUR as f64) as i64
    } else {
        (distance_km / 800.0 * HOUR as f64) as i64 + HOUR / 2
    }
}
