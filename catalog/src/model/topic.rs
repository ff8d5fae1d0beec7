//! Topics and partitions as types.
//!
//! Owns: their shape. Does not own: validating a definition (`common::topic`), ownership (`ownership`).

use std::str::FromStr;

use common::topic::{TopicDefinition, TopicOptions};
use common::{Anchor, Epoch, Incarnation, OwnerId, TopicName};
use serde::{Deserialize, Serialize};

use crate::error::CatalogError;

/// The request to create a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicConfig {
    /// Its name.
    pub name: TopicName,
    /// Number of partitions, at least 1.
    pub partition_count: u32,
    /// Retention of segments, in milliseconds; `None` keeps them without limit.
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
    /// Retention of segments, in milliseconds; `None` keeps them without limit.
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
    /// The definition for queue and writer.
    pub fn definition(&self) -> TopicDefinition {
        TopicDefinition { name: self.name.clone(), partition_count: self.partition_count, options: self.config.clone() }
    }
}

/// The state of a partition, which decides if it takes commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionState {
    /// It takes commits.
    Active,
    /// It was stopped with a reason, and waits for an operator.
    Halted,
}

impl PartitionState {
    /// Its name.
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
    /// The incarnation in which `high_watermark` counts.
    pub incarnation: Incarnation,
    /// Number of the current or last ownership.
    pub epoch: Epoch,
    /// The current owner, if any.
    pub owner: Option<OwnerId>,
    /// `Halted` if it takes no commits.
    pub state: PartitionState,
    /// The reason for a halt.
    pub halt_reason: Option<String>,
    /// The last committed message; absent before the first commit.
    pub anchor: Option<Anchor>,
    /// Number of its commits.
    pub commit_no: u64,
    /// When it was created.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}
