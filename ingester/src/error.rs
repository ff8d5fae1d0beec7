//! Errors of sending a message, by the reaction required of the caller.
//!
//! Owns: the producer's error type. Does not own: errors of queue and catalog, which it passes on.

use catalog::CatalogError;
use common::{ErrorKind, QueueError, TopicName};

/// Short for results of this crate.
pub type Result<T, E = ProducerError> = std::result::Result<T, E>;

/// An error of the producer.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
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
    /// The queue did not confirm. Any part of the messages may be stored: repeat with the same message ids.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The catalog did not return the topic; nothing was sent.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl ProducerError {
    /// The reaction required of the caller.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TopicNotFound(_) | Self::InvalidPartition { .. } => ErrorKind::Fatal,
            Self::Queue(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
        }
    }
}
