//! Chain: the pages of one partition's tail that readers share, all of one history, without a gap.
//!
//! Owns: which offsets it has, and for which reader they are known to be of its history. Plain state, no network.
//! Does not own: reading and comparing (`QueueTail`), the bytes of all chains together (`cache`).
//!
//! The queue is a log: while it still holds the last message of a chain, every message of the chain is of its history. So one
//! compare of the last message stands for all pages. A reader may take pages without a compare if it got one of their messages
//! before: the pages with that message were compared after the reader had begun.

use std::collections::VecDeque;

use catalog::{Partition, Topic};
use common::memory::MemoryPermit;
use common::{Anchor, Incarnation};
use lake::tail::{TailLimits, TailRows};

use super::page::{TailPage, part_of};

/// Offsets between a chain and a reader that are read for the chain, so that it grows, at most.
const GAP_MAX: u64 = 8_192;

/// Tells the messages and the columns of a partition from those of another topic of its name, of another history, and of
/// other columns. A later one is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    topic_created_at: i64,
    partition_created_at: i64,
    incarnation: Incarnation,
    schema_version: u32,
}

impl Version {
    pub(super) fn of(topic: &Topic, partition: &Partition) -> Self {
        Self {
            topic_created_at: topic.created_at,
            partition_created_at: partition.created_at,
            incarnation: partition.incarnation,
            schema_version: topic.schema_version,
        }
    }
}

/// The place of an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Below the chain, up to this offset, or too far behind it: not for the chain.
    Outside(u64),
    /// In the chain.
    Within,
    /// At the chain's end, or near behind it.
    Behind,
}

/// The pages, in order.
#[derive(Debug, Default)]
pub(super) struct Chain {
    version: Version,
    /// The queue's description of its history.
    history: String,
    /// The first offset.
    base: u64,
    /// The last message below `base`, if it was in the chain.
    before: Option<Anchor>,
    pages: VecDeque<Kept>,
    /// The last page found no room.
    is_full: bool,
}

#[derive(Debug)]
struct Kept {
    page: TailPage,
    _memory: MemoryPermit,
}

impl Chain {
    /// Drops all that is not of this version and history, and what is committed. False if the chain is of a later version.
    pub(super) fn prepare(&mut self, version: Version, history: &str, watermark: u64) -> bool {
        if version < self.version {
            return false;
        }
        if version != self.version || history != self.history {
            self.clear();
            (self.version, self.history) = (version, history.to_owned());
        }
        while let Some(first) = self.pages.front().filter(|first| first.page.next_offset() <= watermark) {
            (self.base, self.before) = (first.page.next_offset(), first.page.last());
            self.pages.pop_front();
            self.is_full = false;
        }
        if self.pages.is_empty() {
            self.clear();
        }
        true
    }

    /// Forgets all pages.
    pub(super) fn clear(&mut self) {
        self.pages.clear();
        (self.base, self.before, self.is_full) = (0, None, false);
    }

    /// The place of `from` for a reader whose tail begins at `first_offset`.
    pub(super) fn place(&self, from: u64, first_offset: u64) -> Place {
        let end = self.end(first_offset);
        if !self.pages.is_empty() && from < self.base {
            return Place::Outside(self.base);
        }
        if from < end {
            return Place::Within;
        }
        let reach = if self.is_full { 0 } else { GAP_MAX };
        if from - end <= reach { Place::Behind } else { Place::Outside(u64::MAX) }
    }

    /// Exclusive: the offset at which the next page begins.
    pub(super) fn end(&self, first_offset: u64) -> u64 {
        self.pages.back().map_or(first_offset, |last| last.page.next_offset())
    }

    /// Its last message. A chain with pages has one.
    pub(super) fn last(&self) -> Option<Anchor> {
        self.pages.back().and_then(|last| last.page.last())
    }

    /// True for a reader that got this message from it before, so that its pages were compared since the reader began.
    pub(super) fn is_known_to(&self, after: Option<Anchor>) -> bool {
        after.is_some_and(|after| self.message(after.offset) == Some(after))
    }

    /// True if it has this message; false if it has another one, or none, in its place; `None` if it says nothing of it.
    pub(super) fn has(&self, anchor: Anchor) -> Option<bool> {
        if let Some(before) = self.before.filter(|before| before.offset == anchor.offset) {
            return Some(before == anchor);
        }
        let is_within = !self.pages.is_empty() && (self.base..self.end(0)).contains(&anchor.offset);
        is_within.then(|| self.message(anchor.offset) == Some(anchor))
    }

    fn message(&self, offset: u64) -> Option<Anchor> {
        let place = self.pages.partition_point(|kept| kept.page.next_offset() <= offset);
        self.pages.get(place).and_then(|kept| kept.page.message(offset))
    }

    /// Adds a page that begins at its end, or at `base` if it is empty. A page without messages could not be compared
    /// later: it is not kept.
    pub(super) fn push(&mut self, base: u64, page: TailPage, memory: Option<MemoryPermit>) {
        self.is_full = memory.is_none();
        let Some(memory) = memory.filter(|_| page.last().is_some()) else { return };
        if self.pages.is_empty() {
            self.base = base;
        }
        self.pages.push_back(Kept { page, _memory: memory });
    }

    /// Its rows from `from` on and below `to`, as many as the limits allow.
    pub(super) fn part(&self, (from, to): (u64, u64), limits: TailLimits) -> TailRows {
        let first = self.pages.partition_point(|kept| kept.page.next_offset() <= from);
        part_of(self.pages.range(first..).map(|kept| &kept.page), (from, to), limits)
    }
}
