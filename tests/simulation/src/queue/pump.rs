//! Deliveries of one consumer to one client.
//!
//! Owns: their numbers, heartbeats, and the faults on the way: lost, doubled, swapped or delivered again.
//! Does not own: their use by the reader (`subscription`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Message, TopicPartition};
use nats::contiguity::DeliveryInfo;
use tokio::sync::mpsc;

use super::server::{Consumer, QueueServer};
use crate::chance::Chance;
use crate::network::Link;

/// Time between two heartbeats of an idle consumer.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);
/// Messages sent at once.
const BATCH_MAX: usize = 100;

/// Faults of deliveries, each of 1000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFaults {
    /// Lost in the client's channel.
    pub dropped: u32,
    /// The same delivery comes twice.
    pub doubled: u32,
    /// Comes after the next one.
    pub swapped: u32,
    /// The server delivers the message once more, as a new delivery.
    pub redelivered: u32,
}

/// A frame that arrives at the client.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    Delivery(DeliveryInfo, Message),
    Heartbeat { last_consumer_sequence: u64 },
    Ended(&'static str),
}

/// The way of one consumer's messages to its reader.
pub(super) struct Pump {
    pub(super) server: QueueServer,
    pub(super) partition: TopicPartition,
    pub(super) consumer: Consumer,
    pub(super) link: Link,
    pub(super) chance: Chance,
    pub(super) faults: Arc<Mutex<DeliveryFaults>>,
    pub(super) frames: mpsc::Sender<Frame>,
    /// The next stream sequence.
    pub(super) position: u64,
    /// Number of the last delivery.
    pub(super) sent: u64,
}

impl Pump {
    /// Delivers until the consumer or the reader is gone.
    pub(super) async fn run(mut self) {
        loop {
            if !self.consumer.lives.get() {
                self.send(Frame::Ended("the consumer was deleted")).await;
                return;
            }
            self.consumer.changes.mark_unchanged();
            let messages = self.server.read(&self.partition, self.position, u64::MAX, BATCH_MAX).unwrap_or_default();
            if !messages.is_empty() {
                self.link.transit().await;
                if !self.deliver(messages).await {
                    return;
                }
                continue;
            }
            tokio::select! {
                biased;
                () = self.frames.closed() => return,
                // An error means that the stream is gone, and the consumer with it.
                _ = self.consumer.lives.changed() => {}
                changed = self.consumer.changes.changed() => if changed.is_err() {
                    self.send(Frame::Ended("the stream was deleted")).await;
                    return;
                },
                () = tokio::time::sleep(HEARTBEAT) => {
                    self.send(Frame::Heartbeat { last_consumer_sequence: self.sent }).await;
                }
            }
        }
    }

    /// False when the reader is gone.
    async fn deliver(&mut self, messages: Vec<Message>) -> bool {
        let faults = *self.faults.lock().expect("no holder panics");
        let mut frames = Vec::with_capacity(messages.len());
        for message in messages {
            self.position = message.offset + 1;
            self.enqueue(&mut frames, message.clone(), 1);
            if self.chance.happens(faults.redelivered) {
                self.enqueue(&mut frames, message, 2);
            }
        }
        if faults != DeliveryFaults::default() {
            frames = self.disturb(frames, faults);
        }
        for frame in frames {
            if !self.send(frame).await {
                return false;
            }
        }
        true
    }

    fn enqueue(&mut self, frames: &mut Vec<Frame>, message: Message, delivered_count: u64) {
        self.sent += 1;
        let info = DeliveryInfo {
            delivered_count,
            stream_sequence: message.offset,
            consumer_sequence: self.sent,
            timestamp_ns: message.timestamp_us * 1_000,
        };
        frames.push(Frame::Delivery(info, message));
    }

    fn disturb(&self, frames: Vec<Frame>, faults: DeliveryFaults) -> Vec<Frame> {
        let mut disturbed: Vec<Frame> = Vec::with_capacity(frames.len());
        for frame in frames {
            if self.chance.happens(faults.dropped) {
                continue;
            }
            if self.chance.happens(faults.doubled) {
                disturbed.push(frame.clone());
            }
            let before = disturbed.len().saturating_sub(usize::from(self.chance.happens(faults.swapped)));
            disturbed.insert(before, frame);
        }
        disturbed
    }

    /// False when the reader is gone. Frames sent while the link is cut are lost.
    async fn send(&self, frame: Frame) -> bool {
        self.link.faults().is_cut || self.frames.send(frame).await.is_ok()
    }
}
