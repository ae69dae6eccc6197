//! From a request to its response.

use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::asked::{Api, Asked};
use super::connection::Line;
use super::state::Site;

/// Where the Audit Logs API begins.
pub(super) const AUDIT: &str = "/audit/v1/";
/// Where the Web API begins.
pub(super) const WEB: &str = "/api/";

/// All addresses. The router must be told the line of each connection.
pub(super) fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route(&format!("{AUDIT}{{method}}"), any(audit))
        .route(&format!("{WEB}{{method}}"), any(web))
        .with_state(site)
}

async fn audit(
    State(site): State<Arc<Site>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(method): Path<String>,
    request: Request,
) -> Response {
    let asked = Asked::read(Api::Audit, method, request).await;
    respond(site, asked, line).await
}

async fn web(
    State(site): State<Arc<Site>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(method): Path<String>,
    request: Request,
) -> Response {
    let asked = Asked::read(Api::Web, method, request).await;
    respond(site, asked, line).await
}

async fn respond(site: Arc<Site>, asked: Asked, line: Line) -> Response {
    let answered = tokio::task::spawn_blocking(move || site.answer(&asked));
    match answered.await {
        Ok(reply) => reply.send(&line),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
