//! A queue in this process's memory: bounded in bytes, kept until acked, gone with the process.
//!
//! Owns: the topics, the capacity shared by all partitions, the checks before anything is stored.
//! Does not own: one partition's messages (`partition`), reading them (`subscription`), remembered message ids
//! (`duplicates`). Each partition has its own lock; publishers of different partitions meet only at the capacity.

mod acceptable;
mod duplicates;
mod partition;
mod subscription;
mod topic;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;

pub use self::acceptable::MESSAGE_BYTES_MAX;
use self::partition::Partition;
use self::subscription::MemorySubscription;
use self::topic::Topic;
use crate::clock::{SharedClock, system_clock};
use crate::diagnosis::{Area, Finding};
use crate::ids::{TopicName, TopicPartition};
use crate::memory::MemoryBudget;
use crate::message::{Message, OutgoingMessage};
use crate::queue::config::QueueConfig;
use crate::queue::{Bounds, Page, PageLimits, PublishAck, Queue, QueueError, SubscribeRequest, Subscription};
use crate::topic::TopicDefinition;

/// Capacity of the default queue, in bytes.
pub const CAPACITY_BYTES_DEFAULT: usize = 256 * 1024 * 1024;

/// The beginning of the text that describes the history of such a queue.
pub const HISTORY: &str = "memory ";

/// Capacity is taken in chunks of this many bytes of a call: rarely enough to be cheap, often enough that a large
/// call proceeds while the reader frees bytes.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A queue in this process's memory. Cloning gives another handle of the same queue.
///
/// It holds at most its capacity, counted as [`Message::memory_bytes`]; while it is full, [`Queue::publish`] waits in
/// turn. Messages stay until a commit is acked. Uncommitted messages are lost when the process ends.
#[derive(Clone)]
pub struct InMemoryQueue {
    shared: Arc<Shared>,
}

struct Shared {
    clock: SharedClock,
    capacity: MemoryBudget,
    // Read once per call, written when a topic is added or removed; never held across an await.
    topics: RwLock<HashMap<TopicName, Arc<Topic>>>,
}

impl InMemoryQueue {
    /// A queue that holds `capacity_bytes` over all partitions.
    pub fn new(capacity_bytes: usize) -> Self {
        Self::with_clock(capacity_bytes, system_clock())
    }

    /// The same with a clock for timestamps and the duplicate window.
    pub fn with_clock(capacity_bytes: usize, clock: SharedClock) -> Self {
        let shared = Shared { clock, capacity: MemoryBudget::new(capacity_bytes), topics: RwLock::default() };
        Self { shared: Arc::new(shared) }
    }

    /// The queue that `config` describes: type `memory`, a URL of scheme `memory:`, option `capacity_bytes`.
    ///
    /// # Errors
    /// [`QueueError::Refused`] for any other type, scheme or option.
    pub async fn connect(config: QueueConfig) -> Result<Self, QueueError> {
        if config.queue_type != "memory" {
            return Err(QueueError::refused(format!(
                "queue_type {:?} is not a queue in memory; allowed here is \"memory\"",
                config.queue_type
            )));
        }
        if !config.url.starts_with("memory:") {
            return Err(QueueError::refused(format!(
                "url {:?} is not that of a queue in memory; allowed is \"memory://local\"",
                config.url
            )));
        }
        let mut capacity_bytes = CAPACITY_BYTES_DEFAULT;
        for (name, value) in &config.options {
            if name != "capacity_bytes" {
                return Err(QueueError::refused(format!(
                    "option {name:?} is unknown to a queue in memory; allowed is \"capacity_bytes\""
                )));
            }
            capacity_bytes = value.parse().ok().filter(|bytes| *bytes > 0).ok_or_else(|| {
                QueueError::refused(format!("option capacity_bytes {value:?} is not a whole number of at least 1"))
            })?;
        }
        Ok(Self::new(capacity_bytes))
    }

    /// Bytes held now.
    pub fn used_bytes(&self) -> usize {
        self.shared.capacity.used_bytes()
    }

    /// Number of publishers that wait because the queue is full.
    pub fn waiting_publishers(&self) -> usize {
        self.shared.capacity.waiters()
    }

    fn topic(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.shared.topics.read().expect("no holder of this lock panics").get(name).cloned()
    }

    fn partition(&self, partition: &TopicPartition) -> Result<Arc<Partition>, QueueError> {
        Ok(self.topic_and_partition(partition)?.1)
    }

    fn topic_and_partition(&self, partition: &TopicPartition) -> Result<(Arc<Topic>, Arc<Partition>), QueueError> {
        let topic = self.topic(&partition.topic).ok_or_else(|| not_open(&partition.topic))?;
        let partition_count = topic.definition.partition_count;
        match topic.partitions.get(partition.partition_id as usize) {
            Some(found) => Ok((Arc::clone(&topic), Arc::clone(found))),
            None => Err(QueueError::PartitionUnknown { partition: partition.clone(), partition_count }),
        }
    }

    /// Adds the topic if it is new, or made later than the one of its name; returns the topic held under its name.
    fn insert(&self, definition: &TopicDefinition, since: Option<i64>) -> Result<Arc<Topic>, QueueError> {
        definition.validate().map_err(QueueError::refused)?;
        let mut topics = self.shared.topics.write().expect("no holder of this lock panics");
        let topic = topics.entry(definition.name.clone()).or_insert_with(|| Arc::new(Topic::new(definition)));
        if let Some(since) = since {
            let known = *topic.since.get_or_init(|| since);
            if since < known {
                return Err(QueueError::refused(format!("topic {} was deleted and made again", definition.name)));
            }
            if known < since {
                topic.close();
                *topic = Arc::new(Topic::new(definition));
                topic.since.get_or_init(|| since);
            }
        }
        Ok(Arc::clone(topic))
    }
}

#[async_trait]
impl Queue for InMemoryQueue {
    async fn create_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError> {
        let held = self.insert(topic, None)?;
        if held.definition == *topic {
            return Ok(());
        }
        let (here, asked) = (&held.definition, topic);
        let what = if here.partition_count == asked.partition_count {
            "other options".to_owned()
        } else {
            format!("partition_count {} instead of {}", here.partition_count, asked.partition_count)
        };
        Err(QueueError::refused(format!("topic {} exists with {what}; delete it first", topic.name)))
    }

    async fn delete_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError> {
        let removed = self.shared.topics.write().expect("no holder of this lock panics").remove(&topic.name);
        removed.iter().for_each(|topic| topic.close());
        Ok(())
    }

    async fn open_topic(
        &self,
        topic: &TopicDefinition,
        since: Option<i64>,
        next_offsets: &[u64],
    ) -> Result<(), QueueError> {
        if let Some(bound) = topic.options.streams.first() {
            return Err(QueueError::refused(format!(
                "topic {} reads stream {} of NATS, and this queue is in memory; set QUEUE_TYPE=nats",
                topic.name, bound.stream
            )));
        }
        let held = self.insert(topic, since)?;
        if held.definition.partition_count != topic.partition_count {
            return Err(QueueError::refused(format!(
                "topic {} is open with partition_count {}, not {}",
                topic.name, held.definition.partition_count, topic.partition_count
            )));
        }
        for (partition, next_offset) in held.partitions.iter().zip(next_offsets) {
            partition.number_on_from(*next_offset);
        }
        Ok(())
    }

    async fn close_topic(&self, name: &TopicName, since: i64) {
        let mut topics = self.shared.topics.write().expect("no holder of this lock panics");
        if topics.get(name).is_some_and(|held| held.since.get() == Some(&since))
            && let Some(removed) = topics.remove(name)
        {
            removed.close();
        }
    }

    async fn publish(
        &self,
        to: &TopicPartition,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<PublishAck>, QueueError> {
        let partition = self.partition(to)?;
        acceptable::check(&messages, self.shared.capacity.capacity_bytes())?;
        let mut acks = Vec::with_capacity(messages.len());
        let mut messages = messages.into_iter().peekable();
        let chunk_bytes_max = CHUNK_BYTES.min(self.shared.capacity.capacity_bytes());
        while messages.peek().is_some() {
            let mut chunk = Vec::new();
            let mut chunk_bytes = 0;
            while let Some(message) =
                messages.next_if(|m| chunk.is_empty() || chunk_bytes + m.memory_bytes() <= chunk_bytes_max)
            {
                chunk_bytes += message.memory_bytes();
                chunk.push(message);
            }
            let memory = self.shared.capacity.acquire(chunk_bytes).await;
            let stored = partition.append(chunk, memory, self.shared.clock.now_us(), &mut acks);
            stored.map_err(|_closed| not_open(&to.topic))?;
        }
        Ok(acks)
    }

    async fn subscribe(&self, request: SubscribeRequest) -> Result<Box<dyn Subscription>, QueueError> {
        let partition = self.partition(&request.partition)?;
        Ok(Box::new(MemorySubscription::new(partition, request.from_offset, request.budget)))
    }

    async fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, QueueError> {
        let (topic, partition) = self.topic_and_partition(partition)?;
        let (first_offset, next_offset) = partition.bounds();
        let (history, limits, created_us) = (topic.history.clone(), None, None);
        Ok(Bounds { first_offset, next_offset, history, limits, created_us, duplicate_window: None, omits: None })
    }

    async fn read(
        &self,
        partition: &TopicPartition,
        from_offset: u64,
        to_offset: u64,
    ) -> Result<Vec<Message>, QueueError> {
        Ok(self.partition(partition)?.read(from_offset, to_offset))
    }

    async fn read_page(
        &self,
        partition: &TopicPartition,
        from_offset: u64,
        to_offset: u64,
        limits: PageLimits,
    ) -> Result<Page, QueueError> {
        Ok(self.partition(partition)?.read_page(from_offset, to_offset, limits))
    }

    async fn check(&self) -> Result<(), QueueError> {
        Ok(())
    }

    fn memory(&self) -> Option<&MemoryBudget> {
        Some(&self.shared.capacity)
    }

    async fn diagnose(&self, _topics: &[TopicDefinition]) -> Vec<Finding> {
        vec![Finding::reduced(
            Area::Queue,
            "durability",
            "the queue is in the memory of this process",
            "what is not committed is lost when the process dies; set QUEUE_TYPE=nats, or let producers wait for the \
             commit",
        )]
    }
}

impl Default for InMemoryQueue {
    fn default() -> Self {
        Self::new(CAPACITY_BYTES_DEFAULT)
    }
}

impl fmt::Debug for InMemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let capacity = &self.shared.capacity;
        write!(f, "InMemoryQueue({} of {} bytes)", capacity.used_bytes(), capacity.capacity_bytes())
    }
}

fn not_open(topic: &TopicName) -> QueueError {
    QueueError::TopicUnknown { topic: topic.clone(), reason: "it was not opened in this process".to_owned() }
}

#[cfg(test)]
mod tests;
