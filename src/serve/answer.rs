//! How a request of any route is answered: in time, by whoever is allowed, and counted.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;

use super::error::Fault;
use super::routes::Route;
use super::{Services, auth, body};
use crate::clock::Stopwatch;
use crate::telemetry::Metrics;

/// What all requests share.
pub(super) struct Server {
    pub services: Services,
    /// For their bodies.
    pub room: Semaphore,
}

impl Server {
    pub fn new(services: Services) -> Self {
        Self {
            services,
            room: body::room(),
        }
    }
}

/// A request that was let in, with its body unread.
pub(super) struct Call {
    pub route: Route,
    pub server: Arc<Server>,
    pub request: Request,
}

/// What answers the calls of a route.
pub(super) type Handler = fn(Call) -> BoxFuture<'static, Result<Response, Fault>>;

/// The route that requests to no route are counted under.
const UNMATCHED: &str = "unmatched";

/// Seconds after which to try again what took too long.
const RETRY_SECS: u64 = 5;

/// Answers a request of the route.
pub(super) async fn answer(route: Route, server: Arc<Server>, request: Request) -> Response {
    let handled = handle(route, Arc::clone(&server), request);
    observe(&server.services.metrics, route.path, handled).await
}

/// Answers a request of no route.
pub(super) async fn refuse(server: Arc<Server>, fault: Fault) -> Response {
    let refused = std::future::ready(Err(fault));
    observe(&server.services.metrics, UNMATCHED, refused).await
}

async fn handle(route: Route, server: Arc<Server>, request: Request) -> Result<Response, Fault> {
    auth::check(
        route.allowed,
        request.headers(),
        server.services.access.as_ref(),
    )?;
    let handled = (route.handler)(Call {
        route,
        server,
        request,
    });
    let answered = tokio::time::timeout(route.timeout, handled).await;
    answered.unwrap_or_else(|_| {
        let message = format!(
            "this took longer than {} s: ask for less at once, or try again later",
            route.timeout.as_secs()
        );
        let fault = Fault::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message);
        Err(fault.retry_after(RETRY_SECS))
    })
}

/// Counts and times an answer; a panic on the way to it is logged and answered as a defect.
async fn observe(
    metrics: &Metrics,
    route: &str,
    work: impl Future<Output = Result<Response, Fault>>,
) -> Response {
    let watch = Stopwatch::start();
    let response = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(fault)) => fault.into_response(),
        Err(panic) => {
            tracing::error!(route, panic = said(panic.as_ref()), "a request panicked");
            Fault::defect().into_response()
        }
    };
    let seconds = watch.elapsed().as_secs_f64();
    let status = response.status();
    let labels = [route, status.as_str()];
    metrics.http_requests_total.with_label_values(&labels).inc();
    let times = metrics.http_request_seconds.with_label_values(&[route]);
    times.observe(seconds);
    tracing::debug!(route, status = status.as_u16(), seconds, "answered");
    response
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    let text = literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it does not say why")
}
