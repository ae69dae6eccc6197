//! Answers that say no: `{"error": {"code": …, "message": …}}`, for programs and for people.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};

use super::Refusal;

/// Why a request is not answered as it wished. The code is API; the message is not, and holds the
/// remedy.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The header that belongs to its status.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Fault {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            header: None,
        }
    }

    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    pub fn retry_after(self, secs: u64) -> Self {
        self.with(RETRY_AFTER, HeaderValue::from(secs))
    }

    pub fn not_found() -> Self {
        let message = "there is nothing at this address: check its spelling";
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub fn wrong_method() -> Self {
        let message = "this method does not go with this address: use one of those in `Allow`";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            message,
        )
    }

    /// A defect of this program; what it is stands in the log.
    pub fn defect() -> Self {
        let message = "gridwatch has a defect here: look for the answer's `X-Request-Id` in its log, \
                       and report what it says";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "error": {"code": self.code, "message": self.message}
        });
        let mut response = (self.status, Json(body)).into_response();
        if let Some(header) = self.header {
            let (name, value) = *header;
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let (status, code, wait) = match &refusal {
            Refusal::Busy { retry_after_secs } => (
                StatusCode::TOO_MANY_REQUESTS,
                "busy",
                Some(*retry_after_secs),
            ),
            Refusal::Unavailable {
                retry_after_secs, ..
            } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                Some(*retry_after_secs),
            ),
            Refusal::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", None),
            Refusal::Malformed { .. } => (StatusCode::BAD_REQUEST, "malformed", None),
            Refusal::UnknownSource { .. } => (StatusCode::NOT_FOUND, "unknown_source", None),
        };
        let fault = Self::new(status, code, refusal.to_string());
        match wait {
            Some(secs) => fault.retry_after(secs),
            None => fault,
        }
    }
}
