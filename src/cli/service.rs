//! What the configuration says, as the service wants it.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use secrecy::{ExposeSecret, SecretString};

use super::detect::resources;
use super::setup::{NetworkFiles, Setup};
use super::{Failure, load, sinks};
use crate::admit::Limits;
use crate::clock::{self, Clock};
use crate::config::secret::Secret;
use crate::config::{self, Endpoint, Since, Source, WebApi};
use crate::enrich::Enricher;
use crate::event::time::MICROS;
use crate::pipeline::service::{Directory, Settings, Walked};
use crate::slack::Client;
use crate::source::slack as walking;

/// Slack's limit for an organisation's audit log, in calls a minute (Tier 3).
const CALLS_A_MINUTE: u32 = 50;

/// # Errors
/// All that is wrong with the rules, or a secret that cannot be had.
pub(super) fn settings(setup: &Setup) -> Result<Settings, Failure> {
    let config = setup.config();
    let rules = load::select(setup.rules(&[])?, &[])?;
    for warning in load::warnings(&rules, &setup.actions) {
        tracing::warn!("{warning}");
    }
    let networks = setup.networks(&NetworkFiles::default())?;
    if networks.is_empty() {
        tracing::warn!(
            "no places are known: without `enrich` travel and split sessions are not seen"
        );
    }
    let clock = Clock::system();
    let (mut pushed, mut walked) = (Vec::new(), Vec::new());
    for (name, source) in &config.sources {
        match source {
            Source::Push { lateness_secs } => pushed.push((name.clone(), micros(*lateness_secs))),
            Source::Slack(slack) => {
                walked.push((name.clone(), self::walked(setup, slack, &clock)?))
            }
        }
    }
    let slack = config.slack.as_ref().filter(|slack| slack.lists_secs > 0);
    let directory = slack.map(|slack| directory(setup, slack)).transpose()?;
    Ok(Settings {
        store: setup.store_path(),
        pushed,
        walked,
        directory: directory.flatten(),
        limits: Limits {
            future: micros(config.admission.future_secs),
            late: micros(config.admission.late_max_secs),
            stall: micros(config.admission.stall_secs),
        },
        sinks: sinks::all(setup)?,
        seal_rows: config.store.seal_rows.into(),
        seal_every: secs(config.store.seal_secs),
        snapshot_every: secs(config.store.snapshot_secs),
        ingest_bytes: (config.memory.ingest_mib as usize) << 20,
        rules,
        lists: setup.lists.clone(),
        enricher: Arc::new(Enricher::new(networks)),
        resources: resources(config.memory.ingest_mib, config.memory.state_mib),
        clock,
    })
}

fn micros(secs: u32) -> i64 {
    i64::from(secs) * MICROS
}

fn secs(secs: u32) -> Duration {
    Duration::from_secs(secs.into())
}

/// How a source of Slack's is walked through.
fn walked(setup: &Setup, slack: &config::Slack, clock: &Clock) -> Result<Walked, Failure> {
    let since = match slack.since {
        Since::Ago(secs) => clock.now().saturating_sub(secs.saturating_mul(MICROS)),
        Since::At(second) => second.saturating_mul(MICROS),
    };
    let ingest = (setup.config().memory.ingest_mib as usize) << 20;
    Ok(Walked {
        client: client(setup, &slack.audit_endpoint, &slack.token)?,
        settings: walking::Settings {
            poll: micros(slack.poll_secs),
            overlap: micros(slack.overlap_secs),
            rewalk: micros(slack.rewalk_hours * 3_600),
            lag: micros(slack.lag_secs),
            since,
            calls_per_minute: (CALLS_A_MINUTE * slack.budget_percent / 100).max(1),
            // Four walks at a time, and decoded what is handed over takes twice as much.
            most_bytes: ingest / 8,
            seed: u64::from_le_bytes(clock::random().map_err(Failure::internal)?),
        },
    })
}

fn directory(setup: &Setup, slack: &WebApi) -> Result<Option<Directory>, Failure> {
    let client = web(setup, slack)?;
    Ok(client.map(|client| Directory {
        client,
        teams: slack.teams.clone(),
        every: micros(slack.lists_secs),
    }))
}

/// Slack's Web API, if there is a token for it.
///
/// # Errors
/// When the token cannot be had.
pub(super) fn web(setup: &Setup, slack: &WebApi) -> Result<Option<Client>, Failure> {
    let token = slack.token.as_ref();
    let client = token.map(|token| client(setup, &slack.web_endpoint, token));
    client.transpose()
}

fn client(setup: &Setup, endpoint: &Endpoint, token: &Secret) -> Result<Client, Failure> {
    let token = secret(setup, token)
        .context("the token for Slack")
        .map_err(Failure::usage)?;
    let is_graphic = |byte: u8| byte.is_ascii_graphic();
    if !token.expose_secret().bytes().all(is_graphic) {
        return Err(Failure::usage(anyhow!(
            "the token for Slack holds spaces, line breaks or other characters that no request can: write it \
             alone"
        )));
    }
    Client::new(endpoint.clone(), token).map_err(Failure::internal)
}

/// A secret that the configuration names.
///
/// # Errors
/// When it cannot be had.
pub(super) fn secret(setup: &Setup, secret: &Secret) -> anyhow::Result<SecretString> {
    let folder = setup.resolve("".as_ref());
    let env = |name: &str| env::var(name).ok();
    secret
        .resolve(&folder, &env)
        .map_err(|error| anyhow!(error))
}
