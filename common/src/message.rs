//! Messages, as a queue accepts and delivers them.
//!
//! Owns: the shape of a message, and its size in the memory budget.
//! Does not own: a queue's wire format, the meaning of the payload.

use std::sync::Arc;

use bytes::Bytes;

/// Header names and values in the order given; a name may repeat. A value holds no line feed.
pub type Headers = Vec<(String, String)>;

/// Bytes that a message costs in addition to its payload: its own struct and the queue's bookkeeping.
pub const MESSAGE_OVERHEAD_BYTES: usize = 160;

/// A message as the queue delivers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Position in the partition's queue; rises, not necessarily by one.
    pub offset: u64,
    /// Time at which the queue stored it, microseconds since the Unix epoch, UTC.
    pub timestamp_us: i64,
    /// The producer's key, if any.
    pub key: Option<Bytes>,
    /// The producer's headers, without those that carry Siltstone's own fields.
    pub headers: Headers,
    /// The subject it was published to.
    pub subject: Arc<str>,
    /// The content, untouched.
    pub payload: Bytes,
    /// A producer waits for its commit: the writer closes its batch early.
    pub is_awaited: bool,
}

impl Message {
    /// Bytes that this message takes from the memory budget.
    pub fn memory_bytes(&self) -> usize {
        memory_bytes(&self.payload, self.key.as_ref(), &self.headers)
    }
}

fn memory_bytes(payload: &Bytes, key: Option<&Bytes>, headers: &Headers) -> usize {
    let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
    payload.len() + key.map_or(0, Bytes::len) + headers + MESSAGE_OVERHEAD_BYTES
}

/// A message on its way into a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// Identifies the message in the queue's duplicate window: a second message of the same id is not stored again.
    pub message_id: Option<String>,
    /// The producer's key, if any.
    pub key: Option<Bytes>,
    /// The producer's headers.
    pub headers: Headers,
    /// The content.
    pub payload: Bytes,
    /// The producer waits for the commit: the writer closes the batch early. The answer of
    /// [`Queue::publish`](crate::Queue::publish) does not change: it comes with the queue's confirmation. A message that
    /// is not stored, because its id was known, changes nothing for the stored one.
    pub is_awaited: bool,
}

impl OutgoingMessage {
    /// Bytes that this message takes while it waits, and once it is stored: the same as [`Message::memory_bytes`].
    pub fn memory_bytes(&self) -> usize {
        memory_bytes(&self.payload, self.key.as_ref(), &self.headers)
    }

    /// A message of `payload` alone.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), ..Self::default() }
    }

    /// The same message with a key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same message with an id for the duplicate window.
    #[must_use]
    pub fn with_message_id(mut self, id: impl Into<String>) -> Self {
        self.message_id = Some(id.into());
        self
    }

    /// The same message, for whose commit the producer waits.
    #[must_use]
    pub fn awaited(mut self) -> Self {
        self.is_awaited = true;
        self
    }
}
