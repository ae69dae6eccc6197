mod shown;

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};

use self::shown::{Seen, Shown};
use super::setup::Setup;
use super::show::thousands;
use super::{End, Failure, detect, generate, run};
use crate::admit::Limits;
use crate::clock::{Clock, Stopwatch};
use crate::config::Endpoint;
use crate::enrich::Enricher;
use crate::enrich::network::Networks;
use crate::event::time::MICROS;
use crate::list::Lists;
use crate::pipeline::service::{Directory, Feed, Service, Settings, SinkSettings, Walked};
use crate::simulate::slack::{FakeSlack, Options};
use crate::simulate::{self, Plan};
use crate::sink::Format;
use crate::sink::file::JsonLines;
use crate::slack::Client;
use crate::source::slack as walking;
use crate::telemetry::Metrics;

/// Runs the service on a simulated organisation behind a simulated Slack, and shows what it finds
///
/// The first ten days, from which is learned what is usual, are fetched at once; the last two, with most
/// of the attacks, happen at the speed that is asked for. It ends with them, with Ctrl-C, or after --for.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Another seed is another organisation
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Simulated seconds a second
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    speed: u32,
    /// Ends after so many seconds of the last two days; 300 where standard output is no terminal
    #[arg(long = "for", value_name = "SECS")]
    secs: Option<u64>,
    /// Also writes the anomalies to a file, one a line
    #[arg(long, value_name = "FILE")]
    out: Option<std::path::PathBuf>,
}

/// People and days: some hundred thousand events.
const USERS: u32 = 1000;
const DAYS: u32 = 12;
/// The days at the end that happen while somebody looks on: those with most of the attacks.
const SHOWN_DAYS: u32 = 2;
/// Without an end, on no terminal, it ends after so many seconds.
const SECS: u64 = 300;
const MEMORY_MIB: u32 = 2048;
/// The last events are judged so long after they happened, for rules that wait; in microseconds.
const AFTER: i64 = 3_600 * MICROS;
/// How often it is looked whether all is over.
const LOOK: Duration = Duration::from_millis(200);
/// Polls of a second, at most.
const POLLS: i64 = 10;

impl Demo {
    pub fn run(&self) -> Result<End, Failure> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder");
        let folder = folder.map_err(Failure::io)?;
        say(&format!(
            "Simulating an organisation of {} people for {DAYS} days …",
            thousands(USERS.into())
        ))?;
        let path = folder.path().join("simulated");
        let totals = generate::write(&Plan::new(USERS, DAYS, self.seed), &path)?;
        say(&format!(
            "{} audit events, {} attacks among them. Learning what is usual for {} days …",
            thousands(totals.events),
            thousands(totals.attacks),
            DAYS - SHOWN_DAYS,
        ))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Failure::internal)?;
        let done = runtime.block_on(self.show(folder.path(), &path));
        runtime.shutdown_background();
        done?;
        say(
            "On your own Slack: gridwatch config example > gridwatch.yaml, and in it a source of type slack",
        )?;
        Ok(End::Good)
    }

    async fn show(&self, folder: &Path, simulated: &Path) -> Result<(), Failure> {
        let start = simulate::DEFAULT_START + i64::from(DAYS - SHOWN_DAYS) * 86_400;
        let end = simulate::DEFAULT_START + i64::from(DAYS) * 86_400;
        let clock = Clock::fast(start * MICROS, f64::from(self.speed));
        let slack = slack(simulated, &clock).await.map_err(Failure::internal)?;
        let seen = Seen::new(start * MICROS);
        let asked = interrupted().map_err(Failure::internal)?;
        tokio::pin!(asked);
        let settings = self.settings(folder, simulated, &slack, &clock, &seen)?;
        let watch = Stopwatch::start();
        let starting =
            tokio::task::spawn_blocking(move || Service::start(settings, Metrics::new()));
        let starting = starting.await.map_err(Failure::internal)?;
        let mut service = starting.map_err(run::failure)?;
        tokio::select! {
            () = self.over() => {}
            () = finished(&clock, end * MICROS + AFTER) => {}
            () = &mut asked => {}
            error = service.failed() => return Err(run::failure(error)),
        }
        // What the clock says just then is as far as it went.
        let reached = clock.now();
        let ending = tokio::task::spawn_blocking(move || service.stop());
        let ended = ending.await.map_err(Failure::internal)?;
        ended.map_err(run::failure)?;
        let labels = simulated.join(generate::LABELS);
        let summary = seen.summary(&labels, reached, slack.calls().len(), watch.elapsed());
        summary.map_err(Failure::io)
    }

    /// Is over when the time is that was asked for.
    async fn over(&self) {
        let secs = self.secs.or((!io::stdout().is_terminal()).then_some(SECS));
        match secs {
            Some(secs) => tokio::time::sleep(Duration::from_secs(secs)).await,
            None => std::future::pending().await,
        }
    }

    fn settings(
        &self,
        folder: &Path,
        simulated: &Path,
        slack: &FakeSlack,
        clock: &Clock,
        seen: &Arc<Seen>,
    ) -> Result<Settings, Failure> {
        let mut networks = Networks::new();
        networks
            .add_csv_file(&simulated.join(generate::NETWORKS))
            .map_err(Failure::internal)?;
        let client = |endpoint: String| {
            let endpoint = Endpoint::parse(&endpoint);
            let endpoint = endpoint.map_err(|error| Failure::internal(anyhow!(error)))?;
            let token = SecretString::from(slack.token());
            Client::new(endpoint, token).map_err(Failure::internal)
        };
        let memory = (MEMORY_MIB as usize) << 20;
        let walked = Walked {
            client: client(slack.audit_endpoint())?,
            settings: walking::Settings {
                poll: (5 * MICROS).max(i64::from(self.speed) * MICROS / POLLS),
                overlap: 60 * MICROS,
                rewalk: 8 * 3_600 * MICROS,
                lag: 2 * MICROS,
                since: simulate::DEFAULT_START * MICROS,
                calls_per_minute: 35,
                most_bytes: memory / 8,
                seed: self.seed,
            },
        };
        let shown = SinkSettings {
            name: "shown".to_owned(),
            sink: Box::new(Shown::new(seen)),
            feed: Feed::Anomalies,
        };
        let file = self.out.as_ref().map(|path| SinkSettings {
            name: "file".to_owned(),
            sink: Box::new(JsonLines::new(path.clone(), Format::Native, u64::MAX)),
            feed: Feed::Anomalies,
        });
        Ok(Settings {
            store: folder.join("store"),
            pushed: Vec::new(),
            walked: vec![("grid".to_owned(), walked)],
            directory: Some(Directory {
                client: client(slack.web_endpoint())?,
                teams: Vec::new(),
                every: 3_600 * MICROS,
            }),
            limits: Limits::default(),
            sinks: [shown].into_iter().chain(file).collect(),
            seal_rows: 131_072,
            seal_every: Duration::from_secs(60),
            snapshot_every: Duration::from_secs(300),
            ingest_bytes: memory,
            rules: Setup::default().rules(&[])?,
            lists: Lists::default(),
            enricher: Arc::new(Enricher::new(networks)),
            resources: detect::resources(MEMORY_MIB, detect::STATE_MIB),
            clock: clock.clone(),
        })
    }
}

/// A Slack that has the simulated events, each to be seen a second or two after it happened.
async fn slack(simulated: &Path, clock: &Clock) -> anyhow::Result<FakeSlack> {
    let slack = FakeSlack::start(Options::default(), clock.clone()).await?;
    let events = File::open(simulated.join(generate::EVENTS))?;
    let delay = |number: u64| (number % 3).cast_signed() * MICROS / 2;
    slack.load(BufReader::with_capacity(1 << 20, events), delay)?;
    Ok(slack)
}

/// Is over at this time, in microseconds.
async fn finished(clock: &Clock, end: i64) {
    while clock.now() < end {
        tokio::time::sleep(LOOK).await;
    }
}

/// Is over when somebody asks to end; it is listened for from the call on.
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn say(line: &str) -> Result<(), Failure> {
    writeln!(io::stderr(), "{line}").map_err(Failure::io)
}
