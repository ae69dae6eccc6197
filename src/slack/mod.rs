//! A client of Slack's APIs, with the few methods that gridwatch calls.
//!
//! ```text
//!          ┌─ GET  logs ───────────────────────────────────► audit: events, the newest first
//!          ├─ POST admin.users.list ────────────────────┐
//! Client ──┼─ POST users.list ──────────────────────────┼──► directory: people and groups
//!          ├─ POST usergroups.list ─────────────────────┘
//!          ├─ POST admin.audit.anomaly.allow.getItem ───┐
//!          └─ POST admin.audit.anomaly.allow.updateItem ┴──► allow: networks that Slack trusts
//! ```
//!
//! A call is one request, and one answer or one [`Error`]. Paging on, waiting and trying again are up
//! to the caller, who alone knows what is urgent.

pub mod allow;
mod answer;
pub mod audit;
mod client;
pub mod directory;
mod error;
#[cfg(test)]
mod tests;

pub use self::client::Client;
pub use self::error::Error;
