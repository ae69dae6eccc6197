use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::progress::events_written;
use super::show::thousands;
use super::{End, Failure};
use crate::simulate::{self, Attacks, Plan};

/// Writes the audit log of a simulated organisation
///
/// Three files: events.ndjson, networks.csv for --networks, and labels.ndjson with what attacks
/// there are and which rules are expected to find them. Equal arguments give equal bytes.
#[derive(Debug, Args)]
pub(super) struct Generate {
    /// People
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=67_108_864))]
    users: u32,
    /// Days, from Monday, 2026-03-02
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=43_690))]
    days: u32,
    /// Equal seeds give equal organisations
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many attacks of every kind that there is, each on other people, instead of as many as are likely
    #[arg(long, value_name = "N")]
    attacks: Option<u32>,
    /// The folder to write to, made if it does not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// The files of a folder.
pub(super) const EVENTS: &str = "events.ndjson";
pub(super) const NETWORKS: &str = "networks.csv";
pub(super) const LABELS: &str = "labels.ndjson";

impl Generate {
    pub fn run(&self) -> Result<End, Failure> {
        let plan = Plan {
            attacks: self
                .attacks
                .map_or_else(Attacks::default, |number| Attacks {
                    // What rules learn from comes first.
                    first_day: (self.days / 2).min(14),
                    ..Attacks::plenty(number)
                }),
            ..Plan::new(self.users, self.days, self.seed)
        };
        let totals = write(&plan, &self.out)?;
        writeln!(
            io::stderr(),
            "{} events and {} attacks in {}",
            thousands(totals.events),
            thousands(totals.attacks),
            self.out.display(),
        )
        .map_err(Failure::io)?;
        Ok(End::Good)
    }
}

/// Writes the files of a plan into a folder.
pub(super) fn write(plan: &Plan, folder: &PathBuf) -> Result<simulate::Totals, Failure> {
    let make = |path: &PathBuf| {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
    };
    make(folder).map_err(Failure::io)?;
    let create = |name: &str| {
        let path = folder.join(name);
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()));
        file.map(|file| BufWriter::with_capacity(1 << 20, file))
            .map_err(Failure::io)
    };
    let (mut events, mut networks, mut labels) =
        (create(EVENTS)?, create(NETWORKS)?, create(LABELS)?);
    let bar = events_written();
    let totals = simulate::write(
        plan,
        &mut events,
        &mut networks,
        &mut labels,
        &mut |written| {
            bar.set_position(written);
        },
    );
    bar.finish_and_clear();
    let totals = totals.with_context(|| format!("cannot write to {}", folder.display()));
    totals.map_err(Failure::io)
}
