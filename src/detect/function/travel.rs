//! `travel(…)`: a person at two places between which nobody can have travelled.
//!
//! Each position is compared with the person's last one at every other place of the last hours.
//! Both radii of uncertainty are taken off the distance before it is judged. An impossible journey
//! to a place that the person had before is a detour of traffic, not of people, and so is one to a
//! corporate or relay network; a relay's own position says nothing of its people's. What makes it a theft is a *new place* on a *new session*: two
//! devices. A running session that moved to an autonomous system new to the person is most likely
//! one device behind a new exit, and weighs less.

mod person;
mod place;

use serde_json::{Map, Value, json};

use self::person::{Person, Session};
use self::place::{Position, distance_km};
use super::{Argument, Arguments, Fold, Found, Memory, Texts};
use crate::anomaly::{Because, Level, rounded};
use crate::event::time::{MICROS, rfc3339};

/// Reads positions: latitude, longitude, accuracy_km, ip, asn, network_kind, country, city,
/// session, event_time, event_id; and the rule's parameters: speed_kmh, distance_km, within_secs,
/// new_session_secs, learn_secs, forget_secs; 1 where a list trusts the address; and habit_days. A row without
/// coordinates is none; a person without any for longer than `forget_secs` begins anew.
///
/// What it finds is `high`, or `medium` in the person's first `learn_secs` and for a running
/// session; one level lower where one end is trusted, and nothing where both are, nor between two
/// systems that make a habit.
#[derive(Debug)]
pub struct Travel;

/// The parameters of the rule.
#[derive(Clone, Copy, Debug)]
struct Limits {
    speed_kmh: f64,
    distance_km: f64,
    within_secs: i64,
    new_session_secs: i64,
    learn_secs: i64,
    forget_secs: i64,
    /// On how many days two systems must have been seen to make a habit.
    habit_days: u32,
}

/// A journey that nobody can have made.
struct Journey<'a> {
    from: Position<'a>,
    distance_km: f64,
    /// What is left of the distance without both radii.
    certain_km: f64,
    elapsed_secs: u32,
    speed_kmh: f64,
}

impl Fold for Travel {
    const NAME: &'static str = "travel";
    const ARGUMENTS: &'static [Argument] = &[
        Argument::Float,
        Argument::Float,
        Argument::Float,
        Argument::Text,
        Argument::Integer,
        Argument::Text,
        Argument::Text,
        Argument::Text,
        Argument::Text,
        Argument::Time,
        Argument::Text,
        Argument::Float,
        Argument::Float,
        Argument::Integer,
        Argument::Integer,
        Argument::Integer,
        Argument::Integer,
        Argument::Integer,
        Argument::Integer,
    ];
    const HORIZON: usize = 16;
    type Common = ();

    fn step(
        memory: &mut Memory,
        texts: &mut Texts,
        arguments: &Arguments<'_>,
        row: usize,
        (): &(),
    ) -> Option<Found> {
        let here = Position::read(arguments, row)?;
        let limits = Limits::read(arguments, row);
        let mut person = Person::at(memory, texts, here.time, limits.forget_secs);
        let newest = i64::from(here.time) - limits.new_session_secs;
        person.settle(i64::from(here.time) - limits.within_secs, newest);
        // A sign-in without a session is told by its own id, and not remembered.
        let session = match arguments.text(8, row) {
            None => Session::Unknown,
            Some(id) if id == here.event_id => Session::New,
            Some(id) => person.session(id, &here, newest),
        };
        let place = here.site.place;
        let is_new = person.is_new(place, newest);
        // A person who stays makes no journey that was not judged when it was made.
        let is_journey = is_new || person.last_place() != Some(place);
        let journeys = if is_journey && !here.site.is_detour() {
            impossible(&person, &here, &limits)
        } else {
            Vec::new()
        };
        let pairs: Vec<_> = journeys
            .iter()
            .map(|j| (j.from.site.place, place))
            .collect();
        let found = worst(&person, &here, journeys, limits.habit_days)
            .filter(|_| is_new)
            .and_then(|journey| {
                let age = i64::from(here.time) - i64::from(person.since());
                let level = match session {
                    Session::New if age < limits.learn_secs => Level::Medium,
                    Session::New => Level::High,
                    _ if person.is_new_system(place) => Level::Medium,
                    _ => return None,
                };
                let level = if journey.is_half_trusted(&here) {
                    level.lower()
                } else {
                    level
                };
                Some(journey.found(&here, &limits, level, session, person.since()))
            });
        for pair in pairs {
            person.add_journey(pair, here.time);
        }
        person.add_place(place, here.time, found.is_some());
        if !here.site.is_relay() {
            person.add_position(&here);
        }
        found
    }

    fn release(memory: &Memory, texts: &mut Texts) {
        person::release(memory, texts);
    }
}

impl Limits {
    fn read(arguments: &Arguments<'_>, row: usize) -> Self {
        let secs = |at| arguments.integer(at, row).unwrap_or(0);
        Self {
            speed_kmh: arguments.float(11, row).unwrap_or(f64::INFINITY),
            distance_km: arguments.float(12, row).unwrap_or(f64::INFINITY),
            within_secs: secs(13),
            new_session_secs: secs(14),
            learn_secs: secs(15),
            forget_secs: arguments.integer(16, row).unwrap_or(i64::MAX),
            habit_days: u32::try_from(secs(18)).unwrap_or(u32::MAX),
        }
    }
}

/// The journeys to `here` that nobody can have made.
fn impossible<'a>(
    person: &'a Person<'_>,
    here: &Position<'_>,
    limits: &Limits,
) -> Vec<Journey<'a>> {
    let elsewhere = person
        .positions()
        .filter(|from| from.site.place != here.site.place);
    let journeys = elsewhere.filter_map(|from| Journey::between(from, here, limits));
    journeys.collect()
}

/// Of these journeys, without habits and those between two trusted ends, the one that weighs most:
/// the fastest, of equally fast ones the latest.
fn worst<'a>(
    person: &Person<'_>,
    here: &Position<'_>,
    journeys: Vec<Journey<'a>>,
    habit_days: u32,
) -> Option<Journey<'a>> {
    let weighs = |journey: &Journey<'_>| {
        let is_trusted = journey.from.is_trusted && here.is_trusted;
        !is_trusted && !person.is_habit(journey.from.site.place, &here.site, habit_days)
    };
    journeys.into_iter().filter(weighs).max_by(|a, b| {
        let weight = |journey: &Journey<'_>| !journey.is_half_trusted(here);
        let later = || (a.from.time, &a.from.event_id).cmp(&(b.from.time, &b.from.event_id));
        (weight(a).cmp(&weight(b)))
            .then(a.speed_kmh.total_cmp(&b.speed_kmh))
            .then_with(later)
    })
}

impl<'a> Journey<'a> {
    /// The journey, if nobody can have made it.
    fn between(from: Position<'a>, here: &Position<'_>, limits: &Limits) -> Option<Self> {
        if from.shares_network(here) {
            return None;
        }
        let distance_km = distance_km(from.site.point, here.site.point);
        let certain_km = distance_km - from.site.radius_km - here.site.radius_km;
        // Events carry whole seconds: two in the same one may be a second apart.
        let elapsed_secs = here.time.abs_diff(from.time).max(1);
        let speed_kmh = certain_km / (f64::from(elapsed_secs) / 3600.0);
        (certain_km >= limits.distance_km && speed_kmh > limits.speed_kmh).then_some(Self {
            from,
            distance_km,
            certain_km,
            elapsed_secs,
            speed_kmh,
        })
    }

    /// Whether just one of its ends is trusted.
    fn is_half_trusted(&self, here: &Position<'_>) -> bool {
        self.from.is_trusted != here.is_trusted
    }

    fn found(
        &self,
        here: &Position<'_>,
        limits: &Limits,
        level: Level,
        session: Session,
        since: u32,
    ) -> Found {
        let from = &self.from;
        let mut evidence = Map::new();
        let mut add = |name: &str, value: Value| evidence.insert(name.to_owned(), value);
        add("distance_km", rounded(self.distance_km));
        add("certain_km", rounded(self.certain_km));
        add("speed_kmh", rounded(self.speed_kmh));
        add("elapsed_secs", json!(self.elapsed_secs));
        add("from", from.describe());
        add("to", here.describe());
        add("is_new_session", (session == Session::New).into());
        add("person_since", rfc3339(i64::from(since) * MICROS).into());
        let mut because = vec![
            Because::new(
                "speed_kmh > limit",
                rounded(self.speed_kmh),
                rounded(limits.speed_kmh),
            ),
            Because::new(
                "certain_km >= limit",
                rounded(self.certain_km),
                rounded(limits.distance_km),
            ),
            Because::new("place not seen before", here.name(), Value::Null),
        ];
        let asn: Value = here.site.place.system().into();
        because.push(match session {
            Session::New => {
                let condition = "session began here, at most limit seconds ago";
                Because::new(condition, true, limits.new_session_secs)
            }
            Session::Running => {
                Because::new("running session moved to a new system", asn, Value::Null)
            }
            Session::Unknown => Because::new("no session; a new system", asn, Value::Null),
        });
        Found {
            level: Some(level.to_string()),
            evidence,
            because,
            events: vec![from.event_id.to_string()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::place::{Place, distance_km};

    #[test]
    fn distances_are_those_of_the_atlas() {
        // Berlin to New York, Sydney to Auckland across no date line, and around it.
        for (from, to, km) in [
            ((52.52, 13.40), (40.71, -74.01), 6385.0),
            ((-33.87, 151.21), (-36.85, 174.76), 2156.0),
            ((0.0, 179.5), (0.0, -179.5), 111.2),
            ((90.0, 0.0), (-90.0, 0.0), 20015.1),
            ((1.0, 1.0), (1.0, 1.0), 0.0),
        ] {
            let found = distance_km(from, to);
            assert!((found - km).abs() <= km * 0.001, "{from:?} {to:?}: {found}");
        }
    }

    #[test]
    fn a_place_is_half_a_degree_wide() {
        let place = Place::of((52.52, 13.40), Some(1));
        assert_eq!(place, Place::of((52.9, 13.1), Some(1)));
        assert_ne!(place, Place::of((52.4, 13.4), Some(1)));
        assert_ne!(place, Place::of((52.52, 13.40), Some(2)));
        assert_ne!(place, Place::of((52.52, 13.40), None));
    }
}
