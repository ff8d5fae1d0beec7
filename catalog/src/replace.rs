//! The replacement: one new object takes the place of listed ones.
//!
//! Owns: its request and its outcomes. Does not own: its SQL (`sql::replace`), the choice of objects, writing the new
//! one.

use common::{OwnerId, TopicName};

use crate::error::CatalogError;
use crate::model::{FileId, NewObject, ObjectInfo, ReplacementIntent, SegmentKind};

/// Most inputs of one replacement.
pub const REPLACEMENT_INPUTS_MAX: usize = 10_000;

/// One new object that holds all rows of some listed ones, and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// The topic.
    pub topic: TopicName,
    /// Data or quarantine.
    pub kind: SegmentKind,
    /// The owner that recorded the intent.
    pub owner: OwnerId,
    /// The objects to be replaced, at least one and at most [`REPLACEMENT_INPUTS_MAX`], none of them twice.
    pub inputs: Vec<ReplacedObject>,
    /// The new object.
    pub output: NewObject,
}

/// An object that is to be replaced. A database that lost its newest transactions gives their numbers again, to other objects;
/// the key belongs to one object alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacedObject {
    /// Its number.
    pub file_id: FileId,
    /// Its key.
    pub key: String,
}

impl From<&ObjectInfo> for ReplacedObject {
    fn from(object: &ObjectInfo) -> Self {
        Self { file_id: object.file_id, key: object.key.clone() }
    }
}

impl Replacement {
    /// The intent that it consumes.
    pub fn intent(&self) -> ReplacementIntent {
        ReplacementIntent {
            topic: self.topic.clone(),
            owner: self.owner,
            bucket: self.output.bucket.clone(),
            key: self.output.key.clone(),
        }
    }
}

/// The end of a replacement.
#[derive(Clone, Debug)]
pub enum ReplaceOutcome {
    /// The new object is, or was, listed under this number.
    Done(FileId),
    /// Nothing changed, and never will under this request.
    Refused(ReplaceRefusal),
    /// Nothing changed, certainly; the same request may be sent again.
    NotDone(CatalogError),
    /// It may have happened: call [`crate::CommitStore::resolve_replacement`] before anything else.
    Unknown(CatalogError),
}

/// The reason why a replacement can never happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceRefusal {
    /// One of the objects was replaced, expired or dropped by another transaction, or its number is that of another object now.
    #[error("object {file_id} is no longer listed")]
    InputGone {
        /// The first such object.
        file_id: FileId,
    },
    /// The intent of the new object is gone: the janitor may delete the object.
    #[error("the intent of {key} is no longer pending")]
    IntentLost {
        /// Key of the object.
        key: String,
    },
    /// The new object does not hold the rows of the old ones, or they do not belong together.
    #[error("the objects cannot be replaced by this one: {reason}")]
    Mismatch {
        /// The difference between them.
        reason: String,
    },
}
