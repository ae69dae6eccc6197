//! Every route, in one table: what there is, who may ask for it, and what answers.
//!
//! The router is built from it. So are the description of the API and the test of who may do what,
//! which is why nothing is routed elsewhere.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::{from_fn, map_request};
use axum::routing::{MethodFilter, on};
use tower_http::request_id::{
    MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;

use super::answer::{self, Handler, Server};
use super::auth::{Allowed, Role};
use super::error::Fault;
use super::{Services, connection, events, health};

/// What a route is asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `HEAD`, too.
    Get,
    Post,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy)]
pub struct Route {
    pub method: Method,
    /// With `{…}` for what varies; metrics and the log know the route by it.
    pub path: &'static str,
    /// What it is for.
    pub summary: &'static str,
    pub allowed: Allowed,
    /// The longest body, as it is sent; 0 where none is read.
    pub body_limit_bytes: usize,
    /// How long it may take from the head of the request to the head of the answer.
    pub timeout: Duration,
    pub(super) handler: Handler,
}

const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// All there is.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::Post,
        path: "/api/v1/events",
        summary: "Push events to a source; answered when all of them are durable",
        allowed: Allowed::Roles(&[Role::Ingest, Role::Owner]),
        body_limit_bytes: 64 << 20,
        timeout: Duration::from_secs(60),
        handler: |call| Box::pin(events::push(call)),
    },
    Route {
        method: Method::Get,
        path: "/metrics",
        summary: "Metrics, as Prometheus reads them",
        allowed: Allowed::Roles(&[Role::Metrics, Role::Viewer, Role::Analyst, Role::Owner]),
        body_limit_bytes: 0,
        timeout: USUAL_TIMEOUT,
        handler: |call| Box::pin(health::metrics(call)),
    },
    Route {
        method: Method::Get,
        path: "/-/healthy",
        summary: "Whether the process answers",
        allowed: Allowed::Anyone,
        body_limit_bytes: 0,
        timeout: USUAL_TIMEOUT,
        handler: |call| Box::pin(health::healthy(call)),
    },
    Route {
        method: Method::Get,
        path: "/-/ready",
        summary: "Whether it does its work and, if not, why",
        allowed: Allowed::Anyone,
        body_limit_bytes: 0,
        timeout: USUAL_TIMEOUT,
        handler: |call| Box::pin(health::ready(call)),
    },
];

/// The routes of the table, and an answer to everything else.
pub(super) fn router(services: Services) -> Router {
    let server = Arc::new(Server::new(services));
    let mut router = Router::new();
    for route in ROUTES {
        let server = Arc::clone(&server);
        let handler = move |request: Request| answer::answer(*route, server, request);
        router = router.route(route.path, on(route.method.filter(), handler));
    }
    let other = Arc::clone(&server);
    let router = router
        .method_not_allowed_fallback(move || answer::refuse(other, Fault::wrong_method()))
        .fallback(move || answer::refuse(server, Fault::not_found()));
    wrapped(router)
}

/// What goes around every request; the last layer is the outermost.
fn wrapped(router: Router) -> Router {
    let trace = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_request(())
        .on_response(())
        .on_eos(())
        .on_failure(());
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    router
        .layer(from_fn(connection::attend))
        .layer(trace)
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(map_request(without_id))
        .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(CACHE_CONTROL, "no-store"))
        .layer(header(CONTENT_SECURITY_POLICY, "default-src 'none'"))
}

/// A request's id is our own: one that strangers choose finds nothing in the log.
async fn without_id(mut request: Request) -> Request {
    request.headers_mut().remove("x-request-id");
    request
}

/// What the log says of a request: neither headers nor query, which may hold secrets.
fn span(request: &Request) -> Span {
    let id = request.extensions().get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok());
    tracing::info_span!("request", id, method = %request.method())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_route_stands_twice_and_each_says_what_it_is_for() {
        let mut seen = HashSet::new();
        for route in ROUTES {
            let name = format!("{} {}", route.method.as_str(), route.path);
            assert!(!route.summary.is_empty(), "{name}");
            assert_eq!(route.method == Method::Get, route.body_limit_bytes == 0);
            assert!(seen.insert(name), "{} stands twice", route.path);
        }
    }

    #[test]
    fn only_what_tells_nothing_is_open() {
        for route in ROUTES {
            match route.allowed {
                Allowed::Anyone => assert!(route.path.starts_with("/-/"), "{}", route.path),
                Allowed::Roles(roles) => assert!(!roles.is_empty(), "{}", route.path),
            }
        }
    }
}
