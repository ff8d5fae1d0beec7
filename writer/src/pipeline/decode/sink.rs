//! Collects records from decoders: a row of the table, or quarantine with the reason.
//!
//! Owns: the rows and the refusals of one chunk, the number of each record in its message, removing an unfinished row,
//! the end of a part, and the rule that every message becomes at least one record.
//! Does not own: the framing of records and reading their values (each format's decoder); the values that a type takes
//! (`typed`).

use std::mem;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use common::Message;

use super::columns::Column;
use super::quarantine::Quarantine;
use super::system::{self, SystemColumns};
use super::typed::fill_absent;
use super::{Decoded, Source, TopicTable};

/// Memory of one part, in bytes, after which it is handed on. A message may have millions of records, of which each
/// repeats the message's key and headers. Most chunks stay below it, so that they remain one part.
pub(super) const PART_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Collects the records of messages of one partition.
pub(super) struct RowSink<'t> {
    source: Source,
    schema: SchemaRef,
    quarantine_schema: SchemaRef,
    /// It has as many rows as each of `columns`, except for the unfinished row.
    system: SystemColumns,
    /// The columns behind the system columns, in the order of the schema.
    columns: Vec<Column>,
    quarantine: Quarantine,
    /// Memory of `columns` for one row without its values, in bytes.
    fixed_bytes: usize,
    /// Copies of a payload that the rows have: its values, and where they are kept the bytes themselves.
    payload_copies: usize,
    /// Memory of the records so far, about, in bytes.
    part_bytes: usize,
    /// Takes each part that is full; absent when all records are one part.
    full: Option<&'t mut dyn FnMut(Decoded)>,
}

/// The records of one message, in their order.
pub(super) struct Records<'s, 't> {
    sink: &'s mut RowSink<'t>,
    message: &'s Message,
    /// Number of the next record in its message.
    next: u32,
    /// Memory of a row without its values, in bytes.
    row_bytes: usize,
}

/// An unfinished row: it takes at most one value in each column.
pub(super) struct Row<'s> {
    /// The columns behind the system columns, in the order of the schema.
    pub(super) columns: &'s mut [Column],
    /// Number of earlier rows, and of the values in each column that has none for this row yet.
    pub(super) before: usize,
}

impl<'t> RowSink<'t> {
    /// An empty sink for messages of a partition of `table`, with room for about `rows` rows.
    pub(super) fn new(table: &TopicTable, source: Source, rows: usize) -> Self {
        let columns = columns_of(&table.schema, rows);
        Self {
            source,
            schema: Arc::clone(&table.schema),
            quarantine_schema: Arc::clone(&table.quarantine),
            system: SystemColumns::with_capacity(source, rows),
            fixed_bytes: columns.iter().map(Column::fixed_bytes).sum(),
            columns,
            quarantine: Quarantine::new(source),
            payload_copies: 1 + usize::from(table.options.keep_payload),
            part_bytes: 0,
            full: None,
        }
    }

    /// The same sink, which gives each part of about [`PART_BYTES_MAX`] bytes to `full`.
    pub(super) fn in_parts(self, full: &'t mut dyn FnMut(Decoded)) -> Self {
        Self { full: Some(full), ..self }
    }

    /// Makes room for `bytes` bytes of values in a column of text or bytes, number `column` behind the system columns.
    pub(super) fn reserve_bytes(&mut self, column: usize, bytes: usize) {
        self.columns[column].reserve_bytes(bytes);
    }

    /// Lets `take` accept or refuse each record of `message`.
    ///
    /// # Panics
    /// If it neither accepts nor refuses a record: a committed offset must have at least one.
    pub(super) fn message<'s>(&'s mut self, message: &'s Message, take: impl FnOnce(&mut Records<'s, 't>)) {
        self.message_from(0, message, take);
    }

    /// The same for a part of a message, whose records are numbered from `first` on. Returns the number that follows.
    ///
    /// # Panics
    /// As [`RowSink::message`].
    pub(super) fn message_from<'s>(
        &'s mut self,
        first: u32,
        message: &'s Message,
        take: impl FnOnce(&mut Records<'s, 't>),
    ) -> u32 {
        let row_bytes = self.fixed_bytes + system::row_bytes(message);
        let mut records = Records { sink: self, message, next: first, row_bytes };
        take(&mut records);
        let next = records.next;
        assert!(next > first, "a message becomes at least one record");
        // The values of its rows are parts of the payload, of which a copy may be kept too.
        records.sink.add_bytes(message.payload.len() * records.sink.payload_copies);
        next
    }

    /// Keeps `message` whole in quarantine, undecoded.
    pub(super) fn refuse_whole(&mut self, message: &Message, reason: &str) {
        self.message(message, |records| records.refuse(&message.payload, reason));
    }

    /// The rows and the quarantine that no part has yet, each in the order of the messages.
    pub(super) fn finish(self) -> Decoded {
        let Self { schema, quarantine_schema, system, columns, quarantine, .. } = self;
        Decoded { rows: rows_of(&schema, system, columns), quarantine: quarantine.finish(&quarantine_schema) }
    }

    /// Counts the memory of a complete record, and hands on a full part.
    #[inline]
    fn add_bytes(&mut self, bytes: usize) {
        self.part_bytes += bytes;
        if self.part_bytes >= PART_BYTES_MAX {
            self.hand_on();
        }
    }

    #[cold]
    fn hand_on(&mut self) {
        let Some(full) = &mut self.full else { return };
        self.part_bytes = 0;
        if self.system.len() == 0 && self.quarantine.len() == 0 {
            return;
        }
        let system = mem::replace(&mut self.system, SystemColumns::with_capacity(self.source, 0));
        let columns = mem::replace(&mut self.columns, columns_of(&self.schema, 0));
        let quarantine = mem::replace(&mut self.quarantine, Quarantine::new(self.source));
        let rows = rows_of(&self.schema, system, columns);
        full(Decoded { rows, quarantine: quarantine.finish(&self.quarantine_schema) });
    }
}

fn columns_of(schema: &SchemaRef, rows: usize) -> Vec<Column> {
    let fields = &schema.fields()[system::COLUMN_COUNT..];
    fields.iter().map(|field| Column::new(field.data_type(), field.is_nullable(), rows)).collect()
}

fn rows_of(schema: &SchemaRef, system: SystemColumns, columns: Vec<Column>) -> Option<RecordBatch> {
    (system.len() > 0).then(|| {
        let fields = &schema.fields()[system::COLUMN_COUNT..];
        let written = columns.into_iter().zip(fields).map(|(column, field)| column.finish(field));
        let arrays = system.finish().into_iter().chain(written).collect();
        RecordBatch::try_new(Arc::clone(schema), arrays).expect("columns are built for this schema")
    })
}

impl<'s> Records<'s, '_> {
    /// The payload of the message.
    pub(super) fn payload(&self) -> &'s [u8] {
        &self.message.payload
    }

    /// Adds the row that `write` makes of a record, or refuses `record` with the reason of `write`.
    pub(super) fn row(&mut self, record: &[u8], write: impl FnOnce(&mut Row<'_>) -> Result<(), String>) {
        if let Err(reason) = self.try_row(write) {
            self.refuse(record, &reason);
        }
    }

    /// Adds the row that `write` makes of a record. A column without a value is null.
    ///
    /// # Errors
    /// The reason of `write`, or the column without a value that takes no null. Nothing was added then: the caller may
    /// read the record in another way, and must refuse it in the end.
    pub(super) fn try_row(&mut self, write: impl FnOnce(&mut Row<'_>) -> Result<(), String>) -> Result<(), String> {
        let RowSink { schema, system, columns, .. } = &mut *self.sink;
        let before = system.len();
        let name = |index: usize| schema.field(system::COLUMN_COUNT + index).name().as_str();
        let written = write(&mut Row { columns: columns.as_mut_slice(), before })
            .and_then(|()| fill_absent(columns, before, "column", name));
        if let Err(reason) = written {
            take_back(columns, before);
            return Err(reason);
        }
        system.push(self.message, self.next);
        self.next += 1;
        self.sink.add_bytes(self.row_bytes);
        Ok(())
    }

    /// Quarantines `record`, the bytes of one record, with the reason.
    #[cold]
    pub(super) fn refuse(&mut self, record: &[u8], reason: &str) {
        self.sink.quarantine.push(self.message, self.next, record, reason);
        self.next += 1;
        self.sink.add_bytes(self.row_bytes + record.len() + reason.len());
    }
}

/// Removes an unfinished row from the columns that have a value of it.
#[cold]
fn take_back(columns: &mut [Column], before: usize) {
    columns.iter_mut().for_each(|column| column.truncate(before));
}

#[cfg(test)]
mod tests;
