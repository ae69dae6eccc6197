//! Positions, and what is remembered of a person's places and sessions. All of it is bounded: what
//! was used longest ago goes first.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Arguments;
use crate::anomaly::rounded;
use crate::event::time::rfc3339;

/// Places of the last hours.
const MOST_RECENT: usize = 8;
/// Places that the person had before.
const MOST_KNOWN: usize = 64;
const MOST_SESSIONS: usize = 16;

/// Where the network of an address is: its autonomous system and a cell of half a degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub asn: Option<i64>,
    cell: (i16, i16),
}

impl Place {
    /// The place of a point given as (latitude, longitude) in degrees.
    pub fn of(point: (f64, f64), asn: Option<i64>) -> Self {
        let half_degrees = |degrees: f64| (degrees * 2.0).floor() as i16;
        Self {
            asn,
            cell: (half_degrees(point.0), half_degrees(point.1)),
        }
    }
}

/// A person's position at an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position<'a> {
    pub place: Place,
    /// Latitude and longitude in degrees.
    pub point: (f64, f64),
    pub radius_km: f64,
    pub time: i64,
    pub event_id: &'a str,
    ip: Option<&'a str>,
    network_kind: Option<&'a str>,
    country: Option<&'a str>,
    city: Option<&'a str>,
}

impl<'a> Position<'a> {
    /// The position that a row of the function's arguments states.
    pub fn read(arguments: &Arguments<'a>, row: usize) -> Option<Self> {
        let point = (arguments.float(0, row)?, arguments.float(1, row)?);
        let text = |argument| arguments.text(argument, row);
        Some(Self {
            place: Place::of(point, arguments.integer(4, row)),
            point,
            radius_km: arguments.float(2, row).unwrap_or(0.0),
            time: arguments.integer(9, row)?,
            event_id: text(10)?,
            ip: text(3),
            network_kind: text(5),
            country: text(6),
            city: text(7),
        })
    }

    fn texts(&self) -> [Option<&'a str>; 4] {
        [self.ip, self.network_kind, self.country, self.city]
    }

    /// Whether traffic comes this way without its person: offices' exits and relays.
    pub fn is_detour(&self) -> bool {
        self.is_relay() || self.network_kind == Some("corporate")
    }

    /// Whether the address hides where its person is.
    pub fn is_relay(&self) -> bool {
        self.network_kind == Some("relay")
    }

    /// Whether the two differ only in what geolocation makes of them: one address, or two of a
    /// mobile carrier.
    pub fn shares_network(&self, other: &Self) -> bool {
        let is_mobile = |position: &Self| position.network_kind == Some("mobile");
        let same_carrier = self.place.asn.is_some()
            && self.place.asn == other.place.asn
            && (is_mobile(self) || is_mobile(other));
        same_carrier || self.ip.is_some() && self.ip == other.ip
    }

    /// City, country and autonomous system, as far as they are known.
    pub fn name(&self) -> String {
        let system = self.place.asn.map(|asn| format!("AS{asn}"));
        let parts = [self.city, self.country, system.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    pub fn describe(&self) -> Value {
        json!({
            "event_id": self.event_id,
            "event_time": rfc3339(self.time),
            "ip": self.ip,
            "country": self.country,
            "city": self.city,
            "latitude": rounded(self.point.0),
            "longitude": rounded(self.point.1),
            "accuracy_km": rounded(self.radius_km),
            "asn": self.place.asn,
            "network_kind": self.network_kind,
        })
    }
}

/// Kilometres along the great circle between two points given in degrees, by the haversine formula
/// on a sphere with the Earth's mean radius.
pub(super) fn distance_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    const DIAMETER_KM: f64 = 2.0 * 6371.0;
    let (a, b) = (from.0.to_radians(), to.0.to_radians());
    let half = |difference: f64| (difference / 2.0).sin().powi(2);
    let haversine = half(b - a) + a.cos() * b.cos() * half((to.1 - from.1).to_radians());
    DIAMETER_KM * haversine.sqrt().min(1.0).asin()
}

/// A position that is remembered.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    place: Place,
    point: (f64, f64),
    radius_km: f64,
    time: i64,
    event_id: String,
    texts: Texts,
}

/// Address, kind of network, country and city in one piece of memory.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Texts {
    all: Box<str>,
    /// Where each ends, and whether it is there at all.
    ends: [(u32, bool); 4],
}

impl Texts {
    fn new(texts: [Option<&str>; 4]) -> Self {
        let mut all = String::with_capacity(texts.iter().flatten().map(|text| text.len()).sum());
        let ends = texts.map(|text| {
            all.push_str(text.unwrap_or_default());
            (all.len() as u32, text.is_some())
        });
        Self {
            all: all.into(),
            ends,
        }
    }

    fn get(&self) -> [Option<&str>; 4] {
        let mut start = 0;
        self.ends.map(|(end, is_there)| {
            let text = &self.all[start..end as usize];
            start = end as usize;
            is_there.then_some(text)
        })
    }
}

impl Kept {
    fn new(here: &Position<'_>) -> Self {
        Self {
            place: here.place,
            point: here.point,
            radius_km: here.radius_km,
            time: here.time,
            event_id: here.event_id.to_owned(),
            texts: Texts::new(here.texts()),
        }
    }

    /// Becomes the position; what stays as it is, is not written anew.
    fn set(&mut self, here: &Position<'_>) {
        if self.texts.get() != here.texts() {
            self.texts = Texts::new(here.texts());
        }
        self.place = here.place;
        self.point = here.point;
        self.radius_km = here.radius_km;
        self.time = here.time;
        self.event_id.clear();
        self.event_id.push_str(here.event_id);
    }

    fn position(&self) -> Position<'_> {
        let [ip, network_kind, country, city] = self.texts.get();
        Position {
            place: self.place,
            point: self.point,
            radius_km: self.radius_km,
            time: self.time,
            event_id: &self.event_id,
            ip,
            network_kind,
            country,
            city,
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.event_id.capacity() + self.texts.all.len()
    }
}

/// The last position at each of the latest places.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Recent(Vec<Kept>);

impl Recent {
    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(Kept::bytes).sum()
    }

    pub fn positions(&self) -> impl Iterator<Item = Position<'_>> {
        self.0.iter().map(Kept::position)
    }

    /// Forgets what was before this time.
    pub fn forget(&mut self, before: i64) {
        self.0.retain(|position| position.time >= before);
    }

    pub fn add(&mut self, here: &Position<'_>) {
        if let Some(known) = self.0.iter_mut().find(|known| known.place == here.place) {
            known.set(here);
            return;
        }
        drop_oldest(&mut self.0, MOST_RECENT, |position| position.time);
        self.0.reserve_exact(1);
        self.0.push(Kept::new(here));
    }
}

/// The places that the person had.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Known(Vec<Seen>);

#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    place: Place,
    first: i64,
    last: i64,
    /// Whether a journey to it was found before.
    is_found: bool,
}

impl Known {
    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Seen>()
    }

    /// Whether the person had no event there before `newest`, nor was found there.
    pub fn is_new(&self, place: Place, newest: i64) -> bool {
        let seen = self.0.iter().find(|seen| seen.place == place);
        seen.is_none_or(|seen| !seen.is_found && seen.first >= newest)
    }

    /// Whether none of the other places is in the same autonomous system, as far as it is known.
    pub fn is_new_system(&self, place: Place) -> bool {
        let mut others = self.0.iter().filter(|seen| seen.place != place);
        place.asn.is_none() || others.all(|seen| seen.place.asn != place.asn)
    }

    pub fn add(&mut self, place: Place, time: i64, is_found: bool) {
        if let Some(seen) = self.0.iter_mut().find(|seen| seen.place == place) {
            seen.last = time;
            seen.is_found |= is_found;
            return;
        }
        drop_oldest(&mut self.0, MOST_KNOWN, |seen| seen.last);
        self.0.reserve_exact(1);
        self.0.push(Seen {
            place,
            first: time,
            last: time,
            is_found,
        });
    }
}

/// Where and when a session was first seen.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Begun {
    pub place: Place,
    pub time: i64,
}

/// The person's sessions, each with its beginning and when it was used last.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Sessions(Vec<(Box<str>, Begun, i64)>);

impl Sessions {
    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        let texts: usize = self.0.iter().map(|(id, ..)| id.len()).sum();
        texts + self.0.capacity() * size_of::<(Box<str>, Begun, i64)>()
    }

    /// The beginning of the session that is used here and now; it is now if the session is not
    /// known. A sign-in without a session is told by its own id, and not remembered.
    pub fn begun(&mut self, id: &str, here: &Position<'_>) -> Begun {
        let now = Begun {
            place: here.place,
            time: here.time,
        };
        if id == here.event_id {
            return now;
        }
        if let Some((_, begun, last)) = self.0.iter_mut().find(|(known, ..)| **known == *id) {
            *last = here.time;
            return *begun;
        }
        drop_oldest(&mut self.0, MOST_SESSIONS, |(.., last)| *last);
        self.0.reserve_exact(1);
        self.0.push((id.into(), now, here.time));
        now
    }
}

/// Makes room for one more among at most `most`.
fn drop_oldest<T>(list: &mut Vec<T>, most: usize, used: impl Fn(&T) -> i64) {
    if list.len() < most {
        return;
    }
    if let Some((at, _)) = list.iter().enumerate().min_by_key(|(_, item)| used(item)) {
        list.remove(at);
    }
}
