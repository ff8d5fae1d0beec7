//! The commit: its request, its three outcomes.
//!
//! Owns: the types of the protocol's decisive step. The SQL that carries it out is shared by both databases.
//! Does not own: retrying (the writer's commit step does that).

use common::{Anchor, CommitReceipt, Epoch, Incarnation, OffsetRange, OwnerId, TopicPartition};

use crate::error::CatalogError;
use crate::model::{Gap, NewSegment};

/// One contiguous range of a partition, ready to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRequest {
    /// The partition.
    pub partition: TopicPartition,
    /// History of the queue the offsets count in.
    pub incarnation: Incarnation,
    /// The ownership it was read under.
    pub epoch: Epoch,
    /// The owner.
    pub owner: OwnerId,
    /// The offsets; the first must be the watermark, which becomes the one behind the last.
    pub range: OffsetRange,
    /// The message at the end of the range.
    pub anchor: Anchor,
    /// How many messages the range holds.
    pub message_count: u64,
    /// At most one of each kind; none when the range holds only a gap.
    pub segments: Vec<NewSegment>,
    /// Parts of the range that the queue no longer held.
    pub gaps: Vec<Gap>,
}

/// What became of a commit.
#[derive(Debug)]
pub enum CommitOutcome {
    /// It is recorded, now or by an earlier attempt.
    Done(CommitReceipt),
    /// It is not recorded and never will be under this request.
    Refused(Refusal),
    /// It is certain that it is *not* recorded; the same request may be sent again.
    NotDone(CatalogError),
    /// Nobody knows: ask with [`crate::CommitStore::resolve`] before anything else.
    Unknown(CatalogError),
}

/// Why a commit can never happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another owner or a newer epoch has the partition, or it is halted or gone.
    #[error("{partition} is no longer owned at epoch {epoch}: {reason}")]
    Fenced {
        /// The partition.
        partition: TopicPartition,
        /// The epoch of the request.
        epoch: Epoch,
        /// What the partition's row says now.
        reason: String,
    },
    /// The intent of one of the objects is gone: the janitor may delete the object.
    #[error("the upload intent of {key} is no longer pending")]
    IntentLost {
        /// Key of the object.
        key: String,
    },
}
