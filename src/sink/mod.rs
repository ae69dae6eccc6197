//! Where anomalies go: each sink is a file that says how they get there.
//!
//! What is delivered comes from the outbox, in its order, and at least once; an anomaly that is
//! delivered again has the same id and the same record.

pub mod file;

use serde::Serialize;

use crate::event::time::rfc3339;

/// An anomaly on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The record as JSON.
    pub record: String,
    /// When it was found by the clock, in microseconds.
    pub found_at: i64,
}

/// Somewhere that anomalies go to.
pub trait Sink: Send {
    /// Takes these, in their order; `now` is the clock in microseconds. When it returns, all are where
    /// they should be.
    ///
    /// # Errors
    /// When not all of them are; they are then delivered once more.
    fn deliver(&mut self, deliveries: &[Delivery], now: i64) -> Result<(), Error>;
}

/// Why a sink did not take what it was given.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {source}; {remedy}")]
pub struct Error {
    pub place: String,
    pub source: std::io::Error,
    pub remedy: &'static str,
}

/// What stands around a record: what does not follow from the log.
#[derive(Debug, Serialize)]
struct Envelope {
    found_at: String,
}

impl Delivery {
    /// The record with one more field, `envelope`.
    pub fn native(&self) -> String {
        let envelope = Envelope {
            found_at: rfc3339(self.found_at),
        };
        // Texts alone.
        let envelope = serde_json::to_string(&envelope).unwrap_or_default();
        match self.record.strip_suffix('}') {
            Some(fields) => format!("{fields},\"envelope\":{envelope}}}"),
            None => self.record.clone(),
        }
    }
}
