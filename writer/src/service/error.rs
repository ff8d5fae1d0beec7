//! Errors of the standalone service.
//!
//! Owns: their words for the operator. Does not own: the errors of the writer, or of the process around it.

use common::ids::InvalidTopicName;
use service::ServiceError;

use crate::error::WriterError;

/// Why the service did not start, or ended otherwise than in order.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A name in `TOPICS` is not one of a topic.
    #[error("TOPICS")]
    TopicName(#[source] InvalidTopicName),
    /// `TOPICS` names a topic that the catalog does not have.
    #[error("TOPICS={topics}: {error}")]
    TopicNotFound {
        /// The setting.
        topics: String,
        /// Names the topic, and the command that creates it.
        error: WriterError,
    },
    /// The writer ended without having been stopped.
    #[error("the writer ended by itself")]
    Ended(#[source] WriterError),
    /// The writer could not start, or not drain.
    #[error(transparent)]
    Writer(#[from] WriterError),
    /// A part of the process did not start, or a signal or a deadline cut it short.
    #[error(transparent)]
    Shell(#[from] ServiceError),
}
