//! Segments and gaps as types.
//!
//! Owns: their shape, before and after they are listed. Does not own: how they come to be listed (`commit`).

use std::str::FromStr;

use common::{Incarnation, TopicName};
use serde::{Deserialize, Serialize};

use crate::error::CatalogError;

/// What the rows of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentKind {
    /// Records of the topic's table.
    Data,
    /// Records that could not be decoded, with the reason.
    Quarantine,
}

impl SegmentKind {
    /// The word for it.
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
        match word {
            "data" => Ok(Self::Data),
            "quarantine" => Ok(Self::Quarantine),
            other => Err(CatalogError::Inconsistent(format!("segment kind {other:?}"))),
        }
    }
}

/// A listed segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentInfo {
    /// `<topic>-<partition>-<base_offset>-<uuid>`.
    pub id: String,
    /// Name of its topic.
    pub topic: TopicName,
    /// Its partition.
    pub partition_id: u32,
    /// The history of the queue its offsets count in.
    pub incarnation: Incarnation,
    /// Data or quarantine.
    pub kind: SegmentKind,
    /// First offset of its range.
    pub base_offset: u64,
    /// Last offset of its range, inclusive.
    pub end_offset: u64,
    /// Rows in it.
    pub record_count: u64,
    /// Size of the object.
    pub size_bytes: u64,
    /// Bucket or root of the store it is in, without prefix; empty where the store has none.
    pub bucket: String,
    /// Key of the object in the store.
    pub key: String,
    /// Smallest queue time of its rows, microseconds UTC.
    pub min_timestamp_us: i64,
    /// Largest queue time of its rows, microseconds UTC.
    pub max_timestamp_us: i64,
    /// CRC-32C of the object's bytes.
    pub checksum: u32,
    /// The topic's schema version it was written with.
    pub schema_version: u32,
    /// When it was committed.
    pub created_at: i64,
}

/// An uploaded object that the commit lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSegment {
    /// Unique id.
    pub id: String,
    /// Data or quarantine.
    pub kind: SegmentKind,
    /// Rows in it.
    pub record_count: u64,
    /// Size of the object.
    pub size_bytes: u64,
    /// Its bucket, as in the intent.
    pub bucket: String,
    /// Its key, as in the intent.
    pub key: String,
    /// Smallest queue time of its rows, microseconds UTC.
    pub min_timestamp_us: i64,
    /// Largest queue time of its rows, microseconds UTC.
    pub max_timestamp_us: i64,
    /// CRC-32C of the object's bytes.
    pub checksum: u32,
    /// The topic's schema version.
    pub schema_version: u32,
}

/// Offsets that the queue no longer held when the writer came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// First missing offset.
    pub base_offset: u64,
    /// Last missing offset, inclusive.
    pub end_offset: u64,
    /// What is known of the cause.
    pub reason: String,
}

/// A gap as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedGap {
    /// The history its offsets count in.
    pub incarnation: Incarnation,
    /// Range and reason.
    pub gap: Gap,
    /// When it was committed.
    pub created_at: i64,
}
