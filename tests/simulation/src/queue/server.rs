//! The server's side of the model: streams and their consumers.
//!
//! Owns: the stream of each partition, the living consumers, and calling the observer.
//! Does not own: delivering (`pump`), clients and links (`client`).
//!
//! A stream that loses its tail or is made again ends its consumers, as the restart or the election behind it does.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard};

use common::clock::SharedClock;
use common::queue::{Bounds, PublishAck, QueueError};
use common::{Epoch, Message, OutgoingMessage, TopicDefinition, TopicName, TopicPartition};

use super::stream::Stream;
use crate::watch;

/// Largest payload, in bytes: the default of nats-server.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// Observes every change of a stream, at the moment of the change.
pub trait StreamObserver: Send + Sync {
    /// The message is stored and will be confirmed.
    fn stored(&self, partition: &TopicPartition, message: &Message);
    /// These are no longer held.
    fn removed(&self, partition: &TopicPartition, sequences: &[u64]);
    /// The stream now ends at this sequence, and later ones will be used again.
    fn went_back(&self, partition: &TopicPartition, last_sequence: u64);
    /// The stream was deleted and made again, empty.
    fn recreated(&self, partition: &TopicPartition);
}

/// The server. Cloning gives another handle.
#[derive(Clone)]
pub struct QueueServer {
    shared: Arc<Shared>,
}

struct Shared {
    clock: SharedClock,
    observer: Option<Arc<dyn StreamObserver>>,
    // Held for one operation, never across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    topics: BTreeMap<TopicName, TopicDefinition>,
    streams: BTreeMap<TopicPartition, Held>,
    consumer_count: u64,
    drops_acked: bool,
}

/// A stream with its consumers.
struct Held {
    stream: Stream,
    consumers: BTreeMap<u64, (Epoch, watch::Sender<bool>)>,
    /// Counts changes, to wake consumers.
    changes: watch::Sender<u64>,
}

/// A consumer, with the parts that its deliveries need.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) number: u64,
    /// False once it is gone.
    pub(super) lives: watch::Receiver<bool>,
    pub(super) changes: watch::Receiver<u64>,
}

impl QueueServer {
    /// A server without streams.
    pub fn new(clock: SharedClock, observer: Option<Arc<dyn StreamObserver>>) -> Self {
        Self { shared: Arc::new(Shared { clock, observer, state: Mutex::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no holder of this lock panics")
    }

    /// Makes the topic's streams.
    ///
    /// # Errors
    /// `Refused` when it exists otherwise.
    pub fn create_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError> {
        topic.validate().map_err(|error| refused(error.to_string()))?;
        let mut state = self.lock();
        match state.topics.get(&topic.name) {
            Some(held) if held == topic => return Ok(()),
            Some(_) => return Err(refused(format!("topic {} exists otherwise; delete it first", topic.name))),
            None => {}
        }
        state.topics.insert(topic.name.clone(), topic.clone());
        for id in 0..topic.partition_count {
            let partition = TopicPartition::new(topic.name.clone(), id);
            let stream = Stream::new(&partition, self.shared.clock.now_us());
            let held = Held { stream, consumers: BTreeMap::new(), changes: watch::Sender::new(0) };
            state.streams.insert(partition, held);
        }
        Ok(())
    }

    /// Deletes the topic's streams.
    pub fn delete_topic(&self, name: &TopicName) {
        let mut state = self.lock();
        state.topics.remove(name);
        state.streams.retain(|partition, held| {
            if partition.topic == *name {
                held.end_consumers(|_| true);
            }
            partition.topic != *name
        });
    }

    /// Checks that the topic's streams are there.
    ///
    /// # Errors
    /// `TopicUnknown` when they are not, `Refused` when it has another number of partitions.
    pub fn open_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError> {
        match self.lock().topics.get(&topic.name) {
            Some(held) if held.partition_count == topic.partition_count => Ok(()),
            Some(held) => Err(refused(format!("topic {} has {} partitions", topic.name, held.partition_count))),
            None => Err(unknown(&topic.name)),
        }
    }

    fn with<T>(&self, partition: &TopicPartition, act: impl FnOnce(&mut Held) -> T) -> Result<T, QueueError> {
        let mut state = self.lock();
        let partition_count = state.topics.get(&partition.topic).map(|topic| topic.partition_count);
        match (state.streams.get_mut(partition), partition_count) {
            (Some(held), _) => Ok(act(held)),
            (None, Some(partition_count)) => {
                Err(QueueError::PartitionUnknown { partition: partition.clone(), partition_count })
            }
            (None, None) => Err(unknown(&partition.topic)),
        }
    }

    /// Stores messages in order, all or none.
    ///
    /// # Errors
    /// The topic, the partition or a message's size.
    pub fn publish(&self, to: &TopicPartition, messages: Vec<OutgoingMessage>) -> Result<Vec<PublishAck>, QueueError> {
        let now_us = self.shared.clock.now_us();
        self.with(to, |held| {
            if let Some(large) = messages.iter().find(|message| message.payload.len() > PAYLOAD_BYTES_MAX) {
                return Err(QueueError::MessageTooLarge { bytes: large.payload.len(), bytes_max: PAYLOAD_BYTES_MAX });
            }
            let mut acks = Vec::with_capacity(messages.len());
            for message in messages {
                let (ack, stored) = held.stream.publish(message, now_us);
                if let (Some(stored), Some(observer)) = (&stored, &self.shared.observer) {
                    observer.stored(to, stored);
                }
                acks.push(ack);
            }
            self.tell_removed(to, &held.stream.discard_old());
            held.changed();
            Ok(acks)
        })?
    }

    /// Keeps at most `messages_max` messages in the partition's stream, from now on.
    pub fn set_messages_max(&self, partition: &TopicPartition, messages_max: Option<usize>) {
        let _unknown = self.with(partition, |held| {
            held.stream.set_messages_max(messages_max);
            self.tell_removed(partition, &held.stream.discard_old());
        });
    }

    /// From now on the streams keep messages only until they are acked, as work queues do.
    pub fn drop_acked(&self) {
        self.lock().drops_acked = true;
    }

    /// Messages below `high_watermark` are acked.
    pub(super) fn acked(&self, partition: &TopicPartition, high_watermark: u64) {
        let mut state = self.lock();
        if state.drops_acked
            && let Some(held) = state.streams.get_mut(partition)
        {
            held.stream.remove(0..=high_watermark.saturating_sub(1));
        }
    }

    /// Removes messages by hand.
    pub fn remove(&self, partition: &TopicPartition, sequences: RangeInclusive<u64>) {
        let _unknown = self.with(partition, |held| self.tell_removed(partition, &held.stream.remove(sequences)));
    }

    /// Goes back to an earlier end.
    pub fn lose_tail(&self, partition: &TopicPartition, last_sequence: u64) {
        let _unknown = self.with(partition, |held| {
            held.stream.lose_tail(last_sequence);
            held.end_consumers(|_| true);
            if let Some(observer) = &self.shared.observer {
                observer.went_back(partition, last_sequence);
            }
        });
    }

    /// Deletes the stream and makes it again.
    pub fn recreate(&self, partition: &TopicPartition) {
        let now_us = self.shared.clock.now_us();
        let _unknown = self.with(partition, |held| {
            held.stream.recreate(now_us);
            held.end_consumers(|_| true);
            if let Some(observer) = &self.shared.observer {
                observer.recreated(partition);
            }
        });
    }

    /// Deletes every consumer of the partition.
    pub fn delete_consumers(&self, partition: &TopicPartition) {
        let _unknown = self.with(partition, |held| held.end_consumers(|_| true));
    }

    /// The bounds of the partition's messages.
    ///
    /// # Errors
    /// An unknown topic or partition.
    pub fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, QueueError> {
        self.with(partition, |held| held.stream.bounds())
    }

    /// The messages held with `from <= offset < to`, at most `count`.
    ///
    /// # Errors
    /// An unknown topic or partition.
    pub fn read(
        &self,
        partition: &TopicPartition,
        from: u64,
        to: u64,
        count: usize,
    ) -> Result<Vec<Message>, QueueError> {
        self.with(partition, |held| held.stream.read(from, to, count))
    }

    /// Makes a consumer, and ends those of this and earlier epochs.
    pub(super) fn create_consumer(&self, partition: &TopicPartition, epoch: Epoch) -> Result<Consumer, QueueError> {
        let number = {
            let mut state = self.lock();
            state.consumer_count += 1;
            state.consumer_count
        };
        self.with(partition, |held| {
            held.end_consumers(|of| of <= epoch);
            let (alive, lives) = watch::channel(true);
            held.consumers.insert(number, (epoch, alive));
            Consumer { number, lives, changes: held.changes.subscribe() }
        })
    }

    /// Deletes one consumer.
    pub(super) fn delete_consumer(&self, partition: &TopicPartition, number: u64) {
        let _gone_already = self.with(partition, |held| {
            if let Some((_, alive)) = held.consumers.remove(&number) {
                alive.send_replace(false);
            }
        });
    }

    fn tell_removed(&self, partition: &TopicPartition, sequences: &[u64]) {
        if let Some(observer) = &self.shared.observer
            && !sequences.is_empty()
        {
            observer.removed(partition, sequences);
        }
    }
}

impl Held {
    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn end_consumers(&mut self, which: impl Fn(Epoch) -> bool) {
        self.consumers.retain(|_, (epoch, alive)| {
            let ends = which(*epoch);
            if ends {
                alive.send_replace(false);
            }
            !ends
        });
    }
}

impl fmt::Debug for QueueServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueServer({} streams)", self.lock().streams.len())
    }
}

fn refused(reason: String) -> QueueError {
    QueueError::Refused { reason }
}

fn unknown(topic: &TopicName) -> QueueError {
    QueueError::TopicUnknown { topic: topic.clone(), reason: "it has no streams in the model".to_owned() }
}
