//! What load balancers and Prometheus ask.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::answer::Call;
use super::error::Fault;

/// `GET /-/healthy`: the process answers, whatever else is amiss.
pub(super) async fn healthy(_: Call) -> Result<Response, Fault> {
    Ok("ok".into_response())
}

/// `GET /-/ready`: whether it does its work.
pub(super) async fn ready(call: Call) -> Result<Response, Fault> {
    let readiness = call.server.services.health.readiness();
    let status = if readiness.is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = serde_json::json!({"ready": readiness.is_ready, "reasons": readiness.reasons});
    Ok((status, Json(body)).into_response())
}

/// `GET /metrics`.
pub(super) async fn metrics(call: Call) -> Result<Response, Fault> {
    let text = call.server.services.metrics.render();
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}
