//! The one form of an error over HTTP, for requests and for single records.
//!
//! Owns: the codes with their statuses, and the errors of catalog, queue and producer as such codes.
//! Does not own: the texts of the errors that it passes on; a request whose records were partly taken (`answer`).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::{CatalogError, CreateTopicError};
use common::secret::scrubbed;
use common::{ErrorKind, QueueError};
use serde::Serialize;
use serde_json::json;

use crate::error::ProducerError;

/// Seconds after which a client may try again.
const RETRY_AFTER_SECS: &str = "1";

/// The codes of errors of a whole request, each with one status. `docs/http.md` and the OpenAPI document list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Code {
    /// A parameter, header, name or member of the body is not allowed.
    InvalidRequest,
    /// The body is not what its type or its encoding says.
    InvalidBody,
    /// The `Host` header does not name this machine.
    HostNotAllowed,
    /// The page that sends the request comes from another machine.
    OriginNotAllowed,
    /// A token is needed, and none was sent.
    Unauthenticated,
    /// What was sent is no valid token.
    InvalidToken,
    /// The token does not allow this.
    Forbidden,
    /// No such path, or no such consumer group.
    NotFound,
    /// The catalog has no such topic.
    TopicNotFound,
    /// The path takes other methods.
    MethodNotAllowed,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The offset has no records any more, or was never reached.
    OutOfRange,
    /// The topic exists, or was changed by somebody else meanwhile; a consumer group is being read, or its partition went to
    /// another member.
    Conflict,
    /// The body, or its number of records, is above a limit.
    TooLarge,
    /// No such `Content-Type` or `Content-Encoding` is taken.
    UnsupportedMediaType,
    /// The request is understood, and cannot be done: a change of columns, a stream of somebody else.
    Refused,
    /// A defect, or a state that only an operator can mend.
    Internal,
    /// This process does not do it; another of the kinds of Siltstone does.
    NotImplemented,
    /// Too many bytes are on their way, or queue or catalog cannot be reached.
    Unavailable,
    /// Queue or catalog did not answer in time.
    Timeout,
}

impl Code {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest | Self::InvalidBody => StatusCode::BAD_REQUEST,
            Self::Unauthenticated | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::HostNotAllowed | Self::OriginNotAllowed | Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::TopicNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::OutOfRange => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Refused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The header `WWW-Authenticate` of such an answer, in the form of RFC 6750.
    fn challenge(self) -> Option<&'static str> {
        match self {
            Self::Unauthenticated => Some(r#"Bearer realm="siltstone""#),
            Self::InvalidToken => Some(r#"Bearer realm="siltstone", error="invalid_token""#),
            Self::Forbidden => Some(r#"Bearer realm="siltstone", error="insufficient_scope""#),
            _ => None,
        }
    }

    /// True if the same request may succeed later.
    pub(super) fn is_temporary(self) -> bool {
        matches!(self, Self::BodyTimeout | Self::Unavailable | Self::Timeout)
    }
}

/// An error of a whole request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub(super) struct ApiError {
    pub(super) code: Code,
    /// For people; it names what was wrong and what is allowed.
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    pub(super) fn topic_not_found(name: &str) -> Self {
        Self::new(Code::TopicNotFound, format!("topic {name} does not exist; create it first"))
    }

    /// The error of a library under this code; what the library quotes of secrets is taken out.
    pub(super) fn passed_on(code: Code, error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        Self::new(code, scrubbed(&text).into_owned())
    }
}

/// Adds the time of another attempt to an answer with this code.
pub(super) fn with_retry_after(code: Code, mut response: Response) -> Response {
    if code.is_temporary() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECS));
    }
    response
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = self.code;
        let mut response = with_retry_after(code, (code.status(), Json(json!({ "error": self }))).into_response());
        if let Some(challenge) = code.challenge() {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        let code = match &error {
            CatalogError::TopicNotFound(name) => return Self::topic_not_found(name),
            CatalogError::PartitionNotFound { topic, partition } => {
                let text = format!("there is no partition {partition} of topic {topic}");
                return Self::new(Code::TopicNotFound, text);
            }
            CatalogError::InvalidOffset { .. } => Code::InvalidRequest,
            CatalogError::TopicAlreadyExists(_)
            | CatalogError::TopicExistsAs { .. }
            | CatalogError::TopicChanged { .. }
            | CatalogError::MemberUnknown { .. }
            | CatalogError::GroupActive { .. }
            | CatalogError::Fenced { .. } => Code::Conflict,
            CatalogError::GroupNotFound(_) => Code::NotFound,
            _ if error.kind() == ErrorKind::Unavailable => Code::Unavailable,
            _ => Code::Internal,
        };
        Self::passed_on(code, &error)
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        let code = match error.kind() {
            ErrorKind::Unavailable => Code::Unavailable,
            _ => Code::Refused,
        };
        Self::passed_on(code, &error)
    }
}

impl From<CreateTopicError> for ApiError {
    fn from(error: CreateTopicError) -> Self {
        let code = match &error {
            CreateTopicError::Catalog(error) => return error.clone().into(),
            CreateTopicError::Queue { error, .. } if error.kind() != ErrorKind::Unavailable => Code::Refused,
            CreateTopicError::NotListed { error, .. } if error.kind() != ErrorKind::Unavailable => Code::Internal,
            CreateTopicError::Queue { .. } | CreateTopicError::NotListed { .. } => Code::Unavailable,
        };
        Self::passed_on(code, &error)
    }
}

impl From<ProducerError> for ApiError {
    fn from(error: ProducerError) -> Self {
        match error {
            ProducerError::TopicNotFound(name) => Self::topic_not_found(name.as_str()),
            ProducerError::InvalidPartition { .. } => Self::invalid(error.to_string()),
            ProducerError::Queue(error) => error.into(),
            ProducerError::Catalog(error) => error.into(),
            error if error.kind() == ErrorKind::Unavailable => Self::passed_on(Code::Unavailable, &error),
            error => Self::passed_on(Code::Internal, &error),
        }
    }
}
