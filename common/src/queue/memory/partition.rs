//! The messages of one partition in memory.
//!
//! Owns: offsets, timestamps, the messages kept, the current reader.
//! Does not own: the capacity of the queue; the bytes arrive with the messages and leave with the ack.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::duplicates::{Duplicates, NewId};
use crate::ids::TopicPartition;
use crate::memory::MemoryPermit;
use crate::message::{Message, OutgoingMessage};
use crate::queue::{Page, PageLimits, PublishAck};

pub(super) struct Partition {
    id: TopicPartition,
    subject: Arc<str>,
    // Publishers, the reader and acks share the messages; locked for one copy, never across an await.
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// In order of offsets; dense, except where [`Partition::number_on_from`] left a hole.
    messages: VecDeque<Message>,
    next_offset: u64,
    last_timestamp_us: i64,
    /// The capacity taken by `messages`.
    memory: Option<MemoryPermit>,
    duplicates: Duplicates,
    /// Number of the latest subscription.
    reader: u64,
    closed: bool,
}

/// The topic was deleted.
#[derive(Debug)]
pub(super) struct Closed;

impl Partition {
    pub(super) fn new(id: TopicPartition) -> Self {
        let subject = format!("{}.{}", id.topic, id.partition_id).into();
        Self { id, subject, state: Mutex::default(), changed: Notify::new() }
    }

    pub(super) fn id(&self) -> &TopicPartition {
        &self.id
    }

    /// Notified when messages arrived, the reader was superseded, or the topic was deleted.
    pub(super) fn changed(&self) -> &Notify {
        &self.changed
    }

    /// Raises the next offset to `next_offset`; never lowers it.
    pub(super) fn number_on_from(&self, next_offset: u64) {
        let mut state = self.lock();
        state.next_offset = state.next_offset.max(next_offset);
    }

    /// Stores `messages`, whose bytes are in `memory`; returns the bytes of duplicates to the budget.
    pub(super) fn append(
        &self,
        messages: Vec<OutgoingMessage>,
        mut memory: MemoryPermit,
        now_us: i64,
        acks: &mut Vec<PublishAck>,
    ) -> Result<(), Closed> {
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        let mut stored_bytes = 0;
        for message in messages {
            let new = match message.message_id.as_ref().map(|id| state.duplicates.find(id, now_us)) {
                Some(Ok(offset)) => {
                    acks.push(PublishAck { offset, duplicate: true });
                    continue;
                }
                Some(Err(new)) => Some(new),
                None => None,
            };
            let (offset, bytes) = state.store(message, new, &self.subject, now_us);
            stored_bytes += bytes;
            acks.push(PublishAck { offset, duplicate: false });
        }
        let kept = memory.split(stored_bytes);
        match &mut state.memory {
            Some(held) => held.merge(kept),
            none => *none = Some(kept),
        }
        drop(state);
        drop(memory);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Makes the caller the only reader and returns its number.
    pub(super) fn new_reader(&self) -> u64 {
        let mut state = self.lock();
        state.reader += 1;
        let reader = state.reader;
        drop(state);
        self.changed.notify_waiters();
        reader
    }

    /// The reason why `reader` must stop, if there is one.
    pub(super) fn lost(&self, reader: u64) -> Option<&'static str> {
        let state = self.lock();
        match state {
            _ if state.closed => Some("the topic was deleted"),
            _ if state.reader != reader => Some("a later subscription superseded it"),
            _ => None,
        }
    }

    /// Number of messages from `from_offset` on that fit the limits (at least one, if there is one), and their
    /// [`Message::memory_bytes`].
    pub(super) fn measure(&self, from_offset: u64, messages_max: usize, bytes_max: usize) -> (usize, usize) {
        let state = self.lock();
        let (mut count, mut bytes) = (0, 0);
        for message in state.messages.range(state.index_of(from_offset)..).take(messages_max.max(1)) {
            let message_bytes = message.memory_bytes();
            if count > 0 && bytes + message_bytes > bytes_max {
                break;
            }
            count += 1;
            bytes += message_bytes;
        }
        (count, bytes)
    }

    /// The first `count` messages from `from_offset` on, or fewer if fewer are held.
    pub(super) fn take(&self, from_offset: u64, count: usize) -> Vec<Message> {
        let state = self.lock();
        state.messages.range(state.index_of(from_offset)..).take(count).cloned().collect()
    }

    pub(super) fn read(&self, from_offset: u64, to_offset: u64) -> Vec<Message> {
        let state = self.lock();
        let from = state.index_of(from_offset);
        let to = state.index_of(to_offset).max(from);
        state.messages.range(from..to).cloned().collect()
    }

    /// The first messages of a range that fit the limits, at least one if there is one.
    pub(super) fn read_page(&self, from_offset: u64, to_offset: u64, limits: PageLimits) -> Page {
        let state = self.lock();
        let (mut messages, mut bytes) = (Vec::new(), 0);
        for message in state.messages.range(state.index_of(from_offset)..) {
            if message.offset >= to_offset {
                break;
            }
            bytes += message.memory_bytes();
            if !messages.is_empty() && (messages.len() >= limits.messages_max || bytes > limits.bytes_max) {
                return Page { messages, next_offset: message.offset };
            }
            messages.push(message.clone());
        }
        Page { messages, next_offset: to_offset.max(from_offset) }
    }

    pub(super) fn bounds(&self) -> (u64, u64) {
        let state = self.lock();
        (state.messages.front().map_or(state.next_offset, |message| message.offset), state.next_offset)
    }

    /// Removes every message below `high_watermark` and frees its bytes.
    pub(super) fn remove_below(&self, high_watermark: u64) {
        let mut state = self.lock();
        let count = state.index_of(high_watermark);
        let removed: Vec<Message> = state.messages.drain(..count).collect();
        let freed_bytes = removed.iter().map(Message::memory_bytes).sum();
        let freed = state.memory.as_mut().map(|memory| memory.split(freed_bytes));
        drop(state);
        // Freed outside the lock: this wakes publishers and may drop many payloads.
        drop(removed);
        drop(freed);
    }

    /// Ends every use of the partition and frees its bytes.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        let ended = State { closed: true, reader: state.reader, next_offset: state.next_offset, ..State::default() };
        let held = std::mem::replace(&mut *state, ended);
        drop(state);
        drop(held);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl State {
    /// Index of the first message with an offset of at least `offset`.
    fn index_of(&self, offset: u64) -> usize {
        self.messages.partition_point(|message| message.offset < offset)
    }

    fn store(&mut self, message: OutgoingMessage, new: Option<NewId>, subject: &Arc<str>, now_us: i64) -> (u64, usize) {
        let offset = self.next_offset;
        self.next_offset += 1;
        self.last_timestamp_us = self.last_timestamp_us.max(now_us);
        if let Some((id, new)) = message.message_id.zip(new) {
            self.duplicates.insert(id, new, offset, now_us);
        }
        let message = Message {
            offset,
            timestamp_us: self.last_timestamp_us,
            key: message.key,
            headers: message.headers,
            subject: Arc::clone(subject),
            payload: message.payload,
            is_awaited: message.is_awaited,
        };
        let bytes = message.memory_bytes();
        self.messages.push_back(message);
        (offset, bytes)
    }
}
