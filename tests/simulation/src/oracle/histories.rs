//! The content of each stream, in each of its histories.
//!
//! Owns: every message ever stored, the removals, and the histories of a stream: a new one begins whenever the stream
//! goes back. Does not own: the commits (`oracle`).

use std::collections::BTreeMap;

use common::topic::Format;
use common::{Anchor, Message, TopicPartition};

use crate::rows::{self, Row};

/// One message.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its fingerprint.
    pub anchor: Anchor,
    /// The rows it must become, by number.
    pub rows: Vec<Row>,
    /// The row it becomes when it is set aside undecoded.
    pub condemned: Row,
    /// True when the queue no longer holds it.
    pub is_removed: bool,
}

/// A stream from its beginning until it goes back, with the part that it kept of the history before.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// By offset, without holes.
    pub messages: BTreeMap<u64, Known>,
    /// Up to this offset it is the same as the one before.
    pub same_until: u64,
    /// True when it began with a new stream.
    pub is_recreated: bool,
}

impl History {
    /// Offset after the last message.
    pub fn next_offset(&self) -> u64 {
        self.messages.last_key_value().map_or(1, |(offset, _)| offset + 1)
    }
}

/// The histories of every partition; the last one is the stream's present one.
#[derive(Debug)]
pub struct Histories {
    format: Format,
    partitions: BTreeMap<TopicPartition, Vec<History>>,
}

impl Histories {
    /// Histories of empty streams of a topic of this format.
    pub fn new(format: Format) -> Self {
        Self { format, partitions: BTreeMap::new() }
    }

    fn current_mut(&mut self, partition: &TopicPartition) -> &mut History {
        let histories = self.partitions.entry(partition.clone()).or_insert_with(|| vec![History::default()]);
        histories.last_mut().expect("there is always one")
    }

    /// The message was stored.
    pub fn stored(&mut self, partition: &TopicPartition, message: &Message) {
        let rows = rows::expected(self.format, message);
        let known = Known { anchor: Anchor::of(message), rows, condemned: rows::condemned(message), is_removed: false };
        self.current_mut(partition).messages.insert(message.offset, known);
    }

    /// The messages are no longer held.
    pub fn removed(&mut self, partition: &TopicPartition, offsets: &[u64]) {
        let current = self.current_mut(partition);
        for offset in offsets {
            if let Some(known) = current.messages.get_mut(offset) {
                known.is_removed = true;
            }
        }
    }

    /// The stream ends at `last_offset` now.
    pub fn went_back(&mut self, partition: &TopicPartition, last_offset: u64) {
        let current = self.current_mut(partition);
        if current.next_offset() <= last_offset + 1 {
            return;
        }
        let mut next = current.clone();
        next.messages.split_off(&(last_offset + 1));
        next.same_until = last_offset;
        next.is_recreated = false;
        self.partitions.get_mut(partition).expect("it was just used").push(next);
    }

    /// The stream is a new one.
    pub fn recreated(&mut self, partition: &TopicPartition) {
        self.current_mut(partition);
        let next = History { is_recreated: true, ..History::default() };
        self.partitions.get_mut(partition).expect("it was just used").push(next);
    }

    /// All histories of the partition, oldest first.
    pub fn of(&self, partition: &TopicPartition) -> &[History] {
        self.partitions.get(partition).map_or(&[], Vec::as_slice)
    }

    /// Number of the stream's present history.
    pub fn current(&self, partition: &TopicPartition) -> usize {
        self.of(partition).len().saturating_sub(1)
    }

    /// The last offset up to which history `from` and the present one are the same.
    pub fn same_until(&self, partition: &TopicPartition, from: usize) -> u64 {
        let later = self.of(partition).iter().skip(from + 1);
        later.map(|history| history.same_until).min().unwrap_or(u64::MAX)
    }
}
