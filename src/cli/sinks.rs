//! The sinks of the configuration, as the service wants them.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::Failure;
use super::service::secret;
use super::setup::Setup;
use crate::clock::{self, Clock};
use crate::config::{self, Site, Target};
use crate::detect::filter::Filter;
use crate::pipeline::service::{Feed, SinkSettings};
use crate::rule;
use crate::sink::file::JsonLines;
use crate::sink::http::{Destination, HttpClient};
use crate::sink::splunk::{self, Splunk};
use crate::sink::syslog::{Syslog, Tls};
use crate::sink::webhook::Webhook;
use crate::sink::{Format, Sink};

/// # Errors
/// What is wrong with one of them, or a secret that cannot be had.
pub(super) fn all(setup: &Setup) -> Result<Vec<SinkSettings>, Failure> {
    let sinks = setup.config().sinks.iter();
    let sinks = sinks.map(|(name, sink)| {
        let built = one(setup, sink).and_then(|built| Ok((built, feed(setup, sink)?)));
        let built = built.with_context(|| format!("sink `{name}`"));
        let (sink, feed) = built.map_err(Failure::usage)?;
        let name = name.clone();
        Ok(SinkSettings { name, sink, feed })
    });
    sinks.collect()
}

/// What is wrong with a sink, as far as can be told without its secrets and its receiver.
///
/// # Errors
/// That.
pub(super) fn check(setup: &Setup, sink: &config::Sink) -> anyhow::Result<()> {
    feed(setup, sink)?;
    match &sink.target {
        Target::File { .. } => {}
        Target::Webhook { site, .. } | Target::Splunk { site, .. } => {
            http(setup, site)?;
        }
        Target::Syslog {
            address,
            is_encrypted,
            ca,
            allow_private,
        } => {
            syslog(
                setup,
                address,
                (*is_encrypted, ca.as_deref()),
                *allow_private,
                Format::Native,
            )?;
        }
    }
    Ok(())
}

/// What goes to a sink.
///
/// # Errors
/// What is wrong with its condition.
fn feed(setup: &Setup, sink: &config::Sink) -> anyhow::Result<Feed> {
    let condition = match &sink.feed {
        config::Feed::Anomalies => return Ok(Feed::Anomalies),
        config::Feed::Events(condition) => condition.as_ref(),
    };
    let filter = condition.map(|condition| {
        let condition = rule::condition(condition).map_err(anyhow::Error::msg)?;
        let planner = setup.planner().map_err(|failure| failure.error)?;
        anyhow::Ok(Filter::new(&planner, &condition)?)
    });
    let filter = filter.transpose().context("`where`")?;
    Ok(Feed::Events(filter))
}

fn one(setup: &Setup, sink: &config::Sink) -> anyhow::Result<Box<dyn Sink>> {
    let format = match sink.format {
        config::Format::Native => Format::Native,
        config::Format::Ocsf => Format::Ocsf,
    };
    Ok(match &sink.target {
        Target::File { path, rotate_mib } => {
            let most_bytes = u64::from(*rotate_mib) << 20;
            Box::new(JsonLines::new(setup.resolve(path), format, most_bytes))
        }
        Target::Webhook { site, secret: key } => {
            let key = key.as_ref().map(|key| secret(setup, key)).transpose()?;
            Box::new(Webhook::new(
                http(setup, site)?,
                key,
                format,
                Clock::system(),
            ))
        }
        Target::Splunk {
            site,
            token,
            index,
            acknowledge,
        } => {
            let token = secret(setup, token)?;
            let channel = acknowledge.then(clock::random).transpose()?;
            let http = http(setup, site)?;
            let settings = splunk::Settings {
                token,
                index: index.clone(),
                channel,
                host: Some(hostname()).filter(|name| !name.is_empty()),
                format,
            };
            Box::new(Splunk::new(http, settings)?)
        }
        Target::Syslog {
            address,
            is_encrypted,
            ca,
            allow_private,
        } => {
            let tls = (*is_encrypted, ca.as_deref());
            Box::new(syslog(setup, address, tls, *allow_private, format)?)
        }
    })
}

fn syslog(
    setup: &Setup,
    address: &str,
    (is_encrypted, ca): (bool, Option<&Path>),
    allow_private: bool,
    format: Format,
) -> anyhow::Result<Syslog> {
    let ca = ca.map(|ca| setup.resolve(ca));
    let tls = is_encrypted.then_some(Tls { ca });
    Ok(Syslog::new(
        address.to_owned(),
        tls,
        allow_private,
        format,
        &hostname(),
    )?)
}

fn http(setup: &Setup, site: &Site) -> anyhow::Result<HttpClient> {
    Ok(HttpClient::new(Destination {
        url: site.url.clone(),
        allow_private: site.allow_private,
        ca: site.ca.as_ref().map(|ca| setup.resolve(ca)),
    })?)
}

/// This machine's name, as the system has it; empty if it does not say.
fn hostname() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname");
    name.unwrap_or_default().trim().to_owned()
}
