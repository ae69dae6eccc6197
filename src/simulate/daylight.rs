//! Daylight saving: when clocks are put forward and back.

use super::calendar::{DAY, HOUR, march_first, weekday, year};

/// The rule by which a country's clocks change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Daylight {
    /// Never; the south of the world, where it is the other way round, counts among these.
    Never,
    /// Forward on the last Sunday of March, back on that of October, everywhere at 01:00 UTC.
    Europe,
    /// Forward on the second Sunday of March, back on the first of November, at 02:00 by the clock.
    America,
}

impl Daylight {
    /// The rule of the country with that code (ISO 3166-1 alpha-2).
    pub(super) const fn of(country: &str) -> Self {
        match country.as_bytes() {
            b"US" | b"CA" => Self::America,
            b"GB" | b"IE" | b"PT" | b"ES" | b"FR" | b"NL" | b"DE" | b"IT" | b"PL" | b"SE"
            | b"RO" => Self::Europe,
            _ => Self::Never,
        }
    }

    /// Whether clocks are an hour ahead of standard time at the moment, in Unix seconds; standard
    /// time is `offset` seconds ahead of UTC.
    pub(super) fn is_on(self, time: i64, offset: i64) -> bool {
        // The year may be the next or the last one about New Year, when it does not matter.
        let march = march_first(year(time.div_euclid(DAY)));
        match self {
            Self::Never => false,
            Self::Europe => {
                let forward = last_sunday(march + 30) * DAY + HOUR;
                let back = last_sunday(march + 244) * DAY + HOUR;
                (forward..back).contains(&time)
            }
            Self::America => {
                let forward = last_sunday(march + 13) * DAY + 2 * HOUR;
                let back = last_sunday(march + 251) * DAY + HOUR;
                (forward..back).contains(&(time + offset))
            }
        }
    }
}

/// The last Sunday up to that day.
fn last_sunday(day: i64) -> i64 {
    day - (weekday(day) + 1) % 7
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::super::calendar::{local, moment};
    use super::super::city::CITIES;
    use super::*;

    /// Every hour from 2020 to 2030, by a city and the zone of its clocks.
    fn each_hour(check: impl Fn(usize, i64, i64)) {
        for (name, zone) in [
            ("New York", "America/New_York"),
            ("San Francisco", "America/Los_Angeles"),
            ("Toronto", "America/Toronto"),
            ("São Paulo", "America/Sao_Paulo"),
            ("London", "Europe/London"),
            ("Berlin", "Europe/Berlin"),
            ("Bucharest", "Europe/Bucharest"),
            ("Bengaluru", "Asia/Kolkata"),
            ("Tokyo", "Asia/Tokyo"),
        ] {
            let city = CITIES.iter().position(|city| city.name == name).unwrap();
            let zone = TimeZone::get(zone).unwrap();
            let first: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
            for hour in 0..10 * 365 * 24 {
                let time = first.as_second() + hour * HOUR;
                let offset = zone.to_offset(Timestamp::from_second(time).unwrap());
                check(city, time, offset.seconds().into());
            }
        }
    }

    #[test]
    fn clocks_are_those_of_the_time_zone_database() {
        each_hour(|city, time, offset| {
            assert_eq!(
                local(time, city) - time,
                offset,
                "{} {time}",
                CITIES[city].name
            );
        });
    }

    #[test]
    fn what_a_clock_shows_leads_back_to_the_moment() {
        each_hour(|city, time, _| {
            let found = moment(local(time, city), city);
            // An hour is shown twice in autumn.
            assert!(
                found == time || found == time - HOUR,
                "{} {time}",
                CITIES[city].name
            );
            assert_eq!(local(found, city), local(time, city));
        });
    }
}
