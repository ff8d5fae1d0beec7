//! Objects that are not listed, as types.
//!
//! Owns: the shape of intents and of objects for the janitor. Does not own: listed and retired objects (`object`).

use std::str::FromStr;

use common::{Epoch, OwnerId, TopicName, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::error::CatalogError;

/// The next step for an object that is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// It is about to be put and listed.
    Pending,
    /// The janitor will delete it.
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
    /// The topic it is for.
    pub topic: TopicName,
    /// Its partition; `None` for the object of a replacement.
    pub partition_id: Option<u32>,
    /// Its segment while it was listed; `None` if it never was, or held the rows of several.
    pub segment_id: Option<String>,
    /// The epoch of the intent, 0 for a replacement; `None` for an object that was listed once.
    pub epoch: Option<Epoch>,
    /// The owner that recorded the intent; `None` for an object that was listed once.
    pub owner: Option<OwnerId>,
    /// The next step for it.
    pub state: UploadState,
    /// Time at which the intent, or the object, was recorded.
    pub created_at: i64,
    /// Time at which it was doomed.
    pub doomed_at: Option<i64>,
    /// Number of its deletions by the janitor.
    pub sweeps: u32,
}

impl Upload {
    /// Its partition, if it belongs to one.
    pub fn partition(&self) -> Option<TopicPartition> {
        self.partition_id.map(|partition_id| TopicPartition::new(self.topic.clone(), partition_id))
    }
}

/// An object that is about to be put for a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadIntent {
    /// The partition.
    pub partition: TopicPartition,
    /// The epoch.
    pub epoch: Epoch,
    /// The owner.
    pub owner: OwnerId,
    /// Bucket of the object.
    pub bucket: String,
    /// Key of the object; never used before.
    pub key: String,
}

/// An object that is about to be put for a replacement, or for a commit of partitions that share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacementIntent {
    /// The topic.
    pub topic: TopicName,
    /// The process that writes it and sends heartbeats as an agent.
    pub owner: OwnerId,
    /// Bucket of the object.
    pub bucket: String,
    /// Key of the object; never used before.
    pub key: String,
}
