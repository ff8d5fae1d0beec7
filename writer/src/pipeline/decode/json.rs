//! Format `json`: one or many objects per message, each of them a row or a quarantined record.
//!
//! Owns: the framing of records in a payload, and rows from records without an intermediate tree: a schema-driven
//! serde visitor writes straight into the columns.
//! Does not own: the columns of an object's members (`json::row`), the JSON that each type takes (`json::value`),
//! removing a failed row and numbering records (`sink`).
//!
//! Framing: a payload without line breaks is one text. With line breaks, each line is one text, unless the first line
//! is only the start of an object (pretty-printed JSON): then the payload is one text, provided that it parses or its
//! second line does not look like another record. A text holds one or many objects.

mod passed_on;
mod row;
mod value;

use common::Message;
use serde_json::value::RawValue;

use super::sink::{Records, RowSink};
use super::{Decoder, TopicTable};
use row::Members;

/// Decodes format `json`; it keeps the order of the last object's members.
pub(super) struct JsonDecoder {
    members: Members,
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, messages: &[Message], sink: &mut RowSink) {
        for message in messages {
            sink.message(message, |records| self.message(records));
        }
    }
}

impl JsonDecoder {
    /// A decoder for the declared columns of `table`.
    pub(super) fn new(table: &TopicTable) -> Self {
        Self { members: Members::new(&table.options.columns) }
    }

    fn message(&mut self, records: &mut Records<'_>) {
        let payload = records.payload().trim_ascii();
        if payload.is_empty() {
            return records.refuse(records.payload(), "the message is empty, not a JSON object");
        }
        // By far the most messages are one object, which needs no search for line breaks.
        if records.try_row(|row| self.members.read(payload, row)).is_ok() {
            return;
        }
        if !payload.contains(&b'\n') || is_one_text(payload) {
            return self.values(records, payload);
        }
        for line in payload.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            if !line.is_empty() {
                self.text(records, line);
            }
        }
    }

    /// A text of one or many records.
    fn text(&mut self, records: &mut Records<'_>, text: &[u8]) {
        if records.try_row(|row| self.members.read(text, row)).is_err() {
            self.values(records, text);
        }
    }

    /// The slow path: cuts a text into values first, so that exactly the bad one is refused.
    fn values(&mut self, records: &mut Records<'_>, text: &[u8]) {
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>();
        let mut start = 0;
        while let Some(value) = values.next() {
            match value {
                Ok(value) => {
                    let record = value.get().as_bytes();
                    records.row(record, |row| self.members.read(record, row));
                }
                Err(error) => return records.refuse(&text[start..], &error.to_string()),
            }
            start = values.byte_offset();
        }
    }
}

/// True if a payload of several lines is one text, not one per line.
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
