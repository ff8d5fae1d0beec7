//! The commit: its request, its three outcomes.
//!
//! Owns: the types of the protocol's decisive step. The SQL that carries it out is shared by both databases.
//! Does not own: retrying (the writer's commit step does that).

use common::{Anchor, CommitReceipt, Epoch, Incarnation, OffsetRange, OwnerId, TopicPartition};

use crate::error::CatalogError;
use crate::model::{Gap, NewSegment, UploadIntent};

/// One contiguous range of a partition, ready to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRequest {
    /// The partition.
    pub partition: TopicPartition,
    /// The incarnation in which the offsets count.
    pub incarnation: Incarnation,
    /// The epoch in which it was read.
    pub epoch: Epoch,
    /// The owner.
    pub owner: OwnerId,
    /// The offsets; the first must be the watermark, and the commit moves the watermark past the last.
    pub range: OffsetRange,
    /// The message at the end of the range.
    pub anchor: Anchor,
    /// Number of messages in the range.
    pub message_count: u64,
    /// At most one of each kind; none when the range holds only a gap.
    pub segments: Vec<NewSegment>,
    /// Parts of the range that were missing in the queue.
    pub gaps: Vec<Gap>,
}

impl CommitRequest {
    /// The intents that it consumes: one for each segment.
    pub fn intents(&self) -> impl Iterator<Item = UploadIntent> {
        self.segments.iter().map(|segment| UploadIntent {
            partition: self.partition.clone(),
            epoch: self.epoch,
            owner: self.owner,
            bucket: segment.object.bucket.clone(),
            key: segment.object.key.clone(),
        })
    }
}

/// The outcome of a commit.
#[derive(Debug)]
pub enum CommitOutcome {
    /// It is recorded, now or by an earlier attempt.
    Done(CommitReceipt),
    /// It is not recorded and never will be under this request.
    Refused(Refusal),
    /// It is certainly *not* recorded; the same request may be sent again.
    NotDone(CatalogError),
    /// It may be recorded: call [`crate::CommitStore::resolve`] before anything else.
    Unknown(CatalogError),
}

impl CommitOutcome {
    /// The proof, if it is recorded.
    pub fn receipt(&self) -> Option<&CommitReceipt> {
        match self {
            Self::Done(receipt) => Some(receipt),
            Self::Refused(_) | Self::NotDone(_) | Self::Unknown(_) => None,
        }
    }
}

/// The reason why a request can never be committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another owner or a newer epoch has the partition, or it is halted or gone.
    #[error("{partition} is no longer owned at epoch {epoch}: {reason}")]
    Fenced {
        /// The partition.
        partition: TopicPartition,
        /// The epoch of the request.
        epoch: Epoch,
        /// The state of the partition's row.
        reason: String,
    },
    /// The intent of one of the objects is gone: the janitor may delete the object.
    #[error("the upload intent of {key} is no longer pending")]
    IntentLost {
        /// Key of the object.
        key: String,
    },
}
