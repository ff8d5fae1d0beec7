//! The producer: sends messages and returns the outcome of each.
//!
//! Owns: message ids, the bytes of what is buffered.
//! Does not own: the choice of a partition (`routing`), batches and their order (`lane`, `lanes`), attempts (`delivery`),
//! topic metadata (`topics`), many records in one message (`packing`), the shapes of an outcome (`outcome`), storing (the queue).

mod batch;
mod builder;
mod delivery;
mod lane;
mod lanes;
mod ledger;
mod many;
mod options;
mod packing;
mod routing;
mod target;

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use catalog::MetadataStore;
use common::clock::{SharedClock, system_clock};
use common::memory::{MemoryBudget, MemoryPermit};
use common::{OutgoingMessage, Queue, TopicName, TopicPartition};
use futures::future::join_all;
use serde::Serialize;
use uuid::Uuid;

use self::batch::Origin;
use self::delivery::{Delivery, Route};
use self::lanes::Lanes;
use self::options::Options;
use self::routing::compute_partition;
use crate::acks::Acks;
use crate::commits::Commits;
use crate::error::{FlushError, ProducerError, Result};
use crate::outcome::SendResult;
use crate::topics::{TopicSource, Topics};

pub use self::batch::SendHandle;
pub use self::builder::ProducerBuilder;
pub use self::options::ConfigError;

/// Sends messages to topics. Share it: all methods except [`Producer::close`] take `&self`.
///
/// A result means that the queue *confirmed* the message, or that the catalog lists it ([`Acks`]). A failure means that it
/// may or may not be stored. Every message has an id (the caller's, or a generated one), so that the producer's own
/// attempts store it once. A caller that repeats a call must have given the ids.
///
/// Messages of one partition are stored in the order of the calls: one request of a partition is on its way at a time, and
/// is repeated before the next one. Dropping the future of a call takes nothing back: what it has buffered is sent.
#[derive(Debug)]
pub struct Producer {
    lanes: Arc<Lanes>,
    buffer: MemoryBudget,
    is_awaited: bool,
    /// The beginning of generated ids: no other producer has it.
    id_prefix: String,
    next_id: AtomicU64,
}

/// The parts of a producer.
struct Parts {
    route: Route,
    topics: TopicSource,
    options: Options,
    clock: SharedClock,
    commits: Option<Arc<Commits>>,
}

impl Producer {
    /// A builder of a producer.
    pub fn builder() -> ProducerBuilder {
        ProducerBuilder::default()
    }

    /// A producer into `queue`, with topics from `catalog` and the default of each option.
    pub fn new(queue: Arc<dyn Queue>, catalog: Arc<dyn MetadataStore>) -> Self {
        Self::buffered(queue, catalog, Options::default().buffer_bytes)
    }

    /// The same with room for this many bytes.
    pub(crate) fn buffered(queue: Arc<dyn Queue>, catalog: Arc<dyn MetadataStore>, buffer_bytes: usize) -> Self {
        let (options, clock) = (Options { buffer_bytes, ..Options::default() }, system_clock());
        let topics = TopicSource::Queue(catalog, Arc::clone(&queue));
        Self::assemble(Parts { route: Route::Queue(queue), topics, options, clock, commits: None })
    }

    fn assemble(parts: Parts) -> Self {
        let Parts { route, topics, options, clock, commits } = parts;
        let topics = Topics::new(topics, options.metadata_refresh);
        let delivery = Delivery::new(route, topics, &options);
        Self {
            buffer: MemoryBudget::new(options.buffer_bytes),
            is_awaited: options.acks == Acks::Committed,
            lanes: Lanes::new(delivery, options, clock, commits),
            id_prefix: Uuid::now_v7().simple().to_string(),
            next_id: AtomicU64::new(0),
        }
    }

    /// Sends one message at once, with what is buffered before it: to `partition` if given, else by `key`, else in turn.
    ///
    /// # Errors
    /// `TopicNotFound`, `InvalidPartition` and `Catalog` send nothing; `Queue` and `Timeout` come after the last attempt,
    /// if the queue was unavailable; `Commit` and `Quarantined` only with [`Acks::Committed`].
    pub async fn send(
        &self,
        topic: &TopicName,
        key: Option<&[u8]>,
        value: &[u8],
        partition: Option<u32>,
    ) -> Result<SendResult> {
        self.send_payload(topic, key, value.to_vec(), partition).await
    }

    /// The same with `value` as JSON.
    ///
    /// # Errors
    /// As [`Producer::send`]; `Serialization` if the value cannot be written as JSON, which sends nothing.
    pub async fn send_json(
        &self,
        topic: &TopicName,
        key: Option<&[u8]>,
        value: &(impl Serialize + ?Sized + Sync),
        partition: Option<u32>,
    ) -> Result<SendResult> {
        let value = serde_json::to_vec(value).map_err(|error| ProducerError::Serialization(Arc::new(error)))?;
        self.send_payload(topic, key, value, partition).await
    }

    /// Buffers one message, and returns a handle of its outcome. It is sent with others of its partition. Waits only for
    /// room in the buffer, and for the topic's metadata.
    ///
    /// # Errors
    /// `TopicNotFound`, `InvalidPartition` and `Catalog`; nothing is buffered then.
    pub async fn enqueue(
        &self,
        topic: &TopicName,
        partition: Option<u32>,
        message: OutgoingMessage,
    ) -> Result<SendHandle> {
        self.buffer_one(topic, partition, message, true).await
    }

    /// Sends what is buffered, and waits until every message that was enqueued before has an outcome.
    ///
    /// # Errors
    /// If a message that was enqueued since the last flush failed, even if its handle has told so.
    pub async fn flush(&self) -> Result<(), FlushError> {
        self.lanes.hurry();
        join_all(self.lanes.ledger.unsettled()).await;
        self.lanes.ledger.take_failures()
    }

    /// Sends what is buffered, waits for every outcome, and ends the producer. A producer that is dropped instead loses
    /// what is buffered, and logs the number of messages.
    ///
    /// # Errors
    /// As [`Producer::flush`].
    pub async fn close(self) -> Result<(), FlushError> {
        let flushed = self.flush().await;
        self.lanes.join().await;
        flushed
    }

    /// Takes back every message that is buffered and not on its way: each has the failure `Discarded`, and is not stored.
    /// Returns their number.
    pub fn discard(&self) -> u64 {
        self.lanes.discard()
    }

    /// Passes over `turns` partitions of a topic, as if so many messages without a key had been sent.
    ///
    /// # Errors
    /// As [`Producer::send`], while the topic is looked up.
    pub async fn pass_turns(&self, topic: &TopicName, turns: u64) -> Result<()> {
        self.topics().get(topic).await?.turns.pass(turns);
        Ok(())
    }

    /// Messages without a result now.
    pub fn unconfirmed_messages(&self) -> u64 {
        self.lanes.ledger.unsettled_messages()
    }

    async fn send_payload(
        &self,
        topic: &TopicName,
        key: Option<&[u8]>,
        value: Vec<u8>,
        partition: Option<u32>,
    ) -> Result<SendResult> {
        let key = key.map(Bytes::copy_from_slice);
        let message = OutgoingMessage { key, ..OutgoingMessage::new(value) };
        let handle = self.buffer_one(topic, partition, message, false).await?;
        handle.await.map_err(|failure| ProducerError::clone(&failure.error))
    }

    async fn buffer_one(
        &self,
        topic: &TopicName,
        partition: Option<u32>,
        message: OutgoingMessage,
        is_enqueued: bool,
    ) -> Result<SendHandle> {
        let known = self.topics().get(topic).await?;
        let partition = compute_partition(&known, message.key.as_deref(), partition)?;
        let message = self.identified(message, Origin { is_enqueued, ..Origin::default() });
        let memory = self.room(message.0.memory_bytes()).await;
        let partition = TopicPartition::new(topic.clone(), partition);
        let mut pushed = self.lanes.push(partition, std::iter::once(message), memory, !is_enqueued);
        Ok(pushed.pop().expect("one handle per message"))
    }

    /// The message with an id, and with the producer's acks.
    fn identified(&self, mut message: OutgoingMessage, origin: Origin) -> (OutgoingMessage, Origin) {
        let id_of_caller = message.message_id.is_some();
        if !id_of_caller {
            let number = self.next_id.fetch_add(1, Ordering::Relaxed);
            // One allocation, with room for a dash and 20 digits: there is an id for each message.
            let id = message.message_id.insert(String::with_capacity(self.id_prefix.len() + 21));
            write!(id, "{}-{number}", self.id_prefix).expect("a string takes any text");
        }
        message.is_awaited |= self.is_awaited;
        (message, Origin { id_of_caller, ..origin })
    }

    /// Takes `bytes` of the buffer, waiting in turn until they are free.
    async fn room(&self, bytes: usize) -> MemoryPermit {
        if let Some(room) = self.buffer.try_acquire(bytes) {
            return room;
        }
        // Batches that wait for more messages would keep the room until their time is over.
        self.lanes.hurry();
        self.buffer.acquire(bytes).await
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let messages = self.unconfirmed_messages();
        if messages > 0 {
            tracing::error!(messages, "a producer was dropped without close; these messages may be lost");
        }
        self.lanes.abort();
    }
}

#[cfg(test)]
pub(crate) mod tests;
