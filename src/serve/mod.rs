//! The HTTP server: the API, health and metrics.
//!
//! ```text
//! connection ─► request ─► route ─► role ─► handler ─► Ingest, Health, Metrics
//! (head in time) (its id)  (table) (token)  (body: limits)
//! ```
//!
//! [`routes::ROUTES`] says what there is and who may ask for it. The server knows its own traits and
//! nothing of sources, rules or the store; whatever it refuses is JSON that says what to do about it.

mod answer;
pub mod auth;
mod body;
mod connection;
mod error;
mod events;
mod health;
pub mod routes;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use self::connection::{Attention, Patient};
use crate::event::reject::Reject;
use crate::telemetry::Metrics;

/// Takes events that are pushed.
#[async_trait]
pub trait Ingest: Send + Sync {
    /// Decodes and admits what a request brought to the source of this name; without a name, to the
    /// only source that is pushed to. It answers when all of it is durable, and not before.
    ///
    /// The call may be given up at any point: the client went away, or its time is over. The client
    /// then sends everything once more, so an event must not count twice.
    ///
    /// # Errors
    /// Why nothing, or not all of it, was taken.
    async fn push(&self, source: Option<&str>, body: Body) -> Result<Receipt, Refusal>;
}

/// Knows which tokens are good.
pub trait Access: Send + Sync {
    /// The role of the token whose SHA-256 this is, if there is one and it is not revoked.
    ///
    /// It is asked for every request, on a thread that serves others too, so it answers from memory.
    fn role_of(&self, token_hash: &[u8; 32]) -> Option<auth::Role>;
}

/// Knows whether the program does its work.
pub trait Health: Send + Sync {
    /// What the readiness probe is told. It answers from memory, too.
    fn readiness(&self) -> Readiness;
}

/// Whether the program does its work and, if not, why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    pub is_ready: bool,
    /// What is amiss, for people; there may be some of it while the program is ready.
    pub reasons: Vec<String>,
}

/// What a request brought, still compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pub bytes: Bytes,
    pub coding: Coding,
}

/// How a body is compressed, as the request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Identity,
    Gzip,
    Zstd,
    /// It does not say: the first bytes tell.
    Detect,
}

/// What became of a request's lines.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Receipt {
    /// Events that are durable and new, late ones included.
    pub accepted: u64,
    /// Events that were known already.
    pub duplicates: u64,
    /// Of those accepted, events that came too late to be judged live.
    pub late: u64,
    /// Lines that are no events.
    pub rejected: u64,
    /// The first of those, at most [`MAX_REJECTS`]; see [`Receipt::reject`].
    pub rejects: Vec<Reject>,
}

/// The most rejects that a receipt lists.
pub const MAX_REJECTS: usize = 100;

/// The most that a receipt shows of a rejected line; whoever sent it has it.
pub const SHOWN_BYTES: usize = 1 << 10;

impl Receipt {
    /// Counts the reject, and lists the beginning of it if there is room.
    pub fn reject(&mut self, mut reject: Reject) {
        self.rejected += 1;
        if self.rejects.len() == MAX_REJECTS {
            return;
        }
        for text in [&mut reject.text, &mut reject.base64].into_iter().flatten() {
            text.truncate(text.floor_char_boundary(SHOWN_BYTES));
        }
        self.rejects.push(reject);
    }
}

/// Why a push was not taken. Only [`Refusal::Busy`] and [`Refusal::Unavailable`] pass by themselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("too much is waiting already: try again in {retry_after_secs} s")]
    Busy { retry_after_secs: u64 },
    #[error("{reason}: try again in {retry_after_secs} s")]
    Unavailable {
        reason: String,
        retry_after_secs: u64,
    },
    /// Compressed or not.
    #[error("the request is larger than {limit_bytes} bytes: send it in several")]
    TooLarge { limit_bytes: u64 },
    #[error("the request cannot be read: {reason}")]
    Malformed { reason: String },
    #[error("`{name}` is no source that takes events: {}", remedy(.known))]
    UnknownSource {
        name: String,
        /// The sources that do.
        known: Vec<String>,
    },
}

fn remedy(known: &[String]) -> String {
    if known.is_empty() {
        "add one of `type: push` to the configuration".to_owned()
    } else {
        format!("use {}", known.join(" or "))
    }
}

/// What the server asks for whatever it does not know itself.
pub struct Services {
    pub ingest: Arc<dyn Ingest>,
    pub access: Arc<dyn Access>,
    pub health: Arc<dyn Health>,
    pub metrics: Metrics,
}

/// How long a connection may be open without a request, and without taking an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long requests may go on once the server is to stop. Whoever was not answered by then tries
/// again elsewhere, or later.
const GRACE: Duration = Duration::from_secs(20);

/// Answers requests until `stop` is over, then finishes those that are under way.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    services: Services,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    answer_all(Patient::new(listener, PATIENCE), services, stop).await
}

async fn answer_all(
    listener: Patient,
    services: Services,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopped, stopping) = oneshot::channel();
    let stop = async move {
        stop.await;
        // Nobody hears it if the server has ended already.
        let _ = stopped.send(());
    };
    let router = routes::router(services);
    let router = router.into_make_service_with_connect_info::<Attention>();
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop);
    tokio::select! {
        ended = serving.into_future() => ended,
        () = grace(stopping) => {
            tracing::warn!("requests still under way after {} s are given up", GRACE.as_secs());
            Ok(())
        }
    }
}

/// Is over when the server was told to stop and had its time to do so.
async fn grace(stopping: oneshot::Receiver<()>) {
    match stopping.await {
        Ok(()) => tokio::time::sleep(GRACE).await,
        Err(_) => std::future::pending().await,
    }
}
