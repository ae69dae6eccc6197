//! Places, and positions as an event states them.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::super::{Arguments, Texts, seconds};
use crate::anomaly::rounded;
use crate::event::time::{MICROS, rfc3339};

/// Where the network of an address is: its autonomous system and a cell of half a degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// 0, which is no system's number, if it is not known.
    system: u32,
    cell: u32,
}

impl Place {
    /// The place of a point given as (latitude, longitude) in degrees.
    pub fn of(point: (f64, f64), asn: Option<i64>) -> Self {
        let half_degrees = |degrees: f64| u32::from((degrees * 2.0).floor() as i16 as u16);
        let system = asn.and_then(|asn| u32::try_from(asn).ok());
        Self {
            system: system.unwrap_or(0),
            cell: half_degrees(point.0) << 16 | half_degrees(point.1),
        }
    }

    /// As it is remembered.
    pub fn words(self) -> [u32; 2] {
        [self.system, self.cell]
    }

    /// From what is remembered.
    pub fn from_words(words: &[u32]) -> Self {
        Self {
            system: words[0],
            cell: words[1],
        }
    }

    /// The number of its autonomous system, if it is known.
    pub fn system(self) -> Option<u32> {
        (self.system > 0).then_some(self.system)
    }
}

/// Bytes of a site's numbers.
const NUMBERS: usize = 28;
/// Bytes that no text holds.
const BEGIN: u8 = 0xfe;
const END: u8 = 0xff;

/// What geolocation says of an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub place: Place,
    /// Latitude and longitude in degrees.
    pub point: (f64, f64),
    pub radius_km: f64,
    network_kind: Option<&'a str>,
    country: Option<&'a str>,
    city: Option<&'a str>,
}

impl<'a> Site<'a> {
    fn read(arguments: &Arguments<'a>, row: usize) -> Option<Self> {
        let point = (arguments.float(0, row)?, arguments.float(1, row)?);
        Some(Self {
            place: Place::of(point, arguments.integer(4, row)),
            point,
            radius_km: arguments.float(2, row).unwrap_or(0.0),
            network_kind: arguments.text(5, row),
            country: arguments.text(6, row),
            city: arguments.text(7, row),
        })
    }

    /// Its number among texts, where it is held once more: many people are at one site.
    pub fn enter(&self, texts: &mut Texts) -> u32 {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend(self.numbers());
        for text in self.texts() {
            // A text ends with a byte that is in none, and begins with one if it is there.
            if let Some(text) = text {
                bytes.push(BEGIN);
                bytes.extend_from_slice(text.as_bytes());
            }
            bytes.push(END);
        }
        texts.enter_bytes(&bytes)
    }

    fn numbers(&self) -> [u8; NUMBERS] {
        let mut bytes = [0; NUMBERS];
        let floats = [self.point.0, self.point.1, self.radius_km];
        for (room, number) in bytes.chunks_exact_mut(8).zip(floats) {
            room.copy_from_slice(&number.to_bits().to_le_bytes());
        }
        bytes[24..].copy_from_slice(&self.place.system.to_le_bytes());
        bytes
    }

    /// Whether it is the site of this number.
    pub fn is(&self, texts: &Texts, number: u32) -> bool {
        let (numbers, mut rest) = texts.get_bytes(number).split_at(NUMBERS);
        let mut is_next = |text: Option<&str>| {
            let mut is_next = |part: &[u8]| {
                let after = rest.strip_prefix(part);
                rest = after.unwrap_or_default();
                after.is_some()
            };
            text.is_none_or(|text| is_next(&[BEGIN]) && is_next(text.as_bytes())) && is_next(&[END])
        };
        numbers == self.numbers() && self.texts().into_iter().all(&mut is_next)
    }

    /// The place of the site of this number.
    pub fn place(texts: &Texts, number: u32) -> Place {
        Self::measured(texts.get_bytes(number)).place
    }

    /// The site of this number.
    pub fn get(texts: &'a Texts, number: u32) -> Self {
        let bytes = texts.get_bytes(number);
        let mut parts = bytes[NUMBERS..].split(|byte| *byte == END).map(|part| {
            let text = part.strip_prefix(&[BEGIN])?;
            std::str::from_utf8(text).ok()
        });
        let mut text = || parts.next().flatten();
        Self {
            network_kind: text(),
            country: text(),
            city: text(),
            ..Self::measured(bytes)
        }
    }

    /// The site of these bytes, without its texts.
    fn measured(bytes: &[u8]) -> Self {
        let float = |at: usize| {
            let bytes = bytes[at..at + 8].try_into().unwrap_or_default();
            f64::from_bits(u64::from_le_bytes(bytes))
        };
        let system = u32::from_le_bytes(bytes[24..NUMBERS].try_into().unwrap_or_default());
        let point = (float(0), float(8));
        Self {
            place: Place::of(point, Some(system.into())),
            point,
            radius_km: float(16),
            network_kind: None,
            country: None,
            city: None,
        }
    }

    fn texts(&self) -> [Option<&'a str>; 3] {
        [self.network_kind, self.country, self.city]
    }

    /// Whether traffic comes this way without its person: offices' exits and relays.
    pub fn is_detour(&self) -> bool {
        self.is_relay() || self.network_kind == Some("corporate")
    }

    /// Whether the address hides where its person is.
    pub fn is_relay(&self) -> bool {
        self.network_kind == Some("relay")
    }

    /// Whether the network carries what comes from elsewhere.
    pub fn is_tunnel(&self) -> bool {
        self.network_kind == Some("vpn")
    }

    fn is_mobile(&self) -> bool {
        self.network_kind == Some("mobile")
    }
}

/// An address as the event has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address<'a> {
    Unknown,
    V4(Ipv4Addr),
    /// An IPv6 address, or what is none.
    Other(&'a str),
}

impl<'a> Address<'a> {
    pub fn new(text: Option<&'a str>) -> Self {
        match text.map(|text| (text, text.parse())) {
            None => Self::Unknown,
            Some((_, Ok(address))) => Self::V4(address),
            Some((text, Err(_))) => Self::Other(text),
        }
    }
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => Ok(()),
            Self::V4(address) => address.fmt(out),
            Self::Other(text) => out.write_str(text),
        }
    }
}

/// A person's position at an event.
#[derive(Clone, Debug)]
pub(super) struct Position<'a> {
    pub site: Site<'a>,
    pub address: Address<'a>,
    /// Seconds.
    pub time: u32,
    pub event_id: Cow<'a, str>,
    /// Whether a list says that the organisation's own people come this way.
    pub is_trusted: bool,
}

impl<'a> Position<'a> {
    /// The position that a row of the function's arguments states.
    pub fn read(arguments: &Arguments<'a>, row: usize) -> Option<Self> {
        Some(Self {
            site: Site::read(arguments, row)?,
            address: Address::new(arguments.text(3, row)),
            time: seconds(arguments.integer(9, row)?),
            event_id: arguments.text(10, row)?.into(),
            is_trusted: arguments.integer(17, row) == Some(1),
        })
    }

    /// Whether the two differ only in what geolocation makes of them: one address, or two of a
    /// mobile carrier.
    pub fn shares_network(&self, other: &Self) -> bool {
        let (one, another) = (&self.site, &other.site);
        let same_system = one.place.system() == another.place.system();
        let same_carrier =
            one.place.system().is_some() && same_system && (one.is_mobile() || another.is_mobile());
        same_carrier || self.address != Address::Unknown && self.address == other.address
    }

    /// City, country and autonomous system, as far as they are known.
    pub fn name(&self) -> String {
        let system = self.site.place.system().map(|asn| format!("AS{asn}"));
        let parts = [self.site.city, self.site.country, system.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    pub fn describe(&self) -> Value {
        let site = &self.site;
        let address = (self.address != Address::Unknown).then(|| self.address.to_string());
        json!({
            "event_id": self.event_id,
            "event_time": rfc3339(i64::from(self.time) * MICROS),
            "ip": address,
            "country": site.country,
            "city": site.city,
            "latitude": rounded(site.point.0),
            "longitude": rounded(site.point.1),
            "accuracy_km": rounded(site.radius_km),
            "asn": site.place.system(),
            "network_kind": site.network_kind,
            "is_trusted": self.is_trusted,
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
