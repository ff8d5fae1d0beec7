//! What a catalog can do, split by role.
//!
//! Owns: the contract of every operation. One conformance suite runs against each implementation.
//! Does not own: SQL, pools, migrations.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use common::diagnosis::Finding;
use common::topic::TopicOptions;
use common::{Incarnation, OwnerId, TopicName, TopicPartition};

use crate::commit::{CommitOutcome, CommitRequest};
use crate::error::Result;
use crate::model::{
    AcquireOutcome, Agent, CommitRecord, ConsumerOffset, IncarnationStart, Ownership, OwnershipView, Partition,
    RecordedGap, Replay, ResumePoint, SegmentInfo, Topic, TopicConfig, TopicSnapshot, Upload, UploadIntent,
};

/// A whole catalog.
#[async_trait]
pub trait MetadataStore:
    TopicStore + SegmentStore + CommitStore + OwnershipStore + JanitorStore + ReplayStore + ConsumerStore + fmt::Debug
{
    /// Whether the database answers now; for readiness.
    async fn check(&self) -> Result<()>;

    /// What an operator should know about the database: whether a commit here outlives a crash. Changes nothing.
    async fn diagnose(&self) -> Vec<Finding> {
        Vec::new()
    }

    /// Looks for what a broken disk may have done to the database; a writer does so before it begins. Reads all of it:
    /// a second for about a million commits. Nothing to do where the database checks its own files.
    ///
    /// # Errors
    /// `Inconsistent` says what contradicts what.
    async fn verify(&self) -> Result<()> {
        Ok(())
    }

    /// Ends all connections in good order.
    async fn close(&self);
}

/// Topics and partitions.
#[async_trait]
pub trait TopicStore: Send + Sync {
    /// Creates the topic and all its partitions at watermark 0, in one transaction. Their epochs go on where a topic of
    /// that name had ended: nothing that was meant for it is taken for this one's.
    ///
    /// # Errors
    /// `TopicAlreadyExists`; `Refused` when the definition is not valid.
    async fn create_topic(&self, topic: TopicConfig) -> Result<Topic>;

    /// Deletes the topic with its partitions, segments, gaps and consumer offsets, in one transaction. The objects
    /// of its segments are handed to the janitor, and its highest epoch is kept for the next topic of that name.
    ///
    /// # Errors
    /// `TopicNotFound`.
    async fn delete_topic(&self, name: &TopicName) -> Result<()>;

    /// The topic, if it exists.
    async fn get_topic(&self, name: &TopicName) -> Result<Option<Topic>>;

    /// All topics, by name.
    async fn list_topics(&self) -> Result<Vec<Topic>>;

    /// Replaces retention and options of the topic as it was `seen_version`; `schema_version` rises when the options
    /// differ. Of two such changes of one version, the second is refused.
    ///
    /// # Errors
    /// `TopicNotFound`; `TopicChanged` when its schema version is another one by now; `Refused` when the options are not
    /// valid.
    async fn update_topic_config(
        &self,
        name: &TopicName,
        seen_version: u32,
        retention_ms: Option<u64>,
        config: TopicOptions,
    ) -> Result<Topic>;

    /// The partition, if it exists.
    async fn get_partition(&self, partition: &TopicPartition) -> Result<Option<Partition>>;

    /// The topic's partitions, by number; empty when there is no such topic.
    async fn list_partitions(&self, topic: &TopicName) -> Result<Vec<Partition>>;

    /// Moves an unowned partition's watermark forward, for imports and repairs. The writer never calls it: its
    /// watermark moves in [`CommitStore::commit`] alone. A watermark that moves leaves the partition without anchor.
    ///
    /// # Errors
    /// `PartitionNotFound`; `InvalidOffset` when it would move back; `Fenced` while somebody owns the partition.
    async fn update_high_watermark(&self, partition: &TopicPartition, high_watermark: u64) -> Result<()>;
}

/// Segments.
#[async_trait]
pub trait SegmentStore: Send + Sync {
    /// Lists a segment outside a commit, for imports and repairs; the writer never calls it.
    ///
    /// # Errors
    /// `PartitionNotFound`; `InvalidOffset` when the range is reversed or overlaps a listed segment of its kind, or
    /// when its id or key is listed already.
    async fn add_segment(&self, segment: SegmentInfo) -> Result<()>;

    /// Live segments of both kinds of a partition, by incarnation and base offset.
    async fn get_segments(&self, partition: &TopicPartition) -> Result<Vec<SegmentInfo>>;

    /// The live data segment of the current incarnation whose range holds `offset`. By index, whatever the number
    /// of segments.
    async fn find_segment_for_offset(&self, partition: &TopicPartition, offset: u64) -> Result<Option<SegmentInfo>>;

    /// Takes segments of the current incarnation that end below `offset` off the list and hands their objects to the janitor, in one
    /// transaction; returns how many. Offsets stay committed.
    async fn delete_segments_before(&self, partition: &TopicPartition, offset: u64) -> Result<u64>;

    /// Topic, partitions and live segments as of one transaction.
    ///
    /// # Errors
    /// `TopicNotFound`.
    async fn snapshot(&self, topic: &TopicName) -> Result<TopicSnapshot>;

    /// Recorded gaps of a partition, by incarnation and base offset.
    async fn list_gaps(&self, partition: &TopicPartition) -> Result<Vec<RecordedGap>>;

    /// Every commit of a partition, by number.
    async fn list_commits(&self, partition: &TopicPartition) -> Result<Vec<CommitRecord>>;

    /// Where the partition's histories begin, from the second one on, by number.
    async fn list_incarnations(&self, partition: &TopicPartition) -> Result<Vec<IncarnationStart>>;
}

/// Intents and commits.
#[async_trait]
pub trait CommitStore: Send + Sync {
    /// Records that these objects are about to be put, one answer each, in one transaction where possible.
    /// An intent is recorded only while the partition's epoch and owner are those of the intent.
    /// `Err(Fenced)` for an intent means that it is not. Repeating a recorded intent is harmless.
    async fn record_intents(&self, intents: &[UploadIntent]) -> Vec<Result<()>>;

    /// Gives up intents whose object will not be committed under this key; the janitor deletes the object.
    async fn abandon_intents(&self, intents: &[UploadIntent]) -> Result<()>;

    /// Commits the requests in order, one outcome each. They may share a transaction; a refused one does not hold
    /// up the others, except that later requests of the same partition are refused too.
    ///
    /// A request is done when, in one transaction: the partition's watermark, epoch, owner, incarnation and state
    /// were compared and the watermark moved; the intents were consumed; segments, gaps and the commit row
    /// were inserted. The future must be driven to its end once polled: run it in a task of its own.
    async fn commit(&self, requests: &[CommitRequest]) -> Vec<CommitOutcome>;

    /// Settles an unknown outcome: on a fresh connection, locks the partition and looks for the commit.
    /// Never `Unknown`; `NotDone` means that the request may be sent again.
    ///
    /// # Errors
    /// It could not be looked up; of kind `Unavailable` when the database is away: then resolve again.
    async fn resolve(&self, request: &CommitRequest) -> Result<CommitOutcome>;
}

/// Agents and ownership of partitions.
#[async_trait]
pub trait OwnershipStore: Send + Sync {
    /// Registers the agent or renews its lease, by the database's clock.
    async fn heartbeat(&self, agent: &Agent) -> Result<()>;

    /// Takes over each partition whose owner is absent or has not sent a heartbeat for `lease`; its epoch rises by
    /// one, and intents of older epochs are doomed. The agent must have sent a heartbeat. One outcome each, in order.
    ///
    /// # Errors
    /// `PartitionNotFound`.
    async fn acquire(
        &self,
        owner: OwnerId,
        lease: Duration,
        partitions: &[TopicPartition],
    ) -> Result<Vec<AcquireOutcome>>;

    /// Gives partitions back, where they are still held at that epoch by that owner.
    async fn release(&self, held: &[Ownership]) -> Result<()>;

    /// Stops a partition with a reason, if it is still held as given.
    ///
    /// # Errors
    /// `Fenced` when it is not.
    async fn halt(&self, held: &Ownership, reason: &str) -> Result<()>;

    /// Removes the agent and releases whatever it still owns.
    async fn remove_agent(&self, owner: OwnerId) -> Result<()>;

    /// Agents that sent a heartbeat within `lease`.
    async fn list_agents(&self, lease: Duration) -> Result<Vec<Agent>>;

    /// Agents that sent a heartbeat within `lease`, and every partition with its owner and watermark, as of one transaction
    /// of the server that takes commits: whatever was committed before the call is in it.
    async fn ownership_view(&self, lease: Duration) -> Result<OwnershipView>;

    /// Notes that the message at `offset` is about to be decoded by itself, and returns how often that was begun
    /// without an end, under this ownership once. The note stays until it is cleared or a commit passes it.
    ///
    /// # Errors
    /// `Fenced` when the partition is not held as given.
    async fn mark_suspect(&self, held: &Ownership, offset: u64) -> Result<u32>;

    /// Takes the note back: the message was decoded.
    ///
    /// # Errors
    /// `Fenced` when the partition is not held as given.
    async fn clear_suspect(&self, held: &Ownership) -> Result<()>;

    /// Lets a halted partition go on in a new incarnation: what was committed stays, offsets count anew from the
    /// point, nobody owns it, and pending intents are doomed.
    ///
    /// # Errors
    /// `PartitionNotFound`; `Fenced` when it is not halted, or its incarnation is not the one `seen`.
    async fn resume(&self, partition: &TopicPartition, seen: Incarnation, at: &ResumePoint) -> Result<Partition>;
}

/// Objects that are not listed.
#[async_trait]
pub trait JanitorStore: Send + Sync {
    /// Doomed objects of `bucket` that are due: never deleted and doomed for longer than `hold`, or deleted once and doomed for
    /// longer than `second_sweep`, by the database's clock; oldest first, at most `limit`. Never one that is listed.
    async fn due_objects(
        &self,
        bucket: &str,
        hold: Duration,
        second_sweep: Duration,
        limit: u32,
    ) -> Result<Vec<Upload>>;

    /// Notes that these objects were deleted; those deleted for the second time are forgotten.
    async fn swept(&self, objects: &[Upload]) -> Result<()>;

    /// Intents and doomed objects of a partition, by key.
    async fn list_uploads(&self, partition: &TopicPartition) -> Result<Vec<Upload>>;
}

/// Quarantined records that were published again.
#[async_trait]
pub trait ReplayStore: Send + Sync {
    /// Notes that these were published again; a later note of the same record replaces the earlier. The time is the
    /// database's.
    ///
    /// # Errors
    /// `PartitionNotFound`.
    async fn mark_replayed(&self, replays: &[Replay]) -> Result<()>;

    /// What was published again of a partition, by incarnation, offset and row.
    async fn list_replays(&self, partition: &TopicPartition) -> Result<Vec<Replay>>;
}

/// Consumer groups and their offsets.
#[async_trait]
pub trait ConsumerStore: Send + Sync {
    /// Creates the group unless it exists.
    async fn ensure_consumer_group(&self, group_id: &str) -> Result<()>;

    /// Records how far the group has read, creating the group if needed, in one transaction.
    ///
    /// # Errors
    /// `PartitionNotFound`, `InvalidOffset`.
    async fn commit_offset(&self, offset: ConsumerOffset) -> Result<()>;

    /// What the group committed for the partition, if anything.
    async fn get_committed_offset(&self, group_id: &str, partition: &TopicPartition) -> Result<Option<u64>>;

    /// All offsets of the group, by topic and partition.
    async fn get_consumer_offsets(&self, group_id: &str) -> Result<Vec<ConsumerOffset>>;

    /// Deletes the group with its offsets.
    ///
    /// # Errors
    /// `GroupNotFound`.
    async fn delete_consumer_group(&self, group_id: &str) -> Result<()>;
}
