//! The outcome of each message of a batch.
//!
//! Owns: its two shapes. Does not own: producing it (`producer`).

use std::sync::Arc;

use common::TopicName;

use crate::error::ProducerError;

/// The place of a confirmed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendResult {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: u32,
    /// Its offset in the partition.
    pub offset: u64,
    /// The caller's message id was already in the duplicate window: `offset` is that of the first message, and
    /// nothing was stored now.
    pub duplicate: bool,
}

/// The reason why a message of a batch is not confirmed. Unless [`SendFailure::is_not_stored`], it may or may not be
/// stored: a caller that repeats it must have given it an id.
#[derive(Clone, Debug, thiserror::Error)]
#[error("partition {partition}: {error}")]
pub struct SendFailure {
    /// The partition that it was sent to.
    pub partition: u32,
    /// The error of that partition, shared by all of its messages in the batch.
    pub error: Arc<ProducerError>,
    /// The messages were refused before the first of them was sent: none is stored.
    pub is_not_stored: bool,
}

/// The outcome of one message, independent of the others.
pub type SendOutcome = Result<SendResult, SendFailure>;
