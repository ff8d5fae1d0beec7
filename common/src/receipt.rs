//! Proof of a commit, without which nothing can be acked.
//!
//! Owns: the receipt. Does not own: the commit (catalog). [`CommitReceipt::issue`] is on clippy's list of disallowed
//! methods; the catalog's commit is its one caller.

use crate::ids::{Epoch, TopicPartition};

/// The catalog's confirmation that every message of a partition below `high_watermark` is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitReceipt {
    partition: TopicPartition,
    epoch: Epoch,
    high_watermark: u64,
}

impl CommitReceipt {
    /// Makes a receipt. Only the catalog may call it, once its transaction is certainly committed.
    pub fn issue(partition: TopicPartition, epoch: Epoch, high_watermark: u64) -> Self {
        Self { partition, epoch, high_watermark }
    }

    /// The partition that was committed.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The ownership under which it was committed.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Exclusive: every message with a smaller offset is committed.
    pub fn high_watermark(&self) -> u64 {
        self.high_watermark
    }
}
