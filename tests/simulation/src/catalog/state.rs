//! The tables.
//!
//! Owns: rows, indexes, and small questions about them. Does not own: transactions (the files of the roles).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::catalog::{
    CatalogError, ColumnStatistics, CommitRecord, Contact, FileId, IncarnationStart, LakeSnapshot, ObjectInfo,
    Ownership, Partition, Position, RecordedGap, Replay, RetiredObject, Scope, SegmentInfo, SnapshotId, Suspect,
    TableId, Tables, Token, Topic, Upload, UploadState,
};
use common::{Epoch, Generation, Incarnation, MemberId, OwnerId, TopicName, TopicPartition};

use super::agents::IngesterRow;
use super::event::Change;
use super::groups::{ClaimRow, MemberRow};
use super::guards::Guards;
use super::iceberg::{HeadRow, MetadataRow, PublishedRow};
use super::lake;

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
    /// The part that the contract shows.
    pub partition: Partition,
    /// Takeovers from owners that did not release, since the watermark last moved.
    pub takeovers: u32,
    /// The message that is suspected of killing its readers.
    pub suspect: Option<Suspect>,
}

/// A row of `agents`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRow {
    /// Name for people.
    pub name: String,
    /// Scope of its takeovers.
    pub scope: Scope,
    /// Its group and address.
    pub contact: Contact,
    /// Time of its start.
    pub started_at: i64,
    /// Time of its last heartbeat.
    pub heartbeat_at: i64,
}

/// A row of `consumer_groups`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// Rises with each change of its members, their topics or their claims.
    pub generation: Generation,
    /// Time of its creation.
    pub created_at: i64,
    /// Time of its last commit of an offset.
    pub updated_at: i64,
}

/// A row of `objects`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRow {
    /// The table that it belongs to.
    pub table: TableId,
    /// The topic of the table.
    pub topic: TopicName,
    /// The part that the contract shows.
    pub object: Arc<ObjectInfo>,
}

/// A row of `retired_objects`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredRow {
    /// The table that it belonged to.
    pub table: TableId,
    /// The part that the contract shows.
    pub object: RetiredObject,
}

/// A row of `consumer_offsets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetRow {
    /// Incarnation that the offset counts in.
    pub incarnation: Incarnation,
    /// Offset that the group committed.
    pub committed_offset: u64,
    /// A note of the consumer's.
    pub metadata: Option<String>,
    /// Time of that commit.
    pub committed_at: i64,
}

impl OffsetRow {
    /// The committed place.
    pub(super) fn position(&self) -> Position {
        Position { incarnation: self.incarnation, offset: self.committed_offset }
    }
}

/// The number and the time of a snapshot.
pub(crate) type Drawn = (SnapshotId, i64);

/// All tables of the catalog. A clone is a backup, or a standby that lags.
#[derive(Clone, Debug)]
pub struct CatalogState {
    /// Switches of the compares.
    pub guards: Guards,
    /// The database's clock as the transaction that runs, or the last one, saw it.
    pub now_ms: i64,
    /// Error of the database's clock.
    pub clock_offset_ms: i64,
    /// Topics.
    pub topics: BTreeMap<TopicName, Topic>,
    /// A topic of each name, regardless of the case of ASCII letters.
    pub topic_names: BTreeMap<String, TopicName>,
    /// The tables of each topic.
    pub tables: BTreeMap<TopicName, Tables>,
    /// The addresses that keys follow, by bucket.
    pub roots: BTreeMap<String, String>,
    /// The highest epoch of deleted topics.
    pub retired_epochs: BTreeMap<TopicName, Epoch>,
    /// Partitions.
    pub partitions: BTreeMap<TopicPartition, PartitionRow>,
    /// Live segments of a partition, by incarnation, base and kind.
    pub segments: BTreeMap<TopicPartition, Vec<SegmentInfo>>,
    /// Live objects.
    pub objects: BTreeMap<FileId, ObjectRow>,
    /// Objects off the list that were not deleted yet.
    pub retired: BTreeMap<FileId, RetiredRow>,
    /// Statistics of live and retired objects, by table, field id and object.
    pub statistics: BTreeMap<(TableId, i32, FileId), ColumnStatistics>,
    /// The newest metadata of tables of Iceberg.
    pub iceberg_heads: BTreeMap<TableId, HeadRow>,
    /// Objects of rows that kept snapshots of Iceberg have.
    pub iceberg_published: BTreeMap<FileId, PublishedRow>,
    /// Objects of metadata that kept snapshots of Iceberg need.
    pub iceberg_objects: BTreeMap<ObjectName, MetadataRow>,
    /// The newest lake snapshot.
    pub head: LakeSnapshot,
    /// Lake snapshots that are kept.
    pub snapshots: BTreeMap<SnapshotId, LakeSnapshot>,
    /// Expirations, by incarnation.
    pub expirations: BTreeMap<TopicPartition, BTreeMap<u32, u64>>,
    /// Commits of a partition, alone or in runs, in the order in which they were made.
    pub commits: BTreeMap<TopicPartition, Vec<CommitRecord>>,
    /// Gaps of a partition, in the order in which they were recorded.
    pub gaps: BTreeMap<TopicPartition, Vec<RecordedGap>>,
    /// Incarnations of a partition from the second one on.
    pub incarnations: BTreeMap<TopicPartition, Vec<IncarnationStart>>,
    /// Intents, and objects for the janitor.
    pub uploads: BTreeMap<ObjectName, Upload>,
    /// Writer processes.
    pub agents: BTreeMap<OwnerId, AgentRow>,
    /// Processes that take records over HTTP.
    pub ingesters: BTreeMap<OwnerId, IngesterRow>,
    /// Consumer groups.
    pub groups: BTreeMap<String, GroupRow>,
    /// Members of the groups.
    pub members: BTreeMap<(String, MemberId), MemberRow>,
    /// Partitions that members claimed, by group.
    pub claims: BTreeMap<(String, TopicPartition), ClaimRow>,
    /// Offsets that the groups committed.
    pub offsets: BTreeMap<(String, TopicPartition), OffsetRow>,
    /// Quarantined rows that were published again, by partition, incarnation, offset and row.
    pub replays: BTreeMap<(TopicPartition, u32, u64, u32), Replay>,
    /// Tokens of the HTTP service, by id.
    pub tokens: BTreeMap<String, Token>,
    /// The unique index over the names of live objects.
    pub listed: BTreeMap<ObjectName, FileId>,
    /// The unique index over the names of retired objects.
    pub(crate) retired_names: BTreeMap<ObjectName, FileId>,
    /// A number and a time of a snapshot that were taken without the lock of the head.
    pub(crate) drawn: Option<Drawn>,
    /// The primary key of segments.
    pub segment_ids: BTreeSet<String>,
    /// Changes of the running transaction so far.
    pub(crate) changes: Vec<Change>,
}

impl GroupRow {
    pub(crate) fn new(now_ms: i64) -> Self {
        Self { generation: Generation::default(), created_at: now_ms, updated_at: now_ms }
    }
}

impl ObjectName {
    /// The object `key` of `bucket`.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into() }
    }

    /// The name of this object.
    pub fn of(object: &ObjectInfo) -> Self {
        Self::new(&object.bucket, &object.key)
    }
}

impl PartitionRow {
    /// The ownership of `owner`, which holds the partition now.
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
    /// The tables of a new catalog.
    pub fn new(guards: Guards, now_ms: i64) -> Self {
        let [empty, head] = lake::first_snapshots(now_ms * 1000);
        let snapshots = [empty, head.clone()].map(|snapshot| (snapshot.snapshot_id, snapshot)).into();
        Self {
            guards,
            now_ms,
            clock_offset_ms: 0,
            topics: BTreeMap::new(),
            topic_names: BTreeMap::new(),
            roots: BTreeMap::new(),
            tables: BTreeMap::new(),
            retired_epochs: BTreeMap::new(),
            partitions: BTreeMap::new(),
            segments: BTreeMap::new(),
            objects: BTreeMap::new(),
            retired: BTreeMap::new(),
            statistics: BTreeMap::new(),
            iceberg_heads: BTreeMap::new(),
            iceberg_published: BTreeMap::new(),
            iceberg_objects: BTreeMap::new(),
            head,
            snapshots,
            expirations: BTreeMap::new(),
            commits: BTreeMap::new(),
            gaps: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            uploads: BTreeMap::new(),
            agents: BTreeMap::new(),
            ingesters: BTreeMap::new(),
            groups: BTreeMap::new(),
            members: BTreeMap::new(),
            claims: BTreeMap::new(),
            offsets: BTreeMap::new(),
            replays: BTreeMap::new(),
            tokens: BTreeMap::new(),
            listed: BTreeMap::new(),
            retired_names: BTreeMap::new(),
            drawn: None,
            segment_ids: BTreeSet::new(),
            changes: Vec::new(),
        }
    }

    /// True when the object is live.
    pub fn is_listed(&self, object: &ObjectName) -> bool {
        self.listed.contains_key(object)
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

    /// The number of rows of every table, by its name in SQL.
    pub fn sizes(&self) -> BTreeMap<String, u64> {
        fn rows<K, V>(lists: &BTreeMap<K, Vec<V>>) -> usize {
            lists.values().map(Vec::len).sum()
        }
        let sizes = [
            ("topics", self.topics.len()),
            ("topic_names", self.topic_names.len()),
            ("retired_epochs", self.retired_epochs.len()),
            ("partitions", self.partitions.len()),
            ("segments", rows(&self.segments)),
            ("objects", self.objects.len()),
            ("retired_objects", self.retired.len()),
            ("segment_stats", self.statistics.len()),
            ("iceberg_heads", self.iceberg_heads.len()),
            ("iceberg_published", self.iceberg_published.len()),
            ("iceberg_objects", self.iceberg_objects.len()),
            ("lake_snapshots", self.snapshots.len()),
            ("expirations", self.expirations.values().map(BTreeMap::len).sum()),
            ("commits", rows(&self.commits)),
            ("gaps", rows(&self.gaps)),
            ("incarnations", rows(&self.incarnations)),
            ("uploads", self.uploads.len()),
            ("agents", self.agents.len()),
            ("ingesters", self.ingesters.len()),
            ("consumer_groups", self.groups.len()),
            ("consumer_members", self.members.len()),
            ("consumer_claims", self.claims.len()),
            ("consumer_offsets", self.offsets.len()),
            ("replays", self.replays.len()),
            ("tokens", self.tokens.len()),
        ];
        sizes.into_iter().map(|(table, rows)| (table.to_owned(), rows as u64)).collect()
    }

    pub(crate) fn changed(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(crate) fn row(&self, partition: &TopicPartition) -> Result<&PartitionRow, CatalogError> {
        self.partitions.get(partition).ok_or_else(|| partition_not_found(partition))
    }

    /// Dooms every pending intent that `chosen` picks; returns their number.
    pub(crate) fn doom_pending(&mut self, chosen: impl Fn(&Upload) -> bool) -> u64 {
        let mut doomed = Vec::new();
        for (name, upload) in &mut self.uploads {
            if upload.state == UploadState::Pending && chosen(upload) {
                upload.state = UploadState::Doomed;
                upload.doomed_at = Some(self.now_ms);
                doomed.push(Change::Doomed(name.clone()));
            }
        }
        let count = doomed.len() as u64;
        self.changes.append(&mut doomed);
        count
    }
}

/// `PartitionNotFound` for `partition`.
pub(crate) fn partition_not_found(partition: &TopicPartition) -> CatalogError {
    CatalogError::PartitionNotFound { topic: partition.topic.to_string(), partition: partition.partition_id }
}
