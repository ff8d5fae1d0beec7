//! A stream that goes back at the one moment that only a second look reveals.
//!
//! Owns: that moment, made by hand: chance needs tens of thousands of seeds for it. Does not own: the writer, the models.

#![allow(missing_docs, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use catalog::{SegmentStore, TopicConfig, TopicStore};
use common::clock::SharedClock;
use common::queue::{Bounds, PublishAck, SubscribeRequest};
use common::{Message, OutgoingMessage, Queue, QueueError, Subscription, TopicDefinition, TopicName, TopicPartition};
use simulation::catalog::{Faults, Guards, ModelCatalog, Session};
use simulation::clock::VirtualClock;
use simulation::queue::ModelQueue;
use simulation::store::ModelStore;
use writer::{Storage, Writer, WriterConfig};

/// Offsets that the stream holds at first: the rest was purged.
const HELD: std::ops::RangeInclusive<u64> = 50..=54;
/// The stream goes back to this offset, below those that it held, and is filled again.
const LAST_KEPT: u64 = 42;
const LAST: u64 = 71;

/// A queue that goes back once, between a writer's look at it and its subscription.
#[derive(Debug)]
struct GoesBack {
    queue: ModelQueue,
    went: AtomicBool,
}

#[async_trait]
impl Queue for GoesBack {
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

    async fn publish(
        &self,
        to: &TopicPartition,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<PublishAck>, QueueError> {
        self.queue.publish(to, messages).await
    }

    async fn subscribe(&self, request: SubscribeRequest) -> Result<Box<dyn Subscription>, QueueError> {
        if !self.went.swap(true, Ordering::SeqCst) {
            self.queue.server().lose_tail(&request.partition, LAST_KEPT);
            self.queue.server().publish(&request.partition, messages(LAST - LAST_KEPT))?;
        }
        self.queue.subscribe(request).await
    }

    async fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, QueueError> {
        self.queue.bounds(partition).await
    }

    async fn read(&self, partition: &TopicPartition, from: u64, to: u64) -> Result<Vec<Message>, QueueError> {
        self.queue.read(partition, from, to).await
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.queue.check().await
    }
}

fn messages(count: u64) -> Vec<OutgoingMessage> {
    (0..count).map(|_| OutgoingMessage::new(Bytes::from_static(b"x"))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_goes_back_below_its_first_message_while_it_is_subscribed_to_is_read_from_there() {
    let clock: SharedClock = Arc::new(VirtualClock::start());
    let topic = TopicDefinition::new(TopicName::new("t").expect("a name"), 1);
    let partition = TopicPartition::new(topic.name.clone(), 0);
    let queue = ModelQueue::alone(Arc::clone(&clock));
    queue.server().create_topic(&topic).expect("made");
    queue.server().publish(&partition, messages(*HELD.end())).expect("stored");
    queue.server().remove(&partition, 1..=*HELD.start() - 1);
    let model = ModelCatalog::new(Arc::clone(&clock), Guards::default());
    let config = TopicConfig { name: topic.name, partition_count: 1, retention_ms: None, config: topic.options };
    model.create_topic(config).await.expect("made");
    let catalog = Arc::new(Session::new(&model, &Faults::none(), 1));
    let storage = Storage::from_store(Arc::new(ModelStore::alone(Arc::clone(&clock))));
    let queue = Arc::new(GoesBack { queue, went: AtomicBool::new(false) });
    let config = WriterConfig { batch_age_max: Duration::from_millis(100), ..WriterConfig::default() };
    let mut running = Writer::builder(queue, storage, Arc::clone(&catalog) as _)
        .config(config)
        .clock(clock)
        .encode_inline()
        .build()
        .start()
        .await
        .expect("started");
    tokio::time::sleep(Duration::from_secs(60)).await;
    running.shutdown().await.expect("in good order");

    let gaps = catalog.list_gaps(&partition).await.expect("listed");
    let gaps: Vec<(u64, u64)> = gaps.iter().map(|gap| (gap.gap.range.base(), gap.gap.range.end())).collect();
    assert_eq!(gaps, [(1, LAST_KEPT)], "what was stored since is there to be read");
    let segments = catalog.get_segments(&partition).await.expect("listed");
    let rows: u64 = segments.iter().map(|segment| segment.record_count).sum();
    assert_eq!(rows, LAST - LAST_KEPT);
}
