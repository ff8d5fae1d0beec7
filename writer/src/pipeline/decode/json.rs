//! Format `json`: one or many objects per message, each of them a row or a quarantined record.
//!
//! Owns: the framing of records in a payload, and rows from records without an intermediate tree: a schema-driven
//! serde visitor writes straight into the columns.
//! Does not own: the columns of an object's members (`json::row`), the JSON that each type takes (`json::value`),
//! removing a failed row and numbering records (`sink`).
//!
//! Framing: a byte order mark at the start of a payload is no part of it. A payload without line breaks is one text. With
//! line breaks, each line is one text, unless the first line is only the start of an object or array (pretty-printed JSON):
//! then the payload is one text, provided that it parses or its second line does not look like another record. A text holds
//! one or many values: an object is a record, an array is as many records as it has elements.
//!
//! An array that is not whole JSON is one refused record, since the ends of its elements are not certain. So is an empty
//! one, since every message leaves a record.

mod passed_on;
mod row;
mod value;

use std::fmt;

use common::Message;
use serde::Deserializer;
use serde::de::{SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::foreign::kind_of;
use super::rules::Rules;
use super::sink::{Records, RowSink};
use super::unpack::each_message;
use super::{Decoder, TopicTable};
use row::Members;

/// U+FEFF in UTF-8. RFC 8259 lets readers skip it at the start.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Decodes format `json`; it keeps the order of the last object's members.
pub(super) struct JsonDecoder {
    members: Members,
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, messages: &[Message], sink: &mut RowSink<'_>) {
        each_message(messages, sink, |records| self.message(records));
    }
}

impl JsonDecoder {
    /// A decoder for the declared columns of `table`.
    pub(super) fn new(table: &TopicTable) -> Self {
        Self { members: Members::new(&table.options.columns, Rules::of(&table.options.reading)) }
    }

    fn message(&mut self, records: &mut Records<'_, '_>) {
        let whole = records.payload();
        let payload = whole.strip_prefix(BYTE_ORDER_MARK).unwrap_or(whole).trim_ascii();
        if payload.is_empty() {
            return records.refuse(whole, "the message is empty, not a JSON object");
        }
        // By far the most messages are one object, which needs no search for line breaks.
        if records.try_row(|row| self.members.read(payload, row)).is_ok() {
            return;
        }
        if let Some(kind) = kind_of(payload) {
            return records.refuse(whole, &format!("the payload is {kind}; expected is JSON in UTF-8"));
        }
        if !payload.contains(&b'\n') || is_one_text(payload) {
            return self.text(records, payload);
        }
        for line in payload.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            if records.try_row(|row| self.members.read(line, row)).is_err() {
                self.text(records, line);
            }
        }
    }

    /// The slow path for a text that is not one good record: cuts it into values first, so that a bad one is set aside
    /// exactly.
    fn text(&mut self, records: &mut Records<'_, '_>, text: &[u8]) {
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>();
        let mut start = 0;
        while let Some(value) = values.next() {
            match value {
                Ok(value) if value.get().starts_with('[') => self.array(records, value),
                Ok(value) => self.record(records, value),
                Err(error) => return records.refuse(&text[start..], &error.to_string()),
            }
            start = values.byte_offset();
        }
    }

    /// The elements of an array, each a record.
    fn array(&mut self, records: &mut Records<'_, '_>, array: &RawValue) {
        let mut is_empty = true;
        let each = Elements(|element: &RawValue| {
            is_empty = false;
            match element.get().starts_with('[') {
                true => {
                    records.refuse(element.get().as_bytes(), "an array inside of an array; an element is an object")
                }
                false => self.record(records, element),
            }
        });
        let read = serde_json::Deserializer::from_str(array.get()).deserialize_seq(each);
        read.expect("the array is whole JSON");
        if is_empty {
            records.refuse(array.get().as_bytes(), "the array is empty: it holds no object");
        }
    }

    fn record(&mut self, records: &mut Records<'_, '_>, record: &RawValue) {
        let record = record.get().as_bytes();
        if records.try_row(|row| self.members.read(record, row)).is_err() {
            records.row(record, |row| self.members.read_exactly(record, row));
        }
    }
}

/// Gives each element of an array to a function.
struct Elements<F>(F);

impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element()? {
            (self.0)(element);
        }
        Ok(())
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
    let opening = if first.starts_with(b"[") { b'[' } else { b'{' };
    serde_json::from_slice::<&RawValue>(payload).is_ok() || lines.next().and_then(<[u8]>::first) != Some(&opening)
}

#[cfg(test)]
mod tests;
