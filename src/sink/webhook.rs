//! A web server that anomalies are posted to, each in a request of its own; raw events go in batches.
//!
//! ```text
//! X-Gridwatch-Id: the anomaly's id, or that of the first event
//! X-Gridwatch-Timestamp: Unix seconds
//! X-Gridwatch-Signature: v1=HMAC-SHA-256 of "v1:TIMESTAMP:BODY", in hexadecimal
//! ```
//!
//! The time is signed so that a receiver can refuse what somebody recorded and sends again. An anomaly
//! may come twice; its id is then the same.

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::http::{Batches, HttpClient, Limit, Outcome};
use super::{Delivery, Format, Kind, Report, Sink};
use crate::event::time::MICROS;

/// Anomalies that are on their way at once.
const IN_FLIGHT: usize = 8;

/// What goes into a request with events.
const EVENTS: Limit = Limit {
    entries: 500,
    bytes: 1 << 20,
};

/// Ids that are longer are not named: receivers limit what they take as headers.
const LONGEST_ID: usize = 256;

/// A web server that takes anomalies and events.
pub struct Webhook {
    client: HttpClient,
    /// What requests are signed with.
    secret: Option<SecretString>,
    format: Format,
}

impl Webhook {
    /// Signs requests if there is a secret to do it with.
    pub fn new(client: HttpClient, secret: Option<SecretString>, format: Format) -> Self {
        Self {
            client,
            secret,
            format,
        }
    }

    /// Posts anomalies, some at a time. What was taken while one before it failed is posted once more.
    async fn anomalies(&self, deliveries: &[Delivery], now: i64) -> Report {
        let requests = deliveries.iter();
        let requests: Vec<_> = requests.map(|one| self.anomaly(one, now)).collect();
        let mut outcomes = stream::iter(requests).buffered(IN_FLIGHT);
        let mut report = Report::default();
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Outcome::Taken => {}
                Outcome::Refused { reason, .. } => report.refused.push((report.settled, reason)),
                Outcome::Failed(error) => {
                    report.error = Some(error);
                    break;
                }
            }
            report.settled += 1;
        }
        report
    }

    async fn anomaly(&self, delivery: &Delivery, now: i64) -> Outcome {
        let body = delivery.rendered(self.format);
        self.post("application/json", &delivery.id(), body, now)
            .await
    }

    /// Posts events, one a line.
    async fn events(&self, deliveries: &[Delivery], now: i64) -> Report {
        let lines: Vec<String> = deliveries
            .iter()
            .map(|delivery| format!("{}\n", delivery.native()))
            .collect();
        let mut batches = Batches::of(lines.iter().map(String::len).collect(), EVENTS);
        while let Some(batch) = batches.upcoming() {
            let id = deliveries[batch.start].id();
            let body = lines[batch].concat();
            let outcome = self.post("application/x-ndjson", &id, body, now).await;
            batches.note(outcome);
        }
        batches.into_report()
    }

    async fn post(&self, content_type: &'static str, id: &str, body: String, now: i64) -> Outcome {
        let headers = self.headers(content_type, id, &body, now);
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
        // Ids of events are whatever somebody wrote there.
        let id = HeaderValue::from_str(id).ok();
        if let Some(id) = id.filter(|id| (1..=LONGEST_ID).contains(&id.len())) {
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
    async fn deliver(&mut self, deliveries: &[Delivery], now: i64) -> Report {
        let runs = deliveries.chunk_by(|one, next| one.kind == next.kind);
        let runs: Vec<&[Delivery]> = runs.collect();
        let mut report = Report::default();
        for run in runs {
            let came = match run.first().map(|delivery| delivery.kind) {
                Some(Kind::Anomaly) => self.anomalies(run, now).await,
                Some(Kind::Event) => self.events(run, now).await,
                None => continue,
            };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::http::Destination;

    const NOW: i64 = 1_772_438_400_900_000;

    fn webhook(secret: Option<&str>) -> Webhook {
        let destination = Destination {
            url: "https://siem.example/in".parse().unwrap(),
            allow_private: false,
            ca: None,
        };
        let client = HttpClient::new(destination).ok().unwrap();
        Webhook::new(client, secret.map(SecretString::from), Format::Native)
    }

    #[test]
    fn the_code_is_that_of_rfc_4231() {
        // Test case 2.
        let code = authentication_code(b"Jefe", "what do ya want for nothing?");
        assert_eq!(
            code.unwrap(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn time_and_body_are_signed() {
        let body = r#"{"id":"a"}"#;
        let headers = webhook(Some("s3cret")).headers("application/json", "a", body, NOW);
        for (name, expected) in [
            ("content-type", "application/json"),
            ("x-gridwatch-id", "a"),
            ("x-gridwatch-timestamp", "1772438400"),
            (
                "x-gridwatch-signature",
                "v1=8c8cf8a6bd65db1e377c6ab2fb8b3fe556478850959bb8e785929a45e76a6540",
            ),
        ] {
            assert_eq!(headers[name], expected, "{name}");
        }
        let unsigned = webhook(None).headers("application/json", "a", body, NOW);
        assert!(!unsigned.contains_key("x-gridwatch-signature"));
    }

    #[test]
    fn an_id_that_has_no_place_in_a_header_is_left_out() {
        let webhook = webhook(None);
        let long = "a".repeat(LONGEST_ID + 1);
        for (id, is_named) in [
            ("1a2b3c", true),
            (&long[1..], true),
            ("", false),
            (long.as_str(), false),
            ("a\r\nX-Admin: 1", false),
            ("a\nb", false),
        ] {
            let headers = webhook.headers("application/x-ndjson", id, "", NOW);
            assert_eq!(headers.contains_key("x-gridwatch-id"), is_named, "{id:?}");
            assert!(!headers.contains_key("x-admin"));
        }
    }
}
