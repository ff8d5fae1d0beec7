//! Producers, which publish messages once, or repeat them by id until confirmed.
//!
//! Owns: one connection for all of them, the content of messages, and keeping the id of a repeated message.
//! Does not own: the stored messages; the queue reports them to the oracle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::topic::Format;
use common::{OutgoingMessage, Queue, TopicPartition};

use crate::chance::Chance;
use crate::network::{Link, LinkFaults, Process};
use crate::queue::{ModelQueue, QueueServer};
use crate::rows;
use crate::trace::Trace;

/// A producer gives up after this many attempts without an answer.
const ATTEMPTS_MAX: usize = 6;

pub(super) struct Producers {
    queue: ModelQueue,
    trace: Trace,
    format: Format,
    chance: Chance,
    published: u64,
    busy: Arc<AtomicU64>,
}

impl Producers {
    pub(super) fn new(server: QueueServer, trace: Trace, format: Format, chance: &Chance) -> Self {
        let link = Link::new(Process::default(), chance.fork());
        link.set(|faults| {
            *faults =
                LinkFaults { request_lost: 30, reply_lost: 60, late: 10, late_ms: 0..9_000, ..LinkFaults::default() }
        });
        let queue = ModelQueue::new(server, link, chance.fork(), None);
        Self { queue, trace, format, chance: chance.fork(), published: 0, busy: Arc::default() }
    }

    pub(super) fn heal(&self) {
        self.queue.link().set(|faults| *faults = LinkFaults::default());
    }

    /// True while a publish is under way.
    pub(super) fn are_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    /// Publishes `count` new messages: with ids until they are confirmed, or once without.
    pub(super) fn publish(&mut self, to: TopicPartition, count: u64, is_repeated: bool) {
        let messages: Vec<OutgoingMessage> = (0..count).map(|_| self.message(is_repeated)).collect();
        let (queue, trace, busy) = (self.queue.clone(), self.trace.clone(), Arc::clone(&self.busy));
        busy.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let attempts = if is_repeated { ATTEMPTS_MAX } else { 1 };
            for attempt in 1..=attempts {
                match queue.publish(&to, messages.clone()).await {
                    Ok(acks) => {
                        let offsets =
                            acks.iter().map(|ack| ack.offset).min().zip(acks.iter().map(|ack| ack.offset).max());
                        trace.note("producer", format!("{to} confirmed {count} messages {offsets:?}"));
                        break;
                    }
                    Err(error) => {
                        trace.note("producer", format!("{to} attempt {attempt}: {error}"));
                        tokio::time::sleep(Duration::from_millis(300)).await;
                    }
                }
            }
            busy.fetch_sub(1, Ordering::Relaxed);
        });
    }

    fn message(&mut self, is_named: bool) -> OutgoingMessage {
        self.published += 1;
        let mut message = OutgoingMessage::new(rows::payload(self.format, self.published, &self.chance));
        if self.chance.below(3) == 0 {
            message = message.with_key(format!("key {}", self.published % 7));
        }
        if is_named { message.with_message_id(self.published.to_string()) } else { message }
    }
}
