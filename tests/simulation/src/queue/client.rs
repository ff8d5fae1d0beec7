//! The queue as one process uses it: every call over its link.
//!
//! Owns: the connection's disturbances and the errors of lost requests.
//! Does not own: the server.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::queue::{Bounds, PublishAck, Queue, QueueError, SubscribeRequest, Subscription};
use common::{CommitReceipt, Message, OutgoingMessage, TopicDefinition, TopicPartition};
use nats::contiguity::Contiguity;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::pump::{DeliveryFaults, Pump};
use super::server::QueueServer;
use super::subscription::ModelSubscription;
use crate::chance::Chance;
use crate::network::{Link, Process};
use crate::watch;

/// Frames that wait at a client; the server waits with the next.
const FRAMES_WAITING_MAX: usize = 1024;

/// Observes every ack, before it is sent.
pub trait AckObserver: Send + Sync {
    /// The process acks with this receipt.
    fn acked(&self, receipt: &CommitReceipt);
}

/// One process's connection to the modelled server. Cloning gives another handle of it.
#[derive(Clone)]
pub struct ModelQueue {
    server: QueueServer,
    link: Link,
    chance: Chance,
    faults: Arc<Mutex<DeliveryFaults>>,
    losses: Arc<watch::Sender<u64>>,
    acks: Option<Arc<dyn AckObserver>>,
}

impl ModelQueue {
    /// A connection over `link`.
    pub fn new(server: QueueServer, link: Link, chance: Chance, acks: Option<Arc<dyn AckObserver>>) -> Self {
        Self { server, link, chance, faults: Arc::default(), losses: Arc::new(watch::Sender::new(0)), acks }
    }

    /// A server with one client and no faults, in real or virtual time.
    pub fn alone(clock: common::clock::SharedClock) -> Self {
        let chance = Chance::seeded(0);
        let link = Link::new(Process::default(), chance.fork());
        link.set(|faults| faults.delay_ms = 0..0);
        Self::new(QueueServer::new(clock, None), link, chance, None)
    }

    /// The server it is connected to.
    pub fn server(&self) -> &QueueServer {
        &self.server
    }

    /// Its link.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Sets the faults of deliveries.
    pub fn set_delivery_faults(&self, faults: DeliveryFaults) {
        *self.faults.lock().expect("no holder panics") = faults;
    }

    /// Breaks the connection for a moment: every subscription on it is lost.
    pub fn disturb(&self) {
        self.losses.send_modify(|count| *count += 1);
    }

    async fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        apply: impl FnOnce(&QueueServer) -> T + Send + 'static,
    ) -> Result<T, QueueError> {
        let server = self.server.clone();
        let answer = self.link.call(move || apply(&server)).await;
        answer.map_err(|lost| QueueError::Unavailable { reason: format!("{what}: no answer ({lost:?})") })
    }
}

#[async_trait]
impl Queue for ModelQueue {
    async fn create_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError> {
        let topic = topic.clone();
        self.call("create topic", move |server| server.create_topic(&topic)).await?
    }

    async fn delete_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError> {
        let name = topic.name.clone();
        self.call("delete topic", move |server| server.delete_topic(&name)).await
    }

    async fn open_topic(&self, topic: &TopicDefinition, _: Option<i64>, _: &[u64]) -> Result<(), QueueError> {
        let topic = topic.clone();
        self.call("open topic", move |server| server.open_topic(&topic)).await?
    }

    async fn publish(
        &self,
        to: &TopicPartition,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<PublishAck>, QueueError> {
        let to = to.clone();
        self.call("publish", move |server| server.publish(&to, messages)).await?
    }

    async fn subscribe(&self, request: SubscribeRequest) -> Result<Box<dyn Subscription>, QueueError> {
        let SubscribeRequest { partition, from_offset, epoch, budget, .. } = request;
        // Subscribed before the consumer is made: any loss after this ends the subscription.
        let losses = self.losses.subscribe();
        let of = partition.clone();
        let consumer = self.call("subscribe", move |server| server.create_consumer(&of, epoch)).await??;
        let (frames, incoming) = mpsc::channel(FRAMES_WAITING_MAX);
        let number = consumer.number;
        let pump = Pump {
            server: self.server.clone(),
            partition: partition.clone(),
            consumer,
            link: self.link.clone(),
            chance: self.chance.clone(),
            faults: Arc::clone(&self.faults),
            frames,
            position: from_offset,
            sent: 0,
        };
        tokio::spawn(pump.run());
        Ok(Box::new(ModelSubscription {
            server: self.server.clone(),
            link: self.link.clone(),
            partition,
            consumer: number,
            frames: incoming,
            losses,
            budget,
            contiguity: Contiguity::new(from_offset),
            ready: VecDeque::new(),
            heard: Instant::now(),
            lost: None,
            acks: self.acks.clone(),
        }))
    }

    async fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, QueueError> {
        let partition = partition.clone();
        self.call("bounds", move |server| server.bounds(&partition)).await?
    }

    async fn read(
        &self,
        partition: &TopicPartition,
        from_offset: u64,
        to_offset: u64,
    ) -> Result<Vec<Message>, QueueError> {
        let partition = partition.clone();
        self.call("read", move |server| server.read(&partition, from_offset, to_offset, usize::MAX)).await?
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.call("check", |_| ()).await
    }
}

impl fmt::Debug for ModelQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelQueue({:?})", self.server)
    }
}
