//! Page: the rows of some messages of one partition, with what later reads compare and cut them by.
//!
//! Owns: decoding the messages, and the part of pages that a request asks for. Does not own: reading messages (`QueueTail`),
//! which pages are kept (`chain`).

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use common::{Anchor, Message};
use lake::schema::OFFSET;
use lake::tail::{TailLimits, TailRows};

use crate::pipeline::decode::{Decoded, Source, TopicTable};

/// One message of a page.
#[derive(Clone, Copy, Debug)]
struct Held {
    anchor: Anchor,
    /// Its size in memory.
    bytes: usize,
}

/// Rows of the messages with offsets in a range.
#[derive(Debug)]
pub(super) struct TailPage {
    /// In order.
    held: Vec<Held>,
    rows: Vec<RecordBatch>,
    quarantine: Vec<RecordBatch>,
    /// The first offset that was not looked at.
    next_offset: u64,
}

impl TailPage {
    /// The rows of `messages`, which are all that there are below `next_offset`, from some offset on.
    pub(super) fn decoded(table: &TopicTable, source: Source, messages: &[Message], next_offset: u64) -> Self {
        let held = |message: &Message| Held { anchor: Anchor::of(message), bytes: message.memory_bytes() };
        let held = messages.iter().map(held).collect();
        let mut page = Self { held, rows: Vec::new(), quarantine: Vec::new(), next_offset };
        table.decode_in_parts(source, messages, &mut |part: Decoded| {
            page.rows.extend(part.rows);
            page.quarantine.extend(part.quarantine);
        });
        page
    }

    pub(super) fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Its last message.
    pub(super) fn last(&self) -> Option<Anchor> {
        self.held.last().map(|held| held.anchor)
    }

    /// Its message of this offset.
    pub(super) fn message(&self, offset: u64) -> Option<Anchor> {
        let place = self.held.binary_search_by_key(&offset, |held| held.anchor.offset).ok()?;
        Some(self.held[place].anchor)
    }

    /// Bytes of memory that it takes, about.
    pub(super) fn memory_bytes(&self) -> usize {
        let rows: usize = self.rows.iter().chain(&self.quarantine).map(RecordBatch::get_array_memory_size).sum();
        rows + self.held.len() * size_of::<Held>() + size_of::<Self>()
    }

    /// Adds its rows behind those of `rows`, up to the offset `to`; false once nothing more fits.
    fn add_to(&self, rows: &mut TailRows, to: u64, limits: TailLimits) -> bool {
        let from = rows.next_offset;
        let behind = &self.held[self.held.partition_point(|held| held.anchor.offset < from)..];
        let mut next_offset = self.next_offset.min(to);
        for Held { anchor, bytes } in behind.iter().take_while(|held| held.anchor.offset < to) {
            let is_full = rows.message_count >= limits.messages_max || rows.message_bytes >= limits.bytes_max;
            if is_full && rows.message_count > 0 {
                next_offset = rows.last.map_or(from, |last| last.offset + 1).max(from);
                break;
            }
            rows.message_count += 1;
            rows.message_bytes += bytes;
            rows.last = Some(*anchor);
        }
        let is_whole = next_offset == self.next_offset;
        rows.rows.extend(self.rows.iter().filter_map(|batch| part(batch, from, next_offset)));
        rows.quarantine.extend(self.quarantine.iter().filter_map(|batch| part(batch, from, next_offset)));
        rows.next_offset = next_offset;
        is_whole && next_offset < to
    }
}

/// The rows of pages, one behind the other, with offsets from `from` on and below `to`, as many as the limits allow.
pub(super) fn part_of<'p>(
    pages: impl Iterator<Item = &'p TailPage>,
    (from, to): (u64, u64),
    limits: TailLimits,
) -> TailRows {
    let mut rows = TailRows { next_offset: from, ..TailRows::default() };
    for page in pages {
        if !page.add_to(&mut rows, to, limits) {
            break;
        }
    }
    rows.has_holes = rows.message_count as u64 != rows.next_offset.saturating_sub(from);
    rows
}

/// The rows with offsets from `from` on and below `to`, if there are some.
fn part(batch: &RecordBatch, from: u64, to: u64) -> Option<RecordBatch> {
    let offsets = batch.column_by_name(OFFSET).expect("every row has its offset").as_primitive::<Int64Type>();
    let place = |bound: u64| offsets.values().partition_point(|offset| u64::try_from(*offset).unwrap_or(0) < bound);
    let (first, end) = (place(from), place(to));
    (first < end).then(|| batch.slice(first, end - first))
}
