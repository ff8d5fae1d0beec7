//! Producers, which publish messages once, or repeat them by id until confirmed; some wait for the commit.
//!
//! Owns: one connection for all of them, the content of messages, and keeping the id of a repeated message.
//! Does not own: the stored messages; the queue reports them to the oracle. The wait itself is the real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::queue::PublishAck;
use common::topic::Format;
use common::{OutgoingMessage, Queue, TopicPartition};
use ingester::{Before, Commits};
use lake::Storage;

use super::calm_rates;
use crate::catalog::{Faults, Rates, Session};
use crate::chance::Chance;
use crate::network::{Link, LinkFaults, Process};
use crate::oracle::{Confirmation, Oracle};
use crate::plan::Plan;
use crate::process::Surroundings;
use crate::queue::ModelQueue;
use crate::rows;
use crate::store::ModelStore;
use crate::trace::Trace;

/// A producer gives up after this many attempts without an answer.
const ATTEMPTS_MAX: usize = 6;
/// Longest wait for a commit: longer than most faults last.
const WAIT_MAX: Duration = Duration::from_secs(20);

pub(super) struct Producers {
    sender: Sender,
    faults: Faults,
    format: Format,
    is_packed: bool,
    chance: Chance,
    published: u64,
    busy: Arc<AtomicU64>,
}

/// The parts of one publish.
#[derive(Clone)]
struct Sender {
    queue: ModelQueue,
    commits: Arc<Commits>,
    oracle: Oracle,
    trace: Trace,
}

impl Producers {
    pub(super) fn new(around: &Surroundings, plan: &Plan, chance: &Chance) -> Self {
        let process = Process::default();
        let link = Link::new(process.clone(), chance.fork());
        link.set(|faults| {
            *faults =
                LinkFaults { request_lost: 30, reply_lost: 60, late: 10, late_ms: 0..9_000, ..LinkFaults::default() }
        });
        let queue = ModelQueue::new(around.queue.clone(), link, chance.fork(), None);
        // Faults of their own, so that the looks of those who wait do not shift the faults of writers.
        let noise = Rates { request_lost: 20, reply_lost: 20, ..calm_rates() };
        let faults = Faults::new(chance.below(u64::MAX), noise);
        let session = Session::new(&around.catalog, &faults, 0);
        let store = ModelStore::new(around.store.clone(), Link::new(process, chance.fork()), chance.fork());
        let commits = Commits::new(Arc::new(session))
            .with_queue(Arc::new(queue.clone()))
            .with_storage(Storage::from_store(Arc::new(store)));
        let (oracle, trace) = (around.oracle.clone(), around.trace.clone());
        let sender = Sender { queue, commits: Arc::new(commits), oracle, trace };
        let (format, is_packed) = (plan.format, plan.is_packed);
        Self { sender, faults, format, is_packed, chance: chance.fork(), published: 0, busy: Arc::default() }
    }

    pub(super) fn heal(&self) {
        self.sender.queue.link().set(|faults| *faults = LinkFaults::default());
        self.faults.set_rates(calm_rates());
    }

    /// True while a publish or a wait is under way.
    pub(super) fn are_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    /// Publishes `count` new messages: with ids until they are confirmed, or once without. Every third time it then waits
    /// until they are committed.
    pub(super) fn publish(&mut self, to: TopicPartition, count: u64, is_repeated: bool) {
        let is_awaited = self.chance.below(3) == 0;
        let message = |message: OutgoingMessage| if is_awaited { message.awaited() } else { message };
        let messages: Vec<_> = (0..count).map(|_| message(self.message(is_repeated))).collect();
        let are_packed = self.is_packed && self.published.is_multiple_of(2);
        let messages = if are_packed && !messages.is_empty() { vec![rows::packed(&messages)] } else { messages };
        let (sender, busy) = (self.sender.clone(), Arc::clone(&self.busy));
        let attempts = if is_repeated { ATTEMPTS_MAX } else { 1 };
        busy.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            match is_awaited {
                true => sender.publish_awaited(&to, messages, attempts).await,
                false => drop(sender.publish(&to, &messages, attempts).await),
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

impl Sender {
    /// The queue's acks, unless no attempt was confirmed.
    async fn publish(
        &self,
        to: &TopicPartition,
        messages: &[OutgoingMessage],
        attempts: usize,
    ) -> Option<Vec<PublishAck>> {
        for attempt in 1..=attempts {
            match self.queue.publish(to, messages.to_vec()).await {
                Ok(acks) => {
                    let offsets = acks.iter().map(|ack| ack.offset);
                    let offsets = offsets.clone().min().zip(offsets.max());
                    self.trace.note("producer", format!("{to} confirmed {} messages {offsets:?}", messages.len()));
                    return Some(acks);
                }
                Err(error) => {
                    self.trace.note("producer", format!("{to} attempt {attempt}: {error}"));
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
            }
        }
        None
    }

    async fn publish_awaited(&self, to: &TopicPartition, messages: Vec<OutgoingMessage>, attempts: usize) {
        let before = match self.commits.before(to).await {
            Ok(before) => before,
            Err(error) => return self.trace.note("producer", format!("{to} is not looked up: {error}")),
        };
        let Some(acks) = self.publish(to, &messages, attempts).await else { return };
        let waits = acks.into_iter().zip(messages).map(|(ack, message)| self.wait(&before, ack, message));
        futures::future::join_all(waits).await;
    }

    async fn wait(&self, before: &Before, ack: PublishAck, message: OutgoingMessage) {
        let failovers = self.oracle.failovers();
        let (before, partition) = (before.clone(), before.partition().clone());
        let (offset, is_duplicate) = (ack.offset, ack.duplicate);
        match self.commits.wait(&before, ack, WAIT_MAX).await {
            Ok(fate) => {
                self.trace.note("producer", format!("{partition} offset {offset}: {fate:?}"));
                self.oracle.confirmed(Confirmation { before, offset, is_duplicate, message, fate, failovers });
            }
            Err(error) => self.trace.note("producer", format!("{partition} offset {offset}: {error}")),
        }
    }
}
