//! Tail: the rows of messages that are in the queue and not committed yet, the same that their segments will have.
//!
//! Owns: the contract between those who read records and the one that decodes the queue's messages.
//! Does not own: the queue and the decoder (`writer::tail`), the rows below a watermark (segments).
//!
//! A reader takes a catalog snapshot first: its segments below each watermark, and the tail from there on. Messages that are
//! committed meanwhile may leave the queue: a [`TailCursor`] finds out where their rows are.

mod cursor;

use std::fmt::Debug;

use arrow_array::{Array, ArrayRef, RecordBatch};
use async_trait::async_trait;
use catalog::{CatalogError, Partition, Topic};
use common::{Anchor, ErrorKind, QueueError, TopicPartition};

pub use self::cursor::{TailCursor, TailStep};

/// The messages of a queue from the watermarks on, as rows.
#[async_trait]
pub trait TailSource: Debug + Send + Sync {
    /// Looks at the end of the queue of each of `partitions`, which are rows of `topic` from one catalog snapshot; one answer
    /// for each, in their order.
    ///
    /// # Errors
    /// [`TailError::OtherHistory`] if the queue's history is not the one in which the watermark counts;
    /// [`TailError::Unsupported`] if the queue cannot give every record once; errors of the queue.
    async fn ends(&self, topic: &Topic, partitions: &[&Partition]) -> Vec<Result<TailEnd, TailError>>;

    /// Rows of the messages with offsets in the requested range, in order, as many as the limits allow, at least those of
    /// one message if there is one. Makes no consumer, and changes nothing in the queue.
    ///
    /// # Errors
    /// As of [`TailSource::ends`]: the history is compared after the messages were read, so that no row is of another one.
    async fn read(&self, request: TailRequest<'_>) -> Result<TailRows, TailError>;
}

/// A part of one partition's tail.
#[derive(Clone, Copy, Debug)]
pub struct TailRequest<'r> {
    /// The topic, whose columns the rows have.
    pub topic: &'r Topic,
    /// The partition as the catalog snapshot has it: its incarnation, watermark and anchor say which history is meant.
    pub partition: &'r Partition,
    /// The first offset wanted, at or above the watermark.
    pub from_offset: u64,
    /// Exclusive, at most the end of `end`.
    pub to_offset: u64,
    /// An earlier look, whose history must still be the queue's.
    pub end: &'r TailEnd,
    /// The last message that was read before, which the queue must still hold, or have dropped after its commit.
    pub after: Option<Anchor>,
    /// Bounds of this answer.
    pub limits: TailLimits,
}

/// Bounds of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailLimits {
    /// Most messages.
    pub messages_max: usize,
    /// Most bytes of messages, about; the first message may be larger.
    pub bytes_max: usize,
}

impl Default for TailLimits {
    fn default() -> Self {
        Self { messages_max: 8_192, bytes_max: 8 * 1024 * 1024 }
    }
}

/// The end of a partition's queue at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailEnd {
    /// Number of the partition.
    pub partition_id: u32,
    /// The first offset that can have rows: the watermark, or a later offset that the topic was told to begin at.
    pub first_offset: u64,
    /// Exclusive: the offset of the next message, at least `first_offset`.
    pub next_offset: u64,
    /// The queue's description of its history.
    pub history: String,
}

/// Rows of a part of a tail. Their columns are those of the topic's table, and of its quarantine.
#[derive(Clone, Debug, Default)]
pub struct TailRows {
    /// Rows of the table, by offset and row.
    pub rows: Vec<RecordBatch>,
    /// Rows of the quarantine, by offset and row.
    pub quarantine: Vec<RecordBatch>,
    /// The first offset that was not looked at: the next read begins there.
    pub next_offset: u64,
    /// Offsets between the first wanted and `next_offset` have no message. Perhaps they never had, or the queue dropped them
    /// after their commit. Ask the catalog for the watermark *after* this answer: if it is above the first offset wanted,
    /// leave out the rows below it, and read those offsets from segments. Rows at or above it are complete.
    pub has_holes: bool,
    /// Offsets from the first wanted up to this one are gone from the queue, although each of them had a message: they were
    /// committed, or the queue lost them. Those that the catalog does not know as committed are lost.
    pub gone_before: Option<u64>,
    /// The last message that was read, for [`TailRequest::after`].
    pub last: Option<Anchor>,
    /// Messages that became these rows.
    pub message_count: usize,
    /// Their size in memory.
    pub message_bytes: usize,
}

/// Bytes of the rows of a batch alone: the buffers behind them may hold a larger part of a tail, which other readers share.
pub fn bytes_of(rows: &RecordBatch) -> usize {
    let column = |column: &ArrayRef| {
        let bytes = column.to_data().get_slice_memory_size();
        bytes.unwrap_or_else(|_| column.get_array_memory_size())
    };
    rows.columns().iter().map(column).sum()
}

/// A tail that cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TailError {
    /// The queue's history is not the one in which the watermark counts.
    #[error("partition {partition}: {reason}")]
    OtherHistory {
        /// The partition.
        partition: TopicPartition,
        /// The difference that was seen.
        reason: String,
    },
    /// A queue of this kind cannot give every record once.
    #[error("partition {partition}: {reason}")]
    Unsupported {
        /// The partition.
        partition: TopicPartition,
        /// The property of the queue that stands in the way.
        reason: String,
    },
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The catalog, which was asked for the place of messages that the queue no longer holds.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The messages could not be decoded, by a defect of the decoder.
    #[error("decoding messages of partition {partition} from offset {from_offset} on: {reason}")]
    Decoding {
        /// The partition.
        partition: TopicPartition,
        /// The first offset of the part.
        from_offset: u64,
        /// The failure.
        reason: String,
    },
}

impl TailError {
    /// The reaction required of the caller: a history that differs needs an operator.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Queue(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::OtherHistory { .. } | Self::Unsupported { .. } | Self::Decoding { .. } => ErrorKind::Fatal,
        }
    }
}
