//! Requests to the JetStream API.
//!
//! Owns: sending a request, and distinguishing its outcomes: an answer, an error as the answer, no answer.
//! Does not own: the content of requests, the connection (`connection`).

use async_nats::jetstream::context::RequestErrorKind;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{Error as ServerError, ErrorCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::Connection;
use common::queue::QueueError;

/// A request without content; the server refuses `null` for some requests.
#[derive(Serialize)]
pub(super) struct Empty {}
pub(super) const EMPTY: Empty = Empty {};

/// The server's answer to a request.
#[derive(Debug)]
pub(super) enum Answer<T> {
    /// The server fulfilled the request.
    Done(T),
    /// The server answered with an error.
    Refused(ServerError),
}

impl<T> Answer<T> {
    /// The content, for a request that must not be refused; the error says that `what` failed.
    pub(super) fn expected(self, what: &str) -> Result<T, QueueError> {
        match self {
            Self::Done(content) => Ok(content),
            Self::Refused(error) => Err(server_error(what, &error)),
        }
    }
}

/// Sends `request` to `$JS.API.<subject>`.
///
/// [`QueueError::Unavailable`] if no answer arrived, so that the outcome is unknown; [`QueueError::Refused`] if this
/// login lacks the permission for the request.
pub(super) async fn request<T: DeserializeOwned>(
    connection: &Connection,
    subject: String,
    request: &(impl Serialize + Sync),
) -> Result<Answer<T>, QueueError> {
    let answer: Result<Response<T>, _> = tokio::select! {
        biased;
        answer = connection.jetstream.request(subject.clone(), request) => answer,
        // The server does not answer a request that is not permitted.
        denied = connection.denial(&subject) => return Err(denied),
    };
    match answer {
        Ok(Response::Ok(answer)) => Ok(Answer::Done(answer)),
        Ok(Response::Err { error }) => Ok(Answer::Refused(error)),
        Err(error) if error.kind() == RequestErrorKind::NoResponders => {
            Err(QueueError::unavailable(format!("no answer to {subject}: {}", no_jetstream(connection.domain()))))
        }
        Err(error) => {
            connection.probe().await;
            let why = connection.because();
            let unavailable = QueueError::unavailable(format!("no answer to {subject}: {error}{why}"));
            Err(connection.denied(&subject).unwrap_or(unavailable))
        }
    }
}

/// The reason for which nobody answers requests to the JetStream API.
fn no_jetstream(domain: Option<&str>) -> String {
    match domain {
        None => "JetStream is not enabled for this account, or not ready; if a leaf node leads to it, its domain is \
                 named with NATS_JS_DOMAIN"
            .to_owned(),
        Some(domain) => format!("no JetStream answers in the domain NATS_JS_DOMAIN={domain}"),
    }
}

/// The error for an unexpected refusal.
pub(super) fn server_error(what: &str, error: &ServerError) -> QueueError {
    let is_disabled =
        matches!(error.error_code(), ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT);
    let temporary = error.code() == 503 && !is_disabled;
    let hint = if is_disabled { "; if a leaf node leads to it, its domain is named with NATS_JS_DOMAIN" } else { "" };
    let reason = format!("{what}: {error}{hint}");
    if temporary { QueueError::Unavailable { reason } } else { QueueError::Refused { reason } }
}
