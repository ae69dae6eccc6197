//! From a request to rows: decoded, enriched and encoded before they meet those of others.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::Settings;
use super::state::Shared;
use crate::enrich::Enricher;
use crate::event::decode;
use crate::event::frame::Chunk;
use crate::event::reject::Reject;
use crate::event::schema::ColumnSet;
use crate::serve::{Body, Coding, Ingest, Receipt, Refusal};
use crate::source::{page, push};
use crate::store::tail;

/// What admission is told.
pub(super) enum Request {
    Arrival(Arrival),
    /// A source that is walked through gave something, if not all of it.
    GoesOn(Arc<str>),
    /// It cannot give anything for the time being.
    Fails(Arc<str>),
}

/// Events on their way to admission.
pub(super) struct Arrival {
    pub source: Arc<str>,
    pub batches: Vec<Encoded>,
    pub rejects: Vec<Reject>,
    /// What a walk says of its span; `None` where somebody pushed.
    pub walked: Option<Covered>,
    pub answer: oneshot::Sender<Result<Receipt, Refusal>>,
    pub room: Room,
}

impl Arrival {
    pub fn rows(&self) -> usize {
        self.batches.iter().map(|one| one.batch.num_rows()).sum()
    }
}

/// What is known once the events of a walk are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Covered {
    /// All events of the source before this time are in; microseconds.
    pub complete_to: Option<i64>,
    /// The back-fill that it was a part of, and up to which second it has come.
    pub reached: Option<(i64, i64)>,
}

/// Decoded events, and the same as the tail will hold them.
pub(super) struct Encoded {
    pub batch: RecordBatch,
    pub events: Arc<Vec<u8>>,
}

/// Memory that events take until they are judged.
pub(super) struct Room {
    permit: OwnedSemaphorePermit,
}

impl Room {
    /// Gives back what is not needed for so many rows of so many.
    pub fn shrink(&mut self, rows: usize, of: usize) {
        let units = self.permit.num_permits();
        let needed = (units * rows).div_ceil(of.max(1));
        // What is split off is given back.
        drop(self.permit.split(units.saturating_sub(needed)));
    }
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
    is_pushed: bool,
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
        let pushed = settings.pushed.iter().map(|(name, _)| (name, true));
        let walked = settings.walked.iter().map(|(name, _)| (name, false));
        let sources = pushed.chain(walked).map(|(name, is_pushed)| {
            let room = Arc::new(Semaphore::new(settings.ingest_bytes / UNIT));
            let source = Source {
                name: name.as_str().into(),
                is_pushed,
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

    /// The source of this name that events are pushed to; without a name, the only one.
    fn pushed(&self, name: Option<&str>) -> Result<&Source, Refusal> {
        let pushed = || self.sources.iter().filter(|(_, source)| source.is_pushed);
        let found = match name {
            Some(name) => self.sources.get(name),
            None if pushed().count() == 1 => pushed().map(|(_, source)| source).next(),
            // `push` is what there is unless the configuration says otherwise.
            None => self.sources.get("push"),
        };
        let found = found.filter(|source| source.is_pushed);
        found.ok_or_else(|| Refusal::UnknownSource {
            name: name.unwrap_or_default().to_owned(),
            known: pushed().map(|(name, _)| name.clone()).collect(),
        })
    }

    /// Room for so many bytes of lines; a request asks for no more than `most` bytes.
    async fn room(&self, source: &Source, bytes: u64, most: usize) -> Option<Room> {
        let units = (bytes as usize).saturating_mul(SPREAD).div_ceil(UNIT);
        let units = units.clamp(1, (most * SPREAD / UNIT).max(1)) as u32;
        let wait = Arc::clone(&source.room).acquire_many_owned(units);
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(Ok(permit)) => Some(Room { permit }),
            _ => None,
        }
    }

    /// Why nothing is taken just now, if so.
    fn refusal(&self) -> Option<Refusal> {
        if !self.shared.has_begun() {
            return Some(unavailable(&"the service takes up where it was left"));
        }
        // The archive does not keep up, or cannot be written.
        let is_full = self.shared.tail_rows.load(Ordering::Relaxed) > self.most_tail;
        is_full.then_some(Refusal::Busy {
            retry_after_secs: 1,
        })
    }

    /// Hands something to admission; false if the service takes nothing any more.
    async fn send(&self, request: Request) -> Result<bool, Refusal> {
        let requests = self.requests.read();
        let requests = requests.unwrap_or_else(PoisonError::into_inner).clone();
        let Some(requests) = requests.filter(|_| !self.shared.is_stopping()) else {
            return Ok(false);
        };
        blocking(move || requests.send(request).is_ok()).await
    }

    /// Admits decoded events, and gives what became of them once they are durable.
    async fn admit(
        &self,
        source: &Source,
        (batches, rejects): Decoded,
        walked: Option<Covered>,
        room: Room,
    ) -> Result<Receipt, Refusal> {
        let (answer, answered) = oneshot::channel();
        let arrival = Arrival {
            source: Arc::clone(&source.name),
            batches,
            rejects,
            walked,
            answer,
            room,
        };
        let sent = self.send(Request::Arrival(arrival)).await?;
        match answered.await {
            Ok(answer) if sent => answer,
            _ => Err(unavailable(&"the service is stopping")),
        }
    }

    /// Admits the pages of a walk, those with the oldest events first, all in one transaction with what they
    /// say of their span.
    ///
    /// # Errors
    /// Why nothing was taken; it may be tried again.
    pub async fn walked(
        &self,
        source: &str,
        pages: &[Bytes],
        covered: Covered,
    ) -> Result<Receipt, Refusal> {
        let source = self
            .sources
            .get(source)
            .ok_or_else(|| unavailable(&"no such source"))?;
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let bytes: usize = pages.iter().map(Bytes::len).sum();
        // What waits for the next claim to be judged must leave enough for it.
        let most = self.most_bytes / 2;
        let room = self.room(source, bytes as u64, most).await;
        let room = room.ok_or(Refusal::Busy {
            retry_after_secs: 1,
        })?;
        let (enricher, pages) = (Arc::clone(&self.enricher), pages.to_vec());
        let decoded = blocking(move || {
            let chunks = pages.iter().flat_map(|page| page::cut(page)).collect();
            decoded(chunks, &enricher, usize::MAX)
        });
        let decoded = decoded.await??;
        self.admit(source, decoded, Some(covered), room).await
    }

    /// Tells admission how a source that is walked through fares.
    pub async fn note(&self, request: Request) {
        // A service that ends needs not know.
        let _ = self.send(request).await;
    }
}

#[async_trait]
impl Ingest for Intake {
    async fn push(&self, source: Option<&str>, body: Body) -> Result<Receipt, Refusal> {
        let source = self.pushed(source)?;
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
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
        let room = self
            .room(source, bytes, self.most_bytes)
            .await
            .ok_or(Refusal::Busy {
                retry_after_secs: 1,
            })?;
        let enricher = Arc::clone(&self.enricher);
        let decoded = blocking(move || (decoded(chunks, &enricher, MOST_REJECTS), turn)).await?;
        let (decoded, turn) = decoded;
        let decoded = decoded?;
        drop(turn);
        self.admit(source, decoded, None, room).await
    }
}

/// Events, and what are none.
type Decoded = (Vec<Encoded>, Vec<Reject>);

/// Decodes, enriches and encodes what a request holds; with more rejects than that it is something else.
fn decoded(
    chunks: Vec<Chunk>,
    enricher: &Enricher,
    most_rejects: usize,
) -> Result<Decoded, Refusal> {
    let mut batches = Vec::with_capacity(chunks.len());
    let mut rejects: Vec<Reject> = Vec::new();
    for chunk in chunks {
        let decoded = decode::decode(chunk, ColumnSet::all());
        rejects.extend(decoded.rejects);
        if let Some(first) = rejects.first().filter(|_| rejects.len() > most_rejects) {
            return Err(Refusal::Malformed {
                reason: format!(
                    "more than {most_rejects} of its lines are no events, the first of them line {}: \
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
