//! Who somebody is: what stays the same over the whole plan.

use super::Organisation;
use super::agent::Family;
use super::calendar::local_day;
use super::city::{CITIES, STAFF};
use super::dice::{Dice, Purpose};
use super::habit::Habits;
use super::network::PROVIDERS;
use super::stay::Stay;

/// Events of a person on a workday, on average over people, that are neither downloads nor
/// sign-ins; with these the mean is about 40.
const MEAN_RATE: f64 = 36.0;
/// Where the busy part of the day begins at the latest, in minutes of local time.
pub(super) const LATEST_START: i64 = 555;
/// People of one team; they share files, and invite one another.
pub(super) const TEAM_SIZE: u32 = 40;

/// A person's lasting traits, a pure function of the seed and the number.
pub(super) struct Person {
    /// Below the plan's number of users.
    pub(super) number: u32,
    /// Position in [`CITIES`].
    pub(super) city: usize,
    /// Which of the city's home providers.
    pub(super) provider: usize,
    /// Where the busy part of the day begins, in minutes of local time.
    pub(super) start_minute: i64,
    /// Mean of events on a workday, without downloads and sign-ins.
    pub(super) rate: f64,
    /// Factor on downloads; 1 on average.
    pub(super) downloads: f64,
    /// Factor on how often an hour of the night is active; 1 on average.
    pub(super) night: f64,
    pub(super) has_office: bool,
    pub(super) uses_vpn: bool,
    pub(super) uses_consumer_vpn: bool,
    pub(super) uses_relay: bool,
    /// Work traffic leaves through a secure access service.
    pub(super) uses_secure_access: bool,
    /// A quarter of the events comes through a mobile carrier.
    pub(super) uses_carrier: bool,
    pub(super) desktop: Family,
    pub(super) phone: Option<Family>,
    pub(super) browser: Option<Family>,
    /// The local day on which the phone becomes one of the other system.
    pub(super) new_phone_day: Option<i64>,
    pub(super) is_admin: bool,
    pub(super) team: u32,
    pub(super) habits: Habits,
    pub(super) stay: Stay,
}

impl Organisation {
    pub(super) fn person(&self, number: u32) -> Person {
        let mut dice = Dice::new(self.seed, Purpose::Person, number.into(), 0);
        let city = home_city(&mut dice);
        let has_office = CITIES[city].has_office && dice.chance(0.7);
        let uses_carrier = dice.chance(0.4);
        let desktop = match dice.below(100) {
            0..55 => Family::DesktopWindows,
            55..93 => Family::DesktopMac,
            _ => Family::DesktopLinux,
        };
        let has_phone = uses_carrier || dice.chance(0.65);
        let phone = if dice.chance(0.55) {
            Family::Ios
        } else {
            Family::Android
        };
        let has_browser = !has_phone || dice.chance(0.3);
        let browser = browser_on(desktop, &mut dice);
        let changes_phone = dice.chance(0.05);
        let start_day = local_day(self.start, city);
        let mut person = Person {
            number,
            city,
            provider: dice.index(PROVIDERS),
            start_minute: 480 + dice.between(-60, LATEST_START - 480),
            rate: MEAN_RATE * dice.gamma(1.2),
            downloads: dice.lognormal(0.4) * (-0.08_f64).exp(),
            night: dice.gamma(0.6),
            has_office,
            uses_vpn: dice.chance(0.3),
            uses_consumer_vpn: dice.chance(0.05),
            uses_relay: dice.chance(0.08),
            uses_secure_access: dice.chance(0.1),
            uses_carrier,
            desktop,
            phone: has_phone.then_some(phone),
            browser: has_browser.then_some(browser),
            new_phone_day: changes_phone.then(|| start_day + dice.between(1, 60)),
            is_admin: number == 0 || dice.chance(0.005),
            team: number / TEAM_SIZE,
            habits: self.habits(number, city),
            stay: Stay::default(),
        };
        // Administrators stay, so that there is always one.
        if !person.is_admin {
            person.stay = self.stay(number, city, person.start_minute);
        }
        person
    }
}

fn home_city(dice: &mut Dice) -> usize {
    let mut left = dice.below(STAFF.into()) as u32;
    for (index, city) in CITIES.iter().enumerate() {
        if left < city.staff {
            return index;
        }
        left -= city.staff;
    }
    0
}

fn browser_on(desktop: Family, dice: &mut Dice) -> Family {
    match (desktop, dice.below(10)) {
        (Family::DesktopMac, 0..4) => Family::Safari,
        (Family::DesktopMac, _) => Family::ChromeMac,
        (Family::DesktopLinux, _) | (_, 0..2) => Family::Firefox,
        (_, 2..5) => Family::Edge,
        _ => Family::ChromeWindows,
    }
}
