//! What is sent back, and how it breaks on the way.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};

use super::connection::Line;
use super::fault::Act;

/// An answer before it is sent.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// HTTP's; 0 if nothing is answered.
    pub status: u16,
    pub retry_after_secs: Option<u64>,
    pub content_type: &'static str,
    pub body: Bytes,
}

impl Answer {
    /// A body of JSON with the status 200.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self {
            status: 200,
            retry_after_secs: None,
            content_type: "application/json; charset=utf-8",
            body: body.into(),
        }
    }

    pub fn json(value: &Value) -> Self {
        Self::ok(value.to_string())
    }

    /// Slack's way to say no.
    pub fn error(status: u16, code: &str) -> Self {
        Self {
            status,
            ..Self::json(&json!({"ok": false, "error": code}))
        }
    }

    /// The same after too many calls, with the seconds to wait.
    pub fn limited(code: &str, secs: u64) -> Self {
        Self {
            retry_after_secs: Some(secs),
            ..Self::error(429, code)
        }
    }

    pub fn empty(status: u16) -> Self {
        Self {
            status,
            ..Self::ok(Bytes::new())
        }
    }

    /// What a proxy shows to people.
    pub fn html() -> Self {
        Self {
            content_type: "text/html; charset=utf-8",
            ..Self::ok("<!DOCTYPE html><title>Sign in</title><p>Sign in to go on.</p>")
        }
    }

    fn headers(&self, now: i64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        if let Some(secs) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        if let Some(date) = date(now) {
            headers.insert(DATE, date);
        }
        headers
    }
}

/// `now` in microseconds as HTTP writes it.
fn date(now: i64) -> Option<HeaderValue> {
    let now = Timestamp::from_microsecond(now).ok()?;
    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
    HeaderValue::try_from(text.ok()?).ok()
}

/// An answer with what happens to it.
pub(super) struct Reply {
    pub answer: Answer,
    pub act: Option<Act>,
    /// Microseconds by the time of day.
    pub now: i64,
}

impl Reply {
    /// The response, or the end of the connection.
    pub fn send(self, line: &Line) -> Response {
        let headers = self.answer.headers(self.now);
        let status = StatusCode::from_u16(self.answer.status);
        let body = self.answer.body;
        let pause = self.act.as_ref().and_then(Act::pause);
        let body = match (self.act, pause) {
            (_, Some(pause)) => slow(body, pause),
            (Some(Act::CutBody), _) => cut(&body),
            (Some(Act::Stall), _) => Body::from_stream(stream::pending::<io::Result<Bytes>>()),
            (act, _) => {
                if act == Some(Act::HangUp) {
                    line.hang_up();
                }
                Body::from(body)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = headers;
        response
    }
}

/// The first half, then an error, upon which the connection is closed.
fn cut(body: &Bytes) -> Body {
    /// Time for the half to leave.
    const PAUSE: Duration = Duration::from_millis(50);
    let half = body.slice(..body.len() / 2);
    let end = stream::once(async {
        tokio::time::sleep(PAUSE).await;
        Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    Body::from_stream(stream::iter([Ok(half)]).chain(end))
}

/// All of it, with a pause before each of a few pieces.
fn slow(body: Bytes, pause: Duration) -> Body {
    const PIECES: usize = 8;
    let size = body.len().div_ceil(PIECES);
    let pieces = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let piece = rest.split_to(size.min(rest.len()));
        Some((Ok::<_, io::Error>(piece), rest))
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_that_of_the_clock() {
        let date = date(1_772_438_401_900_000).unwrap();
        assert_eq!(date, "Mon, 02 Mar 2026 08:00:01 GMT");
    }

    #[test]
    fn the_length_is_told_whatever_becomes_of_the_body() {
        let headers = Answer::limited("ratelimited", 7).headers(0);
        assert_eq!(headers[RETRY_AFTER], "7");
        assert_eq!(
            headers[CONTENT_LENGTH],
            "{\"error\":\"ratelimited\",\"ok\":false}".len().to_string()
        );
        assert!(!Answer::empty(401).headers(0).contains_key(RETRY_AFTER));
    }
}
