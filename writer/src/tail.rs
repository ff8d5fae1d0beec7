//! Tail: rows of messages that no segment holds yet, for readers.
//!
//! Owns: [`lake::tail::TailSource`] over a queue and the decoder of the pipeline, and the queues that cannot give a tail.
//! Does not own: the seam between segments and tail (`lake::tail`), reading the queue (`common`, `nats`), comparing its history
//! with the catalog's (`compare`), what readers share (`shared`, `chain`, `page`, `cache`).
//!
//! The history is compared after the messages were read: rows of another one are found out before anybody sees them.

mod cache;
mod chain;
mod compare;
mod page;
mod shared;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use catalog::{Partition, Topic};
use common::config::Settings;
use common::queue::Bounds;
use common::{Incarnation, Queue, QueueError, TopicName, TopicPartition};
use futures::{StreamExt, stream};
use lake::tail::{TailEnd, TailError, TailRequest, TailRows, TailSource};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use self::cache::TailCache;
use self::compare::compared;
use self::shared::{Read, Reader};

/// Partitions whose ends are looked at together.
const ENDS_AT_ONCE: usize = 32;

/// Longest wait for the end of a queue. A query's own bound is mostly shorter.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// Longest wait for one part of a queue, with those before it that others asked for.
const READ_MAX: Duration = Duration::from_secs(60);

/// The tail of a queue.
#[derive(Debug)]
pub struct QueueTail {
    reader: Reader,
    /// Topics that were opened in the queue, in the version that was opened. A lock, because readers share the tail; held for
    /// one statement.
    opened: Mutex<HashMap<TopicName, Opened>>,
}

/// Part of the memory budget that kept rows may take, on top of it: the writer needs all of its own for a large message.
const CACHE_PART: usize = 4;

/// Tells a topic from a later one of its name, and from itself with other columns.
type Opened = (i64, u32);

impl QueueTail {
    /// The tail of `queue` in a process with these settings: rows that are kept for later reads take a quarter of
    /// `memory_budget_bytes` at most.
    pub fn of(queue: Arc<dyn Queue>, settings: &Settings) -> Self {
        Self::new(queue).caching(settings.memory_budget_bytes / CACHE_PART)
    }

    /// The tail of `queue`, in which topics are opened as they are asked for.
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        let reader = Reader { queue, cache: Arc::default(), is_inline: false };
        Self { reader, opened: Mutex::default() }
    }

    /// The same, which keeps rows of at most so many bytes for later reads, about.
    #[must_use]
    pub fn caching(self, bytes_max: usize) -> Self {
        Self { reader: Reader { cache: Arc::new(TailCache::new(bytes_max)), ..self.reader }, ..self }
    }

    /// Bytes of rows that are kept for later reads now.
    pub fn cached_bytes(&self) -> usize {
        self.reader.cache.used_bytes()
    }

    /// The same, which decodes in place instead of on a blocking thread: for simulations.
    #[must_use]
    pub fn inline(self) -> Self {
        Self { reader: Reader { is_inline: true, ..self.reader }, ..self }
    }

    /// Registers the topic in this process, as the queue requires before it is read.
    ///
    /// A queue in memory is opened by those who write: it would make the topic.
    async fn open(&self, topic: &Topic) -> Result<(), TailError> {
        let version = (topic.created_at, topic.schema_version);
        if self.reader.queue.memory().is_some() || self.opened().get(&topic.name) == Some(&version) {
            return Ok(());
        }
        self.reader.queue.open_topic(&topic.definition(), Some(topic.created_at), &[]).await?;
        self.opened().insert(topic.name.clone(), version);
        Ok(())
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, HashMap<TopicName, Opened>> {
        // Only map operations happen under the lock: a poisoned one is still whole.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn end(&self, topic: &Topic, partition: &Partition) -> Result<TailEnd, TailError> {
        let of = TopicPartition::new(topic.name.clone(), partition.partition_id);
        let (partition_id, first_offset) = (partition.partition_id, first_offset(topic, partition));
        let anchors: Vec<_> = partition.anchor.into_iter().collect();
        let looking = compared(self.reader.queue.as_ref(), &of, partition, &anchors);
        let looked = timeout(LOOK_MAX, looking).await;
        match looked.unwrap_or_else(|_| Err(late(&of, "did not say where it ends", LOOK_MAX))) {
            Ok(Bounds { next_offset, history, .. }) => {
                Ok(TailEnd { partition_id, first_offset, next_offset: next_offset.max(first_offset), history })
            }
            // Nobody has published to it in this process yet.
            Err(TailError::Queue(QueueError::TopicUnknown { .. })) if self.reader.queue.memory().is_some() => {
                Ok(TailEnd { partition_id, first_offset, next_offset: first_offset, history: String::new() })
            }
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl TailSource for QueueTail {
    async fn ends(&self, topic: &Topic, partitions: &[&Partition]) -> Vec<Result<TailEnd, TailError>> {
        self.reader.cache.sweep();
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
        let (from, to) = (from_offset.max(end.first_offset), to_offset.min(end.next_offset));
        if from >= to {
            return Ok(TailRows { next_offset: to.max(from_offset), ..TailRows::default() });
        }
        let chain = self.reader.cache.chain(&of);
        let (topic, partition, end) = (topic.clone(), partition.clone(), end.clone());
        let read = Read { of: of.clone(), topic, partition, end, after, limits, from, to };
        if let Ok(mut chain) = chain.try_lock()
            && let Some(rows) = read.at_once(&mut chain)
        {
            return Ok(rows);
        }
        // Of its own task: a reader whose rows nobody takes must not hold a chain that others wait for.
        let reading = AbortOnDropHandle::new(tokio::spawn(self.reader.clone().read(chain, read)));
        match timeout(READ_MAX, reading).await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => Err(TailError::Decoding { partition: of, from_offset: from, reason: error.to_string() }),
            Err(_) => Err(late(&of, &format!("did not give its messages from offset {from} on"), READ_MAX)),
        }
    }
}

/// The error of a queue that does not answer, although each of its requests ends in time.
fn late(of: &TopicPartition, what: &str, within: Duration) -> TailError {
    QueueError::unavailable(format!("the queue of partition {of} {what} within {within:?}")).into()
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

#[cfg(test)]
mod tests;
