//! The wiring: from inputs to anomalies. The only place that sees both ends.
//!
//! ```text
//! inputs ─► read ─► stream ─► live ─► records      sorted input, event by event
//!                └► collect ─► live or history     input in any order, once all of it is there
//! ```
//!
//! Rules over anomalies stand in a *stratum* above those over events: at each step they take what
//! these found in it.

mod collect;
mod days;
mod engine;
mod kept;
mod read;
mod record;
pub mod service;
mod stratum;
mod stream;

use std::io;
use std::sync::Arc;

pub use self::days::recorded_days;
pub use self::kept::{counted_since, detect_kept};
pub use self::read::{Again, Input};
use self::record::Records;
use crate::anomaly::Anomaly;
use crate::detect::Table;
use crate::detect::days::Recorded;
use crate::detect::history::Resources;
use crate::enrich::Enricher;
use crate::event::order::{self, Duplicates};
use crate::event::reject::Reject;
use crate::event::schema::ColumnSet;
use crate::list::Lists;
use crate::rule::Rule;

/// How rules are run. Both ways give the same anomalies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Execution {
    /// Event by event.
    #[default]
    Live,
    /// As queries over all events.
    History,
}

/// What a run needs besides its inputs.
pub struct Job<'a> {
    pub rules: &'a [Rule],
    /// What the inputs are: events or, where rules over anomalies are tried out, these.
    pub input: Table,
    pub lists: Lists,
    pub enricher: Arc<Enricher>,
    pub resources: Resources,
    pub execution: Execution,
    /// Columns to build besides those that rules read.
    pub extra: ColumnSet,
    /// How long after the last event nothing more happened, as far as is known; microseconds. A file says
    /// nothing of that, so it is 0; in tests of rules time goes on.
    pub quiet_micros: i64,
    /// By rule, the watermark from which on it counts, in microseconds: what it found before, nobody was
    /// told. A rule that is not in it counts from the beginning.
    pub counted_since: Vec<Option<i64>>,
    /// By rule, the tables of days that were recorded; empty where all are computed.
    pub recorded_days: Vec<Recorded>,
}

impl Job<'_> {
    /// The columns to build.
    fn columns(&self) -> ColumnSet {
        let columns = order::columns().union(self.extra);
        let rules = self.rules_over_input().into_iter();
        rules.fold(columns, |columns, rule| {
            columns.union(self.rules[rule].columns)
        })
    }

    /// Whether somebody was told of what a rule found in a row of this order time.
    fn counts(&self, rule: usize, order_time: i64) -> bool {
        let since = self.counted_since.get(rule).copied().flatten();
        let judged = order_time.saturating_add(self.rules[rule].program.wait_micros);
        since.is_none_or(|since| judged >= since)
    }

    /// The tables of days that were recorded for a rule.
    fn days(&self, rule: usize) -> Recorded {
        self.recorded_days.get(rule).cloned().unwrap_or_default()
    }

    /// The positions of the rules that read the inputs.
    fn rules_over_input(&self) -> Vec<usize> {
        self.rules_that(|reads| reads == self.input)
    }

    /// The positions of the rules that read what those found.
    fn rules_over_anomalies(&self) -> Vec<usize> {
        self.rules_that(|reads| reads == Table::Anomalies && self.input == Table::Events)
    }

    /// Whether rules read what these rules find.
    fn has_rules_over(&self, rules: &[usize]) -> bool {
        let above = self.rules_over_anomalies();
        !above.is_empty() && above != rules
    }

    fn rules_that(&self, read: impl Fn(Table) -> bool) -> Vec<usize> {
        let rules = self.rules.iter().enumerate();
        let rules = rules.filter(|(_, rule)| read(rule.program.reads));
        rules.map(|(at, _)| at).collect()
    }
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// In the order of event time, event id and rule.
    pub anomalies: Vec<Anomaly>,
    /// Matches that meet an exception, in the same order.
    pub excepted: Vec<Anomaly>,
    /// Events that were decoded, duplicates included.
    pub events: u64,
    pub rejects: u64,
    pub duplicates: Duplicates,
    /// Whether the log did not fit into memory.
    pub is_on_disk: bool,
    /// Rules that knew too little to find anything at the end, each with how many active hours it knew, and
    /// how many there must be. The live execution tells.
    pub silent: Vec<(String, u64, u64)>,
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
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    #[error("rules cannot be run")]
    Detect(#[from] crate::detect::Error),
    /// [`detect`] then sorts them.
    #[error(transparent)]
    Disorder(#[from] order::Disorder),
}

/// Reads all inputs, runs the rules over them and gives the anomalies. Rejects are handed over as
/// they come, in the order of the input.
///
/// The live execution takes events as they come, if they come in order of time. If they turn out not
/// to, all inputs are read once more and sorted first; inputs that cannot be read again are sorted
/// in any case.
///
/// # Errors
/// When an input cannot be read to its end, a reject is not taken, the temporary folder fails or a
/// rule cannot run.
pub fn detect(
    inputs: Vec<Input>,
    job: &Job<'_>,
    reject: &mut dyn FnMut(&Reject) -> io::Result<()>,
) -> Result<Outcome, Error> {
    let (mut readers, mut again) = (Vec::new(), Vec::new());
    for input in inputs {
        again.push((input.name.clone(), input.again));
        readers.push((input.name, input.reader));
    }
    let can_repeat = again.iter().all(|(_, again)| again.is_some());
    if job.execution == Execution::History || !can_repeat {
        return collect::run(readers, job, 0, reject);
    }
    let mut told = 0;
    let mut tell = |refused: &Reject| {
        told += 1;
        reject(refused)
    };
    match stream::run(readers, job, &mut tell) {
        Err(Error::Disorder(_)) => {}
        done => return done,
    }
    let mut readers = Vec::new();
    for (name, again) in again {
        let opened = again.map(|again| again());
        match opened {
            Some(Ok(reader)) => readers.push((name, reader)),
            Some(Err(source)) => {
                return Err(Error::Read {
                    input: name,
                    source,
                });
            }
            None => {}
        }
    }
    collect::run(readers, job, told, reject)
}

/// An error that only a defect of this program explains.
fn defect(error: &dyn std::fmt::Display) -> Error {
    crate::detect::Error::Failed(error.to_string()).into()
}

/// The rules that failed, as people know them.
fn named(rule: &Rule, reason: String) -> (String, String) {
    (format!("{} ({})", rule.name, rule.file), reason)
}
