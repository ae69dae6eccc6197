use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context;
use clap::Args;

use super::format::{self, Format};
use super::show::thousands;
use super::{End, Failure, detect, generate, rules};
use crate::anomaly::Anomaly;
use crate::clock::Stopwatch;
use crate::enrich::Enricher;
use crate::enrich::network::Networks;
use crate::event::time::{MICROS, rfc3339};
use crate::event::schema::ColumnSet;
use crate::pipeline::{self, Execution, Job};
use crate::simulate::{self, Plan};

/// Shows what gridwatch finds, on the last days of a simulated organisation
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Another seed is another organisation
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// People and days: some hundred thousand events.
const USERS: u32 = 1000;
const DAYS: u32 = 12;
/// The days at the end whose anomalies are shown: those with the attacks.
const SHOWN_DAYS: u32 = 2;
const MEMORY_MIB: u32 = 2048;

impl Demo {
    pub fn run(&self) -> Result<End, Failure> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder");
        let folder = folder.map_err(Failure::io)?;
        let path = folder.path().to_owned();
        let say = |line: String| writeln!(io::stderr(), "{line}").map_err(Failure::io);
        say(format!(
            "Simulating an organisation of {} people for {DAYS} days …",
            thousands(USERS.into())
        ))?;
        let totals = generate::write(&Plan::new(USERS, DAYS, self.seed), &path)?;
        say(format!(
            "{} audit events, {} attacks among them. Looking for what does not fit …",
            thousands(totals.events),
            thousands(totals.attacks),
        ))?;
        let mut networks = Networks::new();
        networks
            .add_csv_file(&path.join(generate::NETWORKS))
            .map_err(Failure::internal)?;
        let rules = rules::with_embedded(&[])?;
        let watch = Stopwatch::start();
        let job = Job {
            rules: &rules,
            enricher: Arc::new(Enricher::new(networks)),
            resources: detect::resources(MEMORY_MIB),
            execution: Execution::Live,
            extra: ColumnSet::default(),
        };
        let events = path.join(generate::EVENTS).display().to_string();
        let inputs = detect::open(&[events], &Arc::new(AtomicU64::new(0)))?;
        let outcome = pipeline::detect(inputs, &job, &mut |_| Ok(())).map_err(detect::failure)?;
        let shown = last_days(&outcome.anomalies);
        say(format!(
            "The first {} days show what is usual. Of the {} anomalies these {} are of the last two:",
            DAYS - SHOWN_DAYS,
            outcome.anomalies.len(),
            shown.len(),
        ))?;
        let mut out = BufWriter::new(io::stdout().lock());
        format::write(shown, Format::Table, &mut out).map_err(Failure::io)?;
        detect::summary(&outcome, &rules, watch.elapsed().as_secs_f64(), true)
            .map_err(Failure::io)?;
        detect::failures(&outcome)?;
        say(
            "On your own log: gridwatch detect --networks networks.csv audit-log.ndjson".to_owned(),
        )?;
        Ok(End::Good)
    }
}

/// The anomalies of the last days, which come last.
fn last_days(anomalies: &[Anomaly]) -> &[Anomaly] {
    let start = simulate::DEFAULT_START + i64::from(DAYS - SHOWN_DAYS) * 86_400;
    let start = rfc3339(start * MICROS);
    &anomalies[anomalies.partition_point(|anomaly| anomaly.event_time < start)..]
}
