//! The queue as this process publishes to it.
//!
//! Owns: how far each partition was published here, refusing and ending publishes after the end, and waiting for those
//! under way. Does not own: the queue, which the writer reads directly.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use common::diagnosis::Finding;
use common::memory::MemoryBudget;
use common::queue::{Bounds, Page, PageLimits, PublishAck, SubscribeRequest};
use common::{Message, OutgoingMessage, Queue, QueueError, Subscription, TopicDefinition, TopicName, TopicPartition};
use tokio_util::task::TaskTracker;

use super::life::Life;

/// A queue that remembers what was published through it.
#[derive(Debug)]
pub(super) struct Inlet {
    queue: Arc<dyn Queue>,
    life: Life,
    /// Publishes under way.
    publishing: TaskTracker,
    // A std mutex: held for a look-up or an insert, never across an await.
    ends: Mutex<BTreeMap<TopicPartition, u64>>,
}

impl Inlet {
    /// An inlet of `queue`.
    pub(super) fn new(queue: Arc<dyn Queue>, life: Life) -> Self {
        Self { queue, life, publishing: TaskTracker::new(), ends: Mutex::default() }
    }

    /// The offset after the last message that was published here, of each partition that has one.
    pub(super) fn ends(&self) -> Vec<(TopicPartition, u64)> {
        self.lock().iter().map(|(partition, end)| (partition.clone(), *end)).collect()
    }

    /// Returns once no publish is under way. New ones are refused when the end has come, and those that wait then end.
    pub(super) async fn drained(&self) {
        self.publishing.close();
        self.publishing.wait().await;
    }

    fn note(&self, partition: &TopicPartition, acks: &[PublishAck]) {
        let Some(end) = acks.iter().map(|ack| ack.offset + 1).max() else { return };
        let mut ends = self.lock();
        match ends.get_mut(partition) {
            Some(known) => *known = end.max(*known),
            None => _ = ends.insert(partition.clone(), end),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, u64>> {
        self.ends.lock().expect("no holder of this lock panics")
    }
}

#[async_trait]
impl Queue for Inlet {
    async fn create_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError> {
        self.queue.create_topic(topic).await
    }

    async fn delete_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError> {
        self.queue.delete_topic(topic).await
    }

    async fn open_topic(
        &self,
        topic: &TopicDefinition,
        since: Option<i64>,
        next_offsets: &[u64],
    ) -> Result<(), QueueError> {
        self.queue.open_topic(topic, since, next_offsets).await
    }

    async fn close_topic(&self, name: &TopicName, since: i64) {
        self.queue.close_topic(name, since).await;
    }

    async fn publish(
        &self,
        to: &TopicPartition,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<PublishAck>, QueueError> {
        // Before the look at the end: a close waits for every publish that did not see it.
        let _under_way = self.publishing.token();
        // A publish that is ended may have stored a part, as after any error of a queue.
        self.life.check().map_err(QueueError::refused)?;
        let acks = self.life.unless_ended(self.queue.publish(to, messages)).await.map_err(QueueError::refused)??;
        self.note(to, &acks);
        Ok(acks)
    }

    async fn subscribe(&self, request: SubscribeRequest) -> Result<Box<dyn Subscription>, QueueError> {
        self.queue.subscribe(request).await
    }

    async fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, QueueError> {
        self.queue.bounds(partition).await
    }

    async fn read(
        &self,
        partition: &TopicPartition,
        from_offset: u64,
        to_offset: u64,
    ) -> Result<Vec<Message>, QueueError> {
        self.queue.read(partition, from_offset, to_offset).await
    }

    async fn read_page(
        &self,
        partition: &TopicPartition,
        from_offset: u64,
        to_offset: u64,
        limits: PageLimits,
    ) -> Result<Page, QueueError> {
        self.queue.read_page(partition, from_offset, to_offset, limits).await
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.queue.check().await
    }

    fn memory(&self) -> Option<&MemoryBudget> {
        self.queue.memory()
    }

    async fn diagnose(&self, topics: &[TopicDefinition]) -> Vec<Finding> {
        self.queue.diagnose(topics).await
    }
}
