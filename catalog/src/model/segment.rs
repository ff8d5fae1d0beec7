//! Segments as types: which rows of which object cover a range of offsets.
//!
//! Owns: their shape, and the snapshot that readers work from. Does not own: objects (`object`).

use std::str::FromStr;
use std::sync::Arc;

use common::{Incarnation, OffsetRange, TopicName, TopicPartition};
use serde::{Deserialize, Serialize};

use super::{NewObject, ObjectInfo, Partition, SnapshotId, Tables, Topic};
use crate::error::CatalogError;

/// What the rows of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentKind {
    /// Records of the topic's table.
    Data,
    /// Records that could not be decoded, with the reason.
    Quarantine,
}

impl SegmentKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Data, Self::Quarantine];

    /// The word for it, in footers, in SQL and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Quarantine => "quarantine",
        }
    }
}

impl FromStr for SegmentKind {
    type Err = CatalogError;
    fn from_str(word: &str) -> Result<Self, CatalogError> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        found.ok_or_else(|| CatalogError::Inconsistent(format!("segment kind {word:?}")))
    }
}

/// A segment that a commit lists, with the uploaded object that holds its rows and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSegment {
    /// Unique id: `<topic>-<partition>-<base_offset>-<uuid>`.
    pub id: String,
    /// Data or quarantine.
    pub kind: SegmentKind,
    /// Rows in it.
    pub record_count: u64,
    /// Smallest queue time of its rows, microseconds UTC.
    pub min_timestamp_us: i64,
    /// Largest queue time of its rows, microseconds UTC.
    pub max_timestamp_us: i64,
    /// The object.
    pub object: NewObject,
}

/// A segment that is listed outside of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedSegment {
    /// Its partition.
    pub partition: TopicPartition,
    /// The history of the queue its offsets count in.
    pub incarnation: Incarnation,
    /// Its offsets.
    pub range: OffsetRange,
    /// The segment and its object.
    pub segment: NewSegment,
}

/// A listed segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentInfo {
    /// Unique id; of several segments that became one, that of the first.
    pub id: String,
    /// Name of its topic.
    pub topic: TopicName,
    /// Its partition.
    pub partition_id: u32,
    /// The history of the queue its offsets count in.
    pub incarnation: Incarnation,
    /// Data or quarantine.
    pub kind: SegmentKind,
    /// Its offsets: those of one or more neighbouring commits.
    #[serde(flatten)]
    pub range: OffsetRange,
    /// Rows in it.
    pub record_count: u64,
    /// Smallest queue time of its rows, microseconds UTC.
    pub min_timestamp_us: i64,
    /// Largest queue time of its rows, microseconds UTC.
    pub max_timestamp_us: i64,
    /// The lowest of the topic's schema versions that its rows were written with.
    pub schema_version: u32,
    /// When it was listed; of several segments that became one, the latest.
    pub created_at: i64,
    /// The live object that holds its rows, perhaps among those of other segments.
    pub object: Arc<ObjectInfo>,
}

/// Where retention cuts a partition off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiredBefore {
    /// The partition's number.
    pub partition_id: u32,
    /// Segments of its current incarnation that end below may go.
    pub offset: u64,
}

/// Everything a reader of a topic needs, from one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSnapshot {
    /// The topic.
    pub topic: Topic,
    /// The numbers of its tables.
    pub tables: Tables,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
    /// Its live segments of both kinds, by partition, incarnation and offset.
    pub segments: Vec<SegmentInfo>,
    /// Its live objects of both kinds, by number. They are those of the segments, and hold no rows of any other.
    pub objects: Vec<Arc<ObjectInfo>>,
    /// The newest lake snapshot.
    pub snapshot_id: SnapshotId,
}
