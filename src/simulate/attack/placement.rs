//! Where and when attacks take place.

use std::collections::HashSet;
use std::ops::Range;

use super::super::activity;
use super::super::agent::Family;
use super::super::calendar::{DAY, MINUTE, Whereabouts};
use super::super::city::CITIES;
use super::super::dice::{Dice, Purpose};
use super::super::event::{Action, By, Form, Record};
use super::super::network::{PROVIDERS, World};
use super::super::person::Person;
use super::super::session::{Context, Device};
use super::{Attack, Attacks, Kind, LONGEST, Organisation};

/// The first day on which attacks take place: earlier there is no history to differ from.
const FIRST_DAY: u32 = 6;
/// From so many people and days on, every kind happens at least once, in the last two days.
const FLOOR_USERS: u32 = 50;
const FLOOR_DAYS: u32 = 7;

/// Lays out all attacks of the plan, in the order of their start.
pub(in crate::simulate) fn place(org: &Organisation, attacks: &Attacks) -> Vec<Attack> {
    let mut placed = Vec::new();
    let mut victims = HashSet::new();
    let hours = |days: Range<u32>| days.start * 24..(days.end * 24).saturating_sub(1);
    let last_days = hours(org.days.saturating_sub(2)..org.days);
    let has_floor = attacks.at_least_one && org.users >= FLOOR_USERS && org.days >= FLOOR_DAYS;
    for kind in Kind::ALL {
        let mut dice = Dice::new(org.seed, Purpose::Attack, kind as u64, 0);
        let mean = kind.rate(attacks) * f64::from(org.users) / 1e3 * f64::from(org.days) / 30.0;
        let by_rate = mean as u32 + u32::from(dice.chance(mean.fract()));
        let count = by_rate.max(has_floor.into());
        for number in 0..count {
            let window = match number {
                0 if has_floor => last_days.clone(),
                _ => hours(FIRST_DAY..org.days),
            };
            let attack = find(org, kind, window, &victims, &mut dice);
            victims.extend(attack.map(|attack| attack.victim));
            placed.extend(attack);
        }
    }
    placed.sort_by_key(|attack| (attack.start, attack.victim));
    placed
}

/// Looks for somebody who is at work in the window, on a fixed network, and attacks him minutes
/// later. `None` if nobody fits.
fn find(
    org: &Organisation,
    kind: Kind,
    window: Range<u32>,
    victims: &HashSet<u32>,
    dice: &mut Dice,
) -> Option<Attack> {
    const MOST_ATTEMPTS: u32 = 20_000;
    if window.is_empty() {
        return None;
    }
    let mut events = Vec::new();
    for _ in 0..MOST_ATTEMPTS {
        let victim = dice.below(org.users.into()) as u32;
        let hour = dice.between(window.start.into(), i64::from(window.end) - 1) as u32;
        if victims.contains(&victim) {
            continue;
        }
        events.clear();
        activity::hour(org, victim, hour, &mut events);
        let last = events
            .iter()
            .filter(|event| is_own(event))
            .max_by_key(|event| event.time);
        let attack = last.and_then(|event| prepare(org, kind, event, dice));
        if attack.is_some() {
            return attack;
        }
    }
    None
}

/// Whether the event shows where the person is.
fn is_own(event: &Record) -> bool {
    event.by == By::Actor
        && event.form == Form::Plain
        && event.session != 0
        && event.action != Action::UserLogout
        && event.agent.family != Family::MediaPlayer
        && !World::is_mobile(event.ip)
}

fn prepare(org: &Organisation, kind: Kind, event: &Record, dice: &mut Dice) -> Option<Attack> {
    let victim = event.key.person();
    let person = org.person(victim);
    let seen = org.start + i64::from(event.time);
    let start = seen + dice.between(MINUTE, 10 * MINUTE);
    let here = match org.whereabouts(&person, seen) {
        Whereabouts::Home => person.city,
        Whereabouts::Away(city) => city,
        Whereabouts::Travelling { .. } => return None,
    };
    if start + LONGEST > org.end() {
        return None;
    }
    let own = Context {
        ip: event.ip,
        agent: event.agent,
        session: event.session,
    };
    let by_insider = kind == Kind::BulkDownload && dice.chance(0.5);
    let (ip, family) = if by_insider {
        (event.ip, event.agent.family)
    } else {
        (
            foreign_address(org, kind, here, dice)?,
            foreign_family(kind, &person, dice),
        )
    };
    let signs_in = !by_insider && !matches!(kind, Kind::StolenSession | Kind::SlackAnomaly);
    let session = if signs_in {
        org.session_number(victim, Device::Foreign, start.div_euclid(DAY))
    } else {
        own.session
    };
    let known = [Some(person.desktop), person.phone, person.browser];
    let agent = if by_insider {
        own.agent
    } else {
        org.agent(dice.number() as u32, family, start)
    };
    Some(Attack {
        kind,
        victim,
        start,
        source: Context { ip, agent, session },
        previous_ip: event.ip,
        signs_in,
        is_new_program: !by_insider
            && !known
                .iter()
                .flatten()
                .any(|own| own.is_same_program(family)),
    })
}

/// An address from which the attacker comes; `None` if there is no city that fits.
fn foreign_address(org: &Organisation, kind: Kind, here: usize, dice: &mut Dice) -> Option<u32> {
    let victim = &CITIES[here];
    let fits = |city: usize| {
        let there = &CITIES[city];
        let far = victim.distance(there);
        match kind {
            Kind::TravelCountry => {
                there.continent == victim.continent
                    && there.country != victim.country
                    && far > 600.0
            }
            Kind::TravelFarCity => there.country == victim.country && far > 560.0,
            Kind::TravelContinent | Kind::BulkDownload => there.continent != victim.continent,
            Kind::StolenSession | Kind::SlackAnomaly => {
                there.country != victim.country && far > 1_000.0
            }
        }
    };
    let world = &org.world;
    let is_stolen = matches!(kind, Kind::StolenSession | Kind::SlackAnomaly);
    // Half of the stolen passwords are used through somebody's home.
    if !is_stolen && dice.chance(0.5) {
        let cities: Vec<usize> = (0..CITIES.len()).filter(|city| fits(*city)).collect();
        let city = *cities.get(dice.index(cities.len()))?;
        return Some(world.home(city, dice.index(PROVIDERS), dice.number(), 0));
    }
    if is_stolen && fits(world.tor.city) && dice.chance(0.15) {
        return Some(world.tor.address(dice.number()));
    }
    let rented = world.hosting.iter();
    let exits: Vec<_> = if is_stolen {
        rented.filter(|exit| fits(exit.city)).collect()
    } else {
        rented
            .chain(&world.vpns)
            .filter(|exit| fits(exit.city))
            .collect()
    };
    let exit = exits.get(dice.index(exits.len()))?;
    Some(exit.address(dice.number()))
}

/// Half of those who sign in show the victim's own program.
fn foreign_family(kind: Kind, victim: &Person, dice: &mut Dice) -> Family {
    const SCRIPTS: [Family; 2] = [Family::PythonRequests, Family::PythonAiohttp];
    const BROWSERS: [Family; 3] = [Family::ChromeWindows, Family::Firefox, Family::Edge];
    match kind {
        Kind::StolenSession => SCRIPTS[dice.index(SCRIPTS.len())],
        _ if dice.chance(0.5) => victim.desktop,
        _ => BROWSERS[dice.index(BROWSERS.len())],
    }
}
