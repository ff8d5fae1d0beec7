//! Segments, objects and the history of partitions: what a catalog can do with them.
//!
//! Owns: the contract of these operations. Does not own: SQL, how segments come to be listed in operation (`commits`).

use async_trait::async_trait;
use common::{TopicName, TopicPartition};

use crate::error::Result;
use crate::model::{
    ColumnStatistics, CommitRecord, Expiration, ExpiredBefore, FileId, ImportedSegment, IncarnationStart, LakeSnapshot,
    RecordedGap, RetiredObject, SegmentInfo, SegmentKind, TopicSnapshot,
};

/// Segments, objects, and what happened to a partition.
#[async_trait]
pub trait SegmentStore: Send + Sync {
    /// Lists a segment and its object outside a commit, for imports and repairs; the writer never calls it. Makes a
    /// lake snapshot as a commit does.
    ///
    /// # Errors
    /// `PartitionNotFound`; `InvalidOffset` when the range overlaps a listed segment of its kind, or when its id or key
    /// is listed, or was until the janitor forgets it.
    async fn add_segment(&self, segment: ImportedSegment) -> Result<()>;

    /// Live segments of both kinds of a partition, by incarnation and base offset.
    async fn get_segments(&self, partition: &TopicPartition) -> Result<Vec<SegmentInfo>>;

    /// The live data segment of the current incarnation whose range holds `offset`. By index, whatever the number
    /// of segments.
    async fn find_segment_for_offset(&self, partition: &TopicPartition, offset: u64) -> Result<Option<SegmentInfo>>;

    /// Takes segments of the current incarnations that end below the offsets off the list, in one transaction; returns
    /// how many. Offsets stay committed.
    ///
    /// An object is retired, and handed to the janitor, when all its live segments go. A segment stays when its object
    /// holds one that stays, and so do all later ones of its partition: what goes is the oldest part of each. Each
    /// partition that loses segments gets an expiration behind the last of them, and one lake snapshot says
    /// `deleted_from_table:<id>` for each table; nothing is written when nothing goes. Partitions that do not exist are
    /// passed over; of one that is named twice the greater offset counts.
    async fn expire_segments(&self, topic: &TopicName, before: &[ExpiredBefore]) -> Result<u64>;

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

    /// Objects of the topic that are off the list and were not deleted yet, of both kinds, by number. Empty when there
    /// is no such topic: those of a deleted one belong to no topic any more.
    async fn list_retired(&self, topic: &TopicName) -> Result<Vec<RetiredObject>>;

    /// Lake snapshots that are kept, by number. The newest is always there.
    async fn list_snapshots(&self) -> Result<Vec<LakeSnapshot>>;

    /// The stored statistics of these columns for the topic's live objects of a kind, by field id and object. Empty
    /// when there is no such topic.
    async fn object_statistics(
        &self,
        topic: &TopicName,
        kind: SegmentKind,
        field_ids: &[i32],
    ) -> Result<Vec<(FileId, ColumnStatistics)>>;

    /// Recorded gaps of a partition, by incarnation and base offset.
    async fn list_gaps(&self, partition: &TopicPartition) -> Result<Vec<RecordedGap>>;

    /// Every commit of a partition, alone or in a run, by number.
    async fn list_commits(&self, partition: &TopicPartition) -> Result<Vec<CommitRecord>>;

    /// Where the partition's histories begin, from the second one on, by number.
    async fn list_incarnations(&self, partition: &TopicPartition) -> Result<Vec<IncarnationStart>>;

    /// The progress of retention in each incarnation of a partition, by number; absent where nothing went.
    async fn list_expirations(&self, partition: &TopicPartition) -> Result<Vec<Expiration>>;
}
