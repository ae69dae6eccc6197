//! The configuration: one YAML file, every block of it optional.
//!
//! Here stands what may be written, and that it is written rightly. Files that it names are read by
//! whoever wires things together; their paths are taken from the folder of the configuration file.

mod block;
mod endpoint;
pub mod secret;
mod service;
mod sink;
mod slack;
mod source;
mod store;
pub mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_saphyr::Spanned;

pub use self::endpoint::Endpoint;
pub use self::service::{Admission, Memory, Serve};
pub use self::sink::{Feed, Format, Sink, Site, Target};
pub use self::slack::Slack as WebApi;
pub use self::source::{Since, Slack, Source};
pub use self::store::Store;

use self::block::{Block, Blocks, Check};
use self::yaml::Problem;

/// A file that runs as it is, with all that may be written and its defaults.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// What the file says, with the defaults of what it does not say.
#[derive(Debug)]
pub struct Config {
    pub organisation: Organisation,
    pub enrich: Enrich,
    pub rules: Rules,
    /// By name.
    pub lists: BTreeMap<String, ListFile>,
    pub exceptions: Exceptions,
    pub store: Store,
    pub serve: Serve,
    /// By name.
    pub sources: BTreeMap<String, Source>,
    pub admission: Admission,
    /// By name.
    pub sinks: BTreeMap<String, Sink>,
    pub memory: Memory,
    /// `None` only where its endpoint is none.
    pub slack: Option<WebApi>,
}

/// The file's blocks as they are written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    organisation: Option<Organisation>,
    enrich: Option<Enrich>,
    rules: Option<Rules>,
    lists: Option<BTreeMap<String, ListFile>>,
    exceptions: Option<Exceptions>,
    store: Option<Block>,
    serve: Option<Block>,
    sources: Option<Blocks>,
    admission: Option<Block>,
    sinks: Option<Blocks>,
    memory: Option<Block>,
    slack: Option<Block>,
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

impl Default for Config {
    fn default() -> Self {
        Self::of(Document::default(), &mut Check::new("", Vec::new()))
    }
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
        let (document, problems) = yaml::read::<Document>(file, text);
        let Some(document) = document else {
            return Err(problems);
        };
        let mut check = Check::new(file, problems);
        let config = Self::of(document, &mut check);
        config.check(&mut check);
        let mut problems = check.problems;
        if problems.is_empty() {
            Ok(config)
        } else {
            problems.sort();
            Err(problems)
        }
    }

    fn of(document: Document, check: &mut Check) -> Self {
        Self {
            organisation: document.organisation.unwrap_or_default(),
            enrich: document.enrich.unwrap_or_default(),
            rules: document.rules.unwrap_or_default(),
            lists: document.lists.unwrap_or_default(),
            exceptions: document.exceptions.unwrap_or_default(),
            store: Store::read(document.store, check),
            serve: Serve::read(document.serve, check),
            sources: source::read(document.sources, check),
            admission: Admission::read(document.admission, check),
            sinks: sink::read(document.sinks, check),
            memory: Memory::read(document.memory, check),
            slack: WebApi::read(document.slack, check),
        }
    }

    /// Checks what was read as it is written.
    fn check(&self, check: &mut Check) {
        if let Some(zone) = &self.organisation.time_zone
            && jiff::tz::TimeZone::get(&zone.value).is_err()
        {
            let message = format!(
                "`{}` is no time zone: write an IANA name such as Europe/Berlin",
                zone.value
            );
            check.problem(zone.referenced, message);
        }
        for (name, list) in &self.lists {
            check.name("list", name, list.file.referenced);
            if name.starts_with("slack_") {
                let message = format!(
                    "a list cannot be called `{name}`: names that begin with `slack_` are those of Slack's \
                     own lists; use another name"
                );
                check.problem(list.file.referenced, message);
            }
        }
        let both = self.rules.off.iter();
        for name in both.filter(|off| {
            let mut shadow = self.rules.shadow.iter();
            shadow.any(|shadow| shadow.value == off.value)
        }) {
            let message = format!("`{}` is both `off` and `shadow`: keep one", name.value);
            check.problem(name.referenced, message);
        }
    }
}
