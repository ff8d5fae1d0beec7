//! The rows of the catalog as types.
//!
//! Owns: their shape and units. Times are milliseconds since the Unix epoch, UTC, unless a name says otherwise.
//! Does not own: SQL.

mod ownership;
mod segments;

use std::str::FromStr;

use common::topic::{TopicDefinition, TopicOptions};
use common::{Anchor, Epoch, Incarnation, OwnerId, TopicName, TopicPartition};
use serde::{Deserialize, Serialize};

pub use self::ownership::{AcquireOutcome, Agent, Ownership, OwnershipView, PartitionOwner, Scope, Suspect};
pub use self::segments::{Gap, NewSegment, RecordedGap, SegmentInfo, SegmentKind};
use crate::error::CatalogError;

/// What is needed to create a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicConfig {
    /// Its name.
    pub name: TopicName,
    /// Number of partitions, at least 1.
    pub partition_count: u32,
    /// How long segments are kept, in milliseconds; `None` is for ever.
    pub retention_ms: Option<u64>,
    /// Format, columns, streams.
    pub config: TopicOptions,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Number of partitions.
    pub partition_count: u32,
    /// How long segments are kept, in milliseconds; `None` is for ever.
    pub retention_ms: Option<u64>,
    /// Format, columns, streams.
    pub config: TopicOptions,
    /// Rises by one with every change of `config`; starts at 1.
    pub schema_version: u32,
    /// When it was created.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

impl Topic {
    /// The topic as queue and writer need it.
    pub fn definition(&self) -> TopicDefinition {
        TopicDefinition { name: self.name.clone(), partition_count: self.partition_count, options: self.config.clone() }
    }
}

/// Whether a partition takes commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionState {
    /// It does.
    Active,
    /// It was stopped with a reason, and waits for an operator.
    Halted,
}

impl PartitionState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Halted => "halted",
        }
    }
}

impl FromStr for PartitionState {
    type Err = CatalogError;
    fn from_str(word: &str) -> Result<Self, CatalogError> {
        match word {
            "active" => Ok(Self::Active),
            "halted" => Ok(Self::Halted),
            other => Err(CatalogError::Inconsistent(format!("partition state {other:?}"))),
        }
    }
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Name of its topic.
    pub topic: TopicName,
    /// Its number.
    pub partition_id: u32,
    /// Exclusive: every message with a smaller offset is committed.
    pub high_watermark: u64,
    /// The history of the queue that `high_watermark` counts in.
    pub incarnation: Incarnation,
    /// Number of the current or last ownership.
    pub epoch: Epoch,
    /// The current owner, if any.
    pub owner: Option<OwnerId>,
    /// Whether it takes commits.
    pub state: PartitionState,
    /// Why it is halted.
    pub halt_reason: Option<String>,
    /// The last committed message; absent before the first commit.
    pub anchor: Option<Anchor>,
    /// How many commits it has had.
    pub commit_no: u64,
    /// When it was created.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

/// Everything a reader of a topic needs, from one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSnapshot {
    /// The topic.
    pub topic: Topic,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
    /// Its live segments of both kinds, by partition, incarnation and offset.
    pub segments: Vec<SegmentInfo>,
}

/// How far a consumer group has read one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerOffset {
    /// The group.
    pub group_id: String,
    /// Name of the topic.
    pub topic: TopicName,
    /// The partition.
    pub partition_id: u32,
    /// What the group committed; by convention the next offset it wants to read.
    pub committed_offset: u64,
    /// A note of the consumer's.
    pub metadata: Option<String>,
}

/// Where a halted partition goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    /// First offset to read, in the new history.
    pub high_watermark: u64,
    /// The message before it, where the new history holds it.
    pub anchor: Option<Anchor>,
    /// Why, for people.
    pub reason: String,
}

/// The beginning of a history of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncarnationStart {
    /// Its number, from 1 on; incarnation 0 begins at offset 0.
    pub incarnation: Incarnation,
    /// The first offset that counts in it.
    pub start_offset: u64,
    /// Why it was begun.
    pub reason: String,
    /// When.
    pub created_at: i64,
}

/// A commit as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// The history its offsets count in.
    pub incarnation: Incarnation,
    /// Number of the commit in its partition, from 1 on.
    pub commit_no: u64,
    /// First offset of the range.
    pub base_offset: u64,
    /// Last offset of the range, inclusive.
    pub end_offset: u64,
    /// The ownership that committed it.
    pub epoch: Epoch,
    /// The owner that committed it.
    pub owner: OwnerId,
    /// Messages in the range.
    pub message_count: u64,
    /// The data segment it listed, which retention may have taken off the list.
    pub data_segment_id: Option<String>,
    /// The quarantine segment it listed, likewise.
    pub quarantine_segment_id: Option<String>,
    /// The last message of the range.
    pub anchor: Anchor,
    /// When.
    pub committed_at: i64,
}

/// What is to become of an object that is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// It is about to be put and committed.
    Pending,
    /// The janitor deletes it.
    Doomed,
}

impl FromStr for UploadState {
    type Err = CatalogError;
    fn from_str(word: &str) -> Result<Self, CatalogError> {
        match word {
            "pending" => Ok(Self::Pending),
            "doomed" => Ok(Self::Doomed),
            other => Err(CatalogError::Inconsistent(format!("upload state {other:?}"))),
        }
    }
}

/// An object that is not listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Bucket of the object.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// The partition it was for.
    pub partition: TopicPartition,
    /// The ownership that wanted to put it; `None` for an object that was listed once.
    pub epoch: Option<Epoch>,
    /// The owner that wanted to put it, likewise.
    pub owner: Option<OwnerId>,
    /// What is to become of it.
    pub state: UploadState,
    /// When the intent, or the segment, was recorded.
    pub created_at: i64,
    /// When it was doomed.
    pub doomed_at: Option<i64>,
    /// How often the janitor has deleted it.
    pub sweeps: u32,
}

/// A quarantined record that was published again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The partition whose quarantine holds it.
    pub partition: TopicPartition,
    /// The history its offset counts in.
    pub incarnation: Incarnation,
    /// Offset of its message.
    pub offset: u64,
    /// Its row in the message.
    pub row: u32,
    /// Where it was published to.
    pub new_partition_id: u32,
    /// The offset it got there.
    pub new_offset: u64,
    /// When.
    pub replayed_at: i64,
}

/// An object that is about to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadIntent {
    /// The partition it is for.
    pub partition: TopicPartition,
    /// Under which ownership.
    pub epoch: Epoch,
    /// Whose.
    pub owner: OwnerId,
    /// Bucket of the object.
    pub bucket: String,
    /// Key of the object; never used before.
    pub key: String,
}
