//! Files in MaxMind DB format, in MaxMind's nested layout and in the flat layouts of others.

use std::fmt::{self, Display};
use std::net::IpAddr;
use std::path::Path;

use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader};
use serde::de::{Deserialize, Deserializer, Visitor};

use super::network::row::{country, distance, latitude, longitude, system_number};
use super::network::{NetworkKind, Place};

type Paths = &'static [&'static [&'static str]];

// Where a part may stand in a record, the best first: MaxMind's GeoIP2 and GeoLite2 layout, then
// the flat names of ip-location-db and IPinfo.
const COUNTRY: Paths = &[&["country", "iso_code"], &["country_code"], &["country"]];
const CITY: Paths = &[&["city", "names", "en"], &["city"]];
const LATITUDE: Paths = &[&["location", "latitude"], &["latitude"], &["lat"]];
const LONGITUDE: Paths = &[&["location", "longitude"], &["longitude"], &["lng"]];
const ACCURACY: Paths = &[&["location", "accuracy_radius"], &["accuracy_radius"]];
const SYSTEM: Paths = &[
    &["autonomous_system_number"],
    &["traits", "autonomous_system_number"],
    &["asn"],
];
const ORGANISATION: Paths = &[
    &["autonomous_system_organization"],
    &["traits", "autonomous_system_organization"],
    &["as_name"],
];

/// Statements of MaxMind's Anonymous IP, Enterprise and Connection Type files, the strongest first.
/// A public proxy and the user type `business` have no kind here: neither says whose network it is.
const KINDS: &[(&str, &str, NetworkKind)] = &[
    ("is_tor_exit_node", "true", NetworkKind::Tor),
    ("is_anonymous_vpn", "true", NetworkKind::Vpn),
    ("is_hosting_provider", "true", NetworkKind::Hosting),
    ("user_type", "hosting", NetworkKind::Hosting),
    ("user_type", "cellular", NetworkKind::Mobile),
    ("user_type", "residential", NetworkKind::Residential),
    ("connection_type", "Cellular", NetworkKind::Mobile),
];

type Record<'a> = LookupResult<'a, Vec<u8>>;

/// One file, held in memory.
pub(super) struct Database(Reader<Vec<u8>>);

impl Database {
    /// Reads the whole file; checks its metadata and layout, not each record.
    pub(super) fn open(path: &Path) -> Result<Self, MaxMindDbError> {
        Reader::open_readfile(path).map(Self)
    }

    /// What the file states of `ip`; nothing if it has no such record or cannot read it.
    pub(super) fn place(&self, ip: IpAddr) -> Place {
        match self.0.lookup(ip) {
            Ok(record) if record.has_data() => place(&record),
            _ => Place::default(),
        }
    }
}

fn place(record: &Record<'_>) -> Place {
    let point = coordinates(record);
    let radius = number(record, ACCURACY, distance);
    Place {
        country: text(record, COUNTRY)
            .filter(|text| text.len() == 2)
            .and_then(|text| country(&text)),
        city: text(record, CITY),
        latitude: point.map(|(latitude, _)| latitude),
        longitude: point.map(|(_, longitude)| longitude),
        accuracy_km: point.and(radius),
        asn: number(record, SYSTEM, system_number).filter(|number| *number != 0),
        as_org: text(record, ORGANISATION),
        kind: kind(record),
    }
}

/// Both coordinates or none. Flat files write 0, 0 where they know none.
fn coordinates(record: &Record<'_>) -> Option<(f64, f64)> {
    let latitude = number(record, LATITUDE, latitude)?;
    let longitude = number(record, LONGITUDE, longitude)?;
    ((latitude, longitude) != (0.0, 0.0)).then_some((latitude, longitude))
}

fn kind(record: &Record<'_>) -> Option<NetworkKind> {
    KINDS.iter().find_map(|(key, stated, kind)| {
        let found = scalar(record, &[key]).or_else(|| scalar(record, &["traits", key]))?;
        (found.text == *stated).then_some(*kind)
    })
}

/// The first string at one of `paths`; a blank and a dash are none.
fn text(record: &Record<'_>, paths: Paths) -> Option<String> {
    paths
        .iter()
        .filter_map(|path| scalar(record, path).filter(|scalar| scalar.is_string))
        .map(|scalar| scalar.text.trim().to_owned())
        .find(|text| !text.is_empty() && text != "-")
}

/// The first number at one of `paths`, some files write it as a string.
fn number<T>(record: &Record<'_>, paths: Paths, parse: fn(&str) -> Option<T>) -> Option<T> {
    paths
        .iter()
        .filter_map(|path| scalar(record, path))
        .find_map(|scalar| parse(scalar.text.trim()))
}

/// `None` also where the record has another shape than `path` or cannot be decoded.
fn scalar(record: &Record<'_>, path: &[&str]) -> Option<Scalar> {
    let path: Vec<_> = path.iter().map(|key| PathElement::Key(key)).collect();
    record.decode_path(&path).ok().flatten()
}

/// A string, number or truth value as text: files disagree on the type of the same part.
struct Scalar {
    text: String,
    is_string: bool,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl ScalarVisitor {
    fn keep<E>(value: impl Display, is_string: bool) -> Result<Scalar, E> {
        let text = value.to_string();
        Ok(Scalar { text, is_string })
    }
}

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string, number or truth value")
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Self::keep(value, true)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Self::keep(value, false)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Self::keep(value, false)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Self::keep(value, false)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Self::keep(value, false)
    }
}
