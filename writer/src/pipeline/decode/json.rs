//! Format `json`: one or many objects per message, each a row or quarantined by itself.
//!
//! Owns: where a record begins and ends in a payload, and rows from records without an intermediate tree: a
//! schema-driven serde visitor writes straight into column buffers and takes a failed row back.
//! Does not own: which JSON a type takes (`json::value`), column buffers (`columns`).
//!
//! Framing: a payload without line breaks is one text. With line breaks, each line is one, unless the first line
//! is only the beginning of an object (pretty-printed JSON): then the payload is one, provided that it parses or
//! its second line does not look like another record. A text holds one or many objects.

mod row;
mod value;

use std::sync::Arc;

use arrow_array::RecordBatch;
use common::Message;
use serde_json::value::RawValue;

use super::quarantine::Quarantine;
use super::system::SystemColumns;
use super::{Decoded, TopicTable};
use row::RowColumns;

pub(super) fn decode(table: &TopicTable, partition_id: u32, messages: &[Message]) -> Decoded {
    let mut decoder = Decoder {
        rows: RowColumns::new(&table.options.columns, &table.schema, messages.len()),
        system: SystemColumns::with_capacity(partition_id, messages.len()),
        quarantine: Quarantine::new(partition_id),
    };
    for message in messages {
        decoder.message(message);
    }
    let rows = (decoder.system.len() > 0).then(|| {
        let mut columns = decoder.system.finish();
        columns.extend(decoder.rows.finish(&table.schema));
        RecordBatch::try_new(Arc::clone(&table.schema), columns).expect("columns are built for this schema")
    });
    Decoded { rows, quarantine: decoder.quarantine.finish(&table.quarantine) }
}

struct Decoder<'t> {
    rows: RowColumns<'t>,
    system: SystemColumns,
    quarantine: Quarantine,
}

/// Where in a message the decoder is.
struct Cursor<'m> {
    message: &'m Message,
    row: u32,
}

impl Decoder<'_> {
    fn message(&mut self, message: &Message) {
        let mut cursor = Cursor { message, row: 0 };
        let payload = message.payload.trim_ascii();
        if payload.is_empty() {
            return self.refuse(&mut cursor, &message.payload, "the message is empty, not a JSON object");
        }
        // By far the most messages are one object, which needs no look for line breaks.
        if self.rows.try_row(payload).is_ok() {
            return self.accept(&mut cursor);
        }
        if !payload.contains(&b'\n') || is_one_text(payload) {
            return self.values(&mut cursor, payload);
        }
        for line in payload.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            if !line.is_empty() {
                self.text(&mut cursor, line);
            }
        }
    }

    /// A text of one or many records.
    fn text(&mut self, cursor: &mut Cursor<'_>, text: &[u8]) {
        match self.rows.try_row(text) {
            Ok(()) => self.accept(cursor),
            Err(_) => self.values(cursor, text),
        }
    }

    /// The slow path: cuts a text into values first, so that a bad one is set aside exactly.
    fn values(&mut self, cursor: &mut Cursor<'_>, text: &[u8]) {
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>();
        let mut start = 0;
        while let Some(value) = values.next() {
            match value {
                Ok(value) => self.record(cursor, value.get().as_bytes()),
                Err(error) => return self.refuse(cursor, &text[start..], &error.to_string()),
            }
            start = values.byte_offset();
        }
    }

    fn record(&mut self, cursor: &mut Cursor<'_>, record: &[u8]) {
        match self.rows.try_row(record) {
            Ok(()) => self.accept(cursor),
            Err(reason) => self.refuse(cursor, record, &reason),
        }
    }

    fn accept(&mut self, cursor: &mut Cursor<'_>) {
        self.system.push(cursor.message, cursor.row);
        cursor.row += 1;
    }

    fn refuse(&mut self, cursor: &mut Cursor<'_>, payload: &[u8], reason: &str) {
        self.quarantine.push(cursor.message, cursor.row, payload, reason);
        cursor.row += 1;
    }
}

/// Whether a payload of several lines is one text, not one per line.
fn is_one_text(payload: &[u8]) -> bool {
    let mut lines = payload.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let begun = |text| serde_json::from_slice::<&RawValue>(text).is_err_and(|error| error.is_eof());
    if !begun(first) {
        return false;
    }
    serde_json::from_slice::<&RawValue>(payload).is_ok() || !lines.next().is_some_and(|line| line.starts_with(b"{"))
}

#[cfg(test)]
mod tests;
