//! The records of a sample, cut by the decoder itself, and their members.
//!
//! Owns: decoding without columns, after which `_extra` has each record; the members with their values and places.
//! Does not own: types (`column`), framing and refusing (`pipeline::decode`).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch, StringArray};
use common::Message;
use common::topic::{ColumnSpec, Format, Reading, TopicOptions};
use lake::schema::{EXTRA, OFFSET, REASON, ROW};
use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::column::Value;
use super::{RefusedRecord, SampledMessage};
use crate::pipeline::decode::{Decoded, Source, TopicTable};

/// Most members that are looked at: the most columns of a table.
pub(super) const MEMBERS_MAX: usize = 2_000;

/// Decodes the sample into a table of these columns. A message's offset is its number in the sample.
pub(super) fn decode(messages: &[SampledMessage], columns: &[ColumnSpec], reading: &Reading) -> Decoded {
    let subject: Arc<str> = Arc::from("");
    let message = |(offset, sampled): (u64, &SampledMessage)| Message {
        offset,
        timestamp_us: 0,
        key: None,
        headers: sampled.headers.clone(),
        subject: Arc::clone(&subject),
        payload: sampled.payload.clone(),
        is_awaited: false,
    };
    let messages: Vec<Message> = (0..).zip(messages).map(message).collect();
    let (columns, reading) = (columns.to_vec(), reading.clone());
    let options = TopicOptions { format: Format::Json, columns, reading, ..TopicOptions::default() };
    TopicTable::with_options(options, 1).decode(Source::default(), &messages)
}

/// The records of a decoded sample.
pub(super) struct Records<'d> {
    messages: &'d [SampledMessage],
    rows: Option<&'d RecordBatch>,
    quarantine: Option<&'d RecordBatch>,
}

/// A member of some records.
pub(super) struct Member<'d> {
    pub(super) name: String,
    /// Its values, null included, in the order of the records.
    pub(super) values: Vec<Value<'d>>,
    /// The first record that has it twice.
    pub(super) twice_in: Option<usize>,
}

/// All members, up to the most that are looked at.
pub(super) struct Members<'d> {
    pub(super) members: Vec<Member<'d>>,
    /// The first member beyond them.
    pub(super) first_beyond: Option<String>,
}

impl<'d> Records<'d> {
    pub(super) fn of(messages: &'d [SampledMessage], decoded: &'d Decoded) -> Self {
        Self { messages, rows: decoded.rows.as_ref(), quarantine: decoded.quarantine.as_ref() }
    }

    /// Number of records that were decoded.
    pub(super) fn count(&self) -> u64 {
        self.rows.map_or(0, |rows| rows.num_rows() as u64)
    }

    /// Where the record of this row is.
    pub(super) fn place(&self, row: usize) -> String {
        self.rows.map_or_else(String::new, |rows| self.place_in(rows, row))
    }

    /// The records that were refused.
    pub(super) fn refused(&self) -> Vec<RefusedRecord> {
        let Some(batch) = self.quarantine else { return Vec::new() };
        let reasons = batch.column_by_name(REASON).expect("quarantine has reasons").as_string::<i32>();
        let refused = |row| RefusedRecord { place: self.place_in(batch, row), reason: reasons.value(row).to_owned() };
        (0..batch.num_rows()).map(refused).collect()
    }

    fn place_in(&self, batch: &RecordBatch, row: usize) -> String {
        let number = |row: usize| {
            let offset = batch.column_by_name(OFFSET).expect("a system column").as_primitive::<Int64Type>().value(row);
            let row = batch.column_by_name(ROW).expect("a system column").as_primitive::<Int32Type>().value(row);
            (offset, row)
        };
        let (offset, record) = number(row);
        let place = &self.messages[usize::try_from(offset).expect("a number of the sample")].place;
        let is_alone = record == 0 && (row + 1 == batch.num_rows() || number(row + 1).0 != offset);
        if is_alone { place.clone() } else { format!("{place}, record {}", record + 1) }
    }

    /// The members of all records.
    pub(super) fn members(&self) -> Members<'d> {
        let mut members = Members { members: Vec::new(), first_beyond: None };
        let Some(rows) = self.rows else { return members };
        let objects: &'d StringArray = rows.column_by_name(EXTRA).expect("a system column").as_string();
        let mut known = HashMap::new();
        for record in (0..objects.len()).filter(|record| objects.is_valid(*record)) {
            for (name, raw) in members_of(objects.value(record)) {
                members.add(&mut known, name, Value { raw, record });
            }
        }
        members
    }
}

impl<'d> Members<'d> {
    fn add(&mut self, known: &mut HashMap<String, usize>, name: String, value: Value<'d>) {
        let place = match known.get(&name) {
            Some(place) => *place,
            None if self.members.len() == MEMBERS_MAX => {
                self.first_beyond.get_or_insert(name);
                return;
            }
            None => {
                known.insert(name.clone(), self.members.len());
                self.members.push(Member { name, values: Vec::new(), twice_in: None });
                self.members.len() - 1
            }
        };
        let member = &mut self.members[place];
        if member.values.last().is_some_and(|last| last.record == value.record) {
            member.twice_in.get_or_insert(value.record);
        } else {
            member.values.push(value);
        }
    }
}

/// The members of a JSON object in their order, each with the text of its value.
pub(super) fn members_of(object: &str) -> Vec<(String, &str)> {
    let read = serde_json::Deserializer::from_str(object).deserialize_map(EachMember);
    read.expect("the decoder has read this object")
}

struct EachMember;

impl<'de> Visitor<'de> for EachMember {
    type Value = Vec<(String, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            members.push((name, value.get()));
        }
        Ok(members)
    }
}
