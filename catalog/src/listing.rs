//! Segments and gaps in the form of answers: the same for the command line and over HTTP.
//!
//! Owns: the names of their members. Does not own: what is listed (the catalog), filters and pages (who shows them).

use common::{Incarnation, TopicName, TopicPartition};
use serde::Serialize;

use crate::model::{FileId, GapKind, RecordedGap, SegmentInfo, SegmentKind};

/// A segment with its object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedSegment {
    /// Its id.
    pub id: String,
    /// Its topic.
    pub topic: TopicName,
    /// Number of its partition.
    pub partition_id: u32,
    /// The incarnation in which its offsets count.
    pub incarnation: Incarnation,
    /// Its kind.
    pub kind: SegmentKind,
    /// Its first offset.
    pub base_offset: u64,
    /// Its last offset, inclusive.
    pub end_offset: u64,
    /// Its rows.
    pub record_count: u64,
    /// Bytes of the object, which may hold other segments too.
    pub size_bytes: u64,
    /// Bucket of the object.
    pub bucket: String,
    /// Key of the object.
    pub key: String,
    /// Queue time of its oldest message, microseconds UTC.
    pub min_timestamp_us: i64,
    /// Queue time of its newest message, microseconds UTC.
    pub max_timestamp_us: i64,
    /// CRC-32C of the object.
    pub checksum: u32,
    /// The schema version that it was written under.
    pub schema_version: u32,
    /// Time of its commit.
    pub created_at: i64,
    /// Number of the object.
    pub file_id: FileId,
    /// 0 as the pipeline writes it, one more per replacement.
    pub level: u32,
}

impl From<&SegmentInfo> for ListedSegment {
    fn from(segment: &SegmentInfo) -> Self {
        let object = segment.object.as_ref();
        Self {
            id: segment.id.clone(),
            topic: segment.topic.clone(),
            partition_id: segment.partition_id,
            incarnation: segment.incarnation,
            kind: segment.kind,
            base_offset: segment.range.base(),
            end_offset: segment.range.end(),
            record_count: segment.record_count,
            size_bytes: object.size_bytes,
            bucket: object.bucket.clone(),
            key: object.key.clone(),
            min_timestamp_us: segment.min_timestamp_us,
            max_timestamp_us: segment.max_timestamp_us,
            checksum: object.checksum,
            schema_version: segment.schema_version,
            created_at: segment.created_at,
            file_id: object.file_id,
            level: object.level,
        }
    }
}

/// Offsets that are missing, alone or as a sum of several gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedGap {
    /// The partition.
    #[serde(flatten)]
    pub partition: TopicPartition,
    /// The incarnation in which the offsets count.
    pub incarnation: u32,
    /// The cause.
    pub kind: GapKind,
    /// The first missing offset; in a sum, others between it and the last one are not missing.
    pub base_offset: u64,
    /// The last missing offset.
    pub end_offset: u64,
    /// Offsets that are missing.
    pub count: u64,
    /// Recorded ranges: more than one in a sum.
    pub gaps: u64,
    /// The known cause, in words.
    pub reason: String,
    /// Time of the commit that recorded it.
    pub recorded_at: i64,
}

impl ListedGap {
    /// A single gap.
    pub fn new(partition: &TopicPartition, recorded: RecordedGap) -> Self {
        let RecordedGap { incarnation, gap, created_at } = recorded;
        Self {
            partition: partition.clone(),
            incarnation: incarnation.0,
            kind: gap.kind,
            base_offset: gap.range.base(),
            end_offset: gap.range.end(),
            count: gap.range.count(),
            gaps: 1,
            reason: gap.reason,
            recorded_at: created_at,
        }
    }
}
