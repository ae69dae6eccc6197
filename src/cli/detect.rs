use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::format::{self, Format};
use super::progress::Progress;
use super::setup::{ConfigFile, NetworkFiles, Setup};
use super::show::{printable, thousands};
use super::{End, Failure, load};
use crate::anomaly::{Anomaly, Level};
use crate::clock::Stopwatch;
use crate::detect::Table;
use crate::detect::history::Resources;
use crate::enrich::Enricher;
use crate::event::schema::ColumnSet;
use crate::pipeline::{self, Again, Input, Job, Outcome};
use crate::rule::Rule;
use crate::source::file;
use crate::store::Reader;

/// Runs rules over audit-log files and prints the anomalies
///
/// Reads NDJSON, JSON arrays and pages of the Audit Logs API, plain or compressed with gzip or zstd,
/// in any order. Exits with 0 whatever was found, unless --fail-on says otherwise.
#[derive(Debug, Args)]
pub(super) struct Detect {
    /// Files of events; `-`, or none, for standard input
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// Run over what the service keeps, and print what it found itself
    #[arg(long, conflicts_with_all = ["files", "networks", "geo", "rejects"])]
    archive: bool,
    /// Of the archive also events that came too late to be judged when they came
    #[arg(long, requires = "archive")]
    late: bool,
    /// A rule file, or a folder of them, besides the embedded rules; the same name overrides
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// Run just the rule of this name
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    #[command(flatten)]
    networks: NetworkFiles,
    #[command(flatten)]
    config: ConfigFile,
    /// How the rules are run; both ways find the same
    #[arg(long, value_enum, default_value_t)]
    execution: Execution,
    /// The form of the output: a table on a terminal, else NDJSON
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where to write what is no event, one JSON object a line
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Where to write the matches that exceptions bar, one JSON object a line
    #[arg(long, value_name = "FILE")]
    excepted: Option<PathBuf>,
    /// Exit with 1 if there is an anomaly of this level or above
    #[arg(long, value_name = "LEVEL")]
    fail_on: Option<Level>,
    /// Memory for events in MiB; what does not fit goes to temporary files
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    memory_mib: u32,
    /// Memory for what rules remember in MiB; if it is not enough, the largest rule is stopped
    #[arg(long, value_name = "N", default_value_t = STATE_MIB, value_parser = clap::value_parser!(u32).range(1..))]
    state_mib: u32,
    /// No progress and no summary
    #[arg(long, short)]
    quiet: bool,
}

/// How rules are run.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Execution {
    /// Event by event, as the service does
    #[default]
    Live,
    /// As queries over all events
    History,
}

impl From<Execution> for pipeline::Execution {
    fn from(execution: Execution) -> Self {
        match execution {
            Execution::Live => Self::Live,
            Execution::History => Self::History,
        }
    }
}

impl Detect {
    pub fn run(&self) -> Result<End, Failure> {
        let setup = Setup::read(&self.config)?;
        let rules = load::with_sources(setup.rules(&self.rules)?, &self.only)?;
        if !self.quiet {
            for warning in load::warnings(&rules, &setup.actions) {
                let line = printable(&warning.to_string());
                writeln!(io::stderr(), "warning: {line}").map_err(Failure::io)?;
            }
        }
        let networks = setup.networks(&self.networks)?;
        let has_networks = !networks.is_empty() || self.archive;
        let kept = match self.archive {
            true => Some(Reader::open(&setup.store_path()).map_err(Failure::io)?),
            false => None,
        };
        let kept = kept.map(Arc::new);
        let read = Arc::new(AtomicU64::new(0));
        let files = self.files();
        let inputs = match &kept {
            Some(_) => Vec::new(),
            None => open(&files, &read)?,
        };
        let mut rejects = Lines::open("rejects", self.rejects.as_ref(), &files)?;
        let mut excepted = Lines::open("excepted", self.excepted.as_ref(), &files)?;
        let watch = Stopwatch::start();
        let progress =
            (!self.quiet && kept.is_none()).then(|| Progress::follow(&read, total(&files)));
        let job = Job {
            rules: &rules,
            input: Table::Events,
            lists: setup.lists.clone(),
            enricher: Arc::new(Enricher::new(networks)),
            resources: resources(self.memory_mib, self.state_mib),
            execution: self.execution.into(),
            extra: ColumnSet::default(),
            quiet_micros: 0,
            counted_since: match &kept {
                Some(reader) => pipeline::counted_since(reader, &rules).map_err(failure)?,
                None => Vec::new(),
            },
            recorded_days: match &kept {
                Some(reader) => pipeline::recorded_days(reader, &rules).map_err(failure)?,
                None => Vec::new(),
            },
        };
        let outcome = match &kept {
            Some(reader) => pipeline::detect_kept(reader, &job, self.late),
            None => pipeline::detect(inputs, &job, &mut |reject| rejects.write(reject)),
        };
        drop(progress);
        let mut outcome = outcome.map_err(failure)?;
        rejects.flush()?;
        if !self.only.is_empty() {
            let is_asked = |anomaly: &Anomaly| self.only.contains(&anomaly.rule);
            outcome.anomalies.retain(is_asked);
            outcome.excepted.retain(is_asked);
        }
        for anomaly in &outcome.excepted {
            excepted.write(anomaly).map_err(Failure::io)?;
        }
        excepted.flush()?;
        let is_bad = |anomaly: &Anomaly| {
            let least = self.fail_on;
            least.is_some_and(|least| anomaly.level >= least && !anomaly.shadow)
        };
        let end = if outcome.anomalies.iter().any(is_bad) {
            End::Bad
        } else {
            End::Good
        };
        let format = self
            .format
            .unwrap_or(Format::default_for(io::stdout().is_terminal()));
        let mut out = BufWriter::new(io::stdout().lock());
        match format::write(&outcome.anomalies, format, &mut out) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(end),
            written => written.map_err(Failure::io)?,
        }
        if !self.quiet {
            let is_asked = |rule: &&Rule| self.only.is_empty() || self.only.contains(&rule.name);
            let asked: Vec<Rule> = rules.iter().filter(is_asked).cloned().collect();
            summary(
                &outcome,
                &asked,
                watch.elapsed().as_secs_f64(),
                has_networks,
            )
            .map_err(Failure::io)?;
        }
        failures(&outcome)?;
        Ok(end)
    }

    fn files(&self) -> Vec<String> {
        if self.files.is_empty() {
            vec!["-".to_owned()]
        } else {
            self.files.clone()
        }
    }
}

/// What rules may remember unless it is said otherwise.
pub(super) const STATE_MIB: u32 = 4096;

/// All threads of the machine, and so much memory for events and for what rules remember.
pub(super) fn resources(memory_mib: u32, state_mib: u32) -> Resources {
    Resources {
        threads: thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: (memory_mib as usize) << 20,
        state_bytes: (state_mib as usize) << 20,
    }
}

/// Opens the files, each once it is its turn to be read; that they can be opened is seen now.
pub(super) fn open(files: &[String], read: &Arc<AtomicU64>) -> Result<Vec<Input>, Failure> {
    if files.iter().filter(|file| *file == "-").count() > 1 {
        return Err(Failure::usage(anyhow!("`-` can be read once only")));
    }
    if files.iter().any(|file| file == "-") && io::stdin().is_terminal() {
        let hint = "name a FILE of events, or pipe events in; see gridwatch detect --help";
        return Err(Failure::usage(anyhow!(hint)));
    }
    let open = |name: &String| {
        let reader = file::open(name, Arc::clone(read)).map_err(Failure::io)?;
        Ok(Input {
            name: name.clone(),
            reader,
            again: file::size(name).map(|_| again(name, read)),
        })
    };
    files.iter().map(open).collect()
}

/// Opens a file once more, and counts from its beginning what is read.
fn again(name: &str, read: &Arc<AtomicU64>) -> Again {
    let (name, read) = (name.to_owned(), Arc::clone(read));
    Box::new(move || {
        read.store(0, Ordering::Relaxed);
        file::open(&name, Arc::clone(&read)).map_err(io::Error::other)
    })
}

/// The size of all files; `None` if one of them has none.
fn total(files: &[String]) -> Option<u64> {
    files.iter().map(|name| file::size(name)).sum()
}

pub(super) fn failure(error: pipeline::Error) -> Failure {
    match error {
        pipeline::Error::Read { .. }
        | pipeline::Error::Reject(_)
        | pipeline::Error::Spill(_)
        | pipeline::Error::Store(_) => Failure::io(error),
        pipeline::Error::Detect(_) | pipeline::Error::Disorder(_) => Failure::internal(error),
    }
}

/// A file of JSON lines, if one is wanted.
struct Lines(Option<BufWriter<File>>);

impl Lines {
    /// Creates the file of this option, which must not be one of the inputs.
    fn open(option: &str, path: Option<&PathBuf>, inputs: &[String]) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self(None));
        };
        let name = path.display();
        let is_input = |input: &String| {
            let (a, b) = (fs::canonicalize(input), fs::canonicalize(path));
            a.is_ok_and(|a| b.is_ok_and(|b| a == b))
        };
        if inputs.iter().any(is_input) {
            return Err(Failure::usage(anyhow!(
                "--{option} {name} is an input; name another file"
            )));
        }
        let file = File::create(path).with_context(|| format!("cannot write to {name}"));
        Ok(Self(Some(BufWriter::new(file.map_err(Failure::io)?))))
    }

    fn write(&mut self, item: &impl Serialize) -> io::Result<()> {
        let Some(file) = &mut self.0 else {
            return Ok(());
        };
        serde_json::to_writer(&mut *file, item)?;
        file.write_all(b"\n")
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.0
            .as_mut()
            .map_or(Ok(()), Write::flush)
            .map_err(Failure::io)
    }
}

/// Fails if a rule could not be run to its end.
pub(super) fn failures(outcome: &Outcome) -> Result<(), Failure> {
    if outcome.failures.is_empty() {
        return Ok(());
    }
    let lines = outcome
        .failures
        .iter()
        .map(|(rule, reason)| format!("rule {rule}: {reason}"));
    Err(Failure::internal(anyhow!(
        lines.collect::<Vec<_>>().join("\n")
    )))
}

/// The closing lines for people.
pub(super) fn summary(
    outcome: &Outcome,
    rules: &[Rule],
    seconds: f64,
    has_networks: bool,
) -> io::Result<()> {
    let mut err = io::stderr().lock();
    let per_second = (outcome.events as f64 / seconds.max(1e-3)) as u64;
    writeln!(
        err,
        "{} events, {} rejects, {} duplicates in {seconds:.2} s ({} events/s)",
        thousands(outcome.events),
        thousands(outcome.rejects),
        thousands(outcome.duplicates.dropped),
        thousands(per_second),
    )?;
    if outcome.duplicates.differing > 0 {
        writeln!(
            err,
            "{} duplicates differed in their bytes",
            outcome.duplicates.differing
        )?;
    }
    if outcome.is_on_disk {
        writeln!(
            err,
            "the events did not fit into memory and were sorted on disk"
        )?;
    }
    let needs_networks = |rule: &Rule| ["travel", "session_split"].contains(&rule.kind);
    if !has_networks && rules.iter().any(needs_networks) {
        writeln!(
            err,
            "no places are known: give network data by --networks or --geo to see travel and sessions \
             that were split"
        )?;
    }
    let mut counts: BTreeMap<&str, u64> =
        rules.iter().map(|rule| (rule.name.as_str(), 0)).collect();
    for anomaly in &outcome.anomalies {
        *counts.entry(&anomaly.rule).or_default() += 1;
    }
    let quiet = counts.values().filter(|count| **count == 0).count();
    let loud = counts.iter().filter(|(_, count)| **count > 0);
    let mut counts: Vec<String> = loud
        .map(|(rule, count)| format!("{rule} {count}"))
        .collect();
    if quiet > 0 {
        counts.push(format!("{quiet} rules found nothing"));
    }
    writeln!(
        err,
        "{} anomalies: {}",
        outcome.anomalies.len(),
        counts.join(", ")
    )?;
    for (rule, known, least) in &outcome.silent {
        writeln!(
            err,
            "{rule} is silent so far: it knows {known} active hours of people, and {least} are enough"
        )?;
    }
    if !outcome.excepted.is_empty() {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for name in outcome.excepted.iter().filter_map(|a| a.exception.as_ref()) {
            *counts.entry(name).or_default() += 1;
        }
        let counts: Vec<String> = counts
            .iter()
            .map(|(exception, count)| format!("{exception} {count}"))
            .collect();
        let total = outcome.excepted.len();
        writeln!(err, "{total} matches excepted: {}", counts.join(", "))?;
    }
    Ok(())
}
