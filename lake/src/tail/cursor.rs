//! Cursor: reads the tail of one partition to its end, although commits happen meanwhile.
//!
//! Owns: the decision where the rows of an offset are: in the queue, in a segment that was listed since the snapshot, or
//! nowhere. Every offset between the watermark and the end is in exactly one step.
//! Does not own: reading either of them.
//!
//! A queue may drop what is committed at any moment, so that a missing message is either committed or lost. Messages are
//! dropped after their commit: a watermark that is read after the queue was read covers all that were dropped before.

use std::sync::Arc;
use std::time::Duration;

use catalog::{MetadataStore, Partition, Topic};
use common::backoff::Backoff;
use common::{Anchor, OffsetRange, TopicPartition, mutation};

use super::{TailEnd, TailError, TailLimits, TailRequest, TailRows, TailSource};

/// Looks at the catalog for a commit of offsets that the queue no longer holds. One is enough, unless the catalog is a
/// copy that lags behind the one that took the commit.
const LOOKS_MAX: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The place of reading in one partition's tail.
#[derive(Clone, Debug)]
pub struct TailCursor {
    topic: Arc<Topic>,
    /// As the snapshot has it.
    partition: Partition,
    end: TailEnd,
    next_offset: u64,
    to_offset: u64,
    after: Option<Anchor>,
}

/// A part of a tail, each one behind the last.
#[derive(Debug)]
pub enum TailStep {
    /// Rows from the queue.
    Rows(TailRows),
    /// The queue may no longer hold these offsets, which were committed since the snapshot: read them from the segments of a
    /// newer snapshot, from rows of this partition, of the same incarnation, and of no other offsets.
    Committed(OffsetRange),
    /// Neither the queue nor the catalog has these offsets: the queue lost them, or the catalog is a copy that lags behind.
    Lost(OffsetRange),
    /// The end is reached.
    End,
}

impl TailCursor {
    /// Reads the whole tail of `partition`, a row of `topic` from a snapshot, up to `end`.
    pub fn new(topic: Arc<Topic>, partition: Partition, end: TailEnd) -> Self {
        let (next_offset, to_offset) = (end.first_offset, end.next_offset);
        Self { topic, partition, end, next_offset, to_offset, after: None }
    }

    /// Reads only offsets in the range `from..to` of the tail.
    #[must_use]
    pub fn within(self, from: u64, to: u64) -> Self {
        let next_offset = from.max(self.end.first_offset);
        Self { next_offset, to_offset: to.min(self.end.next_offset), ..self }
    }

    /// The first offset of the next step.
    pub fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// The partition.
    pub fn partition(&self) -> TopicPartition {
        TopicPartition::new(self.topic.name.clone(), self.partition.partition_id)
    }

    /// Reads on.
    ///
    /// # Errors
    /// Those of the source, and of the catalog; [`TailError::OtherHistory`] if the topic was deleted or the partition
    /// resumed meanwhile. After an error the step can be repeated.
    pub async fn step(
        &mut self,
        source: &dyn TailSource,
        catalog: &dyn MetadataStore,
        limits: TailLimits,
    ) -> Result<TailStep, TailError> {
        if self.next_offset >= self.to_offset {
            return Ok(TailStep::End);
        }
        let request = TailRequest {
            topic: &self.topic,
            partition: &self.partition,
            from_offset: self.next_offset,
            to_offset: self.to_offset,
            end: &self.end,
            after: self.after,
            limits,
        };
        let rows = source.read(request).await?;
        if rows.has_holes && !mutation::is_off("tail.seam") {
            if let Some(range) = self.committed(catalog).await? {
                return Ok(self.passed(range, TailStep::Committed));
            }
            if let Some(first_held) = rows.gone_before {
                return self.missing(catalog, first_held).await;
            }
        }
        self.next_offset = rows.next_offset;
        self.after = rows.last.or(self.after);
        Ok(TailStep::Rows(rows))
    }

    /// The place of offsets that the queue dropped, from the next one to `first_held`.
    async fn missing(&mut self, catalog: &dyn MetadataStore, first_held: u64) -> Result<TailStep, TailError> {
        let mut backoff = Backoff::starting_at(FIRST_WAIT);
        while backoff.attempts() < LOOKS_MAX {
            backoff.wait().await;
            if let Some(range) = self.committed(catalog).await? {
                return Ok(self.passed(range, TailStep::Committed));
            }
        }
        let range = OffsetRange::until(self.next_offset, first_held).expect("the source says that some are gone");
        Ok(self.passed(range, TailStep::Lost))
    }

    fn passed(&mut self, range: OffsetRange, step: impl FnOnce(OffsetRange) -> TailStep) -> TailStep {
        self.next_offset = range.next();
        step(range)
    }

    /// The next offsets that are committed by now.
    async fn committed(&self, catalog: &dyn MetadataStore) -> Result<Option<OffsetRange>, TailError> {
        let of = self.partition();
        let now = catalog.get_partition(&of).await?;
        let is_same = |row: &Partition| {
            (row.created_at, row.incarnation) == (self.partition.created_at, self.partition.incarnation)
        };
        let Some(now) = now.filter(is_same) else {
            let reason = "its topic was deleted, or it was resumed in a new history, while it was read".to_owned();
            return Err(TailError::OtherHistory { partition: of, reason });
        };
        Ok(OffsetRange::until(self.next_offset, now.high_watermark.min(self.to_offset)))
    }
}
