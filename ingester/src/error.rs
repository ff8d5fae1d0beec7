//! Errors of sending a message, by the reaction required of the caller.
//!
//! Owns: the producer's error types. Does not own: errors of queue, catalog and waiting, which it passes on.

use std::sync::Arc;
use std::time::Duration;

use catalog::CatalogError;
use common::{AgentUrl, ErrorKind, QueueError, TopicName};

use crate::commits::WaitError;
use crate::outcome::SendFailure;
use crate::producer::ConfigError;

/// Short for results of this crate.
pub type Result<T, E = ProducerError> = std::result::Result<T, E>;

/// An error of the producer. Cloning is cheap: one failed request answers all messages that were in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProducerError {
    /// The queue did not answer when the producer was built; or no agent of the group answers.
    #[error("no agent is available: {reason}")]
    NoAgentsAvailable {
        /// The number of agents that were tried, and the failure of the last; or that of the queue.
        reason: String,
    },
    /// The agent could not be reached, or its answer did not come.
    #[error("agent {agent} gave no answer: {reason}")]
    AgentConnectionFailed {
        /// Its address.
        agent: AgentUrl,
        /// The cause.
        reason: String,
    },
    /// The agent answered with an error, for the record or for the whole request.
    #[error("agent {agent} answered {status}{}: {message}", in_brackets(code))]
    AgentError {
        /// Its address.
        agent: AgentUrl,
        /// The status of its answer.
        status: u16,
        /// The code of the error, which `docs/http.md` lists; empty if the answer is not Siltstone's.
        code: String,
        /// Its text.
        message: String,
    },
    /// The catalog has no topic of this name.
    #[error("topic {0} does not exist; create it first")]
    TopicNotFound(TopicName),
    /// The caller named a partition that the topic does not have.
    #[error("partition {partition} does not exist: topic {topic} has partitions 0 to {}", partition_count - 1)]
    InvalidPartition {
        /// The topic.
        topic: TopicName,
        /// The requested partition.
        partition: u32,
        /// The topic's number of partitions, at least 1.
        partition_count: u32,
    },
    /// An option is missing, or has a value that is not allowed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The value cannot be written as JSON; nothing was sent.
    #[error("the value cannot be written as JSON")]
    Serialization(#[source] Arc<serde_json::Error>),
    /// The queue did not confirm. Any part of the messages may be stored: repeat with the same message ids.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The queue did not answer in time, in any attempt. As for `Queue`, any part of the messages may be stored.
    #[error("the queue did not answer within {} ms (attempt {attempts})", limit.as_millis())]
    Timeout {
        /// The time of one attempt.
        limit: Duration,
        /// The number of the last attempt.
        attempts: u32,
    },
    /// The catalog did not return the topic; nothing was sent.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The queue has the message, and its commit is not known.
    #[error(transparent)]
    Commit(#[from] WaitError),
    /// The message is committed, with records in quarantine instead of the topic's table. It is kept whole there:
    /// sending it again does not help.
    #[error("the message is in quarantine: {reason}")]
    Quarantined {
        /// The reason; of several records, that of the first.
        reason: String,
    },
    /// The message was taken back by [`Producer::discard`](crate::Producer::discard) before it was sent.
    #[error("the message was taken back before it was sent")]
    Discarded,
    /// The task that sent the message ended early: it panicked, or the producer was dropped. The message may or may not
    /// be stored.
    #[error("the producer stopped before the queue confirmed the message: it was dropped, or its task panicked")]
    Internal,
}

impl ProducerError {
    /// The reaction required of the caller.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoAgentsAvailable { .. } | Self::AgentConnectionFailed { .. } | Self::Timeout { .. } => {
                ErrorKind::Unavailable
            }
            Self::AgentError { status, code, .. } => kind_of_answer(*status, code),
            Self::TopicNotFound(_)
            | Self::InvalidPartition { .. }
            | Self::Config(_)
            | Self::Discarded
            | Self::Internal => ErrorKind::Fatal,
            Self::Serialization(_) | Self::Quarantined { .. } => ErrorKind::Poison,
            Self::Queue(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Commit(error) => error.kind(),
        }
    }

    /// True if one message of a request was refused before any was sent, so that the others can be sent without it.
    pub(crate) fn is_of_one_message(&self) -> bool {
        matches!(self, Self::Queue(QueueError::MessageTooLarge { .. } | QueueError::Unsendable { .. }))
    }
}

/// The reaction to an answer. A record's code counts more than the status, which is that of the worst record.
fn kind_of_answer(status: u16, code: &str) -> ErrorKind {
    match (code, status) {
        ("invalid_record" | "too_large", _) => ErrorKind::Poison,
        ("lost", _) => ErrorKind::Fatal,
        (_, 408 | 429 | 500 | 502 | 503 | 504) => ErrorKind::Unavailable,
        (_, 413 | 422) => ErrorKind::Poison,
        _ => ErrorKind::Fatal,
    }
}

fn in_brackets(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" ({code})") }
}

/// Messages that [`Producer::enqueue`](crate::Producer::enqueue) accepted were not confirmed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{failed} enqueued messages are not confirmed; {not_stored} of them are certainly not stored")]
pub struct FlushError {
    /// Messages without a confirmation since the last flush.
    pub failed: u64,
    /// Those of them that are certainly not stored.
    pub not_stored: u64,
    /// The failure of the first of them.
    #[source]
    pub first: SendFailure,
}
