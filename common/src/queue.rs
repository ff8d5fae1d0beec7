//! The queue: producers publish messages to it and the writer reads them.
//!
//! Owns: the contract that every queue keeps.
//! Does not own: positions. The catalog has each partition's high watermark; a queue only serves from an offset. One
//! conformance suite, which every implementation passes, exercises the contract.

mod announcements;
pub mod config;
mod error;
pub mod history;
pub mod memory;
mod page;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::announcements::{Announcement, Announcements};
pub use self::error::QueueError;
pub use self::page::{Page, PageLimits};
use crate::diagnosis::Finding;
use crate::ids::{Epoch, TopicName, TopicPartition};
use crate::memory::{MemoryBudget, MemoryPermit};
use crate::message::{Message, OutgoingMessage};
use crate::receipt::CommitReceipt;
use crate::topic::TopicDefinition;

/// Ordered, numbered messages, per partition.
#[async_trait]
pub trait Queue: fmt::Debug + Send + Sync {
    /// Creates the topic's parts of the queue (on JetStream: its streams). Repeating it with the same definition is
    /// harmless; a topic that exists with another one is [`QueueError::Refused`]. Opens the topic as well.
    async fn create_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError>;

    /// Removes everything that [`Queue::create_topic`] made, with its messages. From streams of another origin, it
    /// removes only this topic's readers. An absent topic is no error.
    async fn delete_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError>;

    /// Registers the topic in this process, and checks that the queue can serve it; changes nothing in a durable queue, which
    /// ignores `since` and `next_offsets`. Idempotent.
    ///
    /// `since` is the time at which the catalog's topic was made, if there is one: a queue that does not outlive its process
    /// drops the messages of an earlier topic of that name, which another process deleted. `next_offsets` holds, per partition,
    /// the catalog's high watermark: such a queue numbers on from there.
    async fn open_topic(
        &self,
        topic: &TopicDefinition,
        since: Option<i64>,
        next_offsets: &[u64],
    ) -> Result<(), QueueError>;

    /// Tells that the catalog no longer has the topic that was made at that time. A queue that does not outlive its process
    /// drops its messages, and refuses more of them; others do nothing.
    async fn close_topic(&self, name: &TopicName, since: i64) {
        let _ = (name, since);
    }

    /// Stores `messages` in order and returns when each is *confirmed*, one ack per message, in order. Waits while
    /// the queue is full. On an error any prefix may have been stored: repeat with message ids to store each once
    /// within the queue's duplicate window. An error that [`QueueError::is_nothing_stored`] stored none.
    async fn publish(&self, to: &TopicPartition, messages: Vec<OutgoingMessage>)
    -> Result<Vec<PublishAck>, QueueError>;

    /// Opens a subscription that starts at the first message with an offset of at least `from_offset`. A later
    /// subscription of a partition supersedes an earlier one, whose calls may then fail. A subscription ends when
    /// messages that the queue held at its start are lost, or when the queue is recreated.
    async fn subscribe(&self, request: SubscribeRequest) -> Result<Box<dyn Subscription>, QueueError>;

    /// The offsets that the partition holds now.
    async fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, QueueError>;

    /// The stored messages with `from_offset <= offset < to_offset`, in order; offsets that are not held are left
    /// out. Independent of every subscription. For anchors, audits and the hot tail.
    async fn read(
        &self,
        partition: &TopicPartition,
        from_offset: u64,
        to_offset: u64,
    ) -> Result<Vec<Message>, QueueError>;

    /// The first of the messages that [`Queue::read`] gives, as many as the limits allow, at least one if there is one.
    /// Every message of the range that the queue holds below the page's `next_offset` is in the page.
    async fn read_page(
        &self,
        partition: &TopicPartition,
        from_offset: u64,
        to_offset: u64,
        limits: PageLimits,
    ) -> Result<Page, QueueError> {
        // By count alone: offsets are at least as many as messages.
        let count = u64::try_from(limits.messages_max.max(1)).unwrap_or(u64::MAX);
        let next_offset = to_offset.min(from_offset.saturating_add(count));
        let messages = self.read(partition, from_offset, next_offset).await?;
        Ok(Page { messages, next_offset })
    }

    /// Succeeds if the queue answers now; for readiness.
    async fn check(&self) -> Result<(), QueueError>;

    /// The memory of this process that holds the messages, if it does. While a publisher waits for it, only commits make
    /// room: the writer then closes batches early.
    fn memory(&self) -> Option<&MemoryBudget> {
        None
    }

    /// The subjects of the messages that the stream holds and the pattern matches, each once.
    ///
    /// # Errors
    /// [`QueueError::Refused`] if the queue has no such stream, or it does not keep what nobody reads yet.
    async fn subjects(&self, stream: &str, pattern: &str) -> Result<Vec<String>, QueueError> {
        Err(QueueError::refused(format!("this queue has no streams with subjects, such as {stream} with {pattern}")))
    }

    /// The way in which writers announce commits to other processes, if the queue has one.
    fn announcements(&self) -> Option<Arc<dyn Announcements>> {
        None
    }

    /// Findings for an operator about the queue and its state for `topics`. Makes no lasting change.
    async fn diagnose(&self, topics: &[TopicDefinition]) -> Vec<Finding> {
        // The default has no findings.
        let _ = topics;
        Vec::new()
    }
}

/// One reader of one partition.
#[async_trait]
pub trait Subscription: fmt::Debug + Send {
    /// Waits for messages and returns at least one, at most `messages_max`, about `bytes_max` bytes, in order, each
    /// once; their memory is already taken from the budget given at subscribing. Cancel-safe: a dropped call loses
    /// nothing.
    ///
    /// After an error the subscription is of no further use: subscribe anew from the offset after the last returned
    /// message.
    async fn next(&mut self, messages_max: usize, bytes_max: usize) -> Result<Delivery, QueueError>;

    /// Confirms to the queue that every message below the receipt's watermark is committed. Losing an ack is
    /// harmless.
    async fn ack(&mut self, receipt: &CommitReceipt) -> Result<(), QueueError>;

    /// Ends the subscription in good order: sent acks are delivered, and the queue releases its state for this
    /// subscription.
    async fn close(self: Box<Self>) -> Result<(), QueueError>;
}

/// The arguments of a subscription.
#[derive(Clone, Debug)]
pub struct SubscribeRequest {
    /// The partition.
    pub partition: TopicPartition,
    /// The first offset wanted.
    pub from_offset: u64,
    /// Every message below is committed; at most `from_offset`. A queue that drops messages without readers keeps all
    /// messages from here on, since uncommitted messages may have to be read again.
    pub committed: u64,
    /// The ownership under which it is read.
    pub epoch: Epoch,
    /// The memory budget, from which bytes are taken before messages are fetched.
    pub budget: MemoryBudget,
}

/// Messages and the memory permit for them.
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
    /// The offset of the stored message.
    pub offset: u64,
    /// The message id was already in the duplicate window: `offset` is that of the first message, and nothing was
    /// stored.
    pub duplicate: bool,
}

/// The offsets and limits of a partition in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Offset of the oldest message held; equal to `next_offset` when there is none.
    pub first_offset: u64,
    /// Offset that the next message will get.
    pub next_offset: u64,
    /// Describes the queue's history; evidence only: equal text does not prove equal history, nor the contrary.
    pub history: String,
    /// Limits beyond which the queue discards messages, committed or not; `None` if only readers cause it to discard.
    pub limits: Option<DiscardLimits>,
    /// Start of the queue's history by the clock that also stamps messages, microseconds UTC: no message of this
    /// history is older. `None` if the queue has no such time; a mirror has none, because its messages are older.
    pub created_us: Option<i64>,
    /// Time in which the queue knows the id of a message again; `None` if it counts ids instead.
    pub duplicate_window: Option<Duration>,
    /// The offsets that the queue lacks by its own settings; `None` if a missing offset is a loss.
    pub omits: Option<Omits>,
}

/// Offsets that a queue lacks by its own settings: none of them is a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omits {
    /// All but this many newest messages of each subject, which it is meant to forget.
    Older(u64),
    /// Messages of subjects that it does not take: it copies a part of another queue, with that queue's offsets.
    OtherSubjects,
}

/// A partition's limits, beyond which the queue discards the oldest messages, and the amounts held.
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
