use std::io::{self, BufWriter, Write};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};

use super::load::{select, warnings};
use super::setup::{ConfigFile, NetworkFiles, Setup};
use super::show::printable;
use super::{End, Failure, sinks};
use crate::config::{EXAMPLE, Target};
use crate::rule::{Rule, State};

/// Checks the configuration, or prints one to begin with
#[derive(Debug, Args)]
pub(super) struct Configure {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Reads the configuration and every file that it names, and says what it comes to
    ///
    /// Exits with 2 if something in them is wrong. Looks up no secret, opens no connection, and writes
    /// no file.
    Check {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Prints a configuration that runs as it is, with every setting and its default
    Example,
}

impl Configure {
    pub fn run(&self) -> Result<End, Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        match &self.verb {
            Verb::Check { config } => check(config, &mut out)?,
            Verb::Example => out.write_all(EXAMPLE.as_bytes()).map_err(Failure::io)?,
        }
        out.flush().map_err(Failure::io)?;
        Ok(End::Good)
    }
}

fn check(file: &ConfigFile, out: &mut dyn Write) -> Result<(), Failure> {
    let setup = Setup::read(file)?;
    let networks = setup.networks(&NetworkFiles::default());
    let rules = match (setup.rules(&[]), networks) {
        (Ok(rules), Ok(_)) => rules,
        (Err(rules), Err(networks)) => {
            return Err(Failure {
                code: rules.code,
                error: anyhow!("{:#}\n{:#}", rules.error, networks.error),
            });
        }
        (Err(failure), Ok(_)) | (Ok(_), Err(failure)) => return Err(failure),
    };
    for (name, sink) in &setup.config().sinks {
        sinks::check(&setup, sink)
            .with_context(|| format!("sink `{name}`"))
            .map_err(Failure::usage)?;
    }
    for warning in warnings(&select(rules.clone(), &[])?, &setup.actions) {
        let line = printable(&warning.to_string());
        writeln!(io::stderr(), "warning: {line}").map_err(Failure::io)?;
    }
    for line in summary(&setup, &rules) {
        writeln!(out, "{}", printable(&line)).map_err(Failure::io)?;
    }
    Ok(())
}

/// What the configuration comes to, line by line.
fn summary(setup: &Setup, rules: &[Rule]) -> Vec<String> {
    let config = setup.config();
    let enrich = &config.enrich;
    let networks = enrich.networks.len() + enrich.geo.len() + enrich.asn.len();
    let mut counts = vec![counted(rules.len(), "rule")];
    for (state, name) in [(State::Off, "off"), (State::Shadow, "in shadow")] {
        let number = rules.iter().filter(|rule| rule.state == state).count();
        if number > 0 {
            counts.push(format!("{number} of them {name}"));
        }
    }
    counts.push(counted(setup.lists.names().count(), "list"));
    counts.push(counted(setup.exceptions.names().count(), "exception"));
    counts.push(counted(networks, "network file"));
    let sources = config.sources.iter();
    let sources = sources.map(|(name, source)| format!("{name} ({})", source.kind()));
    let sinks = config.sinks.iter().map(|(name, sink)| {
        let place = match &sink.target {
            Target::File { path, .. } => setup.resolve(path).display().to_string(),
            Target::Webhook { site, .. } | Target::Splunk { site, .. } => {
                // Its path may be a secret.
                site.url.origin().ascii_serialization()
            }
            Target::Syslog { address, .. } => address.clone(),
        };
        format!("{name} ({} → {place})", sink.kind())
    });
    vec![
        format!("ok: {}", counts.join(", ")),
        format!("store: {}", setup.store_path().display()),
        format!("address: {}", config.serve.address),
        format!("sources: {}", listed(sources)),
        format!("sinks: {}", listed(sinks)),
    ]
}

fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

fn listed(things: impl Iterator<Item = String>) -> String {
    let things: Vec<String> = things.collect();
    if things.is_empty() {
        "none".to_owned()
    } else {
        things.join(", ")
    }
}
