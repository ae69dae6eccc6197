//! Detection: one rule, one SQL query over the table `events`, or over `anomalies`, and what it finds.
//!
//! [`session`] says which SQL a rule may use, [`plan`] checks a program before it runs, [`history`]
//! runs it with stock DataFusion over a [`Log`](crate::event::order::Log), `function/` holds what
//! frames cannot say. Nothing here reads a clock, draws a random number or does I/O beyond reading
//! the log.

mod aggregate;
pub mod days;
pub mod filter;
pub mod finding;
pub mod function;
mod graph;
pub mod history;
pub mod live;
mod lookup;
mod marked;
mod members;
pub mod plan;
mod reads;
pub mod session;
mod shard;
mod snapshot;
mod table;
pub mod trigger;
mod window;

use serde_json::Value;

pub use self::reads::Table;

/// Names of result columns with a meaning of their own; all others are evidence.
pub mod column {
    /// The triggering event, by which a record is known; not null.
    pub const EVENT_ID: &str = "event_id";
    pub const EVENT_TIME: &str = "event_time";
    pub const ORDER_TIME: &str = "order_time";
    /// The level of this finding as text; not null.
    pub const LEVEL: &str = "level";
    /// Reason codes: one as text, or several as a JSON array. NULL leaves those of the rule.
    pub const REASON: &str = "reason";
    /// What a keyed function found, as JSON: see [`super::function::Found`].
    pub const FINDING: &str = "finding";
    /// What a kind of ours measured.
    pub const OBSERVED: &str = "observed";
    /// The number of a match within its suppression period; only the first stands.
    pub const STANDING: &str = "standing";

    /// The name of the exception that a match meets; NULL if it meets none.
    pub const EXCEPTION: &str = "exception";

    /// The columns that every program must return.
    pub const REQUIRED: [&str; 4] = [EVENT_ID, EVENT_TIME, ORDER_TIME, LEVEL];
}

/// A rule in the form in which it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// One SELECT over one table; a row is a finding, its columns are as in [`column`].
    pub sql: String,
    /// That table.
    pub reads: Table,
    /// The result columns that make up the rule's key.
    pub key: Vec<String>,
    /// How far its windows look ahead. A row is judged when the watermark has passed its
    /// `order_time` by more than this; rows that are not at the end of a log are not judged.
    pub wait_micros: i64,
    /// What held for every finding.
    pub conditions: Vec<Condition>,
    /// Which events formed a finding, where its trigger alone did not.
    pub members: Option<Members>,
}

/// A condition that every finding of a program meets.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// In the words of the rule.
    pub text: String,
    /// The result columns that show what was observed; none where there is nothing to show.
    pub observed: Vec<String>,
    /// What was asked of it.
    pub limit: Value,
}

/// The events within a sliding window.
#[derive(Clone, Debug, PartialEq)]
pub struct Members {
    /// A SELECT over the same table that gives `event_id`, `event_time`, `order_time` and the key of the
    /// events that count.
    pub sql: String,
    /// How far the window reaches back from the triggering event, in microseconds; both ends count.
    pub span_micros: i64,
}

/// Why a program cannot run, or failed while it ran.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rule's fault: it says what to change.
    #[error("{0}")]
    Refused(String),
    /// The log could not be read, or DataFusion gave up.
    #[error("{0}")]
    Failed(String),
}
