//! The wiring: from inputs to anomalies. The only place that sees both ends.
//!
//! ```text
//! reader thread          rayon                      calling thread
//! bytes ─► chunks ──► decode, enrich ──► (in order) rejects, log ─► detect ─► records
//! ```
//!
//! Everything between is bounded: at most [`IN_FLIGHT`] chunks are under way, so a slow consumer
//! slows the reader.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::anomaly::Anomaly;
use crate::detect::finding::Finding;
use crate::detect::history::{self, Resources};
use crate::detect::trigger::Trigger;
use crate::enrich::Enricher;
use crate::event::decode::{self, Decoded};
use crate::event::frame::{Chunk, Framer};
use crate::event::order::{self, Collector, Duplicates, Log};
use crate::event::reject::Reject;
use crate::event::schema::ColumnSet;
use crate::rule::Rule;

/// Bytes of a chunk, and of one read.
const CHUNK_BYTES: usize = 2 << 20;
const READ_BYTES: usize = 256 << 10;
/// Chunks between the reader and the log.
const IN_FLIGHT: usize = 8;

/// Something to read events from.
pub struct Input {
    /// As people know it; it stands in rejects and errors.
    pub name: String,
    pub reader: Box<dyn Read + Send>,
}

/// What a run needs besides its inputs.
pub struct Job<'a> {
    pub rules: &'a [Rule],
    pub enricher: Arc<Enricher>,
    pub resources: Resources,
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// In the order of event time, event id and rule.
    pub anomalies: Vec<Anomaly>,
    /// Events that were decoded, duplicates included.
    pub events: u64,
    pub rejects: u64,
    pub duplicates: Duplicates,
    /// Whether the log did not fit into memory.
    pub is_on_disk: bool,
    /// Rules that could not be run to their end, each with the reason.
    pub failures: Vec<(String, String)>,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{input} cannot be read to its end: {source}; check that the file is whole")]
    Read { input: String, source: io::Error },
    #[error("a reject cannot be written: {0}")]
    Reject(io::Error),
    #[error("the temporary folder cannot be used: {0}; free some space, or set TMPDIR")]
    Spill(io::Error),
    #[error("rules cannot be run")]
    Detect(#[from] crate::detect::Error),
}

/// Reads all inputs, runs the rules over them and gives the anomalies. Rejects are handed over as
/// they come, in the order of the input.
///
/// # Errors
/// When an input cannot be read to its end, a reject is not taken, the temporary folder fails or a
/// rule cannot run.
pub fn detect(
    inputs: Vec<Input>,
    job: &Job<'_>,
    reject: &mut dyn FnMut(&Reject) -> io::Result<()>,
) -> Result<Outcome, Error> {
    let read: ColumnSet = job.rules.iter().fold(order::columns(), |columns, rule| {
        columns.union(rule.columns)
    });
    let mut outcome = Outcome::default();
    let log = Arc::new(collect(inputs, job, read, reject, &mut outcome)?);
    outcome.duplicates = log.duplicates();
    outcome.is_on_disk = log.is_on_disk();
    let programs: Vec<_> = job.rules.iter().map(|rule| &rule.program).collect();
    let mut findings = Vec::with_capacity(job.rules.len());
    for (rule, ran) in job
        .rules
        .iter()
        .zip(history::run(&log, &programs, job.resources)?)
    {
        findings.push(ran.unwrap_or_else(|error| {
            let name = format!("{} ({})", rule.name, rule.file);
            outcome.failures.push((name, error.to_string()));
            Vec::new()
        }));
    }
    outcome.anomalies = records(job, &log, findings)?;
    Ok(outcome)
}

/// The log of all inputs.
fn collect(
    inputs: Vec<Input>,
    job: &Job<'_>,
    columns: ColumnSet,
    reject: &mut dyn FnMut(&Reject) -> io::Result<()>,
    outcome: &mut Outcome,
) -> Result<Log, Error> {
    let mut collector = Collector::new(columns, job.resources.memory_bytes);
    let (sender, receiver) = sync_channel(IN_FLIGHT);
    let enricher = &job.enricher;
    thread::scope(|scope| {
        let reading = scope.spawn(move || read_all(inputs, enricher, columns, &sender));
        // The receiver goes with this closure: if it ends early, the reader notices and stops.
        let take = move || -> Result<Log, Error> {
            for (input, decoded) in receiver {
                // A worker that went away has panicked, which the pool reports.
                let Ok(Decoded { batch, rejects }) = decoded.recv() else {
                    continue;
                };
                outcome.events += batch.num_rows() as u64;
                outcome.rejects += rejects.len() as u64;
                for mut refused in rejects {
                    refused.input = input.to_string();
                    reject(&refused).map_err(Error::Reject)?;
                }
                collector.push(batch).map_err(Error::Spill)?;
            }
            collector.finish().map_err(Error::Spill)
        };
        let taken = take();
        match reading.join() {
            Ok(read) => read.and(taken),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// A chunk under way: its input, and where its rows will come from.
type Pending = (Arc<str>, Receiver<Decoded>);

/// Reads the inputs one after the other and has their chunks decoded.
fn read_all(
    inputs: Vec<Input>,
    enricher: &Arc<Enricher>,
    columns: ColumnSet,
    sender: &SyncSender<Pending>,
) -> Result<(), Error> {
    let mut framer = Framer::new(CHUNK_BYTES);
    let mut buffer = vec![0; READ_BYTES];
    let mut chunks = Vec::new();
    for Input { name, mut reader } in inputs {
        let input: Arc<str> = name.into();
        loop {
            let bytes = match reader.read(&mut buffer) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    let input = input.to_string();
                    return Err(Error::Read { input, source });
                }
            };
            if bytes == 0 {
                framer.finish(&mut chunks);
            } else {
                framer.push(&buffer[..bytes], &mut chunks);
            }
            for chunk in chunks.drain(..) {
                let decoded = start(chunk, enricher, columns);
                if sender.send((Arc::clone(&input), decoded)).is_err() {
                    // Nobody takes them any more.
                    return Ok(());
                }
            }
            if bytes == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// Has a chunk decoded and enriched by the thread pool.
fn start(chunk: Chunk, enricher: &Arc<Enricher>, columns: ColumnSet) -> Receiver<Decoded> {
    let (sender, receiver) = sync_channel(1);
    let enricher = Arc::clone(enricher);
    rayon::spawn(move || {
        let Decoded { batch, rejects } =
            decode::decode(chunk, columns.union(Enricher::inputs(columns)));
        let batch = enricher.enrich(&batch, columns);
        // If nobody waits for it any more, the run has ended.
        let _ = sender.send(Decoded { batch, rejects });
    });
    receiver
}

/// The records of all findings. Their triggering events are decoded once more, with all columns.
fn records(job: &Job<'_>, log: &Log, findings: Vec<Vec<Finding>>) -> Result<Vec<Anomaly>, Error> {
    /// Triggering events that are in memory at once.
    const AT_ONCE: usize = 1024;
    let rules = job.rules.iter().zip(findings);
    let mut found: Vec<(&Rule, Finding)> = rules
        .flat_map(|(rule, findings)| findings.into_iter().map(move |f| (rule, f)))
        .collect();
    found.sort_by(|(a_rule, a), (b_rule, b)| {
        let order = |finding: &Finding| (finding.order_time, finding.event_time);
        let names = |finding: &Finding, rule: &Rule| (finding.event_id.clone(), rule.name.clone());
        order(a)
            .cmp(&order(b))
            .then_with(|| names(a, a_rule).cmp(&names(b, b_rule)))
    });
    let mut anomalies = Vec::with_capacity(found.len());
    let mut found = found.into_iter().peekable();
    while found.peek().is_some() {
        let some: Vec<(&Rule, Finding)> = found.by_ref().take(AT_ONCE).collect();
        let triggers = triggers(job, log, some.iter().map(|(_, finding)| finding))?;
        let pairs = some.into_iter().zip(triggers);
        anomalies.extend(pairs.map(|((rule, finding), trigger)| rule.record(finding, trigger)));
    }
    Ok(anomalies)
}

/// The triggering events of the findings, in their order.
fn triggers<'a>(
    job: &Job<'_>,
    log: &Log,
    findings: impl Iterator<Item = &'a Finding>,
) -> Result<Vec<Trigger>, Error> {
    let names: Vec<_> = findings
        .map(|f| (f.order_time, f.event_time, f.event_id.as_str()))
        .collect();
    let lines = log.raw(&names).map_err(Error::Spill)?;
    let known = lines.iter().flatten().map(String::as_str);
    let batch = decode::decode_raw(known, ColumnSet::all());
    let batch = job.enricher.enrich(&batch, ColumnSet::all());
    let mut rows = 0..batch.num_rows();
    let trigger = |line: &Option<String>| {
        // A rule may name an event that is not there; its record then has no more than the name.
        let row = line.as_ref().and_then(|_| rows.next());
        row.map(|row| Trigger::read(&batch, row))
            .unwrap_or_default()
    };
    Ok(lines.iter().map(trigger).collect())
}
