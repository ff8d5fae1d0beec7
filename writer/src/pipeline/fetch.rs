//! Fetch: messages of one partition, in order, each once, from the watermark on.
//!
//! Owns: the position, attaching and attaching again on any doubt, gaps among messages, and the acks of its
//! subscription. Shutdown reaches this step alone; the later ones drain and end.
//! Does not own: how a queue is read (common), what becomes of messages.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use catalog::{Gap, Ownership};
use common::backoff::Backoff;
use common::queue::{Delivery, SubscribeRequest};
use common::{Anchor, CommitReceipt, ErrorKind, QueueError, Subscription, failpoint, mutation};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{FETCH_BYTES_MAX, FETCH_MESSAGES_MAX};
use crate::pipeline::ack::{ack_newest, ack_rest};
use crate::pipeline::assemble::Fetched;
use crate::pipeline::attach::{Attach, attach};
use crate::pipeline::context::{Context, Stop};
use crate::service::metrics;
use crate::service::status::Gauges;

/// One fetch may take at most this share of the budget, so that partitions wait for each other, not for themselves.
const BUDGET_SHARE: usize = 8;

/// The step's state.
pub(crate) struct Fetcher {
    pub(crate) context: Arc<Context>,
    pub(crate) held: Ownership,
    pub(crate) gauges: Arc<Gauges>,
    /// Every offset of the queue belongs to this partition, so that a missing one is a loss, not a filter's work.
    pub(crate) dense: bool,
    pub(crate) position: u64,
    pub(crate) last_read: Option<Anchor>,
    pub(crate) gap: Option<Gap>,
    /// Told to the next step.
    pub(crate) queue_end: Arc<OnceLock<u64>>,
    pub(crate) output: mpsc::Sender<Fetched>,
    pub(crate) receipts: watch::Receiver<Option<CommitReceipt>>,
    pub(crate) stop: CancellationToken,
}

/// Why a subscription was given up.
enum Ended {
    Stopped(Box<dyn Subscription>),
    Lost(QueueError),
}

impl Fetcher {
    /// Runs until stopped, then acks what the later steps still commit.
    pub(crate) async fn run(mut self) -> Result<(), Stop> {
        let mut backoff = Backoff::default();
        while !self.stop.is_cancelled() {
            let stop = self.stop.clone();
            let opened = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                opened = self.open() => match opened {
                    Ok(opened) => opened,
                    Err(reason) => return self.halt(reason).await,
                },
            };
            let lost = match opened {
                Ok(subscription) => {
                    let position = self.position;
                    match self.read(subscription).await? {
                        Ended::Stopped(subscription) => return self.drain(subscription).await,
                        Ended::Lost(error) => {
                            if self.position > position {
                                backoff = Backoff::default();
                            }
                            error
                        }
                    }
                }
                Err(error) => error,
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
        let (partition, position) = (&self.held.partition, self.position);
        if error.kind() == ErrorKind::Fatal || attempts >= 3 {
            self.gauges.unreadable.store(true, Ordering::Relaxed);
            tracing::error!(%partition, position, attempts, %error, "cannot read from the queue, trying again");
        } else {
            tracing::warn!(%partition, position, attempts, %error, "reading interrupted, attaching again");
        }
    }

    /// Attaches at the position.
    async fn open(&mut self) -> Result<Result<Box<dyn Subscription>, QueueError>, Stop> {
        let partition = &self.held.partition;
        let queue = self.context.queue.as_ref();
        let (offset, gap) = match attach(queue, partition, self.position, self.last_read).await {
            Ok(Attach::From { offset, gap, queue_end }) => {
                // Only the first time counts: what the queue held when the partition was taken over.
                self.queue_end.get_or_init(|| queue_end);
                (offset, gap)
            }
            Ok(Attach::Regressed(reason)) => return Err(Stop::Halted(format!("stream_regressed: {reason}"))),
            Err(error) => return Ok(Err(error)),
        };
        failpoint::hit("fetch.attached").await;
        ::metrics::counter!(metrics::ATTACHES).increment(1);
        let request = SubscribeRequest {
            partition: partition.clone(),
            from_offset: offset,
            committed: self.committed(),
            epoch: self.held.epoch,
            budget: self.context.budget.clone(),
        };
        let subscription = match queue.subscribe(request).await {
            Ok(subscription) => subscription,
            Err(error) => return Ok(Err(error)),
        };
        // The queue may have gone back after the first look, and what it stored since would be passed over. No
        // subscription outlives such a loss, so that a second look, now that there is one, stays true.
        if !mutation::is_off("attach.second_look") {
            match attach(queue, partition, self.position, self.last_read).await {
                Ok(Attach::From { offset: now, .. }) if now < offset => {
                    let reason =
                        format!("the queue went back: reading was to begin at offset {offset}, and now at {now}");
                    return Ok(Err(QueueError::SubscriptionLost { partition: partition.clone(), reason }));
                }
                Ok(Attach::From { .. }) => {}
                Ok(Attach::Regressed(reason)) => return Err(Stop::Halted(format!("stream_regressed: {reason}"))),
                Err(error) => return Ok(Err(error)),
            }
        }
        self.gauges.unreadable.store(false, Ordering::Relaxed);
        self.gap = gap;
        Ok(Ok(subscription))
    }

    /// Everything below is committed, by the catalog's word.
    fn committed(&self) -> u64 {
        let receipt = self.receipts.borrow();
        receipt.as_ref().map_or(self.held.high_watermark, CommitReceipt::high_watermark)
    }

    async fn read(&mut self, mut subscription: Box<dyn Subscription>) -> Result<Ended, Stop> {
        let bytes_max = FETCH_BYTES_MAX.min(self.context.budget.capacity_bytes() / BUDGET_SHARE);
        let (stop, output) = (self.stop.clone(), self.output.clone());
        loop {
            // A place downstream first: what is fetched is handed on at once, and nothing is fetched for nobody.
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
                    let fetched =
                        accept(&mut self.position, &mut self.last_read, self.dense, self.gap.take(), delivery);
                    self.gauges.position.store(self.position, Ordering::Relaxed);
                    ::metrics::counter!(metrics::MESSAGES).increment(fetched.delivery.messages.len() as u64);
                    ::metrics::counter!(metrics::MESSAGE_BYTES).increment(fetched.delivery.memory.bytes() as u64);
                    place.send(fetched);
                }
            }
        }
    }

    /// Lets the later steps commit what was fetched before: nobody could fetch it again. Then ends for `reason`.
    async fn halt(self, reason: Stop) -> Result<(), Stop> {
        tracing::error!(partition = %self.held.partition, position = self.position, ?reason, "reading ends here");
        let Self { output, mut receipts, .. } = self;
        drop(output);
        while receipts.changed().await.is_ok() {}
        Err(reason)
    }

    /// Lets the later steps end, and acks what they commit meanwhile.
    async fn drain(self, subscription: Box<dyn Subscription>) -> Result<(), Stop> {
        let Self { output, mut receipts, .. } = self;
        drop(output);
        ack_rest(subscription, &mut receipts).await;
        Ok(())
    }
}

/// Moves the position over `delivery` and finds what is missing in it.
fn accept(
    position: &mut u64,
    last_read: &mut Option<Anchor>,
    dense: bool,
    gap_before: Option<Gap>,
    delivery: Delivery,
) -> Fetched {
    let mut gaps: Vec<Gap> = gap_before.into_iter().collect();
    let mut expected = gaps.first().map_or(*position, |gap| gap.end_offset + 1).max(1);
    for message in &delivery.messages {
        if dense && message.offset > expected && !mutation::is_off("fetch.gaps") {
            let reason = "deleted in the queue before the writer came".to_owned();
            gaps.push(Gap { base_offset: expected, end_offset: message.offset - 1, reason });
        }
        expected = message.offset + 1;
    }
    if let Some(last) = delivery.messages.last() {
        *position = last.offset + 1;
        *last_read = Some(Anchor::of(last));
    }
    Fetched { delivery, gaps }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use common::Message;
    use common::memory::MemoryBudget;

    use super::*;

    fn delivery(offsets: &[u64]) -> Delivery {
        let message = |offset: &u64| Message {
            offset: *offset,
            timestamp_us: 0,
            key: None,
            headers: vec![],
            subject: Arc::from("t.0"),
            payload: Bytes::new(),
        };
        let memory = MemoryBudget::new(100).try_acquire(10).expect("free");
        Delivery { messages: offsets.iter().map(message).collect(), memory }
    }

    fn gaps(position: u64, dense: bool, before: Option<(u64, u64)>, offsets: &[u64]) -> Vec<(u64, u64)> {
        let before = before.map(|(base_offset, end_offset)| Gap { base_offset, end_offset, reason: String::new() });
        let (mut position, mut last) = (position, None);
        let fetched = accept(&mut position, &mut last, dense, before, delivery(offsets));
        assert_eq!(position, offsets.last().expect("some") + 1);
        fetched.gaps.iter().map(|gap| (gap.base_offset, gap.end_offset)).collect()
    }

    #[test]
    fn missing_offsets_of_a_dense_stream_are_gaps() {
        assert_eq!(gaps(5, true, None, &[5, 6, 9, 10]), [(7, 8)]);
        assert_eq!(gaps(5, true, Some((5, 7)), &[8, 9]), [(5, 7)]);
        assert_eq!(gaps(5, true, Some((5, 7)), &[9]), [(5, 7), (8, 8)]);
        assert_eq!(gaps(0, true, None, &[1, 2]), [], "JetStream counts from 1");
        assert_eq!(gaps(0, true, None, &[0, 1]), []);
    }

    #[test]
    fn offsets_passed_over_by_a_filter_are_no_gaps() {
        assert_eq!(gaps(5, false, None, &[7, 20]), []);
    }
}
