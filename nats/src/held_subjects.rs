//! The subjects of the messages that a stream holds.
//!
//! Owns: asking for them, page by page, and which streams are asked. Does not own: what is done with them.

use std::collections::BTreeMap;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{Config, RetentionPolicy};
use serde::{Deserialize, Serialize};

use crate::api::{self, Answer, server_error};
use crate::connection::Connection;
use crate::topic_streams::check_stream_name;
use common::queue::QueueError;

/// Subjects that are listed at most: about what the server puts into one answer.
const SUBJECTS_MAX: usize = 100_000;

#[derive(Serialize)]
struct Request<'a> {
    subjects_filter: &'a str,
    offset: usize,
}

/// A page of the answer: the counts of messages by subject.
#[derive(Deserialize)]
struct Page {
    config: Config,
    state: State,
    /// Subjects on all pages.
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
struct State {
    #[serde(default)]
    subjects: Option<BTreeMap<String, u64>>,
}

/// The subjects of the messages in `stream` that match `pattern`, each once.
pub(super) async fn list(connection: &Connection, stream: &str, pattern: &str) -> Result<Vec<String>, QueueError> {
    check_stream_name(stream)?;
    let mut subjects = Vec::new();
    loop {
        let request = Request { subjects_filter: pattern, offset: subjects.len() };
        let page = match api::request::<Page>(connection, format!("STREAM.INFO.{stream}"), &request).await? {
            Answer::Done(page) => page,
            Answer::Refused(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                return Err(QueueError::refused(format!("stream {stream} does not exist")));
            }
            Answer::Refused(error) => return Err(server_error(&format!("stream {stream} cannot be read"), &error)),
        };
        if page.config.retention == RetentionPolicy::Interest {
            return Err(QueueError::refused(format!(
                "stream {stream} keeps only what a consumer wants, so that messages from before a topic would be missing; \
                 allowed are streams with limits or of a work queue"
            )));
        }
        let found = page.state.subjects.unwrap_or_default();
        let is_last = found.is_empty() || subjects.len() + found.len() >= page.total;
        subjects.extend(found.into_keys());
        if subjects.len() > SUBJECTS_MAX {
            return Err(QueueError::refused(format!(
                "stream {stream} has more than {SUBJECTS_MAX} subjects like {pattern}; allowed is a narrower pattern"
            )));
        }
        if is_last {
            return Ok(subjects);
        }
    }
}
