//! Errors of waiting for a commit.
//!
//! Owns: their texts, and the reaction to each. Does not own: the decision between them (`commits`).

use std::sync::Arc;
use std::time::Duration;

use catalog::CatalogError;
use common::{ErrorKind, QueueError, TopicPartition};

/// The reason why a wait ended without a [`Fate`](super::Fate). None of them says that the record is committed, and
/// only [`WaitError::Lost`] says that it never will be.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WaitError {
    /// The topic or the partition does not exist, or it was deleted after the record was published.
    #[error("{partition} does not exist, or no longer: its topic was deleted")]
    TopicGone {
        /// The partition.
        partition: TopicPartition,
    },
    /// The partition takes no commits until an operator resumes it.
    #[error("{partition} is halted, so the record at offset {offset} is not committed: {reason}")]
    Halted {
        /// The partition.
        partition: TopicPartition,
        /// The record's offset.
        offset: u64,
        /// The reason of the halt.
        reason: String,
    },
    /// The offset counts in another history of the queue than the catalog's now, so it says nothing about this record.
    #[error("the commit of the record at offset {offset} of {partition} is unknown: {reason}")]
    OtherHistory {
        /// The partition.
        partition: TopicPartition,
        /// The record's offset.
        offset: u64,
        /// The difference between the histories.
        reason: String,
    },
    /// The queue lost the record before the writer read it; the offset is in a recorded gap.
    #[error("the record at offset {offset} of {partition} is lost and never committed: {reason}")]
    Lost {
        /// The partition.
        partition: TopicPartition,
        /// The record's offset.
        offset: u64,
        /// The reason in the gap.
        reason: String,
    },
    /// The record's batch is committed and has records in quarantine, and it is unknown if this is one of them.
    #[error(
        "the record at offset {offset} of {partition} is stored, in its table or in quarantine; the quarantine cannot be \
         read: {reason}"
    )]
    QuarantineUnread {
        /// The partition.
        partition: TopicPartition,
        /// The record's offset.
        offset: u64,
        /// The reason.
        reason: String,
    },
    /// The time allowed has passed. The record is in the queue and will be committed later, unless the queue loses it.
    #[error("the record at offset {offset} of {partition} was not committed within {} ms: {reason}", limit.as_millis())]
    NotInTime {
        /// The partition.
        partition: TopicPartition,
        /// The record's offset.
        offset: u64,
        /// The time allowed.
        limit: Duration,
        /// The last known obstacle.
        reason: String,
    },
    /// The catalog failed in a way that waiting does not mend.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The queue did not describe itself before the record was published.
    #[error(transparent)]
    Queue(Arc<QueueError>),
}

impl From<QueueError> for WaitError {
    fn from(error: QueueError) -> Self {
        Self::Queue(Arc::new(error))
    }
}

impl WaitError {
    /// The reaction required of the caller.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotInTime { .. } | Self::QuarantineUnread { .. } => ErrorKind::Unavailable,
            Self::OtherHistory { .. } | Self::TopicGone { .. } => ErrorKind::Conflict,
            Self::Halted { .. } | Self::Lost { .. } => ErrorKind::Fatal,
            Self::Catalog(error) => error.kind(),
            Self::Queue(error) => error.kind(),
        }
    }
}
