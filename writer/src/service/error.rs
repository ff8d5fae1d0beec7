//! Errors of the standalone service.
//!
//! Owns: their texts for the operator. Does not own: the errors of the writer, or of the process around it.

use common::ids::InvalidTopicName;
use service::ServiceError;

use crate::error::WriterError;

/// The reason why the service did not start, or did not end in good order.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A name in `TOPICS` is not a valid name of a topic.
    #[error("TOPICS")]
    TopicName(#[source] InvalidTopicName),
    /// The catalog has no topic of a name in `TOPICS`.
    #[error("TOPICS={topics}: {error}")]
    TopicNotFound {
        /// The setting.
        topics: String,
        /// The text with the topic's name and the command that creates it.
        error: WriterError,
    },
    /// The writer ended without a stop.
    #[error("the writer ended by itself")]
    Ended(#[source] WriterError),
    /// The writer could not start, or could not drain.
    #[error(transparent)]
    Writer(#[from] WriterError),
    /// A part of the process did not start, or a signal or a deadline cut it short.
    #[error(transparent)]
    Shell(#[from] ServiceError),
}
