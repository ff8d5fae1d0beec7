//! Errors of the writer that reach its callers. The pipeline retries all others itself.
//!
//! Owns: the writer's error type. Does not own: the reason for the end of a pipeline (`pipeline::context`).

use std::collections::BTreeMap;

use catalog::CreateTopicError;
use common::{ErrorKind, QueueError, TopicPartition};

/// Short for results of this crate.
pub type Result<T, E = WriterError> = std::result::Result<T, E>;

/// The reason why the writer could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// A requested topic does not exist.
    #[error("topic not found: {0}; create it with `siltstone topic create`")]
    TopicNotFound(String),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] catalog::CatalogError),
    /// The object store cannot be used, or one of its objects is not the committed one.
    #[error(transparent)]
    Lake(#[from] lake::LakeError),
    /// The objects of the catalog are in another store, or that cannot be said.
    #[error(transparent)]
    Place(#[from] lake::storage::PlaceError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Another writer took the partition over, so that this one can commit nothing more of it.
    #[error("{partition} was taken over: {reason}")]
    Fenced {
        /// The partition.
        partition: TopicPartition,
        /// The reason from the catalog.
        reason: String,
    },
    /// A partition was stopped, because continuing could lose or double messages.
    #[error("{partition} is halted: {reason}")]
    Halted {
        /// The partition.
        partition: TopicPartition,
        /// The reason, and the way to continue.
        reason: String,
    },
    /// A flush could not commit everything that was fetched before it. The queue still holds the rest.
    #[error("not everything could be committed: {}", joined(reasons))]
    NotCommitted {
        /// The reason by `topic` or `topic/partition`.
        reasons: BTreeMap<String, String>,
    },
    /// This process can do no more safe work; the next start takes over from the stored state.
    #[error("this process cannot go on: {reason}")]
    CannotGoOn {
        /// The reason.
        reason: String,
    },
    /// Another process works on the same catalog, and the queue is in this one's memory.
    #[error(
        "writer {name}{address} works on the same catalog, and QUEUE_TYPE=memory is a queue of one process: no other writer \
         sees its messages; publish to that process, or set QUEUE_TYPE=nats for both"
    )]
    NotAlone {
        /// The other writer's host and process id.
        name: String,
        /// The word `at` and its address, where it has one.
        address: String,
    },
    /// A partition cannot be resumed as requested.
    #[error("{partition} cannot be resumed: {reason}")]
    Resume {
        /// The partition.
        partition: TopicPartition,
        /// The reason, and the allowed values.
        reason: String,
    },
    /// A part of the pipeline ended unexpectedly; a defect.
    #[error("internal error: {0}")]
    Internal(String),
    /// The time allowed for a shutdown passed; uncommitted messages stay in the queue.
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
    /// The reaction required of the caller.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Catalog(error) => error.kind(),
            Self::Lake(error) => error.kind(),
            Self::Place(error) => error.kind(),
            Self::Queue(error) => error.kind(),
            Self::NotCommitted { .. } => ErrorKind::Unavailable,
            Self::Fenced { .. } => ErrorKind::Conflict,
            Self::TopicNotFound(_)
            | Self::Halted { .. }
            | Self::CannotGoOn { .. }
            | Self::Resume { .. }
            | Self::Internal(_)
            | Self::NotAlone { .. }
            | Self::ShutdownDeadline { .. } => ErrorKind::Fatal,
        }
    }
}

fn joined(reasons: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = reasons.iter().map(|(place, reason)| format!("{place}: {reason}")).collect();
    lines.join("; ")
}
