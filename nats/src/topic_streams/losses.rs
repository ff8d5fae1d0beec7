//! Losses of the connection at one position, by which a message that causes them is found.
//!
//! Owns: counting them for a partition, across its subscriptions. Does not own: fetching such a message (`read`).

use std::sync::Mutex;

/// The position at which readers of one partition lost their connection, and the number of losses in a row.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    // Std mutexes: held for a few instructions; they outlive the subscriptions that record their end here.
    last: Mutex<(u64, u32)>,
    /// Messages that were fetched without the consumer and are still in the stream.
    aside: Mutex<Vec<u64>>,
}

/// Losses at one position after which its next message is fetched in a way that cannot disturb the connection.
pub(crate) const LOSSES_SUSPECT: u32 = 2;

impl Losses {
    pub(crate) fn note(&self, position: u64) {
        let mut last = self.last.lock().expect("no holder of this lock panics");
        *last = if last.0 == position { (position, last.1 + 1) } else { (position, 1) };
    }

    /// Losses in a row at this position.
    pub(crate) fn at(&self, position: u64) -> u32 {
        let last = self.last.lock().expect("no holder of this lock panics");
        if last.0 == position { last.1 } else { 0 }
    }

    /// Records that the message at `offset` was handed over without its consumer.
    pub(crate) fn note_aside(&self, offset: u64) {
        self.aside.lock().expect("no holder of this lock panics").push(offset);
    }

    pub(crate) fn take_aside_below(&self, high_watermark: u64) -> Vec<u64> {
        let mut aside = self.aside.lock().expect("no holder of this lock panics");
        let (below, rest) = aside.drain(..).partition(|offset| *offset < high_watermark);
        *aside = rest;
        below
    }
}
