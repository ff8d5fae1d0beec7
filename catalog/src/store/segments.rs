//! Operations on segments, objects and the history of partitions.
//!
//! Owns: the contract of these operations. Does not own: SQL, listing segments in operation (`commits`).

use async_trait::async_trait;
use common::{OffsetRange, TopicName, TopicPartition};

use crate::error::Result;
use crate::model::{
    ColumnStatistics, CommitRecord, Exceptions, Expiration, Expired, ExpiredBefore, FileId, ImportedSegment,
    IncarnationStart, LakeSnapshot, ReadAhead, ReadFrom, RecordedGap, RetiredObject, SegmentInfo, SegmentKind,
    SnapshotId, TopicSnapshot,
};

/// Segments, objects, and the history of partitions.
#[async_trait]
pub trait SegmentStore: Send + Sync {
    /// Lists a segment and its object outside a commit, for imports and repairs; the writer never calls it. Makes a
    /// lake snapshot as a commit does. The rows of its object are in the order of their offsets.
    ///
    /// # Errors `PartitionNotFound`; `InvalidOffset` if the range overlaps a listed segment of its kind, or if its id
    /// or key is listed, or was and the janitor has not yet removed it.
    async fn add_segment(&self, segment: ImportedSegment) -> Result<()>;

    /// Live segments of both kinds of a partition, by incarnation and base offset.
    async fn get_segments(&self, partition: &TopicPartition) -> Result<Vec<SegmentInfo>>;

    /// The live data segment of the current incarnation whose range holds `offset`. Found by index, for any number of
    /// segments.
    async fn find_segment_for_offset(&self, partition: &TopicPartition, offset: u64) -> Result<Option<SegmentInfo>>;

    /// The next data segments of a partition from a place on, at most `limit`, with the rows that say what lies between
    /// them; `None` if there is no such partition. Found by index, for any number of segments, unless by time.
    ///
    /// # Errors
    /// `InvalidOffset` if the offset cannot be stored.
    async fn segments_from(&self, partition: &TopicPartition, from: ReadFrom, limit: u32) -> Result<Option<ReadAhead>>;

    /// Takes segments of the current incarnations that end below the offsets off the list, in one transaction; returns
    /// their number. Offsets stay committed.
    ///
    /// An object is retired, and handed to the janitor, if all its live segments leave the list. A segment stays if its
    /// object holds another that stays, and so do all later ones of its partition: each partition loses its oldest
    /// part. Each partition that loses segments gets an expiration behind the last of them, and one lake snapshot has
    /// the change `deleted_from_table:<id>` for each table; without such segments nothing is written. Partitions that
    /// do not exist are ignored; for a partition that is named twice the greater offset counts.
    async fn expire_segments(&self, topic: &TopicName, before: &[ExpiredBefore]) -> Result<u64>;

    /// Takes the objects off the list whose rows are all older than the topic's retention, of both kinds and of all
    /// incarnations, in one transaction and one lake snapshot.
    ///
    /// The age is the difference between the database's clock, read in this transaction, and the greatest queue time of
    /// an object; an object whose queue times are all 1970 or earlier counts from its listing. An object stays if a
    /// segment of it follows one that stays: each partition loses its oldest part, incarnation by incarnation. Expirations and
    /// changes as of [`SegmentStore::expire_segments`]; without such objects nothing is written. A large backlog
    /// goes in several calls, whole days of queue time, the oldest first: the answer then says that there is more. Repeating
    /// it is harmless.
    async fn expire_by_age(&self, topic: &TopicName) -> Result<Expired>;

    /// The objects that [`SegmentStore::expire_by_age`] would take now, in one call or several. Changes nothing.
    async fn due_by_age(&self, topic: &TopicName) -> Result<Expired>;

    /// [`SegmentStore::expire_segments`] of one partition.
    async fn delete_segments_before(&self, partition: &TopicPartition, offset: u64) -> Result<u64> {
        let before = ExpiredBefore { partition_id: partition.partition_id, offset };
        self.expire_segments(&partition.topic, &[before]).await
    }

    /// Topic, partitions, live segments and objects as of one transaction.
    ///
    /// # Errors
    /// `TopicNotFound`.
    async fn snapshot(&self, topic: &TopicName) -> Result<TopicSnapshot>;

    /// Retired objects of the topic that are not yet deleted, of both kinds, by number. Empty if there is no such
    /// topic: those of a deleted topic belong to none any more.
    async fn list_retired(&self, topic: &TopicName) -> Result<Vec<RetiredObject>>;

    /// The lake snapshots that were not thinned out, by number. The newest is always there.
    async fn list_snapshots(&self) -> Result<Vec<LakeSnapshot>>;

    /// The stored statistics of these columns for the topic's live objects of a kind, by field id and object: of all of
    /// them, or of those that were listed after the lake snapshot `after`. Empty if there is no such topic.
    async fn object_statistics(
        &self,
        topic: &TopicName,
        kind: SegmentKind,
        field_ids: &[i32],
        after: Option<SnapshotId>,
    ) -> Result<Vec<(FileId, ColumnStatistics)>>;

    /// The partition, and what its current incarnation has recorded of the offsets in `range` besides data: as of one
    /// transaction, found by index. `None` if there is no such partition.
    ///
    /// # Errors
    /// `InvalidOffset` if an offset cannot be stored.
    async fn exceptions(&self, partition: &TopicPartition, range: OffsetRange) -> Result<Option<Exceptions>>;

    /// Recorded gaps of a partition, by incarnation and base offset.
    async fn list_gaps(&self, partition: &TopicPartition) -> Result<Vec<RecordedGap>>;

    /// Every commit of a partition, alone or in a run, by number.
    async fn list_commits(&self, partition: &TopicPartition) -> Result<Vec<CommitRecord>>;

    /// The starts of the partition's incarnations, from the second one on, by number.
    async fn list_incarnations(&self, partition: &TopicPartition) -> Result<Vec<IncarnationStart>>;

    /// The progress of retention in each incarnation of a partition, by number; absent where no segment was expired.
    async fn list_expirations(&self, partition: &TopicPartition) -> Result<Vec<Expiration>>;
}
