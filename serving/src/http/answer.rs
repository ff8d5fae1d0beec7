//! The answer to a request that is refused, in the one form of errors over HTTP.
//!
//! Owns: the code and the status of each kind of failure; `docs/http.md` lists the codes. Does not own: the texts.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::error::{FailureKind, QueryFailure};

/// A refused request.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The statement failed.
    Failed(QueryFailure),
    /// A header or the body is wrong; with the code and its status.
    Wrong(&'static str, StatusCode, String),
}

impl From<QueryFailure> for Refusal {
    fn from(failure: QueryFailure) -> Self {
        Self::Failed(failure)
    }
}

impl Refusal {
    pub(super) fn body(text: impl Into<String>) -> Self {
        Self::Wrong("invalid_body", StatusCode::BAD_REQUEST, text.into())
    }

    pub(super) fn media_type(text: impl Into<String>) -> Self {
        Self::Wrong("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, text.into())
    }

    pub(super) fn not_acceptable(text: impl Into<String>) -> Self {
        Self::Wrong("not_acceptable", StatusCode::NOT_ACCEPTABLE, text.into())
    }

    pub(super) fn http_version(text: impl Into<String>) -> Self {
        Self::Wrong("http_version", StatusCode::HTTP_VERSION_NOT_SUPPORTED, text.into())
    }

    fn parts(self) -> (&'static str, StatusCode, String) {
        let failure = match self {
            Self::Wrong(code, status, text) => return (code, status, text),
            Self::Failed(failure) => failure,
        };
        let (code, status) = match failure.kind {
            FailureKind::Invalid => ("invalid_request", StatusCode::BAD_REQUEST),
            FailureKind::NotReading | FailureKind::Limit => ("refused", StatusCode::UNPROCESSABLE_ENTITY),
            FailureKind::Busy | FailureKind::Cancelled | FailureKind::Unavailable => {
                ("unavailable", StatusCode::SERVICE_UNAVAILABLE)
            }
            FailureKind::Timeout => ("timeout", StatusCode::GATEWAY_TIMEOUT),
            FailureKind::Forbidden => ("forbidden", StatusCode::FORBIDDEN),
            FailureKind::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
        };
        (code, status, failure.message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (code, status, message) = self.parts();
        let mut response = (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
