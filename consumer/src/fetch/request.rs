//! A request for records, and its answer.
//!
//! Owns: their members and defaults, and the comparison with what an earlier answer saw. Does not own: reading (`fetch`).

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use catalog::{Position, ReadAhead};
use common::{Anchor, Incarnation, TopicPartition};
use serde::{Deserialize, Serialize};

use super::{OutOfRange, Skipped, Start};
use crate::error::FetchError;

/// Bounds of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most records; a message that holds several is never split, so there may be more.
    pub records_max: usize,
    /// Most bytes in memory, about.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { records_max: 10_000, bytes_max: 8 << 20 }
    }
}

/// The records that are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// The partition.
    pub partition: TopicPartition,
    /// The place to begin at.
    pub start: Start,
    /// Bounds of the answer.
    pub limits: Limits,
    /// Time to wait for the first record.
    pub wait: Duration,
    /// The way out if there is nothing at the place.
    pub out_of_range: OutOfRange,
    /// [`Fetched::seen`] of the answer that the place is from; nothing by default.
    pub seen: Seen,
}

/// What an answer was read from. With it, the next request notices another topic of the same name, and a queue that lost what was
/// read and gives its offsets to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Time at which the topic was made.
    pub topic_created_at: Option<i64>,
    /// The last message that was read out of the queue, if any was.
    pub last: Option<LastRead>,
}

/// A message that was read out of the queue, perhaps before its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRead {
    /// The incarnation that its offset counts in.
    pub incarnation: Incarnation,
    /// Its fingerprint.
    #[serde(flatten)]
    pub anchor: Anchor,
}

impl FetchRequest {
    /// Refuses another topic than the one that was seen.
    pub(super) fn check_same(&self, ahead: &ReadAhead) -> Result<(), FetchError> {
        let is_other = self.seen.topic_created_at.is_some_and(|created_at| created_at != ahead.topic.created_at);
        if is_other { Err(FetchError::MadeAgain(self.partition.clone())) } else { Ok(()) }
    }
}

/// Records, and the place of the next ones.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The columns of the topic's table.
    pub schema: SchemaRef,
    /// The records by incarnation, offset and row.
    pub batches: Vec<RecordBatch>,
    /// Their number.
    pub records: usize,
    /// The place that reading began at.
    pub first: Position,
    /// The place of the next records.
    pub next: Position,
    /// Everything below is committed, in the partition's current incarnation.
    pub high_watermark: u64,
    /// The offset of the next message in the queue; `None` if the queue was not asked.
    pub end: Option<u64>,
    /// Offsets between the two places that have no records, with the reason.
    pub skipped: Vec<Skipped>,
    /// The reason why only committed records are read, although a tail was given.
    pub only_committed: Option<String>,
    /// For the next request.
    pub seen: Seen,
}
