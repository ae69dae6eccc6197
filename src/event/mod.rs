//! The event: from the bytes that Slack writes to the columns that rules read.
//!
//! `frame` cuts a byte stream into events, `wire` decodes one without copying, `decode` builds the
//! columns of `schema`, `action` decides whose context an event carries, `order` sorts and removes
//! duplicates. What is no event becomes a `reject`.

pub mod action;
pub mod decode;
pub mod details;
pub mod frame;
pub mod id;
pub mod order;
pub mod reject;
pub mod schema;
mod surrogate;
pub mod time;
pub mod wire;
