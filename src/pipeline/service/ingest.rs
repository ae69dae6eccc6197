//! From a request to rows: decoded, enriched and encoded before they meet those of others.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::Settings;
use super::state::Shared;
use crate::enrich::Enricher;
use crate::event::decode;
use crate::event::frame::Chunk;
use crate::event::reject::Reject;
use crate::event::schema::ColumnSet;
use crate::serve::{Body, Coding, Ingest, Receipt, Refusal};
use crate::source::push;
use crate::store::tail;

/// A request on its way to admission.
pub(super) struct Request {
    pub source: Arc<str>,
    pub batches: Vec<Encoded>,
    pub rejects: Vec<Reject>,
    pub answer: oneshot::Sender<Result<Receipt, Refusal>>,
    pub room: Arc<Room>,
}

/// Decoded events, and the same as the tail will hold them.
pub(super) struct Encoded {
    pub batch: RecordBatch,
    pub events: Arc<Vec<u8>>,
}

/// Memory that events take until they are judged.
pub(super) struct Room {
    _permit: OwnedSemaphorePermit,
}

/// Takes requests in. Each source has room of its own, so that none can keep another from moving
/// the watermark on.
pub(super) struct Intake {
    sources: BTreeMap<String, Source>,
    enricher: Arc<Enricher>,
    shared: Arc<Shared>,
    /// Gone once the service takes no more.
    requests: RwLock<Option<SyncSender<Request>>>,
    most_bytes: usize,
    /// Rows of the tail beyond which nothing more is taken until some are sealed.
    most_tail: u64,
}

struct Source {
    name: Arc<str>,
    /// In units of [`UNIT`] bytes.
    room: Arc<Semaphore>,
    /// Requests that are decoded at one time.
    turns: Arc<Semaphore>,
}

/// Bytes that are given out together.
const UNIT: usize = 1 << 10;
/// What a decoded event takes for every byte of its line.
const SPREAD: usize = 2;
/// How many seals the archive may lie behind.
const MOST_SEALS: u64 = 16;
/// How long a request waits for room before it is sent away.
const PATIENCE: Duration = Duration::from_secs(2);
/// A request with more of them is most likely something else altogether.
const MOST_REJECTS: usize = 10_000;
/// The largest request, decompressed.
const MOST_BYTES: usize = 64 << 20;

impl Intake {
    pub fn new(settings: &Settings, shared: Arc<Shared>, requests: SyncSender<Request>) -> Self {
        let sources = settings.pushed.iter().map(|(name, _)| {
            let room = Arc::new(Semaphore::new(settings.ingest_bytes / UNIT));
            let source = Source {
                name: name.as_str().into(),
                room,
                turns: Arc::new(Semaphore::new(settings.resources.threads.max(1))),
            };
            (name.clone(), source)
        });
        Self {
            sources: sources.collect(),
            enricher: Arc::clone(&settings.enricher),
            shared,
            requests: RwLock::new(Some(requests)),
            most_bytes: MOST_BYTES.min(settings.ingest_bytes / SPREAD),
            most_tail: settings.seal_rows.saturating_mul(MOST_SEALS),
        }
    }

    /// Takes no more requests.
    pub fn close(&self) {
        *self
            .requests
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn source(&self, name: Option<&str>) -> Result<&Source, Refusal> {
        let only = || match self.sources.len() {
            1 => self.sources.values().next(),
            _ => None,
        };
        let found = match name {
            Some(name) => self.sources.get(name),
            // `push` is what there is unless the configuration says otherwise.
            None => only().or_else(|| self.sources.get("push")),
        };
        found.ok_or_else(|| Refusal::UnknownSource {
            name: name.unwrap_or_default().to_owned(),
            known: self.sources.keys().cloned().collect(),
        })
    }

    /// Room for so many bytes of lines; all there is if it is less.
    async fn room(&self, source: &Source, bytes: u64) -> Result<Room, Refusal> {
        let units = (bytes as usize).saturating_mul(SPREAD).div_ceil(UNIT);
        let units = units.clamp(1, self.most_bytes * SPREAD / UNIT) as u32;
        let wait = Arc::clone(&source.room).acquire_many_owned(units);
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(Ok(permit)) => Ok(Room { _permit: permit }),
            _ => Err(Refusal::Busy {
                retry_after_secs: 1,
            }),
        }
    }
}

#[async_trait]
impl Ingest for Intake {
    async fn push(&self, source: Option<&str>, body: Body) -> Result<Receipt, Refusal> {
        let source = self.source(source)?;
        if !self.shared.has_begun() {
            return Err(unavailable(&"the service takes up where it was left"));
        }
        if self.shared.tail_rows.load(Ordering::Relaxed) > self.most_tail {
            // The archive does not keep up, or cannot be written.
            return Err(Refusal::Busy {
                retry_after_secs: 1,
            });
        }
        let turn = Arc::clone(&source.turns).acquire_owned().await;
        let coding = match body.coding {
            Coding::Identity => push::Coding::Identity,
            Coding::Gzip => push::Coding::Gzip,
            Coding::Zstd => push::Coding::Zstd,
            Coding::Detect => push::Coding::Detected,
        };
        let limit = self.most_bytes as u64;
        // Whoever hangs up gives nothing back before the work is done.
        let cut = blocking(move || (push::cut(body.bytes, coding, limit), turn)).await?;
        let (cut, turn) = cut;
        let (chunks, bytes) = cut.map_err(|error| match error {
            push::Error::TooLarge { limit } => Refusal::TooLarge { limit_bytes: limit },
            push::Error::Broken(_) | push::Error::Mislabelled(_) => Refusal::Malformed {
                reason: error.to_string(),
            },
        })?;
        let room = self.room(source, bytes).await?;
        let enricher = Arc::clone(&self.enricher);
        let decoded = blocking(move || (decoded(chunks, &enricher), turn, room)).await?;
        let (decoded, turn, room) = decoded;
        let (batches, rejects) = decoded?;
        drop(turn);
        let (answer, answered) = oneshot::channel();
        let request = Request {
            source: Arc::clone(&source.name),
            batches,
            rejects,
            answer,
            room: Arc::new(room),
        };
        let requests = self
            .requests
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(requests) = requests.filter(|_| !self.shared.is_stopping()) else {
            return Err(unavailable(&"the service is stopping"));
        };
        let sent = blocking(move || requests.send(request).is_ok()).await?;
        match answered.await {
            Ok(answer) if sent => answer,
            _ => Err(unavailable(&"the service is stopping")),
        }
    }
}

/// Decodes, enriches and encodes what a request holds.
fn decoded(
    chunks: Vec<Chunk>,
    enricher: &Enricher,
) -> Result<(Vec<Encoded>, Vec<Reject>), Refusal> {
    let mut batches = Vec::with_capacity(chunks.len());
    let mut rejects: Vec<Reject> = Vec::new();
    for chunk in chunks {
        let decoded = decode::decode(chunk, ColumnSet::all());
        rejects.extend(decoded.rejects);
        if let Some(first) = rejects.first().filter(|_| rejects.len() > MOST_REJECTS) {
            return Err(Refusal::Malformed {
                reason: format!(
                    "more than {MOST_REJECTS} of its lines are no events, the first of them line {}: \
                     {}; nothing of it was taken",
                    first.line, first.reason,
                ),
            });
        }
        if decoded.batch.num_rows() == 0 {
            continue;
        }
        let batch = enricher.enrich(&decoded.batch, ColumnSet::all());
        let events = tail::encode(&batch).map_err(|error| unavailable(&error))?;
        let events = Arc::new(events);
        batches.push(Encoded { batch, events });
    }
    Ok((batches, rejects))
}

/// Runs what takes long away from the threads that serve.
async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(act).await;
    done.map_err(|error| unavailable(&error))
}

fn unavailable(reason: &dyn std::fmt::Display) -> Refusal {
    Refusal::Unavailable {
        reason: reason.to_string(),
        retry_after_secs: 5,
    }
}
