//! Tools for the cases: a queue, topics on it, and short functions for publishing and taking.

use std::time::Duration;

use common::memory::MemoryBudget;
use common::message::{Message, OutgoingMessage};
use common::queue::memory::InMemoryQueue;
use common::queue::{Queue, SubscribeRequest, Subscription};
use common::{CommitReceipt, Epoch, TopicDefinition, TopicName, TopicPartition};
use nats::{AckMode, NatsConfig, NatsQueue};
use simulation::queue::ModelQueue;
use support::nats::NatsServer;
use support::proxy::Proxy;

/// Longest duration of any single step; a stalled queue fails here.
pub(crate) const STEP_DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const MIB: usize = 1024 * 1024;

/// A queue under test.
pub(crate) trait Harness: Sync {
    fn queue(&self) -> &dyn Queue;
    /// Largest payload that it accepts.
    fn payload_bytes_max(&self) -> usize;
    /// Partitions that are many for this queue on a small machine.
    fn many_partitions(&self) -> u32;
}

pub(crate) struct MemoryHarness {
    queue: InMemoryQueue,
}

impl MemoryHarness {
    pub(crate) fn new() -> Self {
        Self { queue: InMemoryQueue::new(256 * MIB) }
    }
}

impl Harness for MemoryHarness {
    fn queue(&self) -> &dyn Queue {
        &self.queue
    }

    fn payload_bytes_max(&self) -> usize {
        common::queue::memory::MESSAGE_BYTES_MAX
    }

    fn many_partitions(&self) -> u32 {
        5_000
    }
}

/// The simulation's model of JetStream, without faults.
pub(crate) struct ModelHarness {
    queue: ModelQueue,
}

impl ModelHarness {
    pub(crate) fn new() -> Self {
        Self { queue: ModelQueue::alone(common::clock::system_clock()) }
    }
}

impl Harness for ModelHarness {
    fn queue(&self) -> &dyn Queue {
        &self.queue
    }

    fn payload_bytes_max(&self) -> usize {
        simulation::queue::PAYLOAD_BYTES_MAX
    }

    fn many_partitions(&self) -> u32 {
        500
    }
}

pub(crate) struct NatsHarness {
    pub(crate) server: NatsServer,
    pub(crate) queue: NatsQueue,
}

impl NatsHarness {
    pub(crate) async fn start() -> Self {
        Self::on(NatsServer::start().await.expect("a NATS server")).await
    }

    pub(crate) async fn on(server: NatsServer) -> Self {
        let queue = connect(&server, AckMode::All).await;
        Self { server, queue }
    }

    /// A second, plain client, for inspecting the server without the queue.
    pub(crate) async fn jetstream(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(async_nats::connect(self.server.url()).await.expect("connects"))
    }
}

pub(crate) async fn connect(server: &NatsServer, ack: AckMode) -> NatsQueue {
    NatsQueue::connect(NatsConfig { url: server.url().into(), ack, ..NatsConfig::default() }).await.expect("connects")
}

/// A server with a topic of one partition, and a queue that reaches it through a proxy.
pub(crate) struct Proxied {
    /// The server, with a queue around the proxy.
    pub(crate) harness: NatsHarness,
    pub(crate) partition: TopicPartition,
    pub(crate) proxy: Proxy,
    /// Through the proxy.
    pub(crate) queue: NatsQueue,
}

impl Proxied {
    pub(crate) async fn start() -> Self {
        let harness = NatsHarness::start().await;
        let partition = one_partition(&harness).await;
        let proxy = Proxy::start(harness.server.address()).await.expect("listens");
        let config = NatsConfig { url: format!("nats://{}", proxy.address()).into(), ..NatsConfig::default() };
        let queue = NatsQueue::connect(config).await.expect("connects");
        queue.open_topic(&topic("orders", 1), None, &[]).await.expect("opens");
        Self { harness, partition, proxy, queue }
    }

    /// The same with a subscription through the proxy that has delivered the first `count` numbers.
    pub(crate) async fn reading(count: u64) -> (Self, Box<dyn Subscription>) {
        let proxied = Self::start().await;
        publish(&proxied.harness.queue, &proxied.partition, 0..count).await;
        let mut subscription = subscribe(&proxied.queue, &proxied.partition, 0).await;
        take(&mut *subscription, usize::try_from(count).expect("few")).await;
        (proxied, subscription)
    }
}

impl Harness for NatsHarness {
    fn queue(&self) -> &dyn Queue {
        &self.queue
    }

    fn payload_bytes_max(&self) -> usize {
        MIB
    }

    fn many_partitions(&self) -> u32 {
        200
    }
}

pub(crate) fn topic(name: &str, partition_count: u32) -> TopicDefinition {
    TopicDefinition::new(TopicName::new(name).expect("valid"), partition_count)
}

pub(crate) fn partition(topic: &TopicDefinition, partition_id: u32) -> TopicPartition {
    TopicPartition::new(topic.name.clone(), partition_id)
}

/// A new topic of one partition.
pub(crate) async fn one_partition(harness: &dyn Harness) -> TopicPartition {
    let topic = topic("orders", 1);
    harness.queue().create_topic(&topic).await.expect("creates");
    partition(&topic, 0)
}

/// Publishes the numbers of `range` as text; returns their offsets.
pub(crate) async fn publish(queue: &dyn Queue, to: &TopicPartition, range: std::ops::Range<u64>) -> Vec<u64> {
    let messages = range.map(|number| OutgoingMessage::new(number.to_string())).collect();
    let acks = step(queue.publish(to, messages)).await.expect("stored");
    acks.into_iter().map(|ack| ack.offset).collect()
}

/// A subscribe request of the owner with this epoch.
pub(crate) fn request(
    partition: &TopicPartition,
    from_offset: u64,
    committed: u64,
    epoch: u64,
    budget: &MemoryBudget,
) -> SubscribeRequest {
    let (partition, budget) = (partition.clone(), budget.clone());
    SubscribeRequest { partition, from_offset, committed, epoch: Epoch(epoch), budget }
}

pub(crate) async fn subscribe_with(
    queue: &dyn Queue,
    partition: &TopicPartition,
    from_offset: u64,
    budget: &MemoryBudget,
) -> Box<dyn Subscription> {
    let request = request(partition, from_offset, from_offset, 1, budget);
    step(queue.subscribe(request)).await.expect("subscribes")
}

pub(crate) async fn subscribe(
    queue: &dyn Queue,
    partition: &TopicPartition,
    from_offset: u64,
) -> Box<dyn Subscription> {
    subscribe_with(queue, partition, from_offset, &MemoryBudget::new(256 * MIB)).await
}

/// Takes `count` messages.
pub(crate) async fn take(subscription: &mut dyn Subscription, count: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    while messages.len() < count {
        let delivery = step(subscription.next(count - messages.len(), 16 * MIB)).await.expect("delivers");
        assert!(!delivery.messages.is_empty());
        let bytes: usize = delivery.messages.iter().map(Message::memory_bytes).sum();
        assert_eq!(delivery.memory.bytes(), bytes, "the memory of what was returned is held");
        messages.extend(delivery.messages);
    }
    assert_eq!(messages.len(), count);
    messages
}

pub(crate) fn numbers(messages: &[Message]) -> Vec<u64> {
    let number = |message: &Message| std::str::from_utf8(&message.payload).ok()?.parse().ok();
    messages.iter().map(|message| number(message).expect("a number")).collect()
}

pub(crate) fn offsets(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.offset).collect()
}

/// Only the catalog issues receipts, except here.
#[expect(clippy::disallowed_methods, reason = "the suite stands in for the catalog")]
pub(crate) fn receipt(partition: &TopicPartition, high_watermark: u64) -> CommitReceipt {
    CommitReceipt::issue(partition.clone(), Epoch(1), high_watermark)
}

pub(crate) async fn step<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(STEP_DEADLINE, future).await.expect("the queue goes on")
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(STEP_DEADLINE, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never came about: {what}"));
}
