//! Slots of queries: how many run, how many wait, and for how long.
//!
//! Owns: both bounds, and the refusal beyond them. Does not own: what runs in a slot.
//!
//! A query that was told to end keeps its slot until its next pause, while its client has the answer already. A slot that is
//! being left is as good as free: one statement more may wait for it, so that a client that cancels is not refused for
//! its own last query.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Limits;
use super::report::{QUEUED, RUNNING};
use crate::error::{FailureKind, QueryFailure};

/// The slots of one executor.
#[derive(Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    count: usize,
    /// Slots whose queries were told to end.
    leaving: Arc<AtomicUsize>,
    waiting: AtomicUsize,
    waiting_max: usize,
    wait_max: Duration,
}

/// A slot, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    leave: Leave,
}

/// Whether a slot was left, or its query told to end. Shared by both sides; the later one takes the count back.
#[derive(Clone, Debug)]
struct Leave {
    is_over: Arc<AtomicBool>,
    leaving: Arc<AtomicUsize>,
}

/// The side that waits for the query of a slot. Dropping it says that the query is to end, if it has not.
#[derive(Debug)]
pub(super) struct Waits(Leave);

/// A place in the queue, free again when it is dropped.
struct Waiting<'s>(&'s AtomicUsize);

impl Slots {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limits.concurrency)),
            count: limits.concurrency,
            leaving: Arc::new(AtomicUsize::new(0)),
            waiting: AtomicUsize::new(0),
            waiting_max: limits.queue,
            wait_max: limits.queue_wait,
        }
    }

    /// Waits for a slot.
    ///
    /// # Errors
    /// `Busy` if too many wait already, or none became free in time.
    pub(super) async fn take(&self) -> Result<Slot, QueryFailure> {
        let busy = |text: String| Err(QueryFailure::new(FailureKind::Busy, text));
        // Before the slots: one that is no longer being left is free by then.
        let leaving = self.leaving.load(Ordering::SeqCst);
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(self.slot(permit));
        }
        let place = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting::in_place(&self.waiting);
        if place >= self.waiting_max.saturating_add(leaving) {
            let (running, waiting) = (self.count, self.waiting_max);
            return busy(format!(
                "QUERY_CONCURRENCY={running} queries run and QUERY_QUEUE={waiting} wait already; try again later"
            ));
        }
        match timeout(self.wait_max, Arc::clone(&self.free).acquire_owned()).await {
            Ok(permit) => Ok(self.slot(permit.expect("the slots are never closed"))),
            Err(_) => busy(format!(
                "none of QUERY_CONCURRENCY={} queries ended within QUERY_QUEUE_SECS={}; try again later",
                self.count,
                self.wait_max.as_secs()
            )),
        }
    }

    fn slot(&self, permit: OwnedSemaphorePermit) -> Slot {
        gauge!(RUNNING).increment(1.0);
        let leave = Leave { is_over: Arc::default(), leaving: Arc::clone(&self.leaving) };
        Slot { permit: Some(permit), leave }
    }
}

impl Slot {
    /// The side that waits for its query.
    pub(super) fn waits(&self) -> Waits {
        Waits(self.leave.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.permit.take());
        gauge!(RUNNING).decrement(1.0);
        if self.leave.is_over.swap(true, Ordering::SeqCst) {
            self.leave.leaving.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let Leave { is_over, leaving } = &self.0;
        leaving.fetch_add(1, Ordering::SeqCst);
        if is_over.swap(true, Ordering::SeqCst) {
            leaving.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl<'s> Waiting<'s> {
    fn in_place(waiting: &'s AtomicUsize) -> Self {
        gauge!(QUEUED).increment(1.0);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        gauge!(QUEUED).decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(concurrency: usize, queue: usize) -> Slots {
        Slots::new(&Limits {
            concurrency,
            queue,
            queue_wait: Duration::from_secs(5),
            memory_bytes: 1,
            timeout: Duration::from_secs(1),
            rows: 1,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_query_waits_in_the_queue_and_is_refused_beyond_it() {
        let slots = slots(1, 1);
        let first = slots.take().await.expect("a free slot");
        let waiting = slots.take();
        tokio::pin!(waiting);
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        let refused = slots.take().await.expect_err("the queue is full");
        assert_eq!(refused.kind, FailureKind::Busy);
        assert!(refused.message.contains("QUERY_CONCURRENCY=1") && refused.message.contains("QUERY_QUEUE=1"));
        drop(first);
        drop(waiting.await.expect("the slot of the first"));
        slots.take().await.expect("the queue is empty again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_is_being_left_is_waited_for_once() {
        let slots = slots(1, 0);
        let first = slots.take().await.expect("a free slot");
        let waits = first.waits();
        slots.take().await.expect_err("it runs, and nothing may wait");
        drop(waits);
        let next = slots.take();
        tokio::pin!(next);
        assert!(futures::poll!(next.as_mut()).is_pending());
        slots.take().await.expect_err("one waits for it already");
        drop(first);
        let next = next.await.expect("the slot of the first");
        let waits = next.waits();
        drop(next);
        drop(waits);
        let _last = slots.take().await.expect("a free slot");
        slots.take().await.expect_err("what ended by itself is not being left");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_after_its_time_and_leaves_no_place_taken() {
        let slots = slots(1, 1);
        let _first = slots.take().await.expect("a free slot");
        for _ in 0..3 {
            let refused = slots.take().await.expect_err("nothing ended");
            assert!(refused.message.contains("QUERY_QUEUE_SECS=5"), "{refused}");
        }
    }
}
