//! Why a catalog operation failed, and what the caller must do.

use common::{ErrorKind, TopicPartition};

/// Short for results of this crate.
pub type Result<T, E = CatalogError> = std::result::Result<T, E>;

/// An error of the catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No topic of this name.
    #[error("topic not found: {0}")]
    TopicNotFound(String),
    /// A topic of this name exists.
    #[error("topic already exists: {0}")]
    TopicAlreadyExists(String),
    /// The topic is absent, or has no partition of this number.
    #[error("partition not found: {topic}/{partition}")]
    PartitionNotFound {
        /// Name of the topic.
        topic: String,
        /// Number of the partition.
        partition: u32,
    },
    /// The consumer group is absent.
    #[error("consumer group not found: {0}")]
    GroupNotFound(String),
    /// An offset that cannot be stored (above 2^63 - 1), or that would move a watermark back.
    #[error("invalid offset {offset}: {reason}")]
    InvalidOffset {
        /// The offset.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The partition changed hands, or its watermark is not where the caller left it.
    #[error("ownership of {partition} was lost: {reason}")]
    Fenced {
        /// The partition.
        partition: TopicPartition,
        /// What no longer holds.
        reason: String,
    },
    /// The catalog cannot be used as configured: URL, version, permission, schema.
    #[error("catalog refused: {0}")]
    Refused(String),
    /// What is stored contradicts itself; nothing was changed.
    #[error("catalog is inconsistent: {0}")]
    Inconsistent(String),
    /// The database could not do it.
    #[error("database error: {0}")]
    Database(#[source] sqlx::Error),
}
