//! Errors of queues.
//!
//! Owns: their kinds, and what a caller does about each. Does not own: the contract (`queue`).

use std::fmt;

use crate::error::ErrorKind;
use crate::ids::{TopicName, TopicPartition};

/// Errors of a queue.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueueError {
    /// The topic was not opened, or its streams are missing.
    #[error("topic {topic} is not known to the queue: {reason}")]
    TopicUnknown {
        /// The topic.
        topic: TopicName,
        /// The missing part, and how to create it.
        reason: String,
    },
    /// The partition's number is not below the topic's count.
    #[error("partition {partition} does not exist: the topic has {partition_count}")]
    PartitionUnknown {
        /// The requested partition.
        partition: TopicPartition,
        /// The topic's number of partitions.
        partition_count: u32,
    },
    /// The message exceeds the queue's limit.
    #[error("a message of {bytes} bytes is larger than the queue's limit of {bytes_max} bytes")]
    MessageTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The queue is unreachable, full, or lost the connection: try again.
    #[error("queue unavailable: {reason}")]
    Unavailable {
        /// The failure.
        reason: String,
    },
    /// There is no room for the messages, and none of the call is stored: try again when there is.
    #[error("queue unavailable: {reason}")]
    Full {
        /// The limit that was reached, in the queue's words.
        reason: String,
    },
    /// The subscription ended or is no longer trusted: subscribe anew from the position.
    #[error("subscription of {partition} ended: {reason}")]
    SubscriptionLost {
        /// The partition.
        partition: TopicPartition,
        /// The cause of the doubt.
        reason: String,
    },
    /// The topic, or a message, cannot be published: nothing is stored.
    #[error("queue refused: {reason}")]
    Unsendable {
        /// The reason, and the change to make.
        reason: String,
    },
    /// The queue refuses permanently: configuration, permission, an unsupported stream.
    #[error("queue refused: {reason}")]
    Refused {
        /// The reason, and the change to make.
        reason: String,
    },
}

impl QueueError {
    /// The reaction required of the caller.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unavailable { .. } | Self::Full { .. } | Self::SubscriptionLost { .. } => ErrorKind::Unavailable,
            Self::MessageTooLarge { .. } => ErrorKind::Poison,
            Self::TopicUnknown { .. }
            | Self::PartitionUnknown { .. }
            | Self::Unsendable { .. }
            | Self::Refused { .. } => ErrorKind::Fatal,
        }
    }

    /// True for an error of [`Queue::publish`](super::Queue::publish) after which no message of the call is stored.
    pub fn is_nothing_stored(&self) -> bool {
        matches!(
            self,
            Self::MessageTooLarge { .. }
                | Self::Full { .. }
                | Self::TopicUnknown { .. }
                | Self::PartitionUnknown { .. }
                | Self::Unsendable { .. }
        )
    }

    /// An error for a queue that is unreachable now.
    pub fn unavailable(reason: impl fmt::Display) -> Self {
        Self::Unavailable { reason: reason.to_string() }
    }

    /// An error for a topic or a message that cannot be published; nothing was sent.
    pub fn unsendable(reason: impl fmt::Display) -> Self {
        Self::Unsendable { reason: reason.to_string() }
    }

    /// An error for a permanent refusal.
    pub fn refused(reason: impl fmt::Display) -> Self {
        Self::Refused { reason: reason.to_string() }
    }
}
