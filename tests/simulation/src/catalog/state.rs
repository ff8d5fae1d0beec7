//! The tables.
//!
//! Owns: rows, indexes, and small questions about them. Does not own: transactions (the files of the roles).

use std::collections::{BTreeMap, BTreeSet};

use ::catalog::{
    CatalogError, CommitRecord, IncarnationStart, Ownership, Partition, RecordedGap, Replay, Scope, SegmentInfo,
    Suspect, Topic, Upload, UploadState,
};
use common::{Epoch, OwnerId, TopicName, TopicPartition};

use super::event::Change;
use super::guards::Guards;

/// Bucket and key of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// The bucket.
    pub bucket: String,
    /// The key in it.
    pub key: String,
}

/// A row of `partitions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRow {
    /// What the contract shows.
    pub partition: Partition,
    /// Takeovers from owners that did not release, since the watermark last moved.
    pub takeovers: u32,
    /// The message that is suspected of killing its readers.
    pub suspect: Option<Suspect>,
}

/// A row of `agents`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRow {
    /// For people.
    pub name: String,
    /// What it would take over.
    pub scope: Scope,
    /// When it came.
    pub started_at: i64,
    /// Its last sign of life.
    pub heartbeat_at: i64,
}

/// A row of `consumer_groups`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// When it was made.
    pub created_at: i64,
    /// When it last committed an offset.
    pub updated_at: i64,
}

/// A row of `consumer_offsets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetRow {
    /// What the group committed.
    pub committed_offset: u64,
    /// A note of the consumer's.
    pub metadata: Option<String>,
    /// When.
    pub committed_at: i64,
}

/// All tables of the catalog. A clone is a backup, or a standby that lags.
#[derive(Clone, Debug, Default)]
pub struct CatalogState {
    /// Which compares are made.
    pub guards: Guards,
    /// The database's clock as the transaction that runs, or the last one, saw it.
    pub now_ms: i64,
    /// By how much the database's clock was set off.
    pub clock_offset_ms: i64,
    /// Topics.
    pub topics: BTreeMap<TopicName, Topic>,
    /// The highest epoch of deleted topics.
    pub retired_epochs: BTreeMap<TopicName, Epoch>,
    /// Partitions.
    pub partitions: BTreeMap<TopicPartition, PartitionRow>,
    /// Live segments of a partition, by incarnation, base and kind.
    pub segments: BTreeMap<TopicPartition, Vec<SegmentInfo>>,
    /// Commits of a partition, in the order in which they were made.
    pub commits: BTreeMap<TopicPartition, Vec<CommitRecord>>,
    /// Gaps of a partition, in the order in which they were recorded.
    pub gaps: BTreeMap<TopicPartition, Vec<RecordedGap>>,
    /// Incarnations of a partition from the second one on.
    pub incarnations: BTreeMap<TopicPartition, Vec<IncarnationStart>>,
    /// Intents, and objects for the janitor.
    pub uploads: BTreeMap<ObjectName, Upload>,
    /// Writer processes.
    pub agents: BTreeMap<OwnerId, AgentRow>,
    /// Consumer groups.
    pub groups: BTreeMap<String, GroupRow>,
    /// What the groups committed.
    pub offsets: BTreeMap<(String, TopicPartition), OffsetRow>,
    /// Quarantined rows that were published again, by partition, incarnation, offset and row.
    pub replays: BTreeMap<(TopicPartition, u32, u64, u32), Replay>,
    /// The unique index over the objects of segments.
    pub(crate) listed: BTreeSet<ObjectName>,
    /// The primary key of segments.
    pub(crate) segment_ids: BTreeSet<String>,
    /// What the transaction that runs has changed so far.
    pub(crate) changes: Vec<Change>,
}

impl ObjectName {
    /// The object `key` of `bucket`.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into() }
    }
}

impl PartitionRow {
    /// The partition in the hands of `owner`, who has it now.
    pub(crate) fn ownership(&self, owner: OwnerId) -> Ownership {
        let now = &self.partition;
        Ownership {
            partition: TopicPartition::new(now.topic.clone(), now.partition_id),
            owner,
            epoch: now.epoch,
            incarnation: now.incarnation,
            high_watermark: now.high_watermark,
            anchor: now.anchor,
            takeovers: self.takeovers,
            suspect: self.suspect,
        }
    }
}

impl CatalogState {
    /// Whether the object is listed as a segment.
    pub fn is_listed(&self, object: &ObjectName) -> bool {
        self.listed.contains(object)
    }

    /// The topic's partitions, by number.
    pub fn partitions_of(&self, topic: &TopicName) -> impl Iterator<Item = (&TopicPartition, &PartitionRow)> {
        let of = |partition_id| TopicPartition::new(topic.clone(), partition_id);
        self.partitions.range(of(0)..=of(u32::MAX))
    }

    /// The live segments of the partition, by incarnation, base and kind.
    pub fn segments_of(&self, partition: &TopicPartition) -> &[SegmentInfo] {
        self.segments.get(partition).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn changed(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(crate) fn row(&self, partition: &TopicPartition) -> Result<&PartitionRow, CatalogError> {
        self.partitions.get(partition).ok_or_else(|| partition_not_found(partition))
    }

    /// Dooms every pending intent that `chosen` picks.
    pub(crate) fn doom_pending(&mut self, chosen: impl Fn(&Upload) -> bool) {
        let mut doomed = Vec::new();
        for (name, upload) in &mut self.uploads {
            if upload.state == UploadState::Pending && chosen(upload) {
                upload.state = UploadState::Doomed;
                upload.doomed_at = Some(self.now_ms);
                doomed.push(Change::Doomed(name.clone()));
            }
        }
        self.changes.append(&mut doomed);
    }
}

/// `PartitionNotFound` for `partition`.
pub(crate) fn partition_not_found(partition: &TopicPartition) -> CatalogError {
    CatalogError::PartitionNotFound { topic: partition.topic.to_string(), partition: partition.partition_id }
}
