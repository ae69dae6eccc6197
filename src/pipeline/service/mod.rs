//! The service: sources at one end, the store in the middle, sinks at the other.
//!
//! ```text
//! push ─┬► ingest ──► admit ───────► evaluate ───────► deliver
//! walk ─┘ (decode,    (order time,   (rules,            (a sink each,
//!          encode)     one commit,    one commit)        from the outbox)
//!                      the answer)        ▲
//!                         └─► seal        └─ directory (who is who in Slack)
//!                             (tail ─► archive)
//! ```
//!
//! Each stage is a thread of its own, and what lies between two is bounded: in events on their way by
//! memory, in anomalies on their way by number. A slow stage slows the one before it, and in the end
//! whoever sends events. Nothing is passed on that is not on disk.

mod admit;
mod deliver;
mod directory;
mod evaluate;
mod ingest;
mod recover;
mod repeats;
mod seal;
mod state;
mod walk;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rayon::ThreadPoolBuilder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use self::ingest::Intake;
use self::state::Shared;
use crate::admit::Limits;
use crate::admit::watermark::{Kind, Progress, Watermarks};
use crate::clock::Clock;
use crate::detect::filter::Filter;
use crate::detect::history::Resources;
use crate::enrich::Enricher;
use crate::list::Lists;
use crate::rule::Rule;
use crate::serve::Services;
use crate::sink::Sink;
use crate::slack::Client;
use crate::source;
use crate::store::{self, Lock, Reader, Store};
use crate::telemetry::Metrics;

/// What the service is to do.
pub struct Settings {
    /// The folder of the store.
    pub store: PathBuf,
    /// The sources that are pushed to, and how late their events may come; microseconds.
    pub pushed: Vec<(String, i64)>,
    /// The sources that are walked through.
    pub walked: Vec<(String, Walked)>,
    /// Who tells who is who in Slack.
    pub directory: Option<Directory>,
    pub limits: Limits,
    pub sinks: Vec<SinkSettings>,
    /// The tail is sealed when it holds so many events, or after so long.
    pub seal_rows: u64,
    pub seal_every: Duration,
    pub snapshot_every: Duration,
    /// Memory for the events of one source that are on their way.
    pub ingest_bytes: usize,
    pub rules: Vec<Rule>,
    pub lists: Lists,
    pub enricher: Arc<Enricher>,
    pub resources: Resources,
    pub clock: Clock,
}

/// A source that is walked through.
pub struct Walked {
    pub client: Client,
    pub settings: source::slack::Settings,
}

/// Who tells who is who in Slack.
pub struct Directory {
    pub client: Client,
    /// Workspaces to ask about; none for that of the token.
    pub teams: Vec<String>,
    /// From one reading to the next, in microseconds.
    pub every: i64,
}

/// A sink, and what goes there.
pub struct SinkSettings {
    pub name: String,
    pub sink: Box<dyn Sink>,
    pub feed: Feed,
}

/// What goes to a sink.
#[derive(Debug)]
pub enum Feed {
    Anomalies,
    /// Raw events: those that meet a condition, or all.
    Events(Option<Filter>),
}

impl SinkSettings {
    fn takes_anomalies(&self) -> bool {
        matches!(self.feed, Feed::Anomalies)
    }
}

/// Why the service cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Detect(#[from] super::Error),
    #[error(
        "not all that was judged could be written; it is judged once more after the next start"
    )]
    Unwritten,
    #[error("the thread `{0}` ended on its own; this is a defect, please report it")]
    Gone(String),
}

/// The service at work.
pub struct Service {
    intake: Arc<Intake>,
    shared: Arc<Shared>,
    stages: Vec<Stage>,
    ended: UnboundedReceiver<Ended>,
    store: Arc<Store>,
    _lock: Lock,
}

/// A thread of the service.
struct Stage {
    name: &'static str,
    handle: JoinHandle<()>,
}

/// How a stage came to its end.
type Ended = (&'static str, Result<(), Error>);

/// Requests between decoding and admission.
const REQUESTS: usize = 64;

impl Service {
    /// Opens the store, takes up where it was left, and begins.
    ///
    /// # Errors
    /// When the store cannot be used or another process uses it, or a rule cannot run.
    pub fn start(settings: Settings, metrics: Metrics) -> Result<Self, Error> {
        let store = Arc::new(Store::open(&settings.store)?);
        let lock = store.lock()?;
        let reader = Arc::new(Reader::open(&settings.store)?);
        let orphans = store.remove_orphans(&reader)?;
        if !orphans.is_empty() {
            tracing::info!(
                files = orphans.len(),
                "files of an unfinished seal were removed"
            );
        }
        let shared = Arc::new(Shared::new(metrics, &settings));
        for (sink, entries) in reader.waiting()? {
            if settings.sinks.iter().all(|known| known.name != sink) {
                tracing::warn!(
                    sink,
                    entries,
                    "anomalies wait for a sink that is not configured"
                );
            }
        }
        // Conditions of sinks ask the lists, too.
        super::kept::heed_all(&reader, &settings.lists)?;
        let watermarks = watermarks(&settings, &reader)?;
        let (requests, received) = sync_channel(REQUESTS);
        // What it holds is bounded by the room of the sources.
        let (steps, stepping) = channel();
        let (ending, ended) = unbounded_channel();
        let admission = admit::Admission::new(
            Arc::clone(&store),
            Arc::clone(&reader),
            Arc::clone(&shared),
            watermarks,
            settings.limits,
            steps,
        )?;
        let intake = Intake::new(&settings, Arc::clone(&shared), requests);
        let mut service = Self {
            intake: Arc::new(intake),
            shared: Arc::clone(&shared),
            stages: Vec::new(),
            ended,
            store: Arc::clone(&store),
            _lock: lock,
        };
        let told = settings.sinks.iter().filter(|sink| sink.takes_anomalies());
        let sinks = told.map(|sink| sink.name.clone()).collect();
        service.deliver(settings.sinks, &settings.store, &ending)?;
        service.walk(settings.walked, &settings.store, &ending)?;
        if let Some(Directory {
            client,
            teams,
            every,
        }) = settings.directory
        {
            let directory = directory::Directory {
                client,
                teams,
                every,
                store: Arc::clone(&store),
                reader: Reader::open(&settings.store)?,
                shared: Arc::clone(&shared),
            };
            service.stage("directory", &ending, move || directory.run())?;
        }
        let sealing = seal::Sealing {
            store: Arc::clone(&store),
            reader: Reader::open(&settings.store)?,
            shared: Arc::clone(&shared),
            threads: ThreadPoolBuilder::new()
                .num_threads(settings.resources.threads)
                .build()
                .map_err(|_| Error::Gone("seal".to_owned()))?,
            rows: settings.seal_rows,
            every: settings.seal_every,
        };
        service.stage("seal", &ending, move || sealing.run())?;
        let watching = watch::Watching {
            store: Arc::clone(&store),
            reader: Reader::open(&settings.store)?,
            shared: Arc::clone(&shared),
        };
        watching.look()?;
        service.stage("watch", &ending, move || watching.run())?;
        let evaluation = evaluate::Evaluation {
            store: Arc::clone(&store),
            reader,
            shared,
            sinks,
            snapshot_every: settings.snapshot_every,
            rules: settings.rules,
            lists: settings.lists,
            enricher: settings.enricher,
            resources: settings.resources,
        };
        service.stage("evaluate", &ending, move || evaluation.run(&stepping))?;
        service.stage("admit", &ending, move || {
            admission.run(&received);
            Ok(())
        })?;
        Ok(service)
    }

    /// Begins to deliver to each sink what is meant for it.
    fn deliver(
        &mut self,
        sinks: Vec<SinkSettings>,
        store: &Path,
        ending: &UnboundedSender<Ended>,
    ) -> Result<(), Error> {
        let feeds = sinks.iter().filter(|sink| !sink.takes_anomalies());
        let feeds: Vec<String> = feeds.map(|sink| sink.name.clone()).collect();
        for gone in self.store.set_feeds(&feeds)? {
            tracing::warn!(
                sink = gone,
                "raw events that waited for this sink are dropped: it is not configured any more"
            );
        }
        for SinkSettings { name, sink, feed } in sinks {
            let (of_store, reader) = (Arc::clone(&self.store), Reader::open(store)?);
            let queue: Box<dyn deliver::Queue> = match feed {
                Feed::Anomalies => Box::new(deliver::Outbox::new(of_store, reader, &name)),
                Feed::Events(filter) => {
                    Box::new(deliver::Feed::new(of_store, reader, &name, filter))
                }
            };
            let deliverer = deliver::Deliverer {
                shared: Arc::clone(&self.shared),
                name,
                queue,
                sink,
            };
            self.stage("deliver", ending, move || deliverer.run())?;
        }
        Ok(())
    }

    /// Begins to walk through each source that is walked through.
    fn walk(
        &mut self,
        sources: Vec<(String, Walked)>,
        store: &Path,
        ending: &UnboundedSender<Ended>,
    ) -> Result<(), Error> {
        for (name, Walked { client, settings }) in sources {
            let walking = walk::Walking {
                name: name.into(),
                client,
                settings,
                intake: Arc::clone(&self.intake),
                store: Arc::clone(&self.store),
                reader: Reader::open(store)?,
                shared: Arc::clone(&self.shared),
            };
            self.stage("walk", ending, move || walking.run())?;
        }
        Ok(())
    }

    fn stage(
        &mut self,
        name: &'static str,
        ending: &UnboundedSender<Ended>,
        run: impl FnOnce() -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let ending = ending.clone();
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
            // A panic drops the guard without an outcome.
            let mut guard = Guard(Some((name, ending)));
            let outcome = run();
            if let Some((name, ending)) = guard.0.take() {
                // Nobody listens any more when the service ends.
                let _ = ending.send((name, outcome));
            }
        });
        let handle = spawned.map_err(|_| Error::Gone(name.to_owned()))?;
        self.stages.push(Stage { name, handle });
        Ok(())
    }

    /// What the server asks.
    pub fn services(&self) -> Services {
        Services {
            ingest: Arc::clone(&self.intake) as _,
            access: Arc::clone(&self.shared) as _,
            health: Arc::clone(&self.shared) as _,
            metrics: self.shared.metrics.clone(),
        }
    }

    /// Waits until a stage ends by itself, which it must not.
    pub async fn failed(&mut self) -> Error {
        match self.ended.recv().await {
            Some(ended) => reason(ended),
            None => std::future::pending().await,
        }
    }

    /// Whether it has taken up where it was left; before, it takes no events.
    pub fn has_begun(&self) -> bool {
        self.shared.has_begun()
    }

    /// Takes no more events, judges what is to be judged, writes a snapshot, empties the outbox as far as
    /// the sinks take it, and ends. Whatever is not done by then is done after the next start.
    ///
    /// # Errors
    /// When something could not be written.
    pub fn stop(self) -> Result<(), Error> {
        let Self {
            intake,
            shared,
            stages,
            mut ended,
            store,
            ..
        } = self;
        intake.close();
        shared.stop();
        let (judging, others): (Vec<Stage>, Vec<Stage>) = stages
            .into_iter()
            .partition(|stage| ["admit", "evaluate"].contains(&stage.name));
        // A panic was reported when it happened.
        judging
            .into_iter()
            .for_each(|stage| drop(stage.handle.join()));
        shared.close();
        others
            .into_iter()
            .for_each(|stage| drop(stage.handle.join()));
        // So that state.db is all there is to copy.
        store.checkpoint();
        while let Ok((_, outcome)) = ended.try_recv() {
            outcome?;
        }
        Ok(())
    }
}

/// Why the service cannot go on after a stage came to its end.
fn reason((name, outcome): Ended) -> Error {
    outcome
        .err()
        .unwrap_or_else(|| Error::Gone(name.to_owned()))
}

/// Tells of a stage that panicked.
struct Guard(Option<(&'static str, UnboundedSender<Ended>)>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some((name, ending)) = self.0.take() {
            let _ = ending.send((name, Err(Error::Gone(name.to_owned()))));
        }
    }
}

/// The watermark where it was left, with what is known of the sources.
fn watermarks(settings: &Settings, reader: &Reader) -> Result<Watermarks, Error> {
    let now = settings.clock.now();
    let known = reader.sources()?;
    let watermark = reader.watermark()?.unwrap_or(i64::MIN);
    let mut watermarks = Watermarks::new(settings.limits.stall, watermark);
    // What came from a source that is not there any more is judged all the same.
    let is_gone = |name: &String| {
        let pushed = settings.pushed.iter().map(|(source, _)| source);
        let walked = settings.walked.iter().map(|(source, _)| source);
        pushed.chain(walked).all(|source| source != name)
    };
    for (name, progress) in known.iter().filter(|(name, _)| is_gone(name)) {
        let silent = Progress {
            age: i64::MAX,
            ..*progress
        };
        watermarks.add(name, Kind::Pushed { lateness: 0 }, silent, now);
    }
    let pushed = settings.pushed.iter().map(|(name, lateness)| {
        let lateness = *lateness;
        (name, Kind::Pushed { lateness })
    });
    let walked = settings.walked.iter().map(|(name, _)| (name, Kind::Walked));
    for (name, kind) in pushed.chain(walked) {
        let progress = known.iter().find(|(known, _)| known == name);
        let progress = progress.map_or(Progress::default(), |(_, progress)| *progress);
        watermarks.add(name, kind, progress, now);
    }
    Ok(watermarks)
}

/// Whether a stage goes on: its channel is open, or nothing came in time.
fn timed_out(error: mpsc::RecvTimeoutError) -> bool {
    error == mpsc::RecvTimeoutError::Timeout
}
