use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::detect::resources;
use super::setup::{ConfigFile, NetworkFiles, Setup};
use super::{End, Failure, load};
use crate::admit::Limits;
use crate::clock::Clock;
use crate::config::{self, Source};
use crate::enrich::Enricher;
use crate::event::time::MICROS;
use crate::pipeline::service::{self, Service, Settings};
use crate::serve;
use crate::sink::{Sink, file::JsonLines};
use crate::telemetry::{self, LogFormat, Metrics};

/// Runs the service: takes events in, keeps them, judges them, and tells of anomalies
///
/// Ends on SIGTERM or SIGINT: what was taken is judged and written first, within 30 seconds; a second
/// signal ends it at once. Nothing is lost either way.
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    config: ConfigFile,
    /// The form of the log on standard error: text or json
    #[arg(long, value_name = "FORM", default_value = "text")]
    log: LogFormat,
}

/// How long ending may take.
const PATIENCE: Duration = Duration::from_secs(28);

impl Run {
    pub fn run(&self) -> Result<End, Failure> {
        telemetry::start_logging(self.log);
        let setup = Setup::read(&self.config)?;
        let address = setup.config().serve.address;
        let settings = settings(&setup)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Failure::internal)?;
        let ended = runtime.block_on(run(settings, address));
        // Whoever still waits for an answer is told by the connection that ends.
        runtime.shutdown_background();
        ended.map(|()| End::Good)
    }
}

/// What the configuration says, as the service wants it.
fn settings(setup: &Setup) -> Result<Settings, Failure> {
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
    let micros = |secs: u32| i64::from(secs) * MICROS;
    let secs = |secs: u32| Duration::from_secs(secs.into());
    let pushed = config.sources.iter().map(|(name, source)| match source {
        Source::Push { lateness_secs } => (name.clone(), micros(*lateness_secs)),
    });
    let sinks = config.sinks.iter().map(|(name, sink)| {
        let sink: Box<dyn Sink> = match sink {
            config::Sink::File {
                path, rotate_mib, ..
            } => {
                let most_bytes = u64::from(*rotate_mib) << 20;
                Box::new(JsonLines::new(setup.resolve(path), most_bytes))
            }
        };
        (name.clone(), sink)
    });
    Ok(Settings {
        store: setup.store_path(),
        pushed: pushed.collect(),
        limits: Limits {
            future: micros(config.admission.future_secs),
            late: micros(config.admission.late_max_secs),
            stall: micros(config.admission.stall_secs),
        },
        sinks: sinks.collect(),
        seal_rows: config.store.seal_rows.into(),
        seal_every: secs(config.store.seal_secs),
        snapshot_every: secs(config.store.snapshot_secs),
        ingest_bytes: (config.memory.ingest_mib as usize) << 20,
        rules,
        lists: setup.lists.clone(),
        enricher: Arc::new(Enricher::new(networks)),
        resources: resources(config.memory.ingest_mib, config.memory.state_mib),
        clock: Clock::system(),
    })
}

async fn run(settings: Settings, address: SocketAddr) -> Result<(), Failure> {
    let (asked, stopping) = watch::channel(0);
    signals(asked).map_err(Failure::internal)?;
    tokio::select! {
        ended = serve(settings, address, stopping.clone()) => ended,
        () = until(stopping.clone(), 2) => {
            Err(Failure::io(anyhow!("ended at once, as a second signal asked")))
        }
        () = overdue(stopping) => Err(Failure::io(anyhow!(
            "ended after {} s with work left, which is done after the next start",
            PATIENCE.as_secs()
        ))),
    }
}

/// Runs until a signal asks to end, and ends in order.
async fn serve(
    settings: Settings,
    address: SocketAddr,
    stopping: watch::Receiver<u32>,
) -> Result<(), Failure> {
    let store = settings.store.clone();
    let starting = tokio::task::spawn_blocking(move || Service::start(settings, Metrics::new()));
    let starting = starting.await.map_err(Failure::internal)?;
    let mut service = starting.map_err(failure)?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::io(anyhow!(
            "cannot listen on {address}: {error}; name another `serve.address`"
        ))
    })?;
    let address = listener.local_addr().map_err(Failure::io)?;
    tracing::info!(%address, store = %store.display(), "gridwatch runs");
    let serving = serve::serve(listener, service.services(), until(stopping, 1));
    let failed = tokio::select! {
        served = serving => served.map(|()| None).map_err(Failure::io)?,
        error = service.failed() => Some(error),
    };
    if let Some(error) = failed {
        return Err(failure(error));
    }
    if !service.has_begun() {
        tracing::info!("gridwatch ends before it began; nothing was taken");
        return Ok(());
    }
    tracing::info!("gridwatch ends: what was taken is judged and written");
    let ending = tokio::task::spawn_blocking(move || service.stop());
    ending.await.map_err(Failure::internal)?.map_err(failure)
}

/// Is over when ending takes too long.
async fn overdue(stopping: watch::Receiver<u32>) {
    until(stopping, 1).await;
    tokio::time::sleep(PATIENCE).await;
}

/// Counts the signals that ask to end.
fn signals(asked: watch::Sender<u32>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            asked.send_modify(|asked| *asked += 1);
        }
    });
    Ok(())
}

/// Waits until so many signals have come.
async fn until(mut stopping: watch::Receiver<u32>, signals: u32) {
    // The sender lives as long as the program.
    let _ = stopping.wait_for(|asked| *asked >= signals).await;
}

fn failure(error: service::Error) -> Failure {
    match error {
        service::Error::Store(_) | service::Error::Unwritten => Failure::io(error),
        service::Error::Detect(error) => super::detect::failure(error),
        service::Error::Gone(_) => Failure::internal(error),
    }
}
