//! One stream as JetStream keeps it: sequences from 1, limits, duplicates, purges, and losses of its tail.
//!
//! Owns: the stored messages and their sequences. Does not own: consumers, the network.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

use common::queue::{Bounds, PublishAck};
use common::{Message, OutgoingMessage, TopicPartition};

/// Time for which a message id is remembered, in microseconds: the default of JetStream.
pub const DUPLICATE_WINDOW_US: i64 = 120 * 1_000_000;

/// One stream.
#[derive(Debug)]
pub struct Stream {
    subject: Arc<str>,
    /// Part of the history's identity. A stream that lost its tail keeps it.
    created_us: i64,
    messages: BTreeMap<u64, Message>,
    last_sequence: u64,
    last_timestamp_us: i64,
    duplicates: BTreeMap<String, u64>,
    /// Message ids by the time they were stored.
    remembered: VecDeque<(i64, String)>,
    messages_max: Option<usize>,
}

impl Stream {
    /// An empty stream.
    pub fn new(partition: &TopicPartition, created_us: i64) -> Self {
        Self {
            subject: Arc::from(format!("{}.{}", partition.topic, partition.partition_id)),
            created_us,
            messages: BTreeMap::new(),
            last_sequence: 0,
            last_timestamp_us: 0,
            duplicates: BTreeMap::new(),
            remembered: VecDeque::new(),
            messages_max: None,
        }
    }

    /// Stores the message, unless its id is known. Gives the ack and, when it was stored, the message.
    pub fn publish(&mut self, message: OutgoingMessage, now_us: i64) -> (PublishAck, Option<Message>) {
        self.forget_duplicates(now_us);
        if let Some(id) = &message.message_id {
            if let Some(first) = self.duplicates.get(id) {
                return (PublishAck { offset: *first, duplicate: true }, None);
            }
            self.duplicates.insert(id.clone(), self.last_sequence + 1);
            self.remembered.push_back((now_us, id.clone()));
        }
        self.last_sequence += 1;
        self.last_timestamp_us = self.last_timestamp_us.max(now_us);
        let stored = Message {
            offset: self.last_sequence,
            timestamp_us: self.last_timestamp_us,
            key: message.key,
            headers: message.headers,
            subject: Arc::clone(&self.subject),
            payload: message.payload,
            is_awaited: message.is_awaited,
        };
        self.messages.insert(stored.offset, stored.clone());
        (PublishAck { offset: stored.offset, duplicate: false }, Some(stored))
    }

    fn forget_duplicates(&mut self, now_us: i64) {
        while let Some((stored_us, _)) = self.remembered.front()
            && now_us - stored_us > DUPLICATE_WINDOW_US
        {
            let (_, id) = self.remembered.pop_front().expect("it was just seen");
            self.duplicates.remove(&id);
        }
    }

    /// Keeps at most `messages_max` messages from now on, discarding the oldest.
    pub fn set_messages_max(&mut self, messages_max: Option<usize>) {
        self.messages_max = messages_max;
    }

    /// Removes messages beyond the limit; gives their sequences.
    pub fn discard_old(&mut self) -> Vec<u64> {
        let excess = self.messages_max.map_or(0, |max| self.messages.len().saturating_sub(max));
        let gone: Vec<u64> = self.messages.keys().take(excess).copied().collect();
        for sequence in &gone {
            self.messages.remove(sequence);
        }
        gone
    }

    /// Removes messages, as a purge or a deletion does; gives the sequences that were there.
    pub fn remove(&mut self, range: RangeInclusive<u64>) -> Vec<u64> {
        if range.is_empty() {
            return Vec::new();
        }
        let gone: Vec<u64> = self.messages.range(range).map(|(sequence, _)| *sequence).collect();
        for sequence in &gone {
            self.messages.remove(sequence);
        }
        gone
    }

    /// Goes back to an earlier end, as a stream restored from an older copy does: later sequences are used again.
    pub fn lose_tail(&mut self, last_sequence: u64) {
        self.last_sequence = self.last_sequence.min(last_sequence);
        self.messages.split_off(&(self.last_sequence + 1));
        let last = self.last_sequence;
        // The remembered ids are rebuilt from the stored messages.
        self.duplicates.retain(|_, sequence| *sequence <= last);
        let duplicates = &self.duplicates;
        self.remembered.retain(|(_, id)| duplicates.contains_key(id));
    }

    /// Becomes a new, empty stream of the same name.
    pub fn recreate(&mut self, now_us: i64) {
        self.created_us = now_us;
        self.messages.clear();
        self.duplicates.clear();
        self.remembered.clear();
        self.last_sequence = 0;
    }

    /// The bounds of its messages.
    pub fn bounds(&self) -> Bounds {
        let next_offset = self.last_sequence + 1;
        let first_offset = self.messages.first_key_value().map_or(next_offset, |(sequence, _)| *sequence);
        let history = format!("stream {} created {}", self.subject, self.created_us);
        Bounds {
            first_offset,
            next_offset,
            history,
            limits: None,
            created_us: Some(self.created_us),
            duplicate_window: None,
            omits: None,
        }
    }

    /// The messages held with `from <= sequence < to`, at most `count`.
    pub fn read(&self, from: u64, to: u64, count: usize) -> Vec<Message> {
        let from = from.min(to);
        self.messages.range(from..to).take(count).map(|(_, message)| message.clone()).collect()
    }
}
