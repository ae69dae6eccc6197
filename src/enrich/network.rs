//! The operator's network data: where an address is, whose it is, and what kind of network it is in.
//!
//! Rows of CSV describe the company's own networks and beat the MaxMind-format files. Nothing is
//! shipped with the program: without files every part of every place is unknown.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use csv::StringRecord;
use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;

use self::row::{Header, Row};
use super::mmdb::Database;

pub(super) mod row;
#[cfg(test)]
mod tests;

/// What a network is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkKind {
    Corporate,
    Residential,
    Mobile,
    Hosting,
    Vpn,
    Relay,
    Tor,
    /// Stated to be unknown, unlike a place without a kind: no further source is asked.
    Unknown,
}

impl NetworkKind {
    const ALL: [Self; 8] = [
        Self::Corporate,
        Self::Residential,
        Self::Mobile,
        Self::Hosting,
        Self::Vpn,
        Self::Relay,
        Self::Tor,
        Self::Unknown,
    ];

    const REMEDY: &'static str = "is not a network kind: use corporate, residential, mobile, \
        hosting, vpn, relay, tor or unknown";

    /// The word used in files and in the column `network_kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Corporate => "corporate",
            Self::Residential => "residential",
            Self::Mobile => "mobile",
            Self::Hosting => "hosting",
            Self::Vpn => "vpn",
            Self::Relay => "relay",
            Self::Tor => "tor",
            Self::Unknown => "unknown",
        }
    }
}

impl FromStr for NetworkKind {
    type Err = Error;

    /// Reads the word in any mix of upper and lower case.
    fn from_str(word: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(word))
            .ok_or_else(|| Error::Kind(word.to_owned()))
    }
}

/// What is known of an address; a part that no source states is `None`, never a guess.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// ISO 3166-1 alpha-2 in upper case, or the operator's own word.
    pub country: Option<String>,
    /// As the source writes it; MaxMind-format files give the English name.
    pub city: Option<String>,
    /// Degrees in [-90, 90]; known exactly when the longitude is.
    pub latitude: Option<f64>,
    /// Degrees in [-180, 180].
    pub longitude: Option<f64>,
    /// Radius of uncertainty around the coordinates, not negative; known only if they are.
    pub accuracy_km: Option<f64>,
    /// Number of the autonomous system, never 0.
    pub asn: Option<u32>,
    /// Organisation that runs the autonomous system.
    pub as_org: Option<String>,
    pub kind: Option<NetworkKind>,
}

impl Place {
    fn has_location(&self) -> bool {
        self.country.is_some() || self.city.is_some() || self.latitude.is_some()
    }

    fn has_system(&self) -> bool {
        self.asn.is_some() || self.as_org.is_some()
    }

    fn is_complete(&self) -> bool {
        self.has_location() && self.has_system() && self.kind.is_some()
    }

    /// Takes from `other` the location, the autonomous system and the kind, each as a whole and
    /// only where nothing of it is known yet.
    fn fill_from(&mut self, other: Self) {
        if !self.has_location() {
            self.country = other.country;
            self.city = other.city;
            self.latitude = other.latitude;
            self.longitude = other.longitude;
            self.accuracy_km = other.accuracy_km;
        }
        if !self.has_system() {
            self.asn = other.asn;
            self.as_org = other.as_org;
        }
        self.kind = self.kind.or(other.kind);
    }
}

/// Why network data could not be taken. The cause, where there is one, is the error's source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` {remedy}", remedy = NetworkKind::REMEDY)]
    Kind(String),
    #[error("cannot read network file {name}: check that it exists and is readable")]
    Read {
        name: String,
        source: std::io::Error,
    },
    #[error("{name}, line {line}: not UTF-8: save the file as UTF-8")]
    Encoding { name: String, line: u64 },
    #[error("{name}: not CSV: separate values by commas, quote those that contain one")]
    Csv { name: String, source: csv::Error },
    #[error("{name}, line 1: no column `network`: begin the file with a header that names it")]
    NoNetwork { name: String },
    #[error("{name}, line 1: two columns `{column}`: keep one")]
    TwoColumns { name: String, column: &'static str },
    #[error(
        "{name}, line {line}: {found} values under {expected} columns: write one per column, quote those that contain a comma"
    )]
    Width {
        name: String,
        line: u64,
        found: usize,
        expected: usize,
    },
    #[error("{name}, line {line}, column {column}: `{value}` {remedy}")]
    Value {
        name: String,
        line: u64,
        column: &'static str,
        value: String,
        remedy: &'static str,
    },
    #[error("cannot use {}: give a complete file in MaxMind DB format (.mmdb)", .path.display())]
    Database {
        path: PathBuf,
        source: maxminddb::MaxMindDbError,
    },
}

/// All network data of one configuration. To reload, build a new one and swap it in.
#[derive(Default)]
pub struct Networks {
    rows: JointPrefixMap<IpNet, Place>,
    databases: Vec<Database>,
}

impl Networks {
    /// Knows nothing: every look-up gives a place without any part.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds rows of CSV with the header `network,country,city,latitude,longitude,accuracy_km,asn,
    /// as_org,kind`: only `network` is required, the order is free, other columns are ignored, a
    /// blank value is unknown. A network given before is replaced.
    ///
    /// `name` stands for the file in errors. After an error the rows before it remain.
    pub fn add_csv(&mut self, name: &str, mut input: impl Read) -> Result<(), Error> {
        let mut bytes = Vec::new();
        input
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Read {
                name: name.to_owned(),
                source,
            })?;
        let text = std::str::from_utf8(&bytes).map_err(|error| Error::Encoding {
            name: name.to_owned(),
            line: row::line_at(&bytes, error.valid_up_to()),
        })?;
        self.add_text(name, text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    /// [`Self::add_csv`] from a file, which errors name as `path` is written.
    pub fn add_csv_file(&mut self, path: &Path) -> Result<(), Error> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => self.add_csv(&name, file),
            Err(source) => Err(Error::Read { name, source }),
        }
    }

    /// Adds a file in MaxMind DB format, read into memory: cities, countries, autonomous systems or
    /// several of these, in MaxMind's nested or in a flat layout. It answers after those added
    /// before it.
    ///
    /// Only the file's frame is checked; a record that cannot be read gives unknown parts.
    pub fn add_mmdb_file(&mut self, path: &Path) -> Result<(), Error> {
        let database = Database::open(path).map_err(|source| Error::Database {
            path: path.to_owned(),
            source,
        })?;
        self.databases.push(database);
        Ok(())
    }

    /// What is known of `ip`; an IPv4-mapped IPv6 address counts as the IPv4 address.
    ///
    /// The CSV row with the longest prefix answers first, then the databases in the order they
    /// were added. Location, autonomous system and kind may come from different sources, but each
    /// comes from one alone.
    pub fn lookup(&self, ip: IpAddr) -> Place {
        let ip = ip.to_canonical();
        let row = self.rows.get_lpm(&IpNet::from(ip));
        let mut place = row.map(|(_, place)| place.clone()).unwrap_or_default();
        for database in &self.databases {
            if place.is_complete() {
                break;
            }
            place.fill_from(database.place(ip));
        }
        place
    }

    /// Whether no row and no database was added.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.databases.is_empty()
    }

    fn add_text(&mut self, name: &str, text: &str) -> Result<(), Error> {
        let csv_error = |source| Error::Csv {
            name: name.to_owned(),
            source,
        };
        // With the reader's usual terminator a carriage return ends the record and the line count
        // lags by one; here it is white space at the end of a value.
        let mut reader = csv::ReaderBuilder::new()
            .terminator(csv::Terminator::Any(b'\n'))
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(text.as_bytes());
        let header = Header::new(name, reader.headers().map_err(csv_error)?)?;
        let mut record = StringRecord::new();
        while reader.read_record(&mut record).map_err(csv_error)? {
            if record.iter().any(|value| !value.is_empty()) {
                let row = Row {
                    name,
                    text,
                    header: &header,
                    record: &record,
                };
                let (network, place) = row.read()?;
                self.rows.insert(network, place);
            }
        }
        Ok(())
    }
}
