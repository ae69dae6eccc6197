use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context;
use clap::Args;

use super::setup::Setup;
use super::show::thousands;
use super::{End, Failure, detect, format, generate};
use crate::anomaly::Anomaly;
use crate::clock::{Replay, Stopwatch};
use crate::detect::Table;
use crate::enrich::Enricher;
use crate::enrich::network::Networks;
use crate::event::schema::ColumnSet;
use crate::event::time::MICROS;
use crate::list::Lists;
use crate::pipeline::{self, Execution, Job, Watch};
use crate::simulate::{self, Plan};

/// Replays a simulated organisation, and shows what gridwatch finds as it happens
///
/// The first ten days, from which is learned what is usual, pass at once; the last two, with most of
/// the attacks, at the speed that is asked for.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Another seed is another organisation
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Simulated seconds a second in the last two days; 0 for as fast as it goes
    #[arg(long, value_name = "N", default_value_t = 14_400)]
    speed: u32,
}

/// People and days: some hundred thousand events.
const USERS: u32 = 1000;
const DAYS: u32 = 12;
/// The days at the end that are replayed: those with most of the attacks.
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
            "{} audit events, {} attacks among them. Learning what is usual for {} days …",
            thousands(totals.events),
            thousands(totals.attacks),
            DAYS - SHOWN_DAYS,
        ))?;
        let mut networks = Networks::new();
        networks
            .add_csv_file(&path.join(generate::NETWORKS))
            .map_err(Failure::internal)?;
        let rules = Setup::default().rules(&[])?;
        let job = Job {
            rules: &rules,
            input: Table::Events,
            lists: Lists::default(),
            enricher: Arc::new(Enricher::new(networks)),
            resources: detect::resources(MEMORY_MIB, detect::STATE_MIB),
            execution: Execution::Live,
            extra: ColumnSet::default(),
            quiet_micros: 0,
            counted_since: Vec::new(),
            recorded_days: Vec::new(),
        };
        let events = path.join(generate::EVENTS).display().to_string();
        let inputs = detect::open(&[events], &Arc::new(AtomicU64::new(0)))?;
        let mut shown = Shown::new(self.speed);
        let watch = Stopwatch::start();
        let outcome = pipeline::watch(inputs, &job, &mut shown).map_err(detect::failure)?;
        shown.written.map_err(Failure::io)?;
        detect::summary(&outcome, &rules, watch.elapsed().as_secs_f64(), true)
            .map_err(Failure::io)?;
        detect::failures(&outcome)?;
        say(
            "On your own log: gridwatch detect --networks networks.csv audit-log.ndjson".to_owned(),
        )?;
        Ok(End::Good)
    }
}

/// What people see of the replay.
struct Shown {
    speed: u32,
    /// When the days begin that are shown, in microseconds.
    start: i64,
    replay: Option<Replay>,
    /// How far the replay has come, in microseconds.
    time: i64,
    hidden: u64,
    written: io::Result<()>,
}

impl Shown {
    fn new(speed: u32) -> Self {
        let start = simulate::DEFAULT_START + i64::from(DAYS - SHOWN_DAYS) * 86_400;
        Self {
            speed,
            start: start * MICROS,
            replay: None,
            time: start * MICROS,
            hidden: 0,
            written: Ok(()),
        }
    }

    fn say(&mut self, line: &str) {
        if self.written.is_ok() {
            let mut out = BufWriter::new(io::stdout().lock());
            self.written = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }
}

impl Watch for Shown {
    fn reached(&mut self, time: i64) {
        if time < self.start {
            return;
        }
        if self.replay.is_none() {
            self.replay = Some(Replay::start(f64::from(self.speed.max(1))));
            self.say(&format!(
                "({} anomalies while learning; now the last {SHOWN_DAYS} days)",
                thousands(self.hidden)
            ));
        }
        let passed = time - self.time;
        self.time = time;
        if let Some(replay) = self.replay.as_mut().filter(|_| self.speed > 0) {
            replay.pass(passed);
        }
    }

    fn found(&mut self, anomaly: &Anomaly) {
        if self.replay.is_none() {
            self.hidden += 1;
        } else {
            self.say(&format::line(anomaly));
        }
    }
}
