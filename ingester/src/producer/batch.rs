//! A batch: messages of one partition that are sent together, and the handles of their outcomes.
//!
//! Owns: that every batch is settled exactly once, also when its task ends early.
//! Does not own: the time of sending (`lane`), the answers (`delivery`), the count of what is unsettled (`ledger`).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use common::memory::MemoryPermit;
use common::{OutgoingMessage, TopicPartition};
use futures::FutureExt;
use futures::future::Shared;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ledger::Ledger;
use super::packing::RecordAnswer;
use crate::error::ProducerError;
use crate::outcome::{SendFailure, SendOutcome, SendResult};

/// A batch that has this many bytes takes no more messages.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The origin of a message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin {
    /// The caller gave the message's id.
    pub(crate) id_of_caller: bool,
    /// Nobody may look at its outcome: the next flush reports a failure.
    pub(crate) is_enqueued: bool,
    /// The time of its first attempt, if that was made elsewhere.
    pub(crate) since: Option<Instant>,
}

/// The outcomes of a batch, once they are known.
pub(crate) type Settling = Shared<oneshot::Receiver<Arc<Settled>>>;

/// The outcomes of a batch, in the order of its messages.
#[derive(Debug)]
pub(crate) struct Settled {
    partition: TopicPartition,
    timestamp: i64,
    answers: Vec<RecordAnswer>,
}

/// Messages of one partition.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) partition: TopicPartition,
    pub(crate) messages: Vec<OutgoingMessage>,
    /// The time by which it is sent, even if it is small.
    pub(crate) due: Instant,
    pub(crate) origins: Vec<Origin>,
    memory: MemoryPermit,
    ledger: Arc<Ledger>,
    number: u64,
    promise: Option<oneshot::Sender<Arc<Settled>>>,
    settling: Settling,
}

impl Batch {
    /// An empty batch. `memory` is that of its first messages.
    pub(crate) fn new(partition: &TopicPartition, due: Instant, memory: MemoryPermit, ledger: &Arc<Ledger>) -> Self {
        let (promise, receiver) = oneshot::channel();
        let settling = receiver.shared();
        let number = ledger.begin(settling.clone());
        Self {
            partition: partition.clone(),
            messages: Vec::new(),
            due,
            origins: Vec::new(),
            memory,
            ledger: Arc::clone(ledger),
            number,
            promise: Some(promise),
            settling,
        }
    }

    /// The earliest first attempt of its messages that was made elsewhere.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.origins.iter().filter_map(|origin| origin.since).min()
    }

    /// True if it takes no more messages.
    pub(crate) fn is_full(&self) -> bool {
        self.memory.bytes() >= BATCH_BYTES_MAX
    }

    /// Adds the memory of messages that follow.
    pub(crate) fn take_memory(&mut self, memory: MemoryPermit) {
        self.memory.merge(memory);
    }

    /// Adds a message, whose memory the batch already has.
    pub(crate) fn push(&mut self, message: OutgoingMessage, origin: Origin) -> SendHandle {
        let handle = SendHandle { settling: self.settling.clone(), index: self.messages.len() };
        self.messages.push(message);
        self.origins.push(origin);
        handle
    }

    /// Keeps only the memory of bookkeeping: the queue has the messages.
    pub(crate) fn release_messages(&mut self) {
        self.messages = Vec::new();
        self.memory.resize(self.origins.len() * common::message::MESSAGE_OVERHEAD_BYTES);
    }

    /// Gives every message its outcome.
    pub(crate) fn settle(mut self, timestamp: i64, answers: Vec<RecordAnswer>) {
        assert_eq!(answers.len(), self.origins.len(), "each message has one answer");
        self.finish(timestamp, answers);
    }

    fn finish(&mut self, timestamp: i64, mut answers: Vec<RecordAnswer>) {
        let Some(promise) = self.promise.take() else { return };
        for (answer, origin) in answers.iter_mut().zip(&self.origins) {
            if let Ok(place) = answer {
                // A duplicate of a generated id is an earlier attempt of the producer.
                place.ack.duplicate &= origin.id_of_caller;
            }
        }
        let enqueued = answers.iter().zip(&self.origins).filter(|(_, origin)| origin.is_enqueued);
        self.ledger.end(self.number, self.origins.len(), enqueued.filter_map(|(answer, _)| answer.as_ref().err()));
        // Without a receiver, nobody waits for an outcome.
        promise.send(Arc::new(Settled { partition: self.partition.clone(), timestamp, answers })).ok();
    }
}

impl Drop for Batch {
    /// Fails what was not settled.
    fn drop(&mut self) {
        if self.promise.is_some() {
            let error = Arc::new(ProducerError::Internal);
            let failure = SendFailure { partition: self.partition.partition_id, error, is_not_stored: false };
            self.finish(0, vec![Err(failure); self.origins.len()]);
        }
    }
}

/// The outcome of an enqueued message: a future. It may be dropped; a failure is then reported by the next
/// [`Producer::flush`](crate::Producer::flush) or [`Producer::close`](crate::Producer::close).
#[derive(Clone, Debug)]
pub struct SendHandle {
    settling: Settling,
    index: usize,
}

impl Future for SendHandle {
    type Output = SendOutcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<SendOutcome> {
        let index = self.index;
        self.settling.poll_unpin(context).map(|settled| {
            let settled = settled.expect("a batch is settled before it is dropped");
            let Settled { partition, timestamp, answers } = settled.as_ref();
            answers[index].clone().map(|place| SendResult {
                topic: partition.topic.clone(),
                partition: partition.partition_id,
                offset: place.ack.offset,
                record: place.record,
                timestamp: *timestamp,
                duplicate: place.ack.duplicate,
            })
        })
    }
}
