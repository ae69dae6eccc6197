//! Where and when attacks take place.

use std::collections::HashSet;
use std::ops::Range;

use super::super::agent::Family;
use super::super::calendar::{DAY, HOUR, MINUTE, Whereabouts};
use super::super::dice::{Dice, Purpose};
use super::super::event::Record;
use super::super::person::Person;
use super::super::session::{Context, Device};
use super::super::{Attacks, Organisation};
use super::history::{acts, is_own, known_secs, usual_downloads};
use super::{Attack, Haul, Kind, source};

/// From so many people and days on, the common kinds happen at least once, in the last two days.
const FLOOR: (u32, u32) = (50, 7);
/// From so many on, every kind.
const WHOLE_FLOOR: (u32, u32) = (400, 12);

/// Lays out all attacks of the plan, in the order of their start.
pub(in crate::simulate) fn place(org: &Organisation, attacks: &Attacks) -> Vec<Attack> {
    let mut placed = Vec::new();
    let mut search = Search {
        org,
        kind: Kind::TravelContinent,
        window: 0..0,
        dice: Dice::new(org.seed, Purpose::Attack, 0, 0),
        taken: HashSet::new(),
        has_no_admins: false,
    };
    for kind in Kind::ALL {
        search.kind = kind;
        search.dice = Dice::new(org.seed, Purpose::Attack, kind as u64, 0);
        let has_floor = has_floor(org, attacks, kind);
        let count = count(org, attacks, kind, &mut search.dice).max(has_floor.into());
        for number in 0..count {
            let hours = (kind.longest() / HOUR) as u32;
            let first = match number {
                0 if has_floor => (org.days.saturating_sub(2) * 24).saturating_sub(hours - 1),
                _ => attacks.first_day.saturating_mul(24),
            };
            search.window = first..(org.days * 24).saturating_sub(hours);
            if let Some(attack) = search.find() {
                search.taken.extend(attack.people());
                placed.push(attack);
            }
        }
    }
    placed.sort_by_key(|attack| (attack.start, attack.victim));
    placed
}

/// Whether the kind happens in any case.
fn has_floor(org: &Organisation, attacks: &Attacks, kind: Kind) -> bool {
    let (users, days) = if kind.is_common() { FLOOR } else { WHOLE_FLOOR };
    attacks.at_least_one && org.users >= users && org.days >= days
}

/// How many attacks of the kind there are.
fn count(org: &Organisation, attacks: &Attacks, kind: Kind, dice: &mut Dice) -> u32 {
    let mean = kind.rate(attacks) * f64::from(org.users) / 1e3 * f64::from(org.days) / 30.0;
    let by_rate = mean as u32 + u32::from(dice.chance(mean.fract()));
    attacks.exactly.unwrap_or(by_rate)
}

/// The search for somebody to attack.
struct Search<'a> {
    org: &'a Organisation,
    kind: Kind,
    /// The hours in which the attack may begin.
    window: Range<u32>,
    dice: Dice,
    /// Whoever is in an attack already.
    taken: HashSet<u32>,
    /// No administrator was found who is not taken.
    has_no_admins: bool,
}

impl Search<'_> {
    /// Tries people and hours at random. `None` if nobody fits.
    fn find(&mut self) -> Option<Attack> {
        const MOST_ATTEMPTS: u32 = 20_000;
        const FOR_ADMINS: u32 = 4_000;
        if self.window.is_empty() || self.is_short_of_people() {
            return None;
        }
        let seeks_admin = self.kind.is_administrative() && !self.has_no_admins;
        for attempt in 0..MOST_ATTEMPTS {
            let victim = self.anybody();
            let last = i64::from(self.window.end) - 1;
            let hour = self.dice.between(self.window.start.into(), last) as u32;
            let must_be_admin = seeks_admin && attempt < FOR_ADMINS;
            if self.taken.contains(&victim) || must_be_admin && !self.org.person(victim).is_admin {
                continue;
            }
            self.has_no_admins |= seeks_admin && !must_be_admin;
            let attack = match self.kind {
                Kind::DeactivatedLogin | Kind::Spray => self.on_absent(victim, hour),
                _ => self.on_seen(victim, hour),
            };
            if attack.is_some() {
                return attack;
            }
        }
        None
    }

    /// An attack that takes many needs some choice.
    fn is_short_of_people(&self) -> bool {
        const CHOICE: usize = 4;
        let (least, _) = self.crowd();
        let free = (self.org.users as usize).saturating_sub(self.taken.len());
        least > 0 && free < CHOICE * (least + 1)
    }

    /// The least and the most people whom the kind takes besides the first.
    fn crowd(&self) -> (usize, usize) {
        match self.kind {
            Kind::PhishingCrowd => (7, 19),
            Kind::Spray => (19, 59),
            _ => (0, 0),
        }
    }

    /// Attacks somebody minutes after an act on a fixed network.
    fn on_seen(&mut self, victim: u32, hour: u32) -> Option<Attack> {
        let events = acts(self.org, victim, hour);
        let last = events
            .iter()
            .filter(|event| is_own(event))
            .max_by_key(|event| (event.time, event.key))?;
        let seen = self.org.start + i64::from(last.time);
        let person = self.org.person(victim);
        let here = self.city(&person, seen)?;
        let start = seen + self.dice.between(MINUTE, 10 * MINUTE);
        let is_insider = self.dice.chance(self.kind.insiders());
        let attack = if is_insider {
            self.by_insider(&person, last, start)?
        } else {
            self.by_thief(&person, here, Some(last), start)?
        };
        let others = self.company(&attack, hour)?;
        Some(Attack { others, ..attack })
    }

    /// Attacks somebody whether at work or not; if the account is to be deactivated, while nothing
    /// is done with it.
    fn on_absent(&mut self, victim: u32, hour: u32) -> Option<Attack> {
        let begin = self.org.start + i64::from(hour) * HOUR;
        let start = begin + self.dice.between(0, HOUR - 1);
        let busy = start - self.org.start..start + self.kind.longest() - self.org.start;
        let is_busy = |hour: u32| {
            let events = acts(self.org, victim, hour);
            events
                .iter()
                .any(|event| busy.contains(&i64::from(event.time)))
        };
        let mut hours = hour.saturating_sub(1)..=hour + 2;
        if self.kind == Kind::DeactivatedLogin && hours.any(is_busy) {
            return None;
        }
        let person = self.org.person(victim);
        let here = self.city(&person, start)?;
        let attack = self.by_thief(&person, here, None, start)?;
        let others = self.company(&attack, hour)?;
        Some(Attack { others, ..attack })
    }

    /// Where the person is, unless between cities.
    fn city(&self, person: &Person, time: i64) -> Option<usize> {
        match self.org.whereabouts(person, time) {
            Whereabouts::Home => Some(person.city),
            Whereabouts::Away(city) => Some(city),
            Whereabouts::Travelling { .. } => None,
        }
    }

    /// The person does it, at the usual place.
    fn by_insider(&mut self, person: &Person, last: &Record, start: i64) -> Option<Attack> {
        let own = Context {
            ip: last.ip,
            agent: last.agent,
            session: last.session,
        };
        let source = match self.kind {
            // Day by day on one device.
            Kind::SlowDownload => self.org.context(person, Device::Desktop, false, start)?,
            _ => own,
        };
        self.attack(person, start, source, true)
    }

    /// Somebody else does it, from elsewhere; `last` is what the victim did just before.
    fn by_thief(
        &mut self,
        person: &Person,
        here: usize,
        last: Option<&Record>,
        start: i64,
    ) -> Option<Attack> {
        let (org, kind, victim) = (self.org, self.kind, person.number);
        let ip = source::address(org, kind, here, &mut self.dice)?;
        let family = source::family(kind, person, &mut self.dice);
        let own_session = last.map_or(0, |last| last.session);
        let session = match kind {
            Kind::BruteForce | Kind::Spray => 0,
            // A token instead of a cookie.
            Kind::ScriptClient if self.dice.chance(0.5) => 0,
            _ if kind.signs_in() => {
                org.session_number(victim, Device::Foreign, start.div_euclid(DAY))
            }
            _ => own_session,
        };
        let agent = match kind {
            Kind::PhishingCrowd => org.agent(victim, family, start),
            _ => org.agent(self.dice.number() as u32, family, start),
        };
        let is_seen_twice = |last: &Record| {
            let family = last.agent.family;
            let is_shared = source::is_shared(&org.world, (person.city, here), last.ip);
            last.session == session && family != Family::IosNotification && !is_shared
        };
        let shows_program = !matches!(kind, Kind::SlackAnomaly | Kind::BruteForce | Kind::Spray);
        let is_split = kind != Kind::SlackAnomaly && last.is_some_and(is_seen_twice);
        let attack = self.attack(person, start, Context { ip, agent, session }, false)?;
        Some(Attack {
            previous_ip: last.map_or(0, |last| last.ip),
            is_new_program: shows_program && source::is_new_program(person, family),
            is_split,
            ..attack
        })
    }

    /// An attack without what only thieves show; `None` if it would not end in time, or the account
    /// would.
    fn attack(
        &mut self,
        person: &Person,
        start: i64,
        source: Context,
        is_insider: bool,
    ) -> Option<Attack> {
        let (org, kind) = (self.org, self.kind);
        let end = start + kind.longest();
        if end > org.end() || !person.stay.is_active(start) || !person.stay.is_active(end) {
            return None;
        }
        let hour = ((start - org.start) / HOUR) as u32;
        let haul = kind.is_download().then(|| self.haul(person, hour));
        Some(Attack {
            kind,
            victim: person.number,
            others: Vec::new(),
            start,
            source,
            is_insider,
            haul,
            previous_ip: source.ip,
            is_new_program: false,
            is_split: false,
            known_secs: known_secs(org, person, start),
        })
    }

    /// How many files are fetched: three to twelve times as many as usual, after a journey five times
    /// at least, slowly twice as many.
    fn haul(&mut self, person: &Person, hour: u32) -> Haul {
        let usual = usual_downloads(self.org, person, hour);
        let mut times = |least| self.dice.between(least, 12) as u32;
        let files = match self.kind {
            Kind::SlowDownload => 2 * usual,
            Kind::DownloadAfterTravel => (times(5) * usual).clamp(30, 600),
            _ => (times(3) * usual).clamp(30, 600),
        };
        Haul { usual, files }
    }

    /// Whoever else the attack takes; `None` if there are not enough.
    fn company(&mut self, attack: &Attack, hour: u32) -> Option<Vec<u32>> {
        let (org, victim, start) = (self.org, attack.victim, attack.start);
        let is_here = |person: &Person| person.stay.is_active(start);
        let others = match self.kind {
            Kind::DeactivatedLogin => {
                let admin = self.helper(victim, |person| person.is_admin)?;
                let person = org.person(admin);
                let context = org.context(&person, Device::Desktop, false, start);
                context.map(|_| vec![admin])?
            }
            Kind::PrivilegeEscalation => {
                let accomplice = self.helper(victim, |person| !person.is_admin && is_here(person));
                vec![accomplice?]
            }
            Kind::PhishingCrowd => self.gather(victim, |number| {
                let is_at_work = acts(org, number, hour).iter().any(is_own);
                is_at_work && is_here(&org.person(number))
            })?,
            Kind::Spray => self.gather(victim, |number| is_here(&org.person(number)))?,
            _ => Vec::new(),
        };
        Some(others)
    }

    /// Somebody else who is free, and fits if that is possible.
    fn helper(&mut self, victim: u32, is_fit: impl Fn(&Person) -> bool) -> Option<u32> {
        const ATTEMPTS: u32 = 1_000;
        for attempt in 0..2 * ATTEMPTS {
            let number = self.anybody();
            let is_free = number != victim && !self.taken.contains(&number);
            if is_free && (attempt >= ATTEMPTS || is_fit(&self.org.person(number))) {
                return Some(number);
            }
        }
        None
    }

    /// As many people as the kind takes besides `first`, all of them free and fit.
    fn gather(&mut self, first: u32, is_fit: impl Fn(u32) -> bool) -> Option<Vec<u32>> {
        const ATTEMPTS: usize = 200;
        let (least, most) = self.crowd();
        let wanted = self.dice.between(least as i64, most as i64) as usize;
        let mut known = HashSet::from([first]);
        let mut found = Vec::new();
        for _ in 0..ATTEMPTS * wanted {
            if found.len() == wanted {
                break;
            }
            let person = self.anybody();
            if !self.taken.contains(&person) && known.insert(person) && is_fit(person) {
                found.push(person);
            }
        }
        (found.len() >= least).then_some(found)
    }

    fn anybody(&mut self) -> u32 {
        self.dice.below(self.org.users.into()) as u32
    }
}
