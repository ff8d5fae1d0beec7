//! The ledger: the batches that are not settled, and the failures that no flush has reported.
//!
//! Owns: these two lists. Does not own: the batches themselves (`batch`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::batch::Settling;
use crate::error::FlushError;
use crate::outcome::SendFailure;

/// The outcomes that a producer has still to give.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Messages in batches that are not settled.
    messages: AtomicU64,
    // Locked once when a batch begins and once when it ends; never across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_number: u64,
    unsettled: BTreeMap<u64, Settling>,
    failed: Option<FlushError>,
}

impl Ledger {
    /// Adds a batch and returns its number.
    pub(crate) fn begin(&self, settling: Settling) -> u64 {
        let mut state = self.lock();
        let number = state.next_number;
        state.next_number += 1;
        state.unsettled.insert(number, settling);
        number
    }

    /// Counts messages that were added to a batch.
    pub(crate) fn add(&self, messages: usize) {
        self.messages.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// Removes a batch of `messages` messages; notes `failures` for the next flush.
    pub(crate) fn end<'a>(&self, number: u64, messages: usize, failures: impl Iterator<Item = &'a SendFailure>) {
        let mut state = self.lock();
        state.unsettled.remove(&number);
        for failure in failures {
            let failed =
                state.failed.get_or_insert_with(|| FlushError { failed: 0, not_stored: 0, first: failure.clone() });
            failed.failed += 1;
            failed.not_stored += u64::from(failure.is_not_stored);
        }
        self.messages.fetch_sub(messages as u64, Ordering::Relaxed);
    }

    /// Messages without an outcome.
    pub(crate) fn unsettled_messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// The batches that are not settled now.
    pub(crate) fn unsettled(&self) -> Vec<Settling> {
        self.lock().unsettled.values().cloned().collect()
    }

    /// The failures since the last call.
    pub(crate) fn take_failures(&self) -> Result<(), FlushError> {
        self.lock().failed.take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}
