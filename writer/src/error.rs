//! Errors of the writer that reach its callers. What can be retried is retried inside and never gets here.
//!
//! Owns: the writer's error type. Does not own: why a pipeline ends (`pipeline::context`).

use catalog::CreateTopicError;
use common::{ErrorKind, QueueError, TopicPartition};

/// Short for results of this crate.
pub type Result<T, E = WriterError> = std::result::Result<T, E>;

/// Why the writer could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// A topic that was asked for does not exist.
    #[error("topic not found: {0}; create it with `siltstone topic create`")]
    TopicNotFound(String),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] catalog::CatalogError),
    /// The object store cannot be used, or an object in it is not what was committed.
    #[error(transparent)]
    Lake(#[from] lake::LakeError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A partition lost its owner and nothing of it can be committed any more.
    #[error("{partition} was taken over: {reason}")]
    Fenced {
        /// The partition.
        partition: TopicPartition,
        /// What the catalog said.
        reason: String,
    },
    /// A partition was stopped because going on could lose or double messages.
    #[error("{partition} is halted: {reason}")]
    Halted {
        /// The partition.
        partition: TopicPartition,
        /// Why, and how to go on.
        reason: String,
    },
    /// This process can do nothing more safely; the next start takes over from what is stored.
    #[error("this process cannot go on: {reason}")]
    CannotGoOn {
        /// Why.
        reason: String,
    },
    /// A partition cannot go on as was asked.
    #[error("{partition} cannot be resumed: {reason}")]
    Resume {
        /// The partition.
        partition: TopicPartition,
        /// Why, and what is allowed.
        reason: String,
    },
    /// A part of the pipeline ended unexpectedly; a defect.
    #[error("internal error: {0}")]
    Internal(String),
    /// The time allowed for a shutdown passed; what was not committed stays in the queue.
    #[error("shutdown took longer than {seconds} s; uncommitted messages stay in the queue")]
    ShutdownDeadline {
        /// The time allowed.
        seconds: u64,
    },
}

impl From<CreateTopicError> for WriterError {
    fn from(error: CreateTopicError) -> Self {
        match error {
            CreateTopicError::Catalog(error) | CreateTopicError::NotListed { error, .. } => Self::Catalog(error),
            CreateTopicError::Queue { error, .. } => Self::Queue(error),
        }
    }
}

impl WriterError {
    /// What the caller must do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Catalog(error) => error.kind(),
            Self::Lake(error) => error.kind(),
            Self::Queue(error) => error.kind(),
            Self::Fenced { .. } => ErrorKind::Conflict,
            Self::TopicNotFound(_)
            | Self::Halted { .. }
            | Self::CannotGoOn { .. }
            | Self::Resume { .. }
            | Self::Internal(_)
            | Self::ShutdownDeadline { .. } => ErrorKind::Fatal,
        }
    }
}
