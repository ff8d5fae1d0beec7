//! Counts of a feed.
//!
//! Owns: the counts, in total and per partition. Does not own: the time of counting (`feed`).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::outcome::SendResult;

/// Counts of the messages that were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Messages that are confirmed: by the queue or, with [`Acks::Committed`](crate::Acks), by the catalog.
    pub messages: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Those of them whose ids the queue knew: they were stored before, and nothing was stored now.
    pub duplicates: u64,
    /// Messages that are committed to quarantine instead of the topic's table; they count as confirmed too.
    pub quarantined: u64,
    /// Messages that were sent and not confirmed: each may be stored or not.
    pub failed: u64,
    /// Messages that were refused before they were sent: none is stored.
    pub not_sent: u64,
    /// The confirmed ones outside quarantine, by number of their partition.
    pub partitions: BTreeMap<u32, PartitionTally>,
}

/// Counts of the confirmed messages of one partition. Other messages may stand between the two offsets, so this is no
/// range of offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionTally {
    /// Their number.
    pub messages: u64,
    /// The smallest offset of them.
    pub first_offset: u64,
    /// The largest offset of them.
    pub last_offset: u64,
}

impl Tally {
    /// Adds a message whose place is not known.
    pub(super) fn add_quarantined(&mut self, bytes: u64) {
        self.messages += 1;
        self.bytes += bytes;
        self.quarantined += 1;
    }

    pub(super) fn add_confirmed(&mut self, sent: &SendResult, bytes: u64) {
        self.messages += 1;
        self.bytes += bytes;
        self.duplicates += u64::from(sent.duplicate);
        let partition = self.partitions.entry(sent.partition).or_insert(PartitionTally {
            messages: 0,
            first_offset: sent.offset,
            last_offset: sent.offset,
        });
        partition.messages += 1;
        partition.first_offset = partition.first_offset.min(sent.offset);
        partition.last_offset = partition.last_offset.max(sent.offset);
    }
}
