//! A client of Slack's APIs, with the few methods that gridwatch calls.
//!
//! ```text
//!          ┌─ GET  logs ───────────────────────────────────► audit: events, the newest first
//!          ├─ POST admin.users.list ────────────────────┐
//! Client ──┼─ POST users.list ──────────────────────────┼──► directory: people and groups
//!          ├─ POST usergroups.list ─────────────────────┘
//!          ├─ POST admin.audit.anomaly.allow.getItem ───┐
//!          ├─ POST admin.audit.anomaly.allow.updateItem ┴──► allow: networks that Slack trusts
//!          ├─ POST auth.test ───────────────────────────┐
//!          ├─ POST admin.users.session.list             │
//!          ├─ POST admin.users.session.invalidate       ├──► session: who is signed in, and signing out
//!          ├─ POST admin.users.session.reset            │
//!          ├─ POST admin.users.session.resetBulk ───────┘
//!          ├─ POST conversations.open ──────────────────┐
//!          └─ POST chat.postMessage ────────────────────┴──► chat: messages
//! ```
//!
//! A call is one request, and one answer or one [`Error`]; a few in `session` and `chat` take more than
//! one request, and end with the first error. Paging on elsewhere, waiting and trying again are up to the
//! caller, who alone knows what is urgent.

pub mod allow;
mod answer;
pub mod audit;
pub mod chat;
mod client;
pub mod directory;
mod error;
pub mod session;
#[cfg(test)]
mod tests;

pub use self::client::Client;
pub use self::error::Error;
