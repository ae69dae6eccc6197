//! `POST /api/v1/events`: events as Slack writes them, one a line, or as its API sends them.

use axum::Json;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::answer::Call;
use super::error::Fault;
use super::{Body, Coding, Refusal, body};

/// The query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    source: Option<String>,
}

/// Answers with a receipt when everything is durable. Lines that are no events do not make the
/// request fail: they are counted in the receipt, and kept.
pub(super) async fn push(call: Call) -> Result<Response, Fault> {
    let Call {
        route,
        server,
        request,
    } = call;
    let coding = coding(request.headers())?;
    let asked = Query::<Asked>::try_from_uri(request.uri());
    let Query(asked) = asked.map_err(|_| Refusal::Malformed {
        reason: "its query may hold `source=NAME` once, and nothing else".to_owned(),
    })?;
    let (bytes, _room) = body::read(request, route.body_limit_bytes, &server.room).await?;
    let ingest = &server.services.ingest;
    let body = Body { bytes, coding };
    let receipt = ingest.push(asked.source.as_deref(), body).await?;
    Ok(Json(receipt).into_response())
}

fn coding(headers: &HeaderMap) -> Result<Coding, Fault> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let (value, more) = (values.next(), values.next());
    let Some(value) = value else {
        return Ok(Coding::Detect);
    };
    let word = value.to_str().unwrap_or_default().trim();
    match word.to_ascii_lowercase().as_str() {
        "identity" if more.is_none() => Ok(Coding::Identity),
        "gzip" | "x-gzip" if more.is_none() => Ok(Coding::Gzip),
        "zstd" if more.is_none() => Ok(Coding::Zstd),
        _ => {
            let message = "this `Content-Encoding` is unknown: use gzip, zstd or identity, \
                           or leave it out";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let fault = Fault::new(status, "unsupported_encoding", message);
            Err(fault.with(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd")))
        }
    }
}
