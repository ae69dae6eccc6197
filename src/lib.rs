//! gridwatch finds what does not fit in the audit log of a Slack Enterprise Grid organisation, and
//! says why.
//!
//! ```text
//! source ──► event ──► enrich ──► admit ──► detect ──► anomaly ──► sink
//! (bytes)   (Arrow)   (columns)  (the log)  (rules)   (records)
//!                                   │  ▲ past            │
//!                                 store ◄────────────────┘
//!                                   ▲
//!                                 serve
//! ```
//!
//! The modules stand in the order of the way of the data; [`pipeline`] is the only one that sees
//! both ends.

/// What becomes of an event when it comes.
pub mod admit;
/// The record of what was found.
pub mod anomaly;
/// One file a verb.
pub mod cli;
pub mod clock;
/// The configuration file, and reading YAML.
pub mod config;
/// A rule's query over the log, and what it finds.
pub mod detect;
/// Columns looked up by address and by user agent.
pub mod enrich;
/// From Slack's bytes to the columns that rules read.
pub mod event;
/// What operators know of values: networks, people, groups.
pub mod list;
/// The wiring, from bytes to records.
pub mod pipeline;
/// From a rule file to a query, and from a finding to a record.
pub mod rule;
/// The HTTP server.
pub mod serve;
/// A simulated organisation, its attacks, and what really happened.
pub mod simulate;
/// Where anomalies go.
pub mod sink;
/// Slack's interfaces, as we call them.
pub mod slack;
/// Where bytes come from.
pub mod source;
/// The log on disk, and what became of it.
pub mod store;
/// Metrics and logging.
pub mod telemetry;
pub mod tls;
