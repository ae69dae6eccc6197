//! Where anomalies and raw events go, besides the store, which keeps them all.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use reqwest::Url;
use serde_saphyr::Location;

use super::block::{Blocks, Check, Settings};
use super::secret::Secret;

/// A sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    pub target: Target,
    pub format: Format,
    pub feed: Feed,
}

/// What goes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feed {
    Anomalies,
    /// Raw events: those that meet a condition, or all.
    Events(Option<String>),
}

/// Where it goes, by the sink's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file, one anomaly a line.
    File {
        /// From the folder of the configuration file. No two sinks share one.
        path: PathBuf,
        /// A file of so many MiB is put aside for a new one.
        rotate_mib: u32,
    },
    /// A request for each anomaly.
    Webhook {
        site: Site,
        /// With which requests are signed.
        secret: Option<Secret>,
    },
    /// Splunk's HTTP Event Collector.
    Splunk {
        site: Site,
        token: Secret,
        index: Option<String>,
        /// Whether what was taken must be indexed, too.
        acknowledge: bool,
    },
    /// A receiver of RFC 5424.
    Syslog {
        /// Host and port.
        address: String,
        is_encrypted: bool,
        ca: Option<PathBuf>,
        allow_private: bool,
    },
}

/// A web server that is sent something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub url: Url,
    /// Whether it may be on a private network, and unencrypted.
    pub allow_private: bool,
    /// Certificates to trust besides those of the system, as PEM.
    pub ca: Option<PathBuf>,
}

/// The form in which an anomaly is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Our own record, as JSON.
    Native,
    /// A Detection Finding of OCSF.
    Ocsf,
}

#[derive(Clone, Copy)]
enum Type {
    File,
    Webhook,
    Splunk,
    Syslog,
}

const TYPES: &[(&str, Type)] = &[
    ("file", Type::File),
    ("webhook", Type::Webhook),
    ("splunk", Type::Splunk),
    ("syslog", Type::Syslog),
];

const FORMATS: &[(&str, Format)] = &[("native", Format::Native), ("ocsf", Format::Ocsf)];

impl Sink {
    /// Its type, as the file writes it.
    pub fn kind(&self) -> &'static str {
        match self.target {
            Target::File { .. } => "file",
            Target::Webhook { .. } => "webhook",
            Target::Splunk { .. } => "splunk",
            Target::Syslog { .. } => "syslog",
        }
    }
}

/// The path without what leads nowhere: `./out` is `out`.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .collect()
}

/// The sinks by name.
pub(super) fn read(blocks: Option<Blocks>, check: &mut Check) -> BTreeMap<String, Sink> {
    let mut sinks = BTreeMap::new();
    // Who writes to which file.
    let mut writers: HashMap<PathBuf, String> = HashMap::new();
    for (name, block) in blocks.unwrap_or_default() {
        let place = block.referenced;
        check.name("sink", &name, place);
        let mut settings = check.open(block.value, place);
        // What else may be written depends on the type.
        let Some(kind) = settings.word("type", "type of sink", TYPES, None) else {
            continue;
        };
        let target = match kind {
            Type::File => Some(file(&name, place, &mut settings, &mut writers)),
            Type::Webhook => webhook(&mut settings),
            Type::Splunk => splunk(&mut settings),
            Type::Syslog => syslog(&mut settings),
        };
        let default = Some(Format::Native);
        let format = settings.word("format", "format", FORMATS, default);
        let feed = feed(&mut settings);
        if format == Some(Format::Ocsf) && matches!(feed, Feed::Events(_)) {
            let message =
                "`events: true` sends events as Slack wrote them: leave out `format: ocsf`";
            settings.problem(place, message.to_owned());
        }
        settings.finish();
        if let (Some(target), Some(format)) = (target, format) {
            let sink = Sink {
                target,
                format,
                feed,
            };
            sinks.insert(name, sink);
        }
    }
    sinks
}

fn feed(settings: &mut Settings<'_>) -> Feed {
    let condition = settings.text("where");
    if settings.flag("events", false) {
        return Feed::Events(condition.map(|text| text.value));
    }
    if let Some(condition) = condition {
        let message = "`where` chooses among raw events: write `events: true`, too".to_owned();
        settings.problem(condition.referenced, message);
    }
    Feed::Anomalies
}

fn file(
    name: &str,
    place: Location,
    settings: &mut Settings<'_>,
    writers: &mut HashMap<PathBuf, String>,
) -> Target {
    let path = settings.path("path", "anomalies.ndjson");
    if let Some(other) = writers.insert(plain(&path), name.to_owned()) {
        let message = format!(
            "sink `{name}` writes to {}, as `{other}` does: give each a `path` of its own",
            path.display()
        );
        settings.problem(place, message);
    }
    Target::File {
        path,
        rotate_mib: settings.number("rotate_mib", 1..=1_048_576, 256),
    }
}

fn webhook(settings: &mut Settings<'_>) -> Option<Target> {
    let secret = settings.secret("secret", false);
    let site = site(settings)?;
    Some(Target::Webhook { site, secret })
}

fn splunk(settings: &mut Settings<'_>) -> Option<Target> {
    let token = settings.secret("token", true);
    let index = settings.text("index").map(|text| text.value);
    let acknowledge = settings.flag("acknowledge", false);
    let site = site(settings)?;
    Some(Target::Splunk {
        site,
        token: token?,
        index,
        acknowledge,
    })
}

fn syslog(settings: &mut Settings<'_>) -> Option<Target> {
    let is_encrypted = settings.flag("tls", true);
    let ca = settings.text("ca").map(|path| path.value.into());
    let allow_private = settings.flag("allow_private", false);
    let address = settings.required("address", "host and port, such as siem.example.com:6514")?;
    if !is_encrypted && !allow_private {
        let message = "`tls: false` needs `allow_private: true`: what is not encrypted stays on your own \
                       network";
        settings.problem(address.referenced, message.to_owned());
    }
    let port = address
        .value
        .rsplit_once(':')
        .map(|(host, port)| (host, port.parse::<u16>()));
    if !port.is_some_and(|(host, port)| !host.is_empty() && port.is_ok()) {
        let message = format!(
            "`address` is `{}`: write host and port, such as siem.example.com:6514",
            address.value
        );
        settings.problem(address.referenced, message);
        return None;
    }
    Some(Target::Syslog {
        address: address.value,
        is_encrypted,
        ca,
        allow_private,
    })
}

fn site(settings: &mut Settings<'_>) -> Option<Site> {
    let ca = settings.text("ca").map(|path| path.value.into());
    let allow_private = settings.flag("allow_private", false);
    let url = settings.url("url")?;
    if url.value.scheme() == "http" && !allow_private {
        let message = "`url` is not encrypted: write https, or `allow_private: true` for a receiver on your \
                       own network";
        settings.problem(url.referenced, message.to_owned());
    }
    Some(Site {
        url: url.value,
        allow_private,
        ca,
    })
}
