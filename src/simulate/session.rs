//! From where, with what and under which session a person acts at a moment.

use super::Organisation;
use super::agent::{Agent, Family};
use super::calendar::{
    DAY, HOUR, MINUTE, Whereabouts, is_plateau, local, local_day, moment, weekday,
};
use super::dice::{Dice, Purpose, hash};
use super::person::{LATEST_START, Person};

/// Each device has sessions of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Device {
    Desktop,
    Phone,
    Browser,
    /// An attacker's.
    Foreign,
}

impl Device {
    pub(super) const OWN: [Self; 3] = [Self::Desktop, Self::Phone, Self::Browser];

    /// Chance of a new sign-in on a workday.
    fn sign_in_chance(self) -> f64 {
        match self {
            Self::Desktop => 0.10,
            Self::Phone => 0.07,
            Self::Browser => 0.25,
            Self::Foreign => 0.0,
        }
    }
}

/// What an event tells about where it came from.
#[derive(Clone, Copy)]
pub(super) struct Context {
    pub(super) ip: u32,
    pub(super) agent: Agent,
    pub(super) session: u64,
}

/// Whether the sessions of the device end on that local day, whatever happens: every sixth Monday,
/// for all people of a city at once, because their passwords expire.
pub(super) fn expires(person: &Person, device: Device, day: i64) -> bool {
    let phase = person.city as i64 + device as i64;
    weekday(day) == 0 && (day / 7 + phase) % 6 == 0
}

impl Organisation {
    /// The moment on that local day at which the person signs in anew on the device, in Unix
    /// seconds.
    pub(super) fn sign_in(&self, person: &Person, device: Device, day: i64) -> Option<i64> {
        /// From the first sign-in on one device to that on the next.
        const APART: i64 = 45;
        if let Some(first) = person.stay.begins_at(day) {
            return Some(first + device as i64 * APART);
        }
        let key = (day * 4 + device as i64) as u64;
        let mut dice = Dice::new(self.seed, Purpose::SignIn, person.number.into(), key);
        let draws = dice.chance(device.sign_in_chance());
        let is_new = device == Device::Phone && person.new_phone_day == Some(day);
        let (earliest, spread) = if expires(person, device, day) {
            (LATEST_START, 30 * MINUTE)
        } else if is_new || draws && self.day(person, day).works {
            (person.start_minute, 40 * MINUTE)
        } else {
            return None;
        };
        let clock = day * DAY + earliest * MINUTE + dice.between(0, spread);
        Some(moment(clock, person.city))
    }

    /// The session of the device, by its last sign-in: never 0, unique in the organisation, of 11
    /// to 14 digits.
    pub(super) fn session(&self, person: &Person, device: Device, time: i64) -> u64 {
        const LONGEST_DAYS: i64 = 43;
        let today = local_day(time, person.city);
        let is_start = |day: &i64| {
            let signed_in = self.sign_in(person, device, *day);
            signed_in.is_some_and(|at| at <= time)
        };
        let start = (today - LONGEST_DAYS..=today).rev().find(is_start);
        self.session_number(person.number, device, start.unwrap_or(today - LONGEST_DAYS))
    }

    /// The session of the person's own program: its token was made before the plan, when attacks do
    /// not begin.
    pub(super) fn token(&self, person: u32) -> u64 {
        self.session_number(person, Device::Foreign, self.start.div_euclid(DAY) - 60)
    }

    /// The number of the session that began on that day.
    pub(super) fn session_number(&self, person: u32, device: Device, day: i64) -> u64 {
        const BITS: u32 = 44;
        let first_day = self.start.div_euclid(DAY) - 64;
        let day = (day - first_day).rem_euclid(1 << 12) as u64;
        let packed = (u64::from(person) << 12 | day) << 2 | device as u64;
        // An odd factor makes it a bijection on so many bits.
        let scattered = packed.wrapping_mul(0x9e3_779b_97f5) & ((1 << BITS) - 1);
        10_000_000_000 + scattered
    }

    /// What an event of the person on the device shows; `None` while nothing connects, or there is
    /// no account. A phone may be on the carrier's network.
    pub(super) fn context(
        &self,
        person: &Person,
        device: Device,
        on_carrier: bool,
        time: i64,
    ) -> Option<Context> {
        if !person.stay.is_active(time) {
            return None;
        }
        let family = self.family(person, device, time)?;
        let ip = self.address(person, device, on_carrier, time)?;
        let agent = self.agent(person.number, family, time);
        let session = self.session(person, device, time);
        Some(Context { ip, agent, session })
    }

    /// The program on the device; `None` if the person has no such device.
    fn family(&self, person: &Person, device: Device, time: i64) -> Option<Family> {
        match device {
            Device::Desktop => Some(person.desktop),
            Device::Browser => person.browser,
            Device::Foreign => None,
            Device::Phone => {
                let changed = person.new_phone_day.and_then(|day| {
                    let at = self.sign_in(person, device, day);
                    at.filter(|at| *at <= time)
                });
                match (person.phone?, changed) {
                    (Family::Ios, Some(_)) => Some(Family::Android),
                    (_, Some(_)) => Some(Family::Ios),
                    (phone, None) => Some(phone),
                }
            }
        }
    }

    /// The address that Slack sees. It changes at full hours at most, but for trips and leases.
    fn address(&self, person: &Person, device: Device, on_carrier: bool, time: i64) -> Option<u32> {
        let id = hash(self.seed, Purpose::Address, person.number.into(), 0);
        let city = match self.whereabouts(person, time) {
            Whereabouts::Travelling { online } => {
                return online.then(|| self.world.plane(person.city, id));
            }
            Whereabouts::Home => person.city,
            Whereabouts::Away(city) => city,
        };
        let hour = time.div_euclid(HOUR);
        let mut dice = Dice::new(
            self.seed,
            Purpose::Address,
            person.number.into(),
            hour as u64,
        );
        if on_carrier && device == Device::Phone {
            // A carrier gives out new addresses every few hours.
            let number = hash(self.seed, Purpose::Address, id, hour.div_euclid(3) as u64);
            return Some(self.world.carrier(city, id, number));
        }
        let relayed = dice.chance(0.5) && person.uses_relay;
        if relayed && device != Device::Desktop {
            return Some(self.world.relay(city, dice.number()));
        }
        if device != Device::Phone
            && let Some(exit) = self.tunnel(person, city, time, &mut dice)
        {
            return Some(exit);
        }
        if city != person.city {
            let stay = local_day(self.start, city) + time.div_euclid(7 * DAY);
            return Some(self.world.hotel(city, id ^ stay as u64));
        }
        let day = self.day(person, local_day(time, city));
        let at_work = day.works && day.office && is_plateau(person, time, city);
        let office = at_work.then(|| self.world.office(city, id)).flatten();
        let lease = self.lease(person, time);
        Some(office.unwrap_or_else(|| self.world.home(city, person.provider, id, lease)))
    }

    /// The exit of whatever tunnel the person's computer is in.
    fn tunnel(&self, person: &Person, city: usize, time: i64, dice: &mut Dice) -> Option<u32> {
        let number = hash(self.seed, Purpose::Address, person.number.into(), 1);
        let today = local_day(time, city);
        let day = self.day(person, today);
        let hour = local(time, city).rem_euclid(DAY) / HOUR;
        let within = |hours: (i64, i64)| (hours.0..hours.1).contains(&hour);
        if day.consumer_vpn.is_some_and(within) {
            // Three favourite places, one each day.
            let favourite = number.wrapping_add(7 * (today.rem_euclid(3) as u64));
            let exit = self.world.vpns[favourite as usize % self.world.vpns.len()];
            return Some(exit.address(number >> 8 ^ today as u64));
        }
        if day.works && day.vpn.is_some_and(within) {
            let has_moved = self.season.move_day.is_some_and(|moved| moved <= today);
            let number = number ^ today as u64;
            return Some(self.world.gateway(person.city, number, has_moved));
        }
        if person.uses_secure_access && day.works && is_plateau(person, time, city) {
            let hops = usize::from(dice.chance(0.04));
            return Some(self.world.secure_access(city, hops, number));
        }
        None
    }
}
