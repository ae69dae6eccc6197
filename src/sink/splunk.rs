//! Splunk's HTTP Event Collector.
//!
//! ```text
//! events ─► gzip ─► /services/collector/event ─► {"code":0,"ackId":N} ─► settled
//!                                                           └► /services/collector/ack, until N is indexed
//! ```
//!
//! What is known of it is from the manual "Getting Data In" of Splunk Enterprise: "Format events for HTTP
//! Event Collector", "HTTP Event Collector REST API endpoints", "About HTTP Event Collector Indexer
//! Acknowledgment", and the codes of "Troubleshoot HTTP Event Collector". An event may come twice; its id
//! is then the same.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::mem;
use std::time::Duration;

use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::http::{Answer, Batches, DECLINES, HttpClient, Limit, Outcome, Standing};
use super::{Delivery, Error, Format, Kind, Report, Sink};
use crate::event::time::MICROS;

/// What goes into a request.
const LIMIT: Limit = Limit {
    entries: 512,
    bytes: 1 << 20,
    declines: DECLINES,
};

/// Between two looks whether events are indexed.
const PAUSE: Duration = Duration::from_secs(1);

/// After so many looks the events are sent again.
const MOST_LOOKS: u32 = 60;

const NO_COLLECTOR: &str = "check that `url` is that of an HTTP Event Collector";

const ENABLE: &str =
    "enable indexer acknowledgment for the token, or set `acknowledge: false` for this sink";

/// What the collector is told, and how.
pub struct Settings {
    pub token: SecretString,
    /// The token's own if there is none.
    pub index: Option<String>,
    /// Where events are said to come from.
    pub host: Option<String>,
    pub format: Format,
    /// Bytes that nobody can guess, if events count as taken only when they are indexed. They name the
    /// channel by which Splunk knows this sender.
    pub channel: Option<[u8; 16]>,
}

/// A collector that takes anomalies and events.
pub struct Splunk {
    client: HttpClient,
    index: Option<String>,
    host: Option<String>,
    format: Format,
    headers: HeaderMap,
    events: Url,
    /// Where to ask whether events are indexed, if that is waited for.
    acknowledgments: Option<Url>,
    standing: Standing<String>,
}

/// An event as the collector reads it.
#[derive(Serialize)]
struct Event<'a> {
    time: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    source: &'static str,
    sourcetype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<&'a str>,
    event: Box<RawValue>,
}

/// What the collector answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reply {
    code: Option<u32>,
    #[serde(rename = "ackId")]
    acknowledgment: Option<u64>,
    /// The position of the event that it cannot take, from 0.
    #[serde(rename = "invalid-event-number")]
    invalid: Option<usize>,
    acks: BTreeMap<String, bool>,
}

impl Splunk {
    /// A collector below the client's address.
    ///
    /// # Errors
    /// When the token cannot be sent.
    pub fn new(client: HttpClient, settings: Settings) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let token = format!("Splunk {}", settings.token.expose_secret());
        let mut token = HeaderValue::from_str(&token).map_err(|_| {
            let reason = "its token holds characters that cannot be sent";
            client.error(reason, "copy the token from Splunk once more")
        })?;
        token.set_sensitive(true);
        headers.insert(AUTHORIZATION, token);
        let mut acknowledgments = None;
        if let Some(random) = settings.channel {
            let channel = guid(random);
            let mut url = client.below(&["services", "collector", "ack"]);
            url.query_pairs_mut().append_pair("channel", &channel);
            acknowledgments = Some(url);
            // Hexadecimal digits.
            if let Ok(channel) = HeaderValue::from_str(&channel) {
                headers.insert("x-splunk-request-channel", channel);
            }
        }
        Ok(Self {
            index: settings.index,
            host: settings.host,
            format: settings.format,
            headers,
            events: client.below(&["services", "collector", "event"]),
            acknowledgments,
            standing: Standing::default(),
            client,
        })
    }

    fn event(&self, delivery: &Delivery) -> String {
        let event = Event {
            time: raw(seconds(delivery.time())),
            host: self.host.as_deref(),
            source: "gridwatch",
            sourcetype: match delivery.kind {
                Kind::Anomaly => "gridwatch:anomaly",
                Kind::Event => "slack:audit",
            },
            index: self.index.as_deref(),
            event: raw(delivery.rendered(self.format)),
        };
        // Texts, and what is JSON already.
        serde_json::to_string(&event).unwrap_or_default()
    }

    async fn send(&self, events: &str) -> Outcome {
        let body = match compressed(events) {
            Ok(body) => body,
            Err(error) => {
                let reason = format!("events cannot be compressed: {error}");
                return Outcome::Failed(self.client.error(reason, "report this defect"));
            }
        };
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let answer = match self.client.post(self.events.clone(), headers, body).await {
            Ok(answer) => answer,
            Err(error) => return Outcome::Failed(error),
        };
        let reply = Reply::of(&answer);
        match (self.outcome(&answer, &reply), &self.acknowledgments) {
            (Outcome::Taken, Some(url)) => match self.wait(url, reply.acknowledgment).await {
                Ok(()) => Outcome::Taken,
                Err(error) => Outcome::Failed(error),
            },
            (outcome, _) => outcome,
        }
    }

    fn outcome(&self, answer: &Answer, reply: &Reply) -> Outcome {
        if answer.status.is_success() {
            if reply.code == Some(0) {
                return Outcome::Taken;
            }
            // Filters in between say so, too, when they stop something.
            let reason = "it does not answer as Splunk does";
            return Outcome::Declined(self.client.error(reason, NO_COLLECTOR));
        }
        match (reply.code, reply.code.and_then(problem)) {
            // No data; its format is invalid; the field `event` is missing; it is blank; its indexed
            // fields cannot be handled.
            (Some(code @ (5 | 6 | 12 | 13 | 15)), _) => Outcome::Refused {
                at: reply.invalid,
                reason: format!("Splunk refused it with code {code}"),
            },
            (_, Some((reason, remedy))) => Outcome::Failed(Error {
                retry_after: answer.retry_after,
                ..self.client.error(reason, remedy)
            }),
            // No event is to blame.
            _ if answer.status == StatusCode::BAD_REQUEST => {
                self.client.declined(answer, NO_COLLECTOR)
            }
            _ => self.client.outcome(answer),
        }
    }

    /// Waits until events are indexed.
    async fn wait(&self, url: &Url, acknowledgment: Option<u64>) -> Result<(), Error> {
        let Some(acknowledgment) = acknowledgment else {
            let reason = "it took events, and acknowledges none";
            return Err(self.client.error(reason, ENABLE));
        };
        for _ in 0..MOST_LOOKS {
            tokio::time::sleep(PAUSE).await;
            if self.is_indexed(url, acknowledgment).await? {
                return Ok(());
            }
        }
        let reason = format!("it took events, and did not index them in {MOST_LOOKS} s");
        let remedy = "they are sent again; check its indexers";
        Err(self.client.error(reason, remedy))
    }

    async fn is_indexed(&self, url: &Url, acknowledgment: u64) -> Result<bool, Error> {
        let body = json!({ "acks": [acknowledgment] }).to_string();
        let asked = self
            .client
            .post(url.clone(), self.headers.clone(), body.into_bytes());
        let answer = asked.await?;
        let reply = Reply::of(&answer);
        if answer.status.is_success() {
            return Ok(reply.acks.get(&acknowledgment.to_string()) == Some(&true));
        }
        match self.outcome(&answer, &reply) {
            Outcome::Failed(error) | Outcome::Declined(error) => Err(error),
            Outcome::Taken | Outcome::Refused { .. } => {
                let reason = format!("it answered {} about what it indexed", answer.status);
                Err(self.client.error(reason, ENABLE))
            }
        }
    }
}

#[async_trait]
impl Sink for Splunk {
    async fn deliver(&mut self, deliveries: &[Delivery], _now: i64) -> Report {
        let events = deliveries.iter().map(|delivery| self.event(delivery));
        let events: Vec<String> = events.collect();
        let standing = mem::take(&mut self.standing);
        let mut batches = Batches::of(events, String::len, LIMIT, standing);
        while let Some(batch) = batches.upcoming() {
            let outcome = self.send(&batch.concat()).await;
            batches.note(outcome);
        }
        let report;
        (report, self.standing) = batches.into_parts();
        report
    }
}

impl Reply {
    /// An empty one where the collector did not write it.
    fn of(answer: &Answer) -> Self {
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }
}

/// Why the collector takes nothing, and what to do about it, by its code.
fn problem(code: u32) -> Option<(&'static str, &'static str)> {
    const TOKEN: &str = "check the token of this sink, and that it is enabled in Splunk";
    Some(match code {
        1 => ("the token is disabled", TOKEN),
        2 => ("it sees no token", TOKEN),
        3 => ("it cannot read the token", TOKEN),
        4 => ("it does not know the token", TOKEN),
        7 => (
            "the token may not write to this index",
            "check `index`, and which indexes Splunk allows for the token",
        ),
        9 => ("it is busy", "it is asked again; check its queues"),
        10 | 11 => (
            "the token is for senders that wait for acknowledgments",
            "set `acknowledge: true` for this sink",
        ),
        14 => ("it acknowledges nothing", ENABLE),
        16 => (
            "it takes no token in the address",
            "write `url` without a query",
        ),
        _ => return None,
    })
}

/// Unix seconds with microseconds, as a number in JSON; `micros` is from 1970 on.
fn seconds(micros: i64) -> String {
    let micros = micros.max(0);
    format!("{}.{:06}", micros / MICROS, micros % MICROS)
}

/// A text that is JSON; null, which Splunk refuses, for one that is none.
fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A GUID of random bytes: version 4 of RFC 9562.
fn guid(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, rest) = digits.split_at(8);
    format!(
        "{first}-{}-{}-{}-{}",
        &rest[..4],
        &rest[4..8],
        &rest[8..12],
        &rest[12..]
    )
}

fn compressed(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}
