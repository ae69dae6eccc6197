//! One row of the operator's CSV, and the readings of single values that the MaxMind-format files
//! share with it.

use std::net::IpAddr;

use csv::StringRecord;
use ipnet::{IpNet, Ipv4Net};

use super::{Error, NetworkKind, Place};

const COLUMNS: [&str; 9] = [
    "network",
    "country",
    "city",
    "latitude",
    "longitude",
    "accuracy_km",
    "asn",
    "as_org",
    "kind",
];

/// Where each known column stands in the records of one file.
pub(super) struct Header {
    positions: [Option<usize>; COLUMNS.len()],
    width: usize,
}

impl Header {
    /// Finds the columns by name, in any mix of upper and lower case.
    pub(super) fn new(name: &str, header: &StringRecord) -> Result<Self, Error> {
        let mut positions = [None; COLUMNS.len()];
        for (index, title) in header.iter().enumerate() {
            let known = COLUMNS.iter().zip(&mut positions);
            for (column, position) in known.filter(|(known, _)| known.eq_ignore_ascii_case(title)) {
                if position.replace(index).is_some() {
                    let name = name.to_owned();
                    return Err(Error::TwoColumns { name, column });
                }
            }
        }
        if positions[0].is_none() {
            let name = name.to_owned();
            return Err(Error::NoNetwork { name });
        }
        Ok(Self {
            positions,
            width: header.len(),
        })
    }
}

/// A record with all that its errors must name.
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    pub(super) header: &'a Header,
    pub(super) record: &'a StringRecord,
}

impl Row<'_> {
    /// The network and what the row states of it.
    pub(super) fn read(&self) -> Result<(IpNet, Place), Error> {
        if self.record.len() != self.header.width {
            return Err(Error::Width {
                name: self.name.to_owned(),
                line: self.line(),
                found: self.record.len(),
                expected: self.header.width,
            });
        }
        let (latitude, longitude) = self.coordinates()?;
        let place = Place {
            country: self.value("country").and_then(country),
            city: self.value("city").map(str::to_owned),
            latitude,
            longitude,
            accuracy_km: self.accuracy(latitude.is_some())?,
            asn: self.asn()?,
            as_org: self.value("as_org").map(str::to_owned),
            kind: self.parsed("kind", NetworkKind::REMEDY, |word| word.parse().ok())?,
        };
        Ok((self.network()?, place))
    }

    fn network(&self) -> Result<IpNet, Error> {
        const REMEDY: &str = "is not a network: write an address or CIDR, such as 192.0.2.0/24";
        self.parsed("network", REMEDY, network)?
            .ok_or_else(|| self.error("network", REMEDY))
    }

    /// Both coordinates or neither.
    fn coordinates(&self) -> Result<(Option<f64>, Option<f64>), Error> {
        let latitude = self.parsed(
            "latitude",
            "is not a latitude: write degrees from -90 to 90",
            latitude,
        )?;
        let longitude = self.parsed(
            "longitude",
            "is not a longitude: write degrees from -180 to 180",
            longitude,
        )?;
        match (latitude, longitude) {
            (Some(_), None) => Err(self.error("latitude", "has no longitude: give both or none")),
            (None, Some(_)) => Err(self.error("longitude", "has no latitude: give both or none")),
            both => Ok(both),
        }
    }

    fn accuracy(&self, located: bool) -> Result<Option<f64>, Error> {
        let radius = self.parsed(
            "accuracy_km",
            "is not a distance: write kilometres, 0 or more",
            distance,
        )?;
        if radius.is_some() && !located {
            return Err(self.error(
                "accuracy_km",
                "has no latitude and longitude: give all three or leave it blank",
            ));
        }
        Ok(radius)
    }

    fn asn(&self) -> Result<Option<u32>, Error> {
        const REMEDY: &str = "is not the number of an autonomous system: write 64500 or AS64500";
        let number = self.parsed("asn", REMEDY, system_number)?;
        Ok(number.filter(|number| *number != 0))
    }

    fn parsed<T>(
        &self,
        column: &'static str,
        remedy: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.value(column)
            .map(|value| parse(value).ok_or_else(|| self.error(column, remedy)))
            .transpose()
    }

    /// `None` if the column is absent or its value blank.
    fn value(&self, column: &str) -> Option<&str> {
        let known = COLUMNS.iter().position(|known| *known == column)?;
        let value = self.record.get(self.header.positions[known]?)?;
        (!value.is_empty()).then_some(value)
    }

    fn error(&self, column: &'static str, remedy: &'static str) -> Error {
        Error::Value {
            name: self.name.to_owned(),
            line: self.line(),
            column,
            value: self.value(column).unwrap_or_default().to_owned(),
            remedy,
        }
    }

    /// The record's position is where the one before it ended: blank lines may follow.
    fn line(&self) -> u64 {
        let end_of_last = self.record.position().map_or(0, |at| at.byte() as usize);
        let rest = self.text.get(end_of_last..).unwrap_or_default();
        let blank = rest.len() - rest.trim_start().len();
        line_at(self.text.as_bytes(), end_of_last + blank)
    }
}

/// The line, from 1, on which the byte at `offset` stands.
pub(super) fn line_at(bytes: &[u8], offset: usize) -> u64 {
    let before = bytes.iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count() as u64
}

/// The network without host bits; a network of IPv4-mapped addresses as its IPv4 network, since
/// that is how such addresses are looked up.
fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpNet>() {
        Ok(network) => network,
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    Some(unmapped(network).unwrap_or(network).trunc())
}

fn unmapped(network: IpNet) -> Option<IpNet> {
    let IpNet::V6(mapped) = network else {
        return None;
    };
    let prefix = mapped.prefix_len().checked_sub(96)?;
    let address = mapped.addr().to_ipv4_mapped()?;
    Some(Ipv4Net::new(address, prefix).ok()?.into())
}

/// `None` for ISO's user-assigned `ZZ`, which some sources write for "unknown". A code of two
/// letters becomes upper case, so that sources agree; anything else stays as it is written.
pub(in crate::enrich) fn country(text: &str) -> Option<String> {
    let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let country = if is_code {
        text.to_ascii_uppercase()
    } else {
        text.to_owned()
    };
    (country != "ZZ").then_some(country)
}

/// `64500` or `AS64500`.
pub(in crate::enrich) fn system_number(text: &str) -> Option<u32> {
    let has_prefix = text
        .get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case("as"));
    let digits = if has_prefix { &text[2..] } else { text };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

pub(in crate::enrich) fn latitude(text: &str) -> Option<f64> {
    number_in(text, -90.0, 90.0)
}

pub(in crate::enrich) fn longitude(text: &str) -> Option<f64> {
    number_in(text, -180.0, 180.0)
}

pub(in crate::enrich) fn distance(text: &str) -> Option<f64> {
    number_in(text, 0.0, f64::MAX)
}

/// Neither infinities nor NaN are in any range.
fn number_in(text: &str, least: f64, most: f64) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (least..=most).contains(&number).then_some(number)
}
