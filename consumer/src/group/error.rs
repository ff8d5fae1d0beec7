//! The errors of a member of a group.
//!
//! Owns: their texts, and the reactions to them. Does not own: errors of reading (`crate::error`).

use catalog::CatalogError;
use common::{ErrorKind, TopicPartition};

use crate::error::FetchError;

/// An error of a member of a group.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GroupError {
    /// Reading failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The catalog refused, or does not answer.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The member does not hold the partition, or was not given these records of it.
    #[error("partition {partition} cannot be committed up to {offset}: {reason}")]
    NotHeld {
        /// The partition.
        partition: TopicPartition,
        /// The offset.
        offset: u64,
        /// The reason.
        reason: &'static str,
    },
    /// The options contradict each other.
    #[error("{0}")]
    Invalid(String),
}

impl GroupError {
    /// The reaction required of the caller; after one of kind `Unavailable`, polling again is enough.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Fetch(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::NotHeld { .. } => ErrorKind::Conflict,
            Self::Invalid(_) => ErrorKind::Fatal,
        }
    }
}
