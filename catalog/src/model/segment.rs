//! Segments as types: the rows of an object that cover a range of offsets.
//!
//! Owns: their shape, and the snapshot for readers. Does not own: objects (`object`).

use std::str::FromStr;
use std::sync::Arc;

use common::{Incarnation, OffsetRange, TopicName, TopicPartition};
use serde::{Deserialize, Serialize};

use super::{Gap, NewObject, ObjectInfo, Partition, SnapshotId, Tables, Topic};
use crate::error::CatalogError;

/// The kind of rows in a segment.
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

    /// Its name, in footers, in SQL and for people.
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

/// A segment that a commit lists, with the uploaded object that holds its rows.
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
    /// The object; one that several commits share holds the rows of all of them.
    pub object: Arc<NewObject>,
}

/// A segment that is listed outside a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedSegment {
    /// Its partition.
    pub partition: TopicPartition,
    /// The incarnation in which its offsets count.
    pub incarnation: Incarnation,
    /// Its offsets.
    pub range: OffsetRange,
    /// The segment and its object.
    pub segment: NewSegment,
}

/// A listed segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentInfo {
    /// Unique id; a joined segment has that of its first part.
    pub id: String,
    /// Name of its topic.
    pub topic: TopicName,
    /// Its partition.
    pub partition_id: u32,
    /// The incarnation in which its offsets count.
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
    /// The lowest of the schema versions of its rows.
    pub schema_version: u32,
    /// Time of its listing; a joined segment has that of its latest part.
    pub created_at: i64,
    /// The live object that holds its rows, perhaps with those of other segments.
    pub object: Arc<ObjectInfo>,
}

/// The limit of retention in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiredBefore {
    /// The partition's number.
    pub partition_id: u32,
    /// Retention may take segments of its current incarnation that end below this offset.
    pub offset: u64,
}

/// All records that a reader of a topic needs, from one transaction.
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
    /// Its live objects of both kinds, by number. They hold the rows of these segments and no others.
    pub objects: Vec<Arc<ObjectInfo>>,
    /// The newest lake snapshot.
    pub snapshot_id: SnapshotId,
    /// Its time, in microseconds since 1970. After a failover to a server that lagged, a number may come again; a number
    /// with a time does not.
    pub snapshot_time_us: i64,
}

/// The exceptions among some offsets of a partition: a message below the watermark is in the topic's table, unless its
/// offset is one of these. All of the current incarnation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceptions {
    /// The partition.
    pub partition: Partition,
    /// The first offset of the incarnation: smaller ones belong to an earlier one.
    pub start_offset: u64,
    /// Gaps that hold at least one of the offsets, by offset.
    pub gaps: Vec<Gap>,
    /// Live quarantine segments whose range holds at least one of the offsets, by offset: its message may be in them,
    /// whole or in part.
    pub quarantine: Vec<SegmentInfo>,
    /// Exclusive: retention took the segments of smaller offsets off the list, so that none of them is in `quarantine`.
    pub expired_before: u64,
}
