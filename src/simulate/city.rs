//! The cities in which people live, travel to and are attacked from.

use self::Continent::{Africa, America, Asia, Europe, Oceania};
use super::calendar::{HOUR, MINUTE};
use super::daylight::Daylight;

/// The two Americas count as one: flights between them take no other form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Continent {
    Africa,
    America,
    Asia,
    Europe,
    Oceania,
}

pub(super) struct City {
    pub(super) name: &'static str,
    /// ISO 3166-1 alpha-2.
    pub(super) country: &'static str,
    pub(super) continent: Continent,
    /// Degrees.
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    /// Standard time without daylight saving, in minutes east of UTC.
    utc_offset: i32,
    daylight: Daylight,
    /// Weight in the draw of homes; nobody of the organisation lives where it is 0.
    pub(super) staff: u32,
    pub(super) has_office: bool,
}

/// Kilometres along the great circle between two points given as (latitude, longitude) in degrees.
pub(super) fn distance(from: (f64, f64), to: (f64, f64)) -> f64 {
    const DIAMETER: f64 = 2.0 * 6371.0;
    let (a, b) = (from.0.to_radians(), to.0.to_radians());
    let half_latitude = ((b - a) / 2.0).sin();
    let half_longitude = ((to.1 - from.1).to_radians() / 2.0).sin();
    let haversine = half_latitude.powi(2) + a.cos() * b.cos() * half_longitude.powi(2);
    DIAMETER * haversine.sqrt().min(1.0).asin()
}

impl City {
    pub(super) fn point(&self) -> (f64, f64) {
        (self.latitude, self.longitude)
    }

    /// Kilometres along the great circle.
    pub(super) fn distance(&self, other: &Self) -> f64 {
        distance(self.point(), other.point())
    }

    /// Seconds by which standard time is ahead of UTC.
    pub(super) fn standard_offset(&self) -> i64 {
        i64::from(self.utc_offset) * MINUTE
    }

    /// Seconds by which the clocks are ahead of UTC at that moment.
    pub(super) fn offset(&self, time: i64) -> i64 {
        let standard = self.standard_offset();
        if self.daylight.is_on(time, standard) {
            standard + HOUR
        } else {
            standard
        }
    }
}

const fn city(
    (name, country, continent): (&'static str, &'static str, Continent),
    (latitude, longitude): (f64, f64),
    utc_offset: i32,
    (staff, has_office): (u32, bool),
) -> City {
    City {
        name,
        country,
        continent,
        latitude,
        longitude,
        utc_offset,
        daylight: Daylight::of(country),
        staff,
        has_office,
    }
}

/// Sum of the weights of all homes.
pub(super) const STAFF: u32 = {
    let (mut sum, mut index) = (0, 0);
    while index < CITIES.len() {
        sum += CITIES[index].staff;
        index += 1;
    }
    sum
};

/// Every city; networks, people and records name them by position.
pub(super) const CITIES: [City; 48] = [
    city(
        ("New York", "US", America),
        (40.71, -74.01),
        -300,
        (9, true),
    ),
    city(
        ("Ashburn", "US", America),
        (39.04, -77.49),
        -300,
        (1, false),
    ),
    city(("Chicago", "US", America), (41.88, -87.63), -360, (5, true)),
    city(("Austin", "US", America), (30.27, -97.74), -360, (5, true)),
    city(
        ("Denver", "US", America),
        (39.74, -104.99),
        -420,
        (3, false),
    ),
    city(
        ("San Francisco", "US", America),
        (37.77, -122.42),
        -480,
        (9, true),
    ),
    city(
        ("Seattle", "US", America),
        (47.61, -122.33),
        -480,
        (5, false),
    ),
    city(("Toronto", "CA", America), (43.65, -79.38), -300, (4, true)),
    city(
        ("Vancouver", "CA", America),
        (49.28, -123.12),
        -480,
        (2, false),
    ),
    city(
        ("São Paulo", "BR", America),
        (-23.55, -46.63),
        -180,
        (3, true),
    ),
    city(("Recife", "BR", America), (-8.05, -34.88), -180, (1, false)),
    city(("Bogotá", "CO", America), (4.71, -74.07), -300, (1, false)),
    city(
        ("Mexico City", "MX", America),
        (19.43, -99.13),
        -360,
        (2, false),
    ),
    city(("London", "GB", Europe), (51.51, -0.13), 0, (9, true)),
    city(("Edinburgh", "GB", Europe), (55.95, -3.19), 0, (2, false)),
    city(("Manchester", "GB", Europe), (53.48, -2.24), 0, (2, false)),
    city(("Dublin", "IE", Europe), (53.35, -6.26), 0, (4, true)),
    city(("Paris", "FR", Europe), (48.86, 2.35), 60, (4, true)),
    city(("Toulouse", "FR", Europe), (43.60, 1.44), 60, (2, false)),
    city(("Berlin", "DE", Europe), (52.52, 13.40), 60, (6, true)),
    city(("Hamburg", "DE", Europe), (53.55, 9.99), 60, (2, false)),
    city(("Munich", "DE", Europe), (48.14, 11.58), 60, (4, true)),
    city(("Frankfurt", "DE", Europe), (50.11, 8.68), 60, (2, false)),
    city(("Madrid", "ES", Europe), (40.42, -3.70), 60, (2, true)),
    city(("Barcelona", "ES", Europe), (41.39, 2.17), 60, (2, false)),
    city(("Lisbon", "PT", Europe), (38.72, -9.14), 0, (2, false)),
    city(("Amsterdam", "NL", Europe), (52.37, 4.90), 60, (3, true)),
    city(("Kraków", "PL", Europe), (50.06, 19.94), 60, (3, true)),
    city(("Gdańsk", "PL", Europe), (54.35, 18.65), 60, (1, false)),
    city(("Stockholm", "SE", Europe), (59.33, 18.07), 60, (2, false)),
    city(("Milan", "IT", Europe), (45.46, 9.19), 60, (2, false)),
    city(("Bucharest", "RO", Europe), (44.43, 26.10), 120, (0, false)),
    city(("Istanbul", "TR", Europe), (41.01, 28.98), 180, (0, false)),
    city(("Bengaluru", "IN", Asia), (12.97, 77.59), 330, (8, true)),
    city(("Delhi", "IN", Asia), (28.61, 77.21), 330, (3, false)),
    city(("Mumbai", "IN", Asia), (19.08, 72.88), 330, (2, false)),
    city(("Singapore", "SG", Asia), (1.35, 103.82), 480, (3, true)),
    city(("Tokyo", "JP", Asia), (35.68, 139.69), 540, (4, true)),
    city(("Fukuoka", "JP", Asia), (33.59, 130.40), 540, (1, false)),
    city(("Jakarta", "ID", Asia), (-6.21, 106.85), 420, (1, false)),
    city(("Hanoi", "VN", Asia), (21.03, 105.85), 420, (0, false)),
    city(("Almaty", "KZ", Asia), (43.24, 76.89), 300, (0, false)),
    city(("Sydney", "AU", Oceania), (-33.87, 151.21), 600, (3, true)),
    city(
        ("Melbourne", "AU", Oceania),
        (-37.81, 144.96),
        600,
        (2, false),
    ),
    city(("Perth", "AU", Oceania), (-31.95, 115.86), 480, (1, false)),
    city(
        ("Auckland", "NZ", Oceania),
        (-36.85, 174.76),
        720,
        (1, false),
    ),
    city(("Lagos", "NG", Africa), (6.52, 3.38), 60, (1, false)),
    city(
        ("Cape Town", "ZA", Africa),
        (-33.92, 18.42),
        120,
        (1, false),
    ),
];
