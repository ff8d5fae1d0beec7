//! Objects that are not listed, as types.
//!
//! Owns: their shape: intents, and what the janitor deletes. Does not own: listed and retired objects (`object`).

use std::str::FromStr;

use common::{Epoch, OwnerId, TopicName, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::error::CatalogError;

/// What is to become of an object that is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// It is about to be put and listed.
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
    /// The topic it is for.
    pub topic: TopicName,
    /// The partition it was for; `None` for the object of a replacement.
    pub partition_id: Option<u32>,
    /// The segment whose rows it held when it was listed; `None` where it never was, or held those of several.
    pub segment_id: Option<String>,
    /// The ownership that wanted to put it, 0 for a replacement; `None` for an object that was listed once.
    pub epoch: Option<Epoch>,
    /// The owner that wanted to put it; `None` for an object that was listed once.
    pub owner: Option<OwnerId>,
    /// What is to become of it.
    pub state: UploadState,
    /// When the intent, or the object, was recorded.
    pub created_at: i64,
    /// When it was doomed.
    pub doomed_at: Option<i64>,
    /// How often the janitor has deleted it.
    pub sweeps: u32,
}

impl Upload {
    /// The partition it was for, if it was for one.
    pub fn partition(&self) -> Option<TopicPartition> {
        self.partition_id.map(|partition_id| TopicPartition::new(self.topic.clone(), partition_id))
    }
}

/// An object that is about to be put for a commit.
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

/// An object that is about to be put for a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacementIntent {
    /// The topic it is for.
    pub topic: TopicName,
    /// The process that makes it; it sends heartbeats as an agent.
    pub owner: OwnerId,
    /// Bucket of the object.
    pub bucket: String,
    /// Key of the object; never used before.
    pub key: String,
}
