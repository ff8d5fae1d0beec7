//! Marks of a topic's readers, as types: offsets of consumer groups, records that were published again.
//!
//! Owns: their shape. Does not own: the meaning of a consumer's offset.

use common::{Incarnation, TopicName, TopicPartition};
use serde::{Deserialize, Serialize};

use super::Position;

/// The position of a consumer group in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerOffset {
    /// The group.
    pub group_id: String,
    /// Name of the topic.
    pub topic: TopicName,
    /// The partition.
    pub partition_id: u32,
    /// The incarnation in which the offset counts.
    pub incarnation: Incarnation,
    /// The committed offset; by convention the next one that the group will read.
    pub committed_offset: u64,
    /// A note of the consumer's.
    pub metadata: Option<String>,
}

impl ConsumerOffset {
    /// The committed place.
    pub fn position(&self) -> Position {
        Position { incarnation: self.incarnation, offset: self.committed_offset }
    }
}

/// A quarantined record that was published again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The partition whose quarantine holds it.
    pub partition: TopicPartition,
    /// The incarnation in which its offset counts.
    pub incarnation: Incarnation,
    /// Offset of its message.
    pub offset: u64,
    /// Its row in the message.
    pub row: u32,
    /// The partition of the new message.
    pub new_partition_id: u32,
    /// The offset of the new message.
    pub new_offset: u64,
    /// Time of the publish.
    pub replayed_at: i64,
}
