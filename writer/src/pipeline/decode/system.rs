//! The system columns: the origin of each row.
//!
//! Owns: filling `_partition_id` to `_incarnation`. Does not own: their names and types (`lake::schema`).

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, BinaryBuilder, StringBuilder};
use arrow_array::{ArrayRef, Int32Array, Int64Array, MapArray, StructArray, TimestampMicrosecondArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use common::Message;
use lake::headers::SEPARATOR;
use lake::schema::header_fields;

use super::Source;

/// Number of system columns. They come first in every schema.
pub(super) const COLUMN_COUNT: usize = 8;

/// Memory of the system columns of one row of `message`, in bytes: its key, headers and subject are in each of them.
pub(super) fn row_bytes(message: &Message) -> usize {
    // Four numbers of 32 bits and two of 64 bits, and where each of the others ends.
    const NUMBERS: usize = 48;
    let headers = message.headers.iter().map(|(name, value)| name.len() + value.len() + 8);
    NUMBERS + message.key.as_ref().map_or(0, |key| key.len()) + message.subject.len() + headers.sum::<usize>()
}

/// Collects the system columns row by row.
pub(super) struct SystemColumns {
    source: Source,
    offsets: Vec<i64>,
    rows: Vec<i32>,
    timestamps: Vec<i64>,
    keys: BinaryBuilder,
    headers: HeaderColumn,
    subjects: StringBuilder,
}

impl SystemColumns {
    /// Room for about `rows` rows.
    pub(super) fn with_capacity(source: Source, rows: usize) -> Self {
        Self {
            source,
            offsets: Vec::with_capacity(rows),
            rows: Vec::with_capacity(rows),
            timestamps: Vec::with_capacity(rows),
            keys: BinaryBuilder::with_capacity(rows, 0),
            headers: HeaderColumn::default(),
            subjects: StringBuilder::with_capacity(rows, rows * 16),
        }
    }

    /// Adds row number `row` of `message`.
    #[inline(always)]
    pub(super) fn push(&mut self, message: &Message, row: u32) {
        // The catalog refuses offsets beyond i64 long before. A message has at most as many rows as bytes, so these
        // fit.
        self.offsets.push(message.offset as i64);
        self.rows.push(row as i32);
        self.timestamps.push(message.timestamp_us);
        self.keys.append_option(message.key.as_ref());
        self.headers.push(&message.headers);
        self.subjects.append_value(&message.subject);
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// The columns, in the order of the schema.
    pub(super) fn finish(mut self) -> [ArrayRef; COLUMN_COUNT] {
        let Source { partition_id, incarnation } = self.source;
        let number = |number: u32| Arc::new(Int32Array::from(vec![number as i32; self.rows.len()]));
        let (partition_ids, incarnations) = (number(partition_id), number(incarnation.0));
        [
            partition_ids,
            Arc::new(Int64Array::from(self.offsets)),
            Arc::new(Int32Array::from(self.rows)),
            Arc::new(TimestampMicrosecondArray::from(self.timestamps).with_timezone("UTC")),
            Arc::new(self.keys.finish()),
            Arc::new(self.headers.finish()),
            Arc::new(self.subjects.finish()),
            incarnations,
        ]
    }
}

/// A map of text to text per row, with unique keys; null without headers.
struct HeaderColumn {
    names: StringBuilder,
    values: StringBuilder,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Default for HeaderColumn {
    fn default() -> Self {
        Self {
            // Most messages have none, and room for the usual thousand would stay with the few rows of a slow partition.
            names: StringBuilder::with_capacity(0, 0),
            values: StringBuilder::with_capacity(0, 0),
            ends: vec![0],
            nulls: NullBufferBuilder::new(0),
        }
    }
}

impl HeaderColumn {
    /// Adds the headers of a row: each name once, in the order of the names.
    fn push(&mut self, headers: &[(String, String)]) {
        let mut by_name: Vec<_> = headers.iter().collect();
        by_name.sort_by(|(one, _), (two, _)| one.cmp(two));
        for of_one_name in by_name.chunk_by(|(one, _), (two, _)| one == two) {
            self.names.append_value(&of_one_name[0].0);
            for (number, (_, value)) in of_one_name.iter().enumerate() {
                if number > 0 {
                    self.values.write_str(SEPARATOR).expect("memory takes text");
                }
                self.values.write_str(value).expect("memory takes text");
            }
            // It ends the value that was written in pieces.
            self.values.append_value("");
        }
        self.ends.push(self.names.len() as i32);
        self.nulls.append(!headers.is_empty());
    }

    fn finish(mut self) -> MapArray {
        let columns: Vec<ArrayRef> = vec![Arc::new(self.names.finish()), Arc::new(self.values.finish())];
        let entries = StructArray::new(header_fields(), columns, None);
        let field = Field::new("key_value", DataType::Struct(header_fields()), false);
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        MapArray::new(Arc::new(field), ends, entries, self.nulls.finish(), false)
    }
}
