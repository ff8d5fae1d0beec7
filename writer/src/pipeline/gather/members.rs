//! Members: the partitions of one topic that run in this writer.
//!
//! Owns: counting them and their open small batches, and the call to close these. Does not own: batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

/// The partitions of one topic.
#[derive(Debug, Default)]
pub(crate) struct Members {
    running: AtomicUsize,
    open: AtomicUsize,
    /// Counts the calls to close small batches.
    calls: watch::Sender<u64>,
}

/// A running partition.
#[derive(Debug)]
pub(crate) struct Member {
    of: Arc<Members>,
    calls: watch::Receiver<u64>,
}

/// A small batch that is open, or closed and not yet written.
#[derive(Debug)]
pub(crate) struct OpenToken(Arc<Members>);

impl Members {
    /// Adds a partition.
    pub(crate) fn join(self: Arc<Self>) -> Member {
        self.running.fetch_add(1, Ordering::Relaxed);
        Member { calls: self.calls.subscribe(), of: self }
    }

    /// True if there is no other partition to share an object with.
    pub(crate) fn is_single(&self) -> bool {
        self.running.load(Ordering::Relaxed) < 2
    }

    /// Number of small batches that are open, or closed and not yet written.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Member {
    /// Counts a batch as small and open, until the token is dropped.
    pub(crate) fn open(&self) -> OpenToken {
        self.of.open.fetch_add(1, Ordering::Relaxed);
        OpenToken(Arc::clone(&self.of))
    }

    /// Calls the other partitions to close their small batches.
    pub(crate) fn call_others(&mut self) {
        self.of.calls.send_modify(|calls| *calls += 1);
        self.calls.mark_unchanged();
    }

    /// Returns when another partition has called.
    pub(crate) async fn called(&mut self) {
        // The sender lives as long as this member.
        self.calls.changed().await.ok();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.of.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for OpenToken {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
