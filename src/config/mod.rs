//! The configuration: one YAML file, every block of it optional.
//!
//! Here stands what may be written, and that it is written rightly. Files that it names are read by
//! whoever wires things together; their paths are taken from the folder of the configuration file.

pub mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use self::yaml::Problem;

/// The file's blocks.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub organisation: Organisation,
    pub enrich: Enrich,
    pub rules: Rules,
    /// By name.
    pub lists: BTreeMap<String, ListFile>,
    pub exceptions: Exceptions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Organisation {
    /// An IANA name; the clock of hours of the week. UTC if it is left out.
    pub time_zone: Option<Spanned<String>>,
}

/// Files of network data.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrich {
    /// CSV of the organisation's own networks.
    pub networks: Vec<Spanned<PathBuf>>,
    /// MaxMind-format files of places.
    pub geo: Vec<Spanned<PathBuf>>,
    /// MaxMind-format files of autonomous systems.
    pub asn: Vec<Spanned<PathBuf>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Rule files and folders of them, besides the embedded rules; the same name overrides.
    pub paths: Vec<Spanned<PathBuf>>,
    /// Rules that do not run.
    pub off: Vec<Spanned<String>>,
    /// Rules whose anomalies are recorded and shown, and go nowhere else.
    pub shadow: Vec<Spanned<String>>,
    /// What Slack's `/audit/v1/actions` answers, for actions that are newer than the program.
    pub actions: Option<Spanned<PathBuf>>,
}

/// A list in a file: YAML, or CSV by its name's ending.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListFile {
    pub file: Spanned<PathBuf>,
    /// What the values of a CSV file are; a YAML file says it itself.
    #[serde(rename = "type")]
    pub kind: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exceptions {
    pub file: Option<Spanned<PathBuf>>,
}

impl Config {
    /// The configuration in this text of a file of this name; an empty file is one with defaults.
    ///
    /// # Errors
    /// All that is wrong with it, each with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let is_empty = text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        });
        if is_empty {
            return Ok(Self::default());
        }
        let (config, mut problems) = yaml::read::<Self>(file, text);
        let Some(config) = config else {
            return Err(problems);
        };
        let mut problem = |place: Location, message: String| {
            problems.push(Problem::at(file, place, message));
        };
        if let Some(zone) = &config.organisation.time_zone
            && jiff::tz::TimeZone::get(&zone.value).is_err()
        {
            let message = format!(
                "`{}` is no time zone: write an IANA name such as Europe/Berlin",
                zone.value
            );
            problem(zone.referenced, message);
        }
        for (name, list) in &config.lists {
            let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || !name.chars().all(is_word) {
                let message = format!(
                    "a list cannot be called `{name}`: use lower-case letters, digits and _"
                );
                problem(list.file.referenced, message);
            }
        }
        let both = config.rules.off.iter();
        for name in both.filter(|off| {
            let mut shadow = config.rules.shadow.iter();
            shadow.any(|shadow| shadow.value == off.value)
        }) {
            let message = format!("`{}` is both `off` and `shadow`: keep one", name.value);
            problem(name.referenced, message);
        }
        if problems.is_empty() {
            Ok(config)
        } else {
            problems.sort();
            Err(problems)
        }
    }
}
