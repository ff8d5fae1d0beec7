//! Operations on agents and ownership of partitions.
//!
//! Owns: the contract of these operations. Does not own: SQL, the choice of partitions (the writer).

use std::time::Duration;

use async_trait::async_trait;
use common::{Incarnation, OwnerId, TopicPartition};

use crate::error::Result;
use crate::model::{AcquireOutcome, Agent, Ownership, OwnershipView, Partition, ResumePoint};

/// Agents and ownership of partitions.
#[async_trait]
pub trait OwnershipStore: Send + Sync {
    /// Registers the agent or renews its lease, by the database's clock.
    async fn heartbeat(&self, agent: &Agent) -> Result<()>;

    /// Takes over each partition whose owner is absent or has not sent a heartbeat for `lease`; its epoch rises by one,
    /// and intents of older epochs are doomed. The agent must have sent a heartbeat. One outcome each, in order.
    ///
    /// # Errors
    /// `PartitionNotFound`.
    async fn acquire(
        &self,
        owner: OwnerId,
        lease: Duration,
        partitions: &[TopicPartition],
    ) -> Result<Vec<AcquireOutcome>>;

    /// Releases partitions that are still held at that epoch by that owner.
    async fn release(&self, held: &[Ownership]) -> Result<()>;

    /// Stops a partition with a reason, if it is still held as given.
    ///
    /// # Errors
    /// `Fenced` if it is not.
    async fn halt(&self, held: &Ownership, reason: &str) -> Result<()>;

    /// Removes the agent, releases all its partitions, and dooms its pending intents of shared and merged objects.
    async fn remove_agent(&self, owner: OwnerId) -> Result<()>;

    /// Agents that sent a heartbeat within `lease`.
    async fn list_agents(&self, lease: Duration) -> Result<Vec<Agent>>;

    /// Agents that sent a heartbeat within `lease`, and every partition with its owner and watermark, as of one
    /// transaction of the server that takes commits: every commit before the call is in it.
    async fn ownership_view(&self, lease: Duration) -> Result<OwnershipView>;

    /// Records that the message at `offset` is about to be decoded by itself, and returns the number of decodings that
    /// began and did not end; this ownership counts once. The mark stays until it is cleared or a commit passes it.
    ///
    /// # Errors
    /// `Fenced` if the partition is not held as given.
    async fn mark_suspect(&self, held: &Ownership, offset: u64) -> Result<u32>;

    /// Removes the mark: the message was decoded.
    ///
    /// # Errors
    /// `Fenced` if the partition is not held as given.
    async fn clear_suspect(&self, held: &Ownership) -> Result<()>;

    /// Lets a halted partition continue in a new incarnation: committed segments stay, offsets count anew from the
    /// point, the partition has no owner, and pending intents are doomed.
    ///
    /// # Errors
    /// `PartitionNotFound`; `Fenced` if it is not halted, or its incarnation is not the one `seen`.
    async fn resume(&self, partition: &TopicPartition, seen: Incarnation, at: &ResumePoint) -> Result<Partition>;
}
