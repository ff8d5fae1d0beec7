//! The outcome of each message.
//!
//! Owns: its two shapes. Does not own: producing it (`producer`).

use std::sync::Arc;

use common::TopicName;
use common::queue::PublishAck;

use crate::error::ProducerError;

/// The place of a message that the queue confirmed and, with [`Acks::Committed`](crate::Acks), the catalog lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendResult {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: u32,
    /// Its offset in the partition.
    pub offset: u64,
    /// Its place in its message, which is the row's `_row`, if the producer packed it with others: they share the offset.
    /// 0 for a message of its own.
    pub record: u32,
    /// Time of the queue's confirmation by this process's clock, microseconds since the Unix epoch, UTC. The row's
    /// `_timestamp` is the queue's own time, at which it stored the message.
    pub timestamp: i64,
    /// The caller's message id was already in the duplicate window: `offset` is that of the first message, and
    /// nothing was stored now.
    pub duplicate: bool,
}

/// The reason why a message is not confirmed. Unless [`SendFailure::is_not_stored`], it may or may not be stored: a
/// caller that repeats it must have given it an id.
#[derive(Clone, Debug, thiserror::Error)]
#[error("partition {partition}: {error}")]
pub struct SendFailure {
    /// The partition that it was sent to.
    pub partition: u32,
    /// The error, shared by the messages of one request.
    pub error: Arc<ProducerError>,
    /// The message was refused before it was sent: it is certainly not stored.
    pub is_not_stored: bool,
}

/// The answer to one message, whose topic and partition are known.
pub(crate) type Answer = Result<PublishAck, SendFailure>;

/// The outcome of one message, independent of the others.
pub type SendOutcome = Result<SendResult, SendFailure>;
