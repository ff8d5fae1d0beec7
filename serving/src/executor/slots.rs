//! Slots of queries: how many run, how many wait, and for how long.
//!
//! Owns: both bounds, and the refusal beyond them. Does not own: what runs in a slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    waiting: AtomicUsize,
    waiting_max: usize,
    wait_max: Duration,
}

/// A slot, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// A place in the queue, free again when it is dropped.
struct Waiting<'s>(&'s AtomicUsize);

impl Slots {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limits.concurrency)),
            count: limits.concurrency,
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
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(Slot::of(permit));
        }
        let place = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting::in_place(&self.waiting);
        if place >= self.waiting_max {
            let (running, waiting) = (self.count, self.waiting_max);
            return busy(format!(
                "QUERY_CONCURRENCY={running} queries run and QUERY_QUEUE={waiting} wait already; try again later"
            ));
        }
        match timeout(self.wait_max, Arc::clone(&self.free).acquire_owned()).await {
            Ok(permit) => Ok(Slot::of(permit.expect("the slots are never closed"))),
            Err(_) => busy(format!(
                "none of QUERY_CONCURRENCY={} queries ended within QUERY_QUEUE_SECS={}; try again later",
                self.count,
                self.wait_max.as_secs()
            )),
        }
    }
}

impl Slot {
    fn of(permit: OwnedSemaphorePermit) -> Self {
        gauge!(RUNNING).increment(1.0);
        Self { _permit: permit }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        gauge!(RUNNING).decrement(1.0);
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
    async fn a_wait_ends_after_its_time_and_leaves_no_place_taken() {
        let slots = slots(1, 1);
        let _first = slots.take().await.expect("a free slot");
        for _ in 0..3 {
            let refused = slots.take().await.expect_err("nothing ended");
            assert!(refused.message.contains("QUERY_QUEUE_SECS=5"), "{refused}");
        }
    }
}
