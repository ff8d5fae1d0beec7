//! Objects and the snapshots of their list, as types.
//!
//! Owns: their shape. Does not own: the ranges of offsets in an object (`segment`), and the objects' bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ColumnStatistics, SegmentKind};

/// The current layout of the columns: `_partition_id` and `_incarnation`. Layout 1 had `_partition`.
pub const LAYOUT_NOW: u32 = 2;

macro_rules! number {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The number of an object, in the order in which objects were listed. Never used again.
    FileId
}

number! {
    /// The number of a lake snapshot. Rises with every change of the lists of tables and objects.
    SnapshotId
}

number! {
    /// The number of a table: a topic's records of one kind. Never used again.
    TableId
}

/// The two tables of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tables {
    /// Its records.
    pub data: TableId,
    /// Its records that could not be decoded.
    pub quarantine: TableId,
}

impl Tables {
    /// The table of the records of a kind.
    pub fn of(self, kind: SegmentKind) -> TableId {
        match kind {
            SegmentKind::Data => self.data,
            SegmentKind::Quarantine => self.quarantine,
        }
    }
}

/// An uploaded object to be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObject {
    /// Its bucket, as in the intent.
    pub bucket: String,
    /// Its key, as in the intent.
    pub key: String,
    /// Rows in it.
    pub record_count: u64,
    /// Its size.
    pub size_bytes: u64,
    /// Length of the Thrift footer, without the eight bytes behind it.
    pub footer_bytes: u64,
    /// CRC-32C of its bytes.
    pub checksum: u32,
    /// The topic's schema version at the time of writing.
    pub schema_version: u32,
    /// Statistics of its columns; the columns of a level 0 object other than `_timestamp` are not stored.
    pub statistics: Vec<ColumnStatistics>,
}

/// An object that is listed, or was until a snapshot. Bounds enclose all its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectInfo {
    /// Its number.
    pub file_id: FileId,
    /// Data or quarantine.
    pub kind: SegmentKind,
    /// Bucket or root of its store, without prefix; empty if the store has none.
    pub bucket: String,
    /// Its key in the store.
    pub key: String,
    /// Rows in it.
    pub record_count: u64,
    /// Its size.
    pub size_bytes: u64,
    /// Length of the Thrift footer, without the eight bytes behind it; `None`: version 0.1.0 listed the object.
    pub footer_bytes: Option<u64>,
    /// CRC-32C of its bytes.
    pub checksum: u32,
    /// The topic's schema version at the time of writing.
    pub schema_version: u32,
    /// 0 as the pipeline writes it, one more per replacement.
    pub level: u32,
    /// Its columns: 1 those of version 0.1.0 (`_partition`, no `_incarnation`), else [`LAYOUT_NOW`].
    pub layout: u32,
    /// Smallest partition of its rows.
    pub min_partition_id: u32,
    /// Largest partition of its rows.
    pub max_partition_id: u32,
    /// Smallest offset of its segments, over all partitions and incarnations.
    pub min_offset: u64,
    /// Largest offset of its segments, likewise.
    pub max_offset: u64,
    /// Smallest queue time of its rows, microseconds UTC.
    pub min_timestamp_us: i64,
    /// Largest queue time of its rows, microseconds UTC.
    pub max_timestamp_us: i64,
    /// The snapshot that listed it.
    pub begin_snapshot: SnapshotId,
    /// Time of its listing.
    pub created_at: i64,
}

/// An object that is off the list and not yet deleted: snapshots before `end_snapshot` have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredObject {
    /// The object.
    pub object: ObjectInfo,
    /// The snapshot that took it off the list.
    pub end_snapshot: SnapshotId,
    /// Time of that snapshot.
    pub retired_at: i64,
}

/// A state of the lists of tables and objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LakeSnapshot {
    /// Its number.
    pub snapshot_id: SnapshotId,
    /// Its time, in microseconds UTC; greater than that of each earlier one.
    pub time_us: i64,
    /// Rises with every table that is created, altered or dropped.
    pub schema_version: u64,
    /// The number of the next table or schema; each earlier one has a lower number.
    pub next_catalog_id: u64,
    /// The number of the next object.
    pub next_file_id: u64,
    /// Its changes, in DuckLake's words: `inserted_into_table:2,compacted_table:4`.
    pub changes: String,
}

/// The numbers of rows that folding saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Folded {
    /// Rows of commits.
    pub commits: u64,
    /// Rows of lake snapshots.
    pub snapshots: u64,
}
