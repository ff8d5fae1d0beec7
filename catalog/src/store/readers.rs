//! Readers' marks: records that were published again, offsets of consumer groups.
//!
//! Owns: the contract of these operations. Does not own: SQL, the meaning of a consumer's offset.

use async_trait::async_trait;
use common::TopicPartition;

use crate::error::Result;
use crate::model::{ConsumerOffset, Position, Replay};

/// Quarantined records that were published again.
#[async_trait]
pub trait ReplayStore: Send + Sync {
    /// Records that these were published again; a later mark of the same record replaces the earlier. The time is the
    /// database's.
    ///
    /// # Errors
    /// `PartitionNotFound`.
    async fn mark_replayed(&self, replays: &[Replay]) -> Result<()>;

    /// The partition's records that were published again, by incarnation, offset and row.
    async fn list_replays(&self, partition: &TopicPartition) -> Result<Vec<Replay>>;
}

/// Consumer groups and their offsets.
#[async_trait]
pub trait ConsumerStore: Send + Sync {
    /// Creates the group unless it exists.
    async fn ensure_consumer_group(&self, group_id: &str) -> Result<()>;

    /// Records the position of a group without members that are alive, creating the group if needed, in one transaction.
    /// The last call counts, also with an earlier incarnation or offset.
    ///
    /// # Errors
    /// `GroupActive`: a member alone commits what it reads; `PartitionNotFound`; `InvalidOffset`, also if the partition has not reached that incarnation.
    async fn commit_offset(&self, offset: ConsumerOffset) -> Result<()>;

    /// The offset that the group committed for the partition, if any.
    async fn get_committed_offset(&self, group_id: &str, partition: &TopicPartition) -> Result<Option<Position>>;

    /// All offsets of the group, by topic and partition.
    async fn get_consumer_offsets(&self, group_id: &str) -> Result<Vec<ConsumerOffset>>;

    /// Deletes the group with its offsets.
    ///
    /// # Errors
    /// `GroupNotFound`; `GroupActive` while a member is alive.
    async fn delete_consumer_group(&self, group_id: &str) -> Result<()>;
}
