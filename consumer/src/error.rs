//! The errors of reading records.
//!
//! Owns: their texts, and the reactions to them. Does not own: errors of a group (`group`).

use catalog::CatalogError;
use common::{ErrorKind, Incarnation, TopicPartition};
use lake::LakeError;
use lake::tail::TailError;

/// Records that cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// No such topic, or no such partition.
    #[error("partition not found: {0}")]
    PartitionNotFound(TopicPartition),
    /// The offset is behind the last record.
    #[error(
        "offset {offset} of partition {partition} is above its end: the next record {} offset {end}; choose one up to there, \
         begin or end (for the offset of a group: by out-of-range, or by a reset)",
        if *.has_tail { "will get" } else { "that a segment will hold has" }
    )]
    AboveEnd {
        /// The partition.
        partition: TopicPartition,
        /// The offset.
        offset: u64,
        /// The end of the queue, or the high watermark if the queue is not read here.
        end: u64,
        /// The queue is read here.
        has_tail: bool,
    },
    /// Retention took the offset.
    #[error(
        "offset {offset} of partition {partition} is gone: retention took all below {first}; choose that one, a later one, \
         begin or end (for the offset of a group: by out-of-range, or by a reset)"
    )]
    Expired {
        /// The partition.
        partition: TopicPartition,
        /// The offset.
        offset: u64,
        /// The first offset that is left.
        first: u64,
    },
    /// The history of the place begins at a later offset.
    #[error(
        "offset {offset} of partition {partition} is below the first one of incarnation {incarnation}, which is {first}; choose \
         that one, a later one, begin or end (for the offset of a group: by out-of-range, or by a reset)"
    )]
    BeforeStart {
        /// The partition.
        partition: TopicPartition,
        /// The incarnation of the place.
        incarnation: Incarnation,
        /// The offset.
        offset: u64,
        /// The first offset of the incarnation.
        first: u64,
    },
    /// The place is not one of this partition's history.
    #[error(
        "incarnation {incarnation} of partition {partition} is unknown: the current one is {now}; the offset is perhaps one \
         of another topic of this name"
    )]
    UnknownIncarnation {
        /// The partition.
        partition: TopicPartition,
        /// The incarnation of the place.
        incarnation: Incarnation,
        /// The partition's current one.
        now: Incarnation,
    },
    /// The topic was deleted and made again since the place was taken.
    #[error("topic of partition {0} was deleted and made again: its offsets began anew")]
    MadeAgain(TopicPartition),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A listed object.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The store does not give a listed object out at the moment.
    #[error("object {key} cannot be read at the moment: {reason}")]
    Store {
        /// Key of the object.
        key: String,
        /// The store's error.
        reason: String,
    },
    /// There is no memory left for an answer: see [`Fetcher::fetch_within`](crate::Fetcher::fetch_within).
    #[error("too many answers with records are under way; try again, or ask for fewer bytes")]
    Busy,
    /// The part behind the segments.
    #[error(transparent)]
    Tail(#[from] TailError),
    /// A defect of this program.
    #[error("reading records failed: {0}")]
    Failed(String),
}

impl FetchError {
    /// The reaction required of the caller.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Catalog(error) => error.kind(),
            Self::Tail(error) => error.kind(),
            Self::Lake(error) => error.kind(),
            Self::Store { .. } | Self::Busy => ErrorKind::Unavailable,
            Self::Failed(_) => ErrorKind::Fatal,
            Self::PartitionNotFound(_)
            | Self::AboveEnd { .. }
            | Self::Expired { .. }
            | Self::BeforeStart { .. }
            | Self::UnknownIncarnation { .. }
            | Self::MadeAgain(_) => ErrorKind::Conflict,
        }
    }

    /// True if the place is at fault, so that another one may be chosen.
    pub fn is_out_of_range(&self) -> bool {
        matches!(
            self,
            Self::AboveEnd { .. } | Self::Expired { .. } | Self::BeforeStart { .. } | Self::UnknownIncarnation { .. }
        )
    }
}
