//! `travel(…)`: a person at two places between which nobody can have travelled.
//!
//! Each position is compared with the person's last one at every other place of the last hours.
//! Both radii of uncertainty are taken off the distance before it is judged. An impossible journey
//! to a place that the person had before is a detour of traffic, not of people, and so is one to a
//! corporate or relay network; a relay's own position says nothing of its people's. What makes it a theft is a *new place* on a *new session*: two
//! devices. A running session that moved to an autonomous system new to the person is most likely
//! one device behind a new exit, and weighs less.

mod place;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::place::{Begun, Known, Place, Position, Recent, Sessions, distance_km};
use super::{Argument, Arguments, Fold, Found};
use crate::anomaly::{Because, rounded};
use crate::event::time::{MICROS, rfc3339};

/// Reads positions: latitude, longitude, accuracy_km, ip, asn, network_kind, country, city,
/// session, event_time, event_id; and the rule's parameters: speed_kmh, distance_km, within_secs,
/// new_session_secs, learn_secs. A row without coordinates is none.
///
/// What it finds is `high`, or `medium` in the person's first `learn_secs` and for a running
/// session.
#[derive(Debug)]
pub struct Travel;

/// What is remembered of a person.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    since: Option<i64>,
    recent: Recent,
    known: Known,
    sessions: Sessions,
}

/// The parameters of the rule.
#[derive(Clone, Copy, Debug)]
struct Limits {
    speed_kmh: f64,
    distance_km: f64,
    within: i64,
    new_session: i64,
    learn: i64,
}

/// A journey that nobody can have made.
struct Journey<'a> {
    from: Position<'a>,
    distance_km: f64,
    /// What is left of the distance without both radii.
    certain_km: f64,
    elapsed: i64,
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
    ];
    type State = State;

    fn step(state: &mut State, arguments: &Arguments<'_>, row: usize) -> Option<Found> {
        let here = Position::read(arguments, row)?;
        let limits = Limits::read(arguments, row);
        let since = *state.since.get_or_insert(here.time);
        let begun = arguments
            .text(8, row)
            .map(|id| state.sessions.begun(id, &here));
        state.recent.forget(here.time.saturating_sub(limits.within));
        let newest = here.time.saturating_sub(limits.new_session);
        let is_new = state.known.is_new(here.place, newest);
        let journey = if is_new && !here.is_detour() {
            state.recent.worst(&here, &limits)
        } else {
            None
        };
        let found = journey.and_then(|journey| {
            let session = Session::of(begun, here.place, newest);
            let is_young = here.time.saturating_sub(since) < limits.learn;
            let level = match session {
                Session::New if is_young => "medium",
                Session::New => "high",
                _ if state.known.is_new_system(here.place) => "medium",
                _ => return None,
            };
            Some(journey.found(&here, &limits, level, session, since))
        });
        state.known.add(here.place, here.time, found.is_some());
        if !here.is_relay() {
            state.recent.add(&here);
        }
        found
    }

    fn bytes(state: &State) -> usize {
        state.recent.bytes() + state.known.bytes() + state.sessions.bytes()
    }
}

/// What the session of a position says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    /// It began here, not long ago.
    New,
    /// It began elsewhere, or long ago.
    Running,
    /// The event names none.
    Unknown,
}

impl Session {
    fn of(begun: Option<Begun>, here: Place, newest: i64) -> Self {
        match begun {
            Some(begun) if begun.place == here && begun.time >= newest => Self::New,
            Some(_) => Self::Running,
            None => Self::Unknown,
        }
    }
}

impl Limits {
    fn read(arguments: &Arguments<'_>, row: usize) -> Self {
        let secs = |at| {
            arguments
                .integer(at, row)
                .unwrap_or(0)
                .saturating_mul(MICROS)
        };
        Self {
            speed_kmh: arguments.float(11, row).unwrap_or(f64::INFINITY),
            distance_km: arguments.float(12, row).unwrap_or(f64::INFINITY),
            within: secs(13),
            new_session: secs(14),
            learn: secs(15),
        }
    }
}

impl<'a> Journey<'a> {
    /// The journey, if nobody can have made it.
    fn between(from: Position<'a>, here: &Position<'_>, limits: &Limits) -> Option<Self> {
        if from.shares_network(here) {
            return None;
        }
        let distance_km = distance_km(from.point, here.point);
        let certain_km = distance_km - from.radius_km - here.radius_km;
        // Events carry whole seconds: two in the same one may be a second apart.
        let elapsed = (here.time - from.time).abs().max(MICROS);
        let speed_kmh = certain_km / (elapsed as f64 / (3600.0 * MICROS as f64));
        (certain_km >= limits.distance_km && speed_kmh > limits.speed_kmh).then_some(Self {
            from,
            distance_km,
            certain_km,
            elapsed,
            speed_kmh,
        })
    }

    fn found(
        &self,
        here: &Position<'_>,
        limits: &Limits,
        level: &str,
        session: Session,
        since: i64,
    ) -> Found {
        let from = &self.from;
        let mut evidence = Map::new();
        let mut add = |name: &str, value: Value| evidence.insert(name.to_owned(), value);
        add("distance_km", rounded(self.distance_km));
        add("certain_km", rounded(self.certain_km));
        add("speed_kmh", rounded(self.speed_kmh));
        add("elapsed_secs", json!(self.elapsed / MICROS));
        add("from", from.describe());
        add("to", here.describe());
        add("is_new_session", (session == Session::New).into());
        add("person_since", rfc3339(since).into());
        let asked = |condition: &str, observed: Value, limit: Value| Because {
            condition: condition.to_owned(),
            observed,
            limit,
        };
        let mut because = vec![
            asked(
                "speed_kmh > limit",
                rounded(self.speed_kmh),
                rounded(limits.speed_kmh),
            ),
            asked(
                "certain_km >= limit",
                rounded(self.certain_km),
                rounded(limits.distance_km),
            ),
            asked("place not seen before", here.name().into(), Value::Null),
        ];
        let asn: Value = here.place.asn.into();
        because.push(match session {
            Session::New => {
                let limit = json!(limits.new_session / MICROS);
                asked(
                    "session began here, at most limit seconds ago",
                    true.into(),
                    limit,
                )
            }
            Session::Running => asked("running session moved to a new system", asn, Value::Null),
            Session::Unknown => asked("no session; a new system", asn, Value::Null),
        });
        Found {
            level: Some(level.to_owned()),
            evidence,
            because,
            events: vec![from.event_id.to_owned()],
        }
    }
}

impl Recent {
    /// Of the impossible journeys to `here` the fastest, of equally fast ones the latest.
    fn worst<'a>(&'a self, here: &Position<'_>, limits: &Limits) -> Option<Journey<'a>> {
        let elsewhere = self.positions().filter(|from| from.place != here.place);
        let impossible = elsewhere.filter_map(|from| Journey::between(from, here, limits));
        impossible.max_by(|a, b| {
            let later = || (a.from.time, a.from.event_id).cmp(&(b.from.time, b.from.event_id));
            a.speed_kmh.total_cmp(&b.speed_kmh).then_with(later)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, distance_km};

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
