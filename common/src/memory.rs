//! One memory budget in bytes for the whole process.
//!
//! Owns: the bytes held by each permit, first come first served, and the signal of a waiter.
//! Does not own: the reaction to pressure; the writer rolls its largest batch.
//!
//! Bytes are taken *before* a fetch. A delivery may turn out larger or smaller once decoded: [`MemoryPermit::resize`]
//! corrects the account without waiting, so that a holder never deadlocks on itself.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, oneshot};

/// A shared account of bytes.
#[derive(Clone)]
pub struct MemoryBudget {
    shared: Arc<Shared>,
}

struct Shared {
    capacity_bytes: usize,
    // A std mutex: held for a few instructions, never across an await.
    state: Mutex<State>,
    pressure: Notify,
}

#[derive(Default)]
struct State {
    used_bytes: usize,
    used_bytes_peak: usize,
    waiters: VecDeque<Waiter>,
}

struct Waiter {
    bytes: usize,
    granted: oneshot::Sender<MemoryPermit>,
}

impl MemoryBudget {
    /// A budget of `capacity_bytes`.
    pub fn new(capacity_bytes: usize) -> Self {
        let shared = Shared { capacity_bytes, state: Mutex::default(), pressure: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// The whole budget.
    pub fn capacity_bytes(&self) -> usize {
        self.shared.capacity_bytes
    }

    /// Bytes held now.
    pub fn used_bytes(&self) -> usize {
        self.shared.lock().used_bytes
    }

    /// The most bytes held at once so far.
    pub fn used_bytes_peak(&self) -> usize {
        self.shared.lock().used_bytes_peak
    }

    /// Number of callers that wait for bytes.
    pub fn waiters(&self) -> usize {
        self.shared.lock().waiters.len()
    }

    /// Takes `bytes`, waiting in turn until they are free. A request beyond the whole budget is granted when no other
    /// permit is held, so that an oversized message passes alone instead of never. Dropping the future gives up the
    /// place in the line and loses no bytes.
    pub async fn acquire(&self, bytes: usize) -> MemoryPermit {
        let receiver = {
            let mut state = self.shared.lock();
            if state.waiters.is_empty() && self.shared.fits(&state, bytes) {
                return self.grant(&mut state, bytes);
            }
            let (granted, receiver) = oneshot::channel();
            state.waiters.push_back(Waiter { bytes, granted });
            receiver
        };
        self.shared.pressure.notify_one();
        // Dropped after the receiver, so that a cancelled caller no longer blocks those behind it.
        let _leaving = Leaving(&self.shared);
        receiver.await.expect("a waiter is only removed by granting it")
    }

    /// Takes `bytes` if they are free now and no caller waits.
    pub fn try_acquire(&self, bytes: usize) -> Option<MemoryPermit> {
        let mut state = self.shared.lock();
        (state.waiters.is_empty() && self.shared.fits(&state, bytes)).then(|| self.grant(&mut state, bytes))
    }

    /// Waits until a caller had to wait for bytes. Supports one listener.
    pub async fn pressure(&self) {
        self.shared.pressure.notified().await;
    }

    fn grant(&self, state: &mut State, bytes: usize) -> MemoryPermit {
        state.add(bytes);
        MemoryPermit { shared: Arc::clone(&self.shared), bytes }
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryBudget({} of {} bytes)", self.used_bytes(), self.capacity_bytes())
    }
}

impl State {
    fn add(&mut self, bytes: usize) {
        self.used_bytes += bytes;
        self.used_bytes_peak = self.used_bytes_peak.max(self.used_bytes);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn fits(&self, state: &State, bytes: usize) -> bool {
        state.used_bytes == 0 || state.used_bytes + bytes <= self.capacity_bytes
    }

    fn give_back(self: &Arc<Self>, bytes: usize) {
        // Permits of cancelled waiters are dropped after the lock is released: dropping one locks again.
        let mut unclaimed = Vec::new();
        {
            let mut state = self.lock();
            state.used_bytes -= bytes;
            while let Some(waiter) = state.waiters.front() {
                if waiter.granted.is_closed() {
                    state.waiters.pop_front();
                    continue;
                }
                if !self.fits(&state, waiter.bytes) {
                    break;
                }
                let waiter = state.waiters.pop_front().expect("it was just seen");
                state.add(waiter.bytes);
                let permit = MemoryPermit { shared: Arc::clone(self), bytes: waiter.bytes };
                unclaimed.extend(waiter.granted.send(permit).err());
            }
        }
        drop(unclaimed);
    }
}

/// Serves the line when a waiter leaves it, with or without bytes.
struct Leaving<'a>(&'a Arc<Shared>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.lock().waiters.retain(|waiter| !waiter.granted.is_closed());
        self.0.give_back(0);
    }
}

/// Bytes held from a [`MemoryBudget`]; given back when dropped.
pub struct MemoryPermit {
    shared: Arc<Shared>,
    bytes: usize,
}

impl MemoryPermit {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets the account to the bytes in use. Growing never waits and may exceed the budget for a while: the memory is
    /// in use already, and later callers wait longer.
    pub fn resize(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.shared.lock().add(bytes - self.bytes);
        } else if bytes < self.bytes {
            self.shared.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }

    /// Moves up to `bytes` of this permit into a new one.
    pub fn split(&mut self, bytes: usize) -> MemoryPermit {
        let moved = bytes.min(self.bytes);
        self.bytes -= moved;
        MemoryPermit { shared: Arc::clone(&self.shared), bytes: moved }
    }

    /// Adds the bytes of `other`, which must come from the same budget.
    pub fn merge(&mut self, mut other: MemoryPermit) {
        assert!(Arc::ptr_eq(&self.shared, &other.shared), "permits of two budgets cannot be merged");
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.shared.give_back(self.bytes);
        }
    }
}

impl fmt::Debug for MemoryPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryPermit({} bytes)", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn waiters_are_served_in_turn_and_signal_pressure() {
        let budget = MemoryBudget::new(100);
        let held = budget.acquire(80).await;
        let mut large = Box::pin(budget.acquire(50));
        assert!((&mut large).now_or_never().is_none());
        budget.pressure().await;
        assert!(budget.try_acquire(10).is_none(), "nobody overtakes the one who waits");
        drop(held);
        assert_eq!(large.await.bytes(), 50);
        assert_eq!((budget.used_bytes(), budget.used_bytes_peak()), (0, 80));
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_loses_no_bytes() {
        let budget = MemoryBudget::new(100);
        let held = budget.acquire(100).await;
        let mut gone = Box::pin(budget.acquire(60));
        assert!((&mut gone).now_or_never().is_none());
        let mut next = Box::pin(budget.acquire(100));
        assert!((&mut next).now_or_never().is_none());
        drop(gone);
        drop(held);
        assert_eq!(next.await.bytes(), 100);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[tokio::test]
    async fn whoever_waits_behind_one_that_gives_up_is_served_at_once() {
        let budget = MemoryBudget::new(100);
        let held = budget.acquire(50).await;
        let mut gone = Box::pin(budget.acquire(60));
        assert!((&mut gone).now_or_never().is_none());
        let mut next = Box::pin(budget.acquire(10));
        assert!((&mut next).now_or_never().is_none());
        drop(gone);
        assert_eq!(budget.waiters(), 0, "nobody waits any more");
        assert_eq!((&mut next).now_or_never().map(|permit| permit.bytes()), Some(10));
        assert!(budget.try_acquire(50).is_some());
        assert_eq!(held.bytes(), 50);
    }

    #[tokio::test]
    async fn an_oversized_request_passes_alone() {
        let budget = MemoryBudget::new(10);
        let small = budget.acquire(1).await;
        let mut oversized = Box::pin(budget.acquire(1000));
        assert!((&mut oversized).now_or_never().is_none());
        drop(small);
        assert_eq!(oversized.await.bytes(), 1000);
    }

    #[test]
    fn resize_split_and_merge_keep_the_account_exact() {
        let budget = MemoryBudget::new(100);
        let mut permit = budget.try_acquire(40).expect("free");
        permit.resize(150);
        assert_eq!(budget.used_bytes(), 150);
        let part = permit.split(100);
        assert_eq!((permit.bytes(), part.bytes()), (50, 100));
        permit.merge(part);
        permit.resize(20);
        assert_eq!(budget.used_bytes(), 20);
        drop(permit);
        assert_eq!(budget.used_bytes(), 0);
    }
}
