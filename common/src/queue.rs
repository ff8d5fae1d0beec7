//! The queue: where producers leave messages and the writer takes them.
//!
//! Owns: the contract that every queue keeps, and its error type.
//! Does not own: positions. The catalog knows how far a partition is committed; a queue only serves from an offset.
//! The contract is exercised by one conformance suite that every implementation passes.

pub mod config;
pub mod memory;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::diagnosis::Finding;
use crate::error::ErrorKind;
use crate::ids::{Epoch, TopicName, TopicPartition};
use crate::memory::{MemoryBudget, MemoryPermit};
use crate::message::{Message, OutgoingMessage};
use crate::receipt::CommitReceipt;
use crate::topic::TopicDefinition;

/// A place of ordered, numbered messages per partition.
#[async_trait]
pub trait Queue: fmt::Debug + Send + Sync {
    /// Makes whatever the topic needs (on JetStream: its streams). Repeating it with the same definition is
    /// harmless; a topic that exists otherwise is [`QueueError::Refused`]. Opens the topic as well.
    async fn create_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError>;

    /// Removes what [`Queue::create_topic`] made, with the messages in it. Of streams that somebody else made, only
    /// this topic's readers are removed. An absent topic is no error.
    async fn delete_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError>;

    /// Makes the topic known to this process, and checks that the queue can serve it; changes nothing there.
    /// `next_offsets` holds, per partition, the catalog's high watermark: a queue that does not outlive its
    /// process numbers on from there; a durable one has its own numbers and ignores it. Idempotent.
    async fn open_topic(&self, topic: &TopicDefinition, next_offsets: &[u64]) -> Result<(), QueueError>;

    /// Stores `messages` in order and returns when each is *confirmed*, one ack per message, in order.
    /// Waits while the queue is full. On an error any prefix may have been stored: repeat with message ids to
    /// store each once within the queue's duplicate window.
    async fn publish(&self, to: &TopicPartition, messages: Vec<OutgoingMessage>)
    -> Result<Vec<PublishAck>, QueueError>;

    /// Opens a subscription that starts at the first message with an offset of at least `from_offset`.
    /// A later subscription of a partition supersedes an earlier one, whose calls may then fail. No subscription
    /// outlives a loss of messages that the queue held when it was made, or the queue's being made again.
    async fn subscribe(&self, request: SubscribeRequest) -> Result<Box<dyn Subscription>, QueueError>;

    /// What the partition holds now.
    async fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, QueueError>;

    /// The stored messages with `from_offset <= offset < to_offset`, in order; offsets that are not held are
    /// left out. Beside every subscription, and without effect on any. For anchors, audits and the hot tail.
    async fn read(
        &self,
        partition: &TopicPartition,
        from_offset: u64,
        to_offset: u64,
    ) -> Result<Vec<Message>, QueueError>;

    /// Whether the queue answers now; for readiness.
    async fn check(&self) -> Result<(), QueueError>;

    /// What an operator should know about the queue and what it keeps for `topics`. Changes nothing that lasts.
    async fn diagnose(&self, topics: &[TopicDefinition]) -> Vec<Finding> {
        let _nothing_is_known_of_them = topics;
        Vec::new()
    }
}

/// One reader of one partition.
#[async_trait]
pub trait Subscription: fmt::Debug + Send {
    /// Waits for messages and returns at least one, at most `messages_max`, about `bytes_max` bytes, in order,
    /// each once, with the memory they occupy already taken from the budget given at subscribing.
    /// Cancel-safe: a dropped call loses nothing.
    ///
    /// After an error the subscription is of no further use: subscribe anew from the offset after the last
    /// message that was returned.
    async fn next(&mut self, messages_max: usize, bytes_max: usize) -> Result<Delivery, QueueError>;

    /// Tells the queue that everything below the receipt's watermark is committed. Losing an ack is harmless.
    async fn ack(&mut self, receipt: &CommitReceipt) -> Result<(), QueueError>;

    /// Ends the subscription in good order: acks that were sent are delivered, and what the queue keeps for
    /// this subscription is released.
    async fn close(self: Box<Self>) -> Result<(), QueueError>;
}

/// What to subscribe to.
#[derive(Clone, Debug)]
pub struct SubscribeRequest {
    /// The partition.
    pub partition: TopicPartition,
    /// The first offset wanted.
    pub from_offset: u64,
    /// Everything below is committed; at most `from_offset`. A queue that drops what no reader wants any more keeps
    /// all messages from here on, since what was read and is not committed may have to be read again.
    pub committed: u64,
    /// The ownership under which it is read.
    pub epoch: Epoch,
    /// Where the memory of fetched messages is taken from, before they are fetched.
    pub budget: MemoryBudget,
}

/// Messages with the memory they are accounted for.
#[derive(Debug)]
pub struct Delivery {
    /// In order, at least one.
    pub messages: Vec<Message>,
    /// Covers [`Message::memory_bytes`] of all of them.
    pub memory: MemoryPermit,
}

/// The queue's confirmation of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishAck {
    /// Where it is stored.
    pub offset: u64,
    /// The message id was known already: `offset` is that of the first one, and nothing was stored.
    pub duplicate: bool,
}

/// What a partition of the queue holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Offset of the oldest message held; equal to `next_offset` when there is none.
    pub first_offset: u64,
    /// Offset that the next message will get.
    pub next_offset: u64,
    /// Says which history this is; evidence only, equal text does not prove equal history nor the contrary.
    pub history: String,
    /// What makes the queue discard messages, committed or not; nothing when only readers make it do so.
    pub limits: Option<DiscardLimits>,
    /// When the queue's history began, by the clock that also gives messages their times, microseconds UTC: no message
    /// of this history is older. Nothing where the queue does not know, as that of a mirror, whose messages are older.
    pub created_us: Option<i64>,
}

/// How much a queue keeps of a partition before it discards the oldest messages, and how much it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiscardLimits {
    /// Messages held.
    pub messages: u64,
    /// Most messages held.
    pub messages_max: Option<u64>,
    /// Bytes held.
    pub bytes: u64,
    /// Most bytes held.
    pub bytes_max: Option<u64>,
    /// Queue time of the oldest message held, microseconds UTC.
    pub first_timestamp_us: i64,
    /// Longest time that a message is held.
    pub age_max: Option<Duration>,
}

/// Why a queue did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The topic was not opened, or its streams are missing.
    #[error("topic {topic} is not known to the queue: {reason}")]
    TopicUnknown {
        /// The topic.
        topic: TopicName,
        /// What is missing, and how to make it.
        reason: String,
    },
    /// The partition's number is not below the topic's count.
    #[error("partition {partition} does not exist: the topic has {partition_count}")]
    PartitionUnknown {
        /// What was asked for.
        partition: TopicPartition,
        /// How many there are.
        partition_count: u32,
    },
    /// The message is beyond what the queue takes.
    #[error("a message of {bytes} bytes is larger than the queue's limit of {bytes_max} bytes")]
    MessageTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The queue cannot be reached, is full, or lost the connection: try again.
    #[error("queue unavailable: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
    },
    /// The subscription ended or is no longer trusted: subscribe anew from the position.
    #[error("subscription of {partition} ended: {reason}")]
    SubscriptionLost {
        /// The partition.
        partition: TopicPartition,
        /// What raised the doubt.
        reason: String,
    },
    /// The queue refuses for good: configuration, permission, an unsupported stream.
    #[error("queue refused: {reason}")]
    Refused {
        /// Why, and what to change.
        reason: String,
    },
}

impl QueueError {
    /// What the caller must do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unavailable { .. } | Self::SubscriptionLost { .. } => ErrorKind::Unavailable,
            Self::MessageTooLarge { .. } => ErrorKind::Poison,
            Self::TopicUnknown { .. } | Self::PartitionUnknown { .. } | Self::Refused { .. } => ErrorKind::Fatal,
        }
    }

    /// That the queue cannot be reached now, with the reason.
    pub fn unavailable(reason: impl fmt::Display) -> Self {
        Self::Unavailable { reason: reason.to_string() }
    }

    /// That the queue refuses for good, with the reason.
    pub fn refused(reason: impl fmt::Display) -> Self {
        Self::Refused { reason: reason.to_string() }
    }
}
