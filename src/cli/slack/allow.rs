use std::collections::BTreeSet;
use std::io::{self, Write};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use ipnet::IpNet;

use crate::cli::service;
use crate::cli::setup::{ConfigFile, Setup};
use crate::cli::{End, Failure};
use crate::list::{List, Type};
use crate::slack::Client;
use crate::slack::allow::Allowed;

/// Reads and writes the networks that Slack's own detections trust
///
/// Slack keeps one list of networks (IPv4) and one of autonomous systems for the whole organisation, and
/// replaces both at once. So `set` reads what is there, shows what changes, writes, and reads again.
/// It needs a token with the scope `admin` in the block `slack` of the configuration.
#[derive(Debug, Args)]
pub(super) struct Allow {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Prints what Slack trusts, one a line
    Get {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Shows what `set` would change; exits with 1 if that is anything
    Diff {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Makes Slack trust these, and nothing else
    Set {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        wanted: Wanted,
        /// Lets Slack trust nothing, if nothing is named
        #[arg(long)]
        empty: bool,
    },
}

/// What is to be trusted.
#[derive(Debug, Args)]
struct Wanted {
    /// A network, such as 203.0.113.0/24
    #[arg(long = "cidr", value_name = "NETWORK")]
    cidrs: Vec<String>,
    /// An autonomous system by its number
    #[arg(long = "asn", value_name = "NUMBER")]
    asns: Vec<u32>,
    /// What a list of the configuration, of type cidr or asn, holds just now
    #[arg(long = "list", value_name = "NAME")]
    lists: Vec<String>,
}

impl Allow {
    pub fn run(&self) -> Result<End, Failure> {
        let (Verb::Get { config } | Verb::Diff { config, .. } | Verb::Set { config, .. }) =
            &self.verb;
        let setup = Setup::read(config)?;
        let web = setup.config().slack.as_ref();
        let client = web
            .map(|web| service::web(&setup, web))
            .transpose()?
            .flatten();
        let client = client.ok_or_else(|| {
            Failure::usage(anyhow!(
                "there is no token for Slack: write slack: {{token: {{env: NAME}}}} into the configuration"
            ))
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::internal)?;
        runtime.block_on(self.act(&setup, &client))
    }

    async fn act(&self, setup: &Setup, client: &Client) -> Result<End, Failure> {
        let there = client.allowed().await.map_err(Failure::io)?;
        match &self.verb {
            Verb::Get { .. } => {
                say(lines(&there, ""))?;
                Ok(End::Good)
            }
            Verb::Diff { wanted, .. } => {
                let changes = changes(&there, &wanted.allowed(setup)?);
                let is_same = changes.is_empty();
                say(changes)?;
                Ok(if is_same { End::Good } else { End::Bad })
            }
            Verb::Set { wanted, empty, .. } => {
                let wanted = wanted.allowed(setup)?;
                if wanted == Allowed::default() && !empty {
                    return Err(Failure::usage(anyhow!(
                        "nothing is named: Slack would trust nothing; add --empty if that is meant"
                    )));
                }
                set(client, &there, &wanted).await
            }
        }
    }
}

async fn set(client: &Client, there: &Allowed, wanted: &Allowed) -> Result<End, Failure> {
    let changes = changes(there, wanted);
    if changes.is_empty() {
        say(vec!["nothing changes".to_owned()])?;
        return Ok(End::Good);
    }
    say(changes)?;
    client.set_allowed(wanted).await.map_err(Failure::io)?;
    let written = client.allowed().await;
    let written = written.context("it was written, and cannot be read again");
    let written = written.map_err(Failure::io)?;
    let missing = self::changes(&written, wanted);
    if !missing.is_empty() {
        return Err(Failure::io(anyhow!(
            "Slack took the lists and holds others; it is still to be done:\n{}",
            missing.join("\n")
        )));
    }
    say(vec!["written, and read again".to_owned()])?;
    Ok(End::Good)
}

impl Wanted {
    fn allowed(&self, setup: &Setup) -> Result<Allowed, Failure> {
        let mut allowed = Allowed {
            cidrs: self.cidrs.iter().cloned().collect(),
            asns: self.asns.iter().copied().collect(),
        };
        for name in &self.lists {
            let list = setup.lists.get(name).ok_or_else(|| {
                Failure::usage(anyhow!("there is no list `{name}` in the configuration"))
            })?;
            add(list, &mut allowed)
                .with_context(|| format!("list `{name}`"))
                .map_err(Failure::usage)?;
        }
        for cidr in &allowed.cidrs {
            if !matches!(cidr.parse(), Ok(IpNet::V4(_))) {
                return Err(Failure::usage(anyhow!(
                    "`{cidr}` is no IPv4 network, and Slack takes no other: write 203.0.113.0/24"
                )));
            }
        }
        Ok(allowed)
    }
}

/// Adds what a list holds just now.
fn add(list: &List, allowed: &mut Allowed) -> anyhow::Result<()> {
    let now = crate::clock::Clock::system().now();
    let entries = list.entries().iter().filter(|entry| entry.covers(now));
    let values: BTreeSet<&str> = entries.map(|entry| entry.value.as_str()).collect();
    match list.kind() {
        Type::Cidr => allowed.cidrs.extend(values.into_iter().map(with_length)),
        Type::Asn => {
            for value in values {
                let number = value.trim_start_matches(|c: char| !c.is_ascii_digit());
                allowed
                    .asns
                    .insert(number.parse().context("a number is wanted")?);
            }
        }
        Type::Value => return Err(anyhow!("it is of neither type, cidr nor asn")),
    }
    Ok(())
}

/// An address as a network of its own.
fn with_length(value: &str) -> String {
    if value.contains('/') {
        value.to_owned()
    } else {
        format!("{value}/32")
    }
}

fn changes(from: &Allowed, to: &Allowed) -> Vec<String> {
    let difference = from.difference(to);
    let mut changes = lines(&difference.removed, "- ");
    changes.extend(lines(&difference.added, "+ "));
    changes
}

fn lines(allowed: &Allowed, before: &str) -> Vec<String> {
    let cidrs = allowed.cidrs.iter().map(|cidr| format!("{before}{cidr}"));
    let asns = allowed.asns.iter().map(|asn| format!("{before}AS{asn}"));
    cidrs.chain(asns).collect()
}

fn say(lines: Vec<String>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{}", crate::cli::show::printable(&line)).map_err(Failure::io)?;
    }
    Ok(())
}
