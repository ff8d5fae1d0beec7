//! Batch: the messages of a partition that are not yet a segment.
//!
//! Owns: the open batch, its contiguous range, and turning it into a sealed one. Messages wait undecoded until they
//! fill a chunk.
//! Does not own: a closed batch (`sealed`), decoding and encoding a chunk (`chunk`), the decision to roll (`roll`),
//! Parquet (`segment`), the loop (`assemble`).

mod chunk;
mod sealed;
mod size;
mod table;

use std::mem;

use catalog::{Gap, Ownership};
use common::clock::utc_day;
use common::memory::MemoryPermit;
use common::{Anchor, Message, OffsetRange};
use parquet::errors::ParquetError;
use tokio::time::Instant;

use crate::config::{CHUNK_BYTES_MAX, CHUNK_MESSAGES_MAX};
use crate::pipeline::decode::PartitionDecoder;
use crate::pipeline::roll::RollReason;
use crate::pipeline::tables::Doubt;
use lake::segment::Pages;

pub(crate) use self::chunk::Refusal;
use self::chunk::Tables;
pub(crate) use self::sealed::{Content, SealedBatch, footer_of_one};
use self::size::KnownSizes;
pub(crate) use self::size::SizeRatio;
use self::table::Table;
pub(crate) use self::table::{Form, KeptRows};
use crate::pipeline::gather::OpenToken;

/// Messages on their way to becoming a segment.
pub(crate) struct OpenBatch {
    pub(crate) base_offset: u64,
    pub(crate) next_offset: u64,
    pub(crate) first_timestamp_us: i64,
    pub(crate) opened_at: Instant,
    /// A producer waits for the commit of one of the messages.
    pub(crate) holds_awaited: bool,
    message_count: u64,
    anchor: Anchor,
    gaps: Vec<Gap>,
    first_refusal: Option<Refusal>,
    pending: Vec<Message>,
    pending_bytes: usize,
    tables: Tables,
    /// The last message in `tables`.
    encoded: Option<Anchor>,
    /// Bytes of the payloads in `tables`.
    encoded_payload_bytes: usize,
    /// Held while the batch may go into an object with others.
    open: Option<OpenToken>,
    memory: MemoryPermit,
}

/// A batch after its messages were to be encoded.
pub(crate) enum Encoded {
    /// All are.
    Whole(OpenBatch),
    /// The first of those that wait have records that are doubted.
    Doubtful(OpenBatch),
}

/// The requirements of encoding besides the messages.
pub(crate) struct Encoding {
    /// Decodes the chunks, one after the other.
    pub(crate) decoder: PartitionDecoder,
    pub(crate) pages: Pages,
    /// The reason to quarantine messages undecoded, if there is one.
    pub(crate) condemned: Option<String>,
}

impl OpenBatch {
    /// A batch that begins at `base_offset` with `messages`, at least one.
    pub(crate) fn open(base_offset: u64, messages: Vec<Message>, gaps: Vec<Gap>, memory: MemoryPermit) -> Self {
        let (first, last) = (&messages[0], &messages[messages.len() - 1]);
        assert!(first.offset >= base_offset, "a batch begins at the end of the one before");
        Self {
            base_offset,
            next_offset: last.offset + 1,
            first_timestamp_us: first.timestamp_us,
            opened_at: Instant::now(),
            holds_awaited: hold_awaited(&messages),
            message_count: messages.len() as u64,
            anchor: Anchor::of(last),
            gaps,
            first_refusal: None,
            pending_bytes: messages.iter().map(Message::memory_bytes).sum(),
            pending: messages,
            tables: Tables::default(),
            encoded: None,
            encoded_payload_bytes: 0,
            open: None,
            memory,
        }
    }

    /// True if no row is encoded yet, so that the batch may go into an object with others.
    pub(crate) fn is_small(&self) -> bool {
        self.encoded.is_none()
    }

    /// Counts the batch as one that may go into an object with others.
    pub(crate) fn count_as_small(&mut self, token: OpenToken) {
        self.open = Some(token);
    }

    /// UTC day of its messages, counted from 1970.
    pub(crate) fn day(&self) -> i64 {
        utc_day(self.first_timestamp_us)
    }

    /// Adds the messages that follow.
    pub(crate) fn extend(&mut self, messages: Vec<Message>, gaps: Vec<Gap>, memory: MemoryPermit) {
        let (first, last) = (&messages[0], &messages[messages.len() - 1]);
        assert!(first.offset >= self.next_offset, "messages come in order");
        self.next_offset = last.offset + 1;
        self.anchor = Anchor::of(last);
        self.holds_awaited |= hold_awaited(&messages);
        self.message_count += messages.len() as u64;
        self.gaps.extend(gaps);
        self.pending_bytes += messages.iter().map(Message::memory_bytes).sum::<usize>();
        if self.pending.is_empty() {
            self.pending = messages;
        } else {
            self.pending.extend(messages);
        }
        self.memory.merge(memory);
    }

    /// True when enough messages wait to be encoded.
    /// A size limit below that of a chunk is rare, but the batch must not pass it unnoticed.
    pub(crate) fn has_chunk(&self, segment_bytes_max: usize) -> bool {
        self.pending.len() >= CHUNK_MESSAGES_MAX || self.pending_bytes >= CHUNK_BYTES_MAX.min(segment_bytes_max)
    }

    /// Bytes of the messages that wait to be encoded.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Estimated size of the larger of its segments, in bytes, without the waiting messages. `ratio` is that of the topic's
    /// data.
    pub(crate) fn encoded_bytes(&self, ratio: Option<f64>) -> usize {
        let size = |table: &Table, ratio| {
            let (messages, complete, estimated) =
                (self.encoded_payload_bytes, table.complete_size(), table.estimated_size());
            KnownSizes { messages, complete, estimated }.size(ratio)
        };
        let data = self.tables.data.as_ref().map_or(0, |table| size(table, ratio));
        data.max(self.tables.quarantine.as_ref().map_or(0, |table| size(table, None)))
    }

    /// Rows encoded so far, and at least one for each message that waits.
    pub(crate) fn record_count(&self) -> usize {
        let rows = |table: &Option<Table>| table.as_ref().map_or(0, Table::record_count);
        (rows(&self.tables.data) + rows(&self.tables.quarantine)) as usize + self.pending.len()
    }

    /// Memory accounted for, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Decodes and encodes all waiting messages, up to the first chunk with a record that is doubted. Runs on a blocking
    /// thread.
    pub(crate) fn encode(mut self, encoding: &mut Encoding, doubt: Doubt, form: Form) -> Result<Encoded, ParquetError> {
        let mut messages = mem::take(&mut self.pending);
        let mut done = 0;
        for chunk in messages.chunks(CHUNK_MESSAGES_MAX) {
            if !self.encode_chunk(encoding, chunk, doubt, form)? {
                messages.drain(..done);
                self.pending_bytes = messages.iter().map(Message::memory_bytes).sum();
                self.pending = messages;
                return Ok(Encoded::Doubtful(self));
            }
            self.encoded = chunk.last().map(Anchor::of);
            self.encoded_payload_bytes += chunk.iter().map(|message| message.payload.len()).sum::<usize>();
            done += chunk.len();
        }
        drop(messages);
        self.pending_bytes = 0;
        if form == Form::Encoded {
            self.open = None;
        }
        self.memory.resize(self.tables.memory_bytes());
        Ok(Encoded::Whole(self))
    }

    /// The batch in two: what is encoded, and what waits.
    pub(crate) fn part(mut self) -> (Option<Self>, Option<Self>) {
        let Some(anchor) = self.encoded else { return (None, Some(self)) };
        let Some(first) = self.pending.first() else { return (Some(self), None) };
        let (base_offset, message_count) = (anchor.offset + 1, self.pending.len() as u64);
        let later_gaps = self.gaps.partition_point(|gap| gap.range.base() < base_offset);
        let waiting = Self {
            base_offset,
            next_offset: self.next_offset,
            first_timestamp_us: first.timestamp_us,
            opened_at: self.opened_at,
            holds_awaited: hold_awaited(&self.pending),
            message_count,
            anchor: self.anchor,
            gaps: self.gaps.split_off(later_gaps),
            first_refusal: None,
            memory: self.memory.split(self.pending_bytes),
            pending_bytes: mem::take(&mut self.pending_bytes),
            pending: mem::take(&mut self.pending),
            tables: Tables::default(),
            encoded: None,
            encoded_payload_bytes: 0,
            open: None,
        };
        let message_count = self.message_count - message_count;
        (Some(Self { next_offset: base_offset, message_count, anchor, ..self }), Some(waiting))
    }

    /// Closes a batch of which all messages are decoded. Runs on a blocking thread.
    pub(crate) fn seal(
        self,
        encoding: &Encoding,
        held: &Ownership,
        reason: RollReason,
    ) -> Result<SealedBatch, ParquetError> {
        let mut batch = self;
        assert!(batch.pending.is_empty(), "every message becomes a record before its batch is sealed");
        let schema_version = encoding.decoder.table().schema_version();
        let content = match batch.tables.take_kept().filter(|_| reason.is_gathered()) {
            Some(rows) => Content::Rows(rows),
            None => {
                batch.open = None;
                let (mut segments, range) = (Vec::new(), batch.range());
                for (kind, table) in batch.tables.take() {
                    let footer = footer_of_one(held, range, kind, schema_version);
                    segments.push((kind, table.finish(encoding.pages, footer.pairs())?));
                }
                Content::Encoded(segments)
            }
        };
        batch.memory.resize(content.memory_bytes());
        Ok(SealedBatch {
            range: batch.range(),
            first_timestamp_us: batch.first_timestamp_us,
            message_count: batch.message_count,
            payload_bytes: batch.encoded_payload_bytes,
            anchor: batch.anchor,
            gaps: batch.gaps,
            first_refusal: batch.first_refusal,
            content,
            schema_version,
            reason,
            _open: batch.open,
            _memory: batch.memory,
        })
    }

    fn range(&self) -> OffsetRange {
        OffsetRange::until(self.base_offset, self.next_offset).expect("it ends behind a message that has an offset")
    }
}

fn hold_awaited(messages: &[Message]) -> bool {
    messages.iter().any(|message| message.is_awaited)
}
