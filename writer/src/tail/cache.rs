//! Cache: the chains of all partitions, in bounded memory.
//!
//! Owns: finding a partition's chain, the bytes of all of them, and forgetting those that nobody reads any more.
//! Does not own: the pages of a chain (`chain`).
//!
//! When the memory is full, no chain gives way to another: with one after the other looked at, each would be gone when its turn
//! comes again. What finds no room is read from the queue each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::TopicPartition;
use common::memory::{MemoryBudget, MemoryPermit};
use tokio::time::Instant;

use super::chain::Chain;

/// Bytes of all chains, unless the owner of the tail says otherwise.
const BYTES_MAX: usize = 64 << 20;
/// A chain that nobody read for so long is forgotten at the next look.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// The chain of one partition. Its lock is held for one read of the queue at most: others of the partition wait for it, and
/// then have its messages.
pub(super) type SharedChain = Arc<tokio::sync::Mutex<Chain>>;

/// Each with the moment of its last use.
type Chains = HashMap<TopicPartition, (Instant, SharedChain)>;

/// The chains.
#[derive(Debug)]
pub(super) struct TailCache {
    memory: MemoryBudget,
    /// A lock, because readers share the tail; held for map operations.
    chains: Mutex<Chains>,
}

impl TailCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { memory: MemoryBudget::new(bytes_max), chains: Mutex::default() }
    }

    /// Bytes of all pages now.
    pub(super) fn used_bytes(&self) -> usize {
        self.memory.used_bytes()
    }

    /// The chain of a partition.
    pub(super) fn chain(&self, of: &TopicPartition) -> SharedChain {
        let mut chains = self.lock();
        let now = Instant::now();
        if let Some((used_at, chain)) = chains.get_mut(of) {
            *used_at = now;
            return Arc::clone(chain);
        }
        forget_idle(&mut chains, now);
        let chain = SharedChain::default();
        chains.insert(of.clone(), (now, Arc::clone(&chain)));
        chain
    }

    /// Forgets the chains that nobody reads any more.
    pub(super) fn sweep(&self) {
        forget_idle(&mut self.lock(), Instant::now());
    }

    /// Room for a page, if there is any.
    pub(super) fn room(&self, bytes: usize) -> Option<MemoryPermit> {
        // The account grants anything while it is empty.
        (bytes <= self.memory.capacity_bytes()).then(|| self.memory.try_acquire(bytes)).flatten()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Chains> {
        // Only map operations happen under the lock: a poisoned one is still whole.
        self.chains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_idle(chains: &mut Chains, now: Instant) {
    chains.retain(|_, (used_at, _)| now - *used_at < IDLE_MAX);
}

impl Default for TailCache {
    fn default() -> Self {
        Self::new(BYTES_MAX)
    }
}
