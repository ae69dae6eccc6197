//! What really happened: the labels of a generated organisation.

use std::str::FromStr;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};

/// The kind of which only large downloads must be found, and the row of those that are not.
pub const BULK: &str = "bulk_download";
pub const SMALL_BULK: &str = "bulk_download <5x";

/// One attack.
#[derive(Debug, Deserialize)]
pub struct Label {
    attack: String,
    user: String,
    /// Microseconds since 1970, of the first and of the last event.
    #[serde(deserialize_with = "micros")]
    pub start: i64,
    #[serde(deserialize_with = "micros")]
    pub end: i64,
    pub event_ids: Vec<String>,
    /// The rules that are expected to find it.
    pub rules: Vec<String>,
    about: About,
}

#[derive(Debug, Deserialize)]
struct About {
    #[serde(default)]
    people: Vec<String>,
    usual: Option<u32>,
    files: Option<u32>,
}

impl Label {
    /// Labels as they were written, one a line.
    pub fn read_all(lines: &[u8]) -> Result<Vec<Self>> {
        let labels = serde_json::Deserializer::from_slice(lines).into_iter::<Self>();
        let labels: Result<Vec<Self>, _> = labels.collect();
        labels.context("cannot read the labels")
    }

    /// Everybody whom it takes.
    pub fn people(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.user.as_str()).chain(self.about.people.iter().map(String::as_str))
    }

    /// The row of the table in which it counts: its kind, or that of small downloads.
    pub fn row(&self) -> &str {
        match self.attack == BULK && !self.about.is_large() {
            true => SMALL_BULK,
            false => &self.attack,
        }
    }
}

impl About {
    /// Five times as many files as usual, and thirty at least.
    fn is_large(&self) -> bool {
        const TIMES: u32 = 5;
        const LEAST: u32 = 30;
        let both = self.files.zip(self.usual);
        both.is_some_and(|(files, usual)| files >= TIMES * usual && files >= LEAST)
    }
}

/// Microseconds since 1970 of a time in RFC 3339.
pub fn moment(text: &str) -> Result<i64, jiff::Error> {
    Ok(Timestamp::from_str(text)?.as_microsecond())
}

fn micros<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    moment(&text).map_err(de::Error::custom)
}
