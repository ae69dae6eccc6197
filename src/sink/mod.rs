//! Where anomalies go, and raw events for whoever wants them: each sink is a file that says how they
//! get there.
//!
//! ```text
//! outbox ─► deliver ─► file
//!                   ├► webhook ─┐
//!                   ├► splunk ──┴► http (who may be asked, and what the answer means)
//!                   └► syslog
//!            format: native, or ocsf
//! ```
//!
//! What is delivered comes in its order, and at least once; an anomaly that is delivered again has the
//! same id and the same record.

pub mod file;
pub mod http;
pub mod ocsf;
pub mod splunk;
pub mod syslog;
pub mod webhook;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::time::rfc3339;

/// Something on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// An anomaly's record as JSON, or the line of an event.
    pub record: String,
    /// When it was found, or came, by the clock, in microseconds.
    pub found_at: i64,
    pub kind: Kind,
}

/// What is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Anomaly,
    /// A raw event, as Slack wrote it.
    Event,
}

/// The form in which an anomaly is written; events are always as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Our own record, as JSON.
    Native,
    /// A Detection Finding of the Open Cybersecurity Schema Framework.
    Ocsf,
}

/// Somewhere that anomalies or events go to.
#[async_trait]
pub trait Sink: Send {
    /// Takes these, in their order; `now` is the clock in microseconds. What is settled when it returns
    /// is where it should be.
    async fn deliver(&mut self, deliveries: &[Delivery], now: i64) -> Report;
}

/// How far a delivery came.
#[derive(Debug, Default)]
pub struct Report {
    /// The first so many are settled: taken, or refused for good.
    pub settled: usize,
    /// Of those, the positions of what was refused for good, each with the reason.
    pub refused: Vec<(usize, String)>,
    /// Why the rest was not taken; it is delivered once more.
    pub error: Option<Error>,
}

impl Report {
    /// All of so many were taken.
    pub fn all(deliveries: usize) -> Self {
        Self {
            settled: deliveries,
            ..Self::default()
        }
    }

    /// None was taken.
    pub fn none(error: Error) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}

/// Why a sink did not take what it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}; {remedy}")]
pub struct Error {
    pub place: String,
    pub reason: String,
    pub remedy: &'static str,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// What stands around a record: what does not follow from the log.
#[derive(Debug, Serialize)]
struct Envelope {
    found_at: String,
}

/// What sinks need to know of an anomaly or an event.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Head {
    id: String,
    event_time: Option<String>,
    date_create: Value,
}

impl Delivery {
    /// As JSON: an anomaly's record with one more field, `envelope`; an event as it is.
    pub fn native(&self) -> String {
        let envelope = Envelope {
            found_at: rfc3339(self.found_at),
        };
        // Texts alone.
        let envelope = serde_json::to_string(&envelope).unwrap_or_default();
        match (self.kind, self.record.strip_suffix('}')) {
            (Kind::Anomaly, Some(fields)) => format!("{fields},\"envelope\":{envelope}}}"),
            _ => self.record.clone(),
        }
    }

    /// As JSON in this format.
    pub fn rendered(&self, format: Format) -> String {
        match (format, self.kind) {
            (Format::Ocsf, Kind::Anomaly) => ocsf::finding(&self.record, self.found_at),
            _ => self.native(),
        }
    }

    /// Its id; empty if it has none.
    pub fn id(&self) -> String {
        self.head().id
    }

    /// When the event happened, in microseconds; when it was found if it does not say.
    pub fn time(&self) -> i64 {
        let head = self.head();
        let written = head.event_time.and_then(|time| time.parse().ok());
        let written = written.map(jiff::Timestamp::as_microsecond);
        let second = head.date_create.as_i64();
        let second = second.and_then(|second| second.checked_mul(1_000_000));
        written.or(second).unwrap_or(self.found_at)
    }

    fn head(&self) -> Head {
        serde_json::from_str(&self.record).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_delivered_tells_its_id_and_time() {
        let found_at = 1_772_438_400_000_000;
        for (kind, record, id, time) in [
            (
                Kind::Anomaly,
                r#"{"id":"a","event_time":"2026-03-02T07:59:58Z"}"#,
                "a",
                found_at - 2_000_000,
            ),
            (
                Kind::Event,
                r#"{"id":"e","date_create":1772438399,"action":"x"}"#,
                "e",
                found_at - 1_000_000,
            ),
            (
                Kind::Event,
                r#"{"id":"e","date_create":"soon"}"#,
                "e",
                found_at,
            ),
        ] {
            let delivery = Delivery {
                record: record.to_owned(),
                found_at,
                kind,
            };
            assert_eq!((delivery.id().as_str(), delivery.time()), (id, time));
        }
    }
}
