//! Notes of readers of a topic, as types: offsets of consumer groups, records that were published again.
//!
//! Owns: their shape. Does not own: the meaning of a consumer's offset.

use common::{Incarnation, TopicName, TopicPartition};
use serde::{Deserialize, Serialize};

/// How far a consumer group has read one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerOffset {
    /// The group.
    pub group_id: String,
    /// Name of the topic.
    pub topic: TopicName,
    /// The partition.
    pub partition_id: u32,
    /// The history that the offset counts in.
    pub incarnation: Incarnation,
    /// What the group committed; by convention the next offset it wants to read.
    pub committed_offset: u64,
    /// A note of the consumer's.
    pub metadata: Option<String>,
}

/// The offset that a group committed for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedOffset {
    /// The history that the offset counts in.
    pub incarnation: Incarnation,
    /// By convention the next offset the group wants to read.
    pub offset: u64,
}

/// A quarantined record that was published again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The partition whose quarantine holds it.
    pub partition: TopicPartition,
    /// The history its offset counts in.
    pub incarnation: Incarnation,
    /// Offset of its message.
    pub offset: u64,
    /// Its row in the message.
    pub row: u32,
    /// Where it was published to.
    pub new_partition_id: u32,
    /// The offset it got there.
    pub new_offset: u64,
    /// When.
    pub replayed_at: i64,
}
