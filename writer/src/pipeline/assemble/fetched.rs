//! Fetched: a delivery with the gaps that its messages show.
//!
//! Owns: dividing it. Does not own: fetching (`fetch`).

use catalog::Gap;
use common::clock::utc_day;
use common::message::Message;
use common::queue::Delivery;

/// Messages with the gaps before or among them.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) delivery: Delivery,
    pub(crate) gaps: Vec<Gap>,
}

impl Fetched {
    /// UTC day of the first message, counted from 1970.
    pub(super) fn day(&self) -> Option<i64> {
        self.delivery.messages.first().map(day)
    }

    /// Splits it where the UTC day of the messages changes.
    pub(super) fn by_day(self) -> impl Iterator<Item = Self> {
        self.parts(|messages| {
            let first = messages.first().map(day);
            messages.iter().position(|message| Some(day(message)) != first).unwrap_or(messages.len())
        })
    }

    /// Splits it into parts of at most `messages_max` messages, each with the gaps before its last message.
    pub(super) fn split(self, messages_max: usize) -> impl Iterator<Item = Self> {
        self.parts(move |messages| messages_max.min(messages.len()))
    }

    /// Splits it into parts of as many messages as `count` says of the rest.
    fn parts(self, count: impl Fn(&[Message]) -> usize) -> impl Iterator<Item = Self> {
        let Delivery { mut messages, mut memory } = self.delivery;
        let mut gaps = self.gaps;
        std::iter::from_fn(move || {
            let rest = messages.split_off(count(&messages));
            let part = std::mem::replace(&mut messages, rest);
            let last = part.last()?.offset;
            let later = gaps.split_off(gaps.partition_point(|gap| gap.range.base() < last));
            let gaps = std::mem::replace(&mut gaps, later);
            let memory = memory.split(part.iter().map(Message::memory_bytes).sum());
            Some(Self { delivery: Delivery { messages: part, memory }, gaps })
        })
    }
}

fn day(message: &Message) -> i64 {
    utc_day(message.timestamp_us)
}
