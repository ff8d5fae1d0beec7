//! Fetch: reads the messages of one partition, in order, each once, from the watermark on.
//!
//! Owns: attaching, attaching again after any doubt, and the acks of its subscription. Shutdown reaches this step
//! alone; the later ones drain and end.
//! Does not own: the position (`position`), the protocol of a queue (`common`, `nats`), the later steps.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use catalog::Ownership;
use common::backoff::Backoff;
use common::memory::MemoryBudget;
use common::queue::SubscribeRequest;
use common::{CommitReceipt, ErrorKind, Queue, QueueError, Subscription, failpoint, mutation};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{FETCH_BYTES_MAX, FETCH_MESSAGES_MAX};
use crate::pipeline::ack::{ack_newest, ack_rest};
use crate::pipeline::assemble::Fetched;
use crate::pipeline::attach::{Attach, attach};
use crate::pipeline::context::Stop;
use crate::pipeline::position::Position;
use crate::service::metrics;
use crate::service::status::Progress;

/// A fetch takes at most this fraction (an eighth) of the budget, so that a partition waits for the memory of others,
/// not for its own.
const BUDGET_SHARE: usize = 8;

/// The step's state.
pub(crate) struct Fetcher {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) held: Ownership,
    pub(crate) position: Position,
    /// Nothing below is read: an operator chose to begin here.
    pub(crate) start: u64,
    /// Memory for messages; the limit is shared with the other partitions.
    pub(crate) memory: MemoryBudget,
    pub(crate) progress: Arc<Progress>,
    /// Queue end at the first attach; `Caution` reads it.
    pub(crate) queue_end: Arc<OnceLock<u64>>,
    pub(crate) output: mpsc::Sender<Box<Fetched>>,
    pub(crate) receipts: watch::Receiver<Option<CommitReceipt>>,
    pub(crate) stop: CancellationToken,
}

/// The outcome of attaching.
enum Opened {
    Reading(Box<dyn Subscription>),
    /// The queue did not answer, or changed during the attach: attach again.
    Lost(QueueError),
    /// The queue's history is not the committed one.
    Regressed(String),
}

/// The reason for the end of a subscription.
enum Ended {
    Stopped(Box<dyn Subscription>),
    Lost(QueueError),
}

impl Fetcher {
    /// Runs until stopped, then acks the last commits of the later steps.
    pub(crate) async fn run(mut self) -> Result<(), Stop> {
        let mut backoff = Backoff::default();
        while !self.stop.is_cancelled() {
            let stop = self.stop.clone();
            let opened = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                opened = self.open() => opened,
            };
            let lost = match opened {
                Opened::Regressed(reason) => {
                    return self.halt(Stop::Halted(format!("stream_regressed: {reason}"))).await;
                }
                Opened::Lost(error) => error,
                Opened::Reading(subscription) => {
                    let begun_at = self.position.next_offset;
                    match self.read(subscription).await? {
                        Ended::Stopped(subscription) => return self.drain(subscription).await,
                        Ended::Lost(error) => {
                            if self.position.next_offset > begun_at {
                                backoff = Backoff::default();
                            }
                            error
                        }
                    }
                }
            };
            self.report_loss(&lost, backoff.attempts());
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = backoff.wait() => {}
            }
        }
        Ok(())
    }

    fn report_loss(&self, error: &QueueError, attempts: u32) {
        let (partition, position) = (&self.held.partition, self.position.next_offset);
        if error.kind() == ErrorKind::Fatal || attempts >= 3 {
            self.progress.unreadable.store(true, Ordering::Relaxed);
            tracing::error!(%partition, position, attempts, %error, "cannot read from the queue, trying again");
        } else {
            tracing::warn!(%partition, position, attempts, %error, "reading interrupted, attaching again");
        }
    }

    async fn attach(&self) -> Result<Attach, QueueError> {
        let Position { next_offset, last_read, .. } = self.position;
        attach(self.queue.as_ref(), &self.held.partition, next_offset, last_read, self.start).await
    }

    /// Attaches at the position.
    async fn open(&mut self) -> Opened {
        let (offset, gap) = match self.attach().await {
            Ok(Attach::From { offset, gap, queue_end, omits }) => {
                // Only the first time counts: the queue's end when the partition was taken over.
                self.queue_end.get_or_init(|| queue_end);
                self.position.omits = omits;
                (offset, gap)
            }
            Ok(Attach::Regressed(reason)) => return Opened::Regressed(reason),
            Err(error) => return Opened::Lost(error),
        };
        failpoint::hit("fetch.attached").await;
        ::metrics::counter!(metrics::ATTACHES).increment(1);
        let request = SubscribeRequest {
            partition: self.held.partition.clone(),
            from_offset: offset,
            committed: self.committed(),
            epoch: self.held.epoch,
            budget: self.memory.clone(),
        };
        let subscription = match self.queue.subscribe(request).await {
            Ok(subscription) => subscription,
            Err(error) => return Opened::Lost(error),
        };
        // The queue may have gone back after the first look, and messages stored since then would be skipped. No
        // subscription survives such a loss, so a second look remains valid while the subscription lives.
        if !mutation::is_off("attach.second_look") {
            match self.attach().await {
                Ok(Attach::From { offset: now, .. }) if now < offset => {
                    let reason =
                        format!("the queue went back: reading was to begin at offset {offset}, and now at {now}");
                    let partition = self.held.partition.clone();
                    return Opened::Lost(QueueError::SubscriptionLost { partition, reason });
                }
                Ok(Attach::From { .. }) => {}
                Ok(Attach::Regressed(reason)) => return Opened::Regressed(reason),
                Err(error) => return Opened::Lost(error),
            }
        }
        self.progress.unreadable.store(false, Ordering::Relaxed);
        self.position.gap = gap;
        Opened::Reading(subscription)
    }

    /// Everything below is committed, according to the last receipt or the takeover.
    fn committed(&self) -> u64 {
        let receipt = self.receipts.borrow();
        receipt.as_ref().map_or(self.held.high_watermark, CommitReceipt::high_watermark)
    }

    async fn read(&mut self, mut subscription: Box<dyn Subscription>) -> Result<Ended, Stop> {
        let bytes_max = FETCH_BYTES_MAX.min(self.memory.capacity_bytes() / BUDGET_SHARE);
        let (stop, output) = (self.stop.clone(), self.output.clone());
        loop {
            // Reserve a channel slot before fetching, so that a fetched delivery is never stuck here.
            let place = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Ended::Stopped(subscription)),
                Ok(()) = self.receipts.changed() => {
                    ack_newest(subscription.as_mut(), &mut self.receipts).await;
                    continue;
                }
                place = output.reserve() => place.map_err(|_| Stop::Neighbour)?,
            };
            let delivery = loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break None,
                    Ok(()) = self.receipts.changed() => ack_newest(subscription.as_mut(), &mut self.receipts).await,
                    delivery = subscription.next(FETCH_MESSAGES_MAX, bytes_max) => break Some(delivery),
                }
            };
            match delivery {
                None => return Ok(Ended::Stopped(subscription)),
                Some(Err(error)) => return Ok(Ended::Lost(error)),
                Some(Ok(delivery)) => {
                    failpoint::hit("fetch.received").await;
                    let fetched = self.position.advance(delivery);
                    ::metrics::counter!(metrics::MESSAGES).increment(fetched.delivery.messages.len() as u64);
                    ::metrics::counter!(metrics::MESSAGE_BYTES).increment(fetched.delivery.memory.bytes() as u64);
                    place.send(Box::new(fetched));
                    // Updated only now, because a flush that follows must find the messages downstream.
                    self.progress.fetched(self.position.next_offset);
                }
            }
        }
    }

    /// Lets the later steps commit all fetched messages, which cannot be fetched again. Then ends for `reason`.
    async fn halt(self, reason: Stop) -> Result<(), Stop> {
        tracing::error!(partition = %self.held.partition, position = self.position.next_offset, ?reason, "reading ends here");
        let Self { output, mut receipts, .. } = self;
        drop(output);
        while receipts.changed().await.is_ok() {}
        Err(reason)
    }

    /// Lets the later steps drain, and acks their last commits.
    async fn drain(self, subscription: Box<dyn Subscription>) -> Result<(), Stop> {
        let Self { output, mut receipts, .. } = self;
        drop(output);
        ack_rest(subscription, &mut receipts).await;
        Ok(())
    }
}
