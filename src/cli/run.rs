use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::setup::{ConfigFile, Setup};
use super::{End, Failure, service};
use crate::pipeline::service::{Error, Service, Settings};
use crate::serve;
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
        let settings = service::settings(&setup)?;
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

pub(super) fn failure(error: Error) -> Failure {
    match error {
        Error::Store(_) | Error::Unwritten => Failure::io(error),
        Error::Detect(error) => super::detect::failure(error),
        Error::Gone(_) => Failure::internal(error),
    }
}
