//! A web server that anomalies are posted to, each in a request of its own; raw events go in batches.
//!
//! ```text
//! X-Gridwatch-Id: the anomaly's id, or that of the first event
//! X-Gridwatch-Timestamp: Unix seconds
//! X-Gridwatch-Signature: v1=HMAC-SHA-256 of "v1:TIMESTAMP:BODY", in hexadecimal
//! ```
//!
//! The time is that of the request. It is signed so that a receiver can refuse what somebody recorded and
//! sends again. An anomaly may come twice; its id is then the same.

#[cfg(test)]
mod tests;

use std::mem;

use async_trait::async_trait;
use futures::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::http::{Batches, DECLINES, HttpClient, Limit, Outcome, Standing};
use super::{Delivery, Format, Kind, Report, Sink};
use crate::clock::Clock;
use crate::event::time::MICROS;

/// Anomalies that are on their way at once, each in a request of its own.
const ANOMALIES: Limit = Limit {
    entries: 8,
    bytes: usize::MAX,
    declines: DECLINES,
};

/// What goes into a request with events.
const EVENTS: Limit = Limit {
    entries: 500,
    bytes: 1 << 20,
    declines: DECLINES,
};

/// Ids that are longer are not named: receivers limit what they take as headers.
const LONGEST_ID: usize = 256;

/// A web server that takes anomalies and events.
pub struct Webhook {
    client: HttpClient,
    /// What requests are signed with.
    secret: Option<SecretString>,
    format: Format,
    clock: Clock,
    standing: Standing<Post>,
}

/// What is posted of a delivery.
#[derive(Clone, PartialEq)]
struct Post {
    kind: Kind,
    id: String,
    text: String,
}

impl Webhook {
    /// Signs requests if there is a secret to do it with; the clock gives their times.
    pub fn new(
        client: HttpClient,
        secret: Option<SecretString>,
        format: Format,
        clock: Clock,
    ) -> Self {
        Self {
            client,
            secret,
            format,
            clock,
            standing: Standing::default(),
        }
    }

    /// Posts deliveries of one kind: anomalies some at a time, events in batches.
    async fn run(&mut self, deliveries: &[Delivery], kind: Kind) -> Report {
        let posts = deliveries.iter().map(|delivery| self.written(delivery));
        let posts: Vec<Post> = posts.collect();
        let limit = match kind {
            Kind::Anomaly => ANOMALIES,
            Kind::Event => EVENTS,
        };
        let standing = mem::take(&mut self.standing);
        let mut batches = Batches::of(posts, |post| post.text.len(), limit, standing);
        while let Some(batch) = batches.upcoming() {
            // What was taken last may be sent once more, and be of the other kind.
            if batch.iter().any(|post| post.kind == Kind::Event) {
                let outcome = self.events(batch).await;
                batches.note(outcome);
            } else {
                let requests: Vec<_> = batch.iter().map(|post| self.anomaly(post)).collect();
                let outcomes = join_all(requests).await;
                batches.note_each(outcomes);
            }
        }
        let report;
        (report, self.standing) = batches.into_parts();
        report
    }

    fn written(&self, delivery: &Delivery) -> Post {
        Post {
            kind: delivery.kind,
            id: delivery.id(),
            text: match delivery.kind {
                Kind::Anomaly => delivery.rendered(self.format),
                // One a line.
                Kind::Event => format!("{}\n", delivery.native()),
            },
        }
    }

    async fn anomaly(&self, post: &Post) -> Outcome {
        self.post("application/json", &post.id, post.text.clone())
            .await
    }

    async fn events(&self, posts: &[Post]) -> Outcome {
        let id = posts.first().map_or("", |post| &post.id);
        let body = posts.iter().map(|post| post.text.as_str()).collect();
        self.post("application/x-ndjson", id, body).await
    }

    async fn post(&self, content_type: &'static str, id: &str, body: String) -> Outcome {
        let headers = self.headers(content_type, id, &body, self.clock.now());
        let url = self.client.url().clone();
        match self.client.post(url, headers, body.into_bytes()).await {
            Ok(answer) => self.client.outcome(&answer),
            Err(error) => Outcome::Failed(error),
        }
    }

    fn headers(&self, content_type: &'static str, id: &str, body: &str, now: i64) -> HeaderMap {
        let timestamp = now.div_euclid(MICROS);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert("x-gridwatch-timestamp", HeaderValue::from(timestamp));
        if let Some(id) = named(id) {
            headers.insert("x-gridwatch-id", id);
        }
        let secret = self.secret.as_ref();
        let signature = secret.and_then(|secret| signature(secret, timestamp, body));
        if let Some(signature) = signature {
            headers.insert("x-gridwatch-signature", signature);
        }
        headers
    }
}

#[async_trait]
impl Sink for Webhook {
    async fn deliver(&mut self, deliveries: &[Delivery], _now: i64) -> Report {
        let runs = deliveries.chunk_by(|one, next| one.kind == next.kind);
        let runs: Vec<&[Delivery]> = runs.collect();
        let mut report = Report::default();
        for run in runs {
            let Some(first) = run.first() else { continue };
            let came = self.run(run, first.kind).await;
            let before = report.settled;
            let refused = came.refused.into_iter();
            let refused = refused.map(|(at, reason)| (before + at, reason));
            report.refused.extend(refused);
            report.settled += came.settled;
            if came.error.is_some() {
                report.error = came.error;
                break;
            }
        }
        report
    }
}

/// An id as a header. Ids of events are whatever somebody wrote there.
fn named(id: &str) -> Option<HeaderValue> {
    let is_graphic = id.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = is_graphic && (1..=LONGEST_ID).contains(&id.len());
    HeaderValue::from_str(id).ok().filter(|_| fits)
}

/// `v1=`, and the code of what is sent; keys of any length do.
fn signature(secret: &SecretString, timestamp: i64, body: &str) -> Option<HeaderValue> {
    let key = secret.expose_secret().as_bytes();
    let code = authentication_code(key, &format!("v1:{timestamp}:{body}"))?;
    HeaderValue::from_str(&format!("v1={code}")).ok()
}

/// HMAC-SHA-256 (RFC 2104) in hexadecimal.
fn authentication_code(key: &[u8], message: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(message.as_bytes());
    let code = mac.finalize().into_bytes();
    Some(code.iter().map(|byte| format!("{byte:02x}")).collect())
}
