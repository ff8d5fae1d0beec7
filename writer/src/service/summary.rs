//! The sums of a writer's commits since its start, for the last log line, the demo and the bench.
//!
//! Owns: the sums, and the notices of the same run. Does not own: when a notice is due (`notices`), metrics, which count the same for a monitoring system.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::pipeline::roll::RollReason;
use crate::service::notices::Notices;

/// Figures of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages committed.
    pub messages: u64,
    /// Rows committed to topics' tables.
    pub records: u64,
    /// Records committed to quarantine.
    pub quarantined: u64,
    /// Batches committed.
    pub segments: u64,
    /// Bytes of their objects.
    pub bytes: u64,
    /// Batches by the reason for closing them.
    pub rolls: Vec<(RollReason, u64)>,
}

/// The running totals.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    messages: AtomicU64,
    records: AtomicU64,
    quarantined: AtomicU64,
    bytes: AtomicU64,
    rolls: [AtomicU64; RollReason::ALL.len()],
    /// Counts batches, to wake those who wait for commits.
    commits: watch::Sender<u64>,
    pub(crate) notices: Notices,
}

impl Totals {
    pub(crate) fn committed(&self, messages: u64, records: u64, quarantined: u64, bytes: u64, reason: RollReason) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
        self.quarantined.fetch_add(quarantined, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.rolls[reason as usize].fetch_add(1, Ordering::Relaxed);
        self.commits.send_modify(|commits| *commits += 1);
    }

    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    pub(crate) fn summary(&self) -> Summary {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let rolls: Vec<_> = RollReason::ALL.into_iter().zip(self.rolls.iter().map(load)).collect();
        Summary {
            messages: load(&self.messages),
            records: load(&self.records),
            quarantined: load(&self.quarantined),
            segments: rolls.iter().map(|(_, count)| count).sum(),
            bytes: load(&self.bytes),
            rolls: rolls.into_iter().filter(|(_, count)| *count > 0).collect(),
        }
    }
}
