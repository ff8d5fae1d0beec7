//! Chunk: the messages that are decoded and encoded together, off the async threads.
//!
//! Owns: the way of a chunk's rows and refusals into the segments of the open batch, part by part, so that the rows of
//! a message with millions of records never exist at once; noticing a record that is doubted before any row is encoded: one
//! that is refused, or has members that no column takes.
//! Does not own: the ends of chunks and their order (`batch`), the ends of parts (`decode`), Parquet (`segment`).

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use catalog::SegmentKind;
use common::{Message, failpoint};
use parquet::errors::ParquetError;

use super::table::{Form, KeptRows, Table};
use super::{Encoding, OpenBatch};
use crate::pipeline::decode::Decoded;
use crate::pipeline::tables::Doubt;
use lake::schema::{OFFSET, REASON};
use lake::segment::Pages;

/// The rows of an open batch; each table begins with its first row.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) data: Option<Table>,
    pub(super) quarantine: Option<Table>,
}

/// A record that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) offset: i64,
    pub(crate) reason: String,
}

impl Refusal {
    /// The first one of these rows of a quarantine.
    fn first_of(rows: &RecordBatch) -> Option<Self> {
        let offset = rows.column_by_name(OFFSET)?.as_primitive_opt::<Int64Type>()?;
        let reason = rows.column_by_name(REASON)?.as_string_opt::<i32>()?;
        (rows.num_rows() > 0).then(|| Self { offset: offset.value(0), reason: reason.value(0).to_owned() })
    }
}

impl OpenBatch {
    /// Decodes and encodes a chunk. False, and nothing is encoded, if it has a record that is doubted.
    pub(super) fn encode_chunk(
        &mut self,
        encoding: &mut Encoding,
        chunk: &[Message],
        doubt: Doubt,
        form: Form,
    ) -> Result<bool, ParquetError> {
        let pages = encoding.pages;
        if encoding.condemned.is_none() && doubt.concerns(chunk) {
            let Some(looked) = encoding.look(chunk) else { return Ok(false) };
            if let Looked::Whole(decoded) = looked {
                self.encode_part(pages, decoded, form)?;
                return Ok(true);
            }
        }
        let mut encoded = Ok(());
        encoding.decode(chunk, &mut |part| {
            if encoded.is_ok() {
                encoded = self.encode_part(pages, part, form);
            }
        });
        encoded.map(|()| true)
    }

    fn encode_part(&mut self, pages: Pages, part: Decoded, form: Form) -> Result<(), ParquetError> {
        let refusal = part.quarantine.as_ref().and_then(Refusal::first_of);
        self.first_refusal = self.first_refusal.take().or(refusal);
        self.tables.write(pages, part, form)
    }
}

/// A chunk without doubts.
enum Looked {
    /// It is one part, as nearly all are.
    Whole(Decoded),
    /// It has several parts, which were not kept.
    Parts,
}

impl Encoding {
    /// Decodes a chunk to see whether it has records that a later version of the topic may take otherwise; `None` if it has some.
    /// What was written to a segment cannot be taken back, so a chunk of several parts is decoded twice.
    fn look(&mut self, chunk: &[Message]) -> Option<Looked> {
        let (mut parts, mut only, mut is_doubted) = (0_usize, None, false);
        self.decode(chunk, &mut |part| {
            is_doubted |= part.quarantine.is_some() || part.has_undeclared();
            parts += 1;
            only = (parts == 1).then_some(part);
        });
        (!is_doubted).then(|| only.map_or(Looked::Parts, Looked::Whole))
    }

    fn decode(&mut self, messages: &[Message], take: &mut dyn FnMut(Decoded)) {
        if let Some(reason) = &self.condemned {
            return take(self.decoder.quarantine_whole(messages, reason));
        }
        let holds = |text: &str| messages.iter().any(|message| contains(&message.payload, text.as_bytes()));
        failpoint::hit_at("batch.decode", holds);
        self.decoder.decode(messages, take);
    }
}

impl Tables {
    fn write(&mut self, pages: Pages, decoded: Decoded, form: Form) -> Result<(), ParquetError> {
        for (slot, rows) in [(&mut self.data, decoded.rows), (&mut self.quarantine, decoded.quarantine)] {
            if let Some(rows) = rows {
                Table::write(slot, rows, form, pages)?;
            }
        }
        Ok(())
    }

    /// The tables that there are.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (SegmentKind, Table)> {
        let tables = [(SegmentKind::Data, self.data.take()), (SegmentKind::Quarantine, self.quarantine.take())];
        tables.into_iter().filter_map(|(kind, table)| Some((kind, table?)))
    }

    /// The rows, if all are kept as they were decoded and there are some.
    pub(super) fn take_kept(&mut self) -> Option<Vec<(SegmentKind, KeptRows)>> {
        let is_kept = |table: &Option<Table>| !matches!(table, Some(Table::Encoder(_)));
        if !is_kept(&self.data) || !is_kept(&self.quarantine) {
            return None;
        }
        let kept = |(kind, table)| match table {
            Table::Kept(rows) => Some((kind, rows)),
            Table::Encoder(_) => None,
        };
        Some(self.take().filter_map(kept).collect()).filter(|rows: &Vec<_>| !rows.is_empty())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        [&self.data, &self.quarantine].into_iter().flatten().map(Table::memory_bytes).sum()
    }
}

fn contains(payload: &[u8], part: &[u8]) -> bool {
    part.is_empty() || payload.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests;
