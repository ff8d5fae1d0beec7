//! Tail: rows of messages that no segment holds yet, for readers.
//!
//! Owns: [`lake::tail::TailSource`] over a queue and the decoder of the pipeline: the comparison of the queue's history with
//! the catalog's, and the queues that cannot give a tail.
//! Does not own: the seam between segments and tail (`lake::tail`), reading the queue (`common`, `nats`).
//!
//! The history is compared after the messages were read: rows of another one are found out before anybody sees them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use catalog::{Partition, PartitionState, Topic};
use common::queue::history::{anchor_at, difference_of};
use common::queue::{Bounds, Page, PageLimits};
use common::{Anchor, Incarnation, Message, Queue, QueueError, TopicName, TopicPartition, mutation};
use futures::{StreamExt, stream};
use lake::tail::{TailEnd, TailError, TailRequest, TailRows, TailSource};

use crate::pipeline::decode::{Decoded, Source, TopicTable};

/// Partitions whose ends are looked at together.
const ENDS_AT_ONCE: usize = 32;

/// The tail of a queue.
#[derive(Debug)]
pub struct QueueTail {
    queue: Arc<dyn Queue>,
    /// Topics that were opened in the queue, in the version that was opened. A lock, because readers share the tail; held for
    /// one statement.
    opened: Mutex<HashMap<TopicName, Version>>,
    is_inline: bool,
}

/// Tells a topic from a later one of its name, and from itself with other columns.
type Version = (i64, u32);

impl QueueTail {
    /// The tail of `queue`, in which topics are opened as they are asked for.
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        Self { queue, opened: Mutex::default(), is_inline: false }
    }

    /// The same, which decodes in place instead of on a blocking thread: for simulations.
    #[must_use]
    pub fn inline(self) -> Self {
        Self { is_inline: true, ..self }
    }

    /// Registers the topic in this process, as the queue requires before it is read.
    ///
    /// A queue in memory is opened by those who write: it would make the topic.
    async fn open(&self, topic: &Topic) -> Result<(), TailError> {
        let version = (topic.created_at, topic.schema_version);
        if self.queue.memory().is_some() || self.opened().get(&topic.name) == Some(&version) {
            return Ok(());
        }
        self.queue.open_topic(&topic.definition(), &[]).await?;
        self.opened().insert(topic.name.clone(), version);
        Ok(())
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, HashMap<TopicName, Version>> {
        // Only map operations happen under the lock: a poisoned one is still whole.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bounds of the partition's queue, if its history is the one in which the watermark counts and `last` was read.
    async fn compared(
        &self,
        of: &TopicPartition,
        partition: &Partition,
        last: Option<Anchor>,
    ) -> Result<Bounds, TailError> {
        let other = |reason: String| TailError::OtherHistory { partition: of.clone(), reason };
        if mutation::is_off("tail.history") {
            return Ok(self.queue.bounds(of).await?);
        }
        if partition.state == PartitionState::Halted {
            // The writer saw another history. The queue may have dropped the message since that shows it.
            let reason = partition.halt_reason.as_deref().unwrap_or("no reason is known");
            return Err(other(format!("the partition is halted: {reason}")));
        }
        let bounds = self.queue.bounds(of).await?;
        if let Some(kept) = bounds.kept_per_subject {
            let reason = format!(
                "its stream keeps only the last {kept} messages of each subject, so that it may forget one that the writer \
                 has read and not yet committed"
            );
            return Err(TailError::Unsupported { partition: of.clone(), reason });
        }
        for anchor in [partition.anchor, last].into_iter().flatten() {
            let held = anchor_at(self.queue.as_ref(), of, &bounds, anchor.offset).await?;
            if let Some(difference) = difference_of(&bounds, anchor, held) {
                return Err(other(difference));
            }
        }
        let (end, watermark) = (bounds.next_offset, partition.high_watermark);
        if watermark > end {
            // Also without an anchor, as after a resume.
            return Err(other(format!(
                "the queue's next message gets offset {end}, but everything below {watermark} is committed"
            )));
        }
        Ok(bounds)
    }

    async fn end(&self, topic: &Topic, partition: &Partition) -> Result<TailEnd, TailError> {
        let of = TopicPartition::new(topic.name.clone(), partition.partition_id);
        let (partition_id, first_offset) = (partition.partition_id, first_offset(topic, partition));
        match self.compared(&of, partition, None).await {
            Ok(Bounds { next_offset, history, .. }) => {
                Ok(TailEnd { partition_id, first_offset, next_offset: next_offset.max(first_offset), history })
            }
            // Nobody has published to it in this process yet.
            Err(TailError::Queue(QueueError::TopicUnknown { .. })) if self.queue.memory().is_some() => {
                Ok(TailEnd { partition_id, first_offset, next_offset: first_offset, history: String::new() })
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses messages that were read in another history than that of the earlier look.
    fn check_same(of: &TopicPartition, end: &TailEnd, now: &Bounds) -> Result<(), TailError> {
        let other = |reason: String| Err(TailError::OtherHistory { partition: of.clone(), reason });
        if mutation::is_off("tail.history") {
            return Ok(());
        }
        if end.history != now.history {
            let (then, now) = (&end.history, &now.history);
            return other(format!("the queue was \"{then}\" when the reader looked first, and is \"{now}\" now"));
        }
        if now.next_offset < end.next_offset {
            let (then, now) = (end.next_offset, now.next_offset);
            return other(format!(
                "the queue went back: its next message got offset {then}, and gets offset {now} now"
            ));
        }
        Ok(())
    }

    async fn decode(&self, topic: &Topic, partition: &Partition, page: Page) -> Result<TailRows, String> {
        let source = Source { partition_id: partition.partition_id, incarnation: partition.incarnation };
        let table = TopicTable::new(topic);
        let work = move || decoded(&table, source, page);
        if self.is_inline {
            return Ok(work());
        }
        // Dropped readers must not leave work behind that nobody waits for: it is one page at most.
        tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl TailSource for QueueTail {
    async fn ends(&self, topic: &Topic, partitions: &[&Partition]) -> Vec<Result<TailEnd, TailError>> {
        if let Err(error) = self.open(topic).await {
            return partitions.iter().map(|_| Err(error.clone())).collect();
        }
        let looks: Vec<_> = partitions.iter().map(|partition| self.end(topic, partition)).collect();
        stream::iter(looks).buffered(ENDS_AT_ONCE).collect().await
    }

    async fn read(&self, request: TailRequest<'_>) -> Result<TailRows, TailError> {
        let TailRequest { topic, partition, from_offset, to_offset, end, after, limits } = request;
        self.open(topic).await?;
        let of = TopicPartition::new(topic.name.clone(), partition.partition_id);
        let from = from_offset.max(end.first_offset);
        let to = to_offset.min(end.next_offset);
        if from >= to {
            return Ok(TailRows { next_offset: to.max(from_offset), ..TailRows::default() });
        }
        let limits = PageLimits { messages_max: limits.messages_max, bytes_max: limits.bytes_max };
        let page = self.queue.read_page(&of, from, to, limits).await?;
        // After the messages: a history that changes later is not theirs.
        let bounds = self.compared(&of, partition, after).await?;
        Self::check_same(&of, end, &bounds)?;
        let has_holes = page.messages.len() as u64 != page.next_offset.saturating_sub(from);
        let gone_before = Some(bounds.first_offset.min(page.next_offset));
        // Offset 0 alone is never missing: JetStream counts from 1.
        let gone_before = gone_before.filter(|first| is_dense(topic) && *first > from.max(1));
        let rows = self.decode(topic, partition, page).await;
        let rows = rows.map_err(|reason| TailError::Decoding { partition: of, from_offset: from, reason })?;
        Ok(TailRows { has_holes, gone_before, ..rows })
    }
}

/// The first offset that can have rows above the watermark: an operator may have chosen a later one in the first history.
fn first_offset(topic: &Topic, partition: &Partition) -> u64 {
    let bound = topic.config.streams.get(partition.partition_id as usize);
    let start = bound.and_then(|bound| bound.from_offset).filter(|_| partition.incarnation == Incarnation::default());
    partition.high_watermark.max(start.unwrap_or(0))
}

/// True if every offset of a queue belongs to its partition, so that a missing one is no filter's work.
fn is_dense(topic: &Topic) -> bool {
    topic.config.streams.iter().all(|stream| stream.subjects.is_empty())
}

fn decoded(table: &TopicTable, source: Source, page: Page) -> TailRows {
    let Page { messages, next_offset } = page;
    let mut rows = TailRows {
        next_offset,
        last: messages.last().map(Anchor::of),
        message_count: messages.len(),
        message_bytes: messages.iter().map(Message::memory_bytes).sum(),
        ..TailRows::default()
    };
    table.decode_in_parts(source, &messages, &mut |part: Decoded| {
        rows.rows.extend(part.rows);
        rows.quarantine.extend(part.quarantine);
    });
    rows
}

#[cfg(test)]
mod tests;
