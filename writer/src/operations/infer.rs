//! Infer: columns for a json topic, proposed from sampled messages.
//!
//! Owns: the order of the steps, and what is said of each column. Does not own: reading the sample (the caller), which
//! values a type takes: the topic's own decoder decides (`pipeline::decode`), so that every sampled record fits.

mod column;
mod naming;
mod sample;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use bytes::Bytes;
use common::message::Headers;
use common::topic::{ColumnSpec, ColumnType, Format, Reading, TopicOptions};

use self::column::{Types, Value};
use self::naming::Names;
use self::sample::{Member, Records};

/// A message of the sample.
#[derive(Clone, Debug, Default)]
pub struct SampledMessage {
    /// Where it is, for people: `line 3`, `offset 17`.
    pub place: String,
    /// Its headers: a message may be compressed.
    pub headers: Headers,
    /// Its payload.
    pub payload: Bytes,
}

/// What a sample says.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference {
    /// Records that were looked at.
    pub records: u64,
    /// The columns, in the order in which their members come.
    pub columns: Vec<InferredColumn>,
    /// Members for which no column can be declared; they stay in `_extra`.
    pub left_out: Vec<LeftOut>,
    /// Records that no columns could take: they would go to quarantine.
    pub refused: Vec<RefusedRecord>,
}

/// A proposed column.
#[derive(Clone, Debug, PartialEq)]
pub struct InferredColumn {
    /// The column.
    pub spec: ColumnSpec,
    /// Records that have the member, with null or another value.
    pub present: u64,
    /// Records in which it is null.
    pub nulls: u64,
    /// Types that some of its values have, and others not.
    pub narrower: Vec<Narrower>,
    /// Something else that decided the type.
    pub note: Option<String>,
}

/// A type that is too narrow for a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Narrower {
    /// The type.
    pub column_type: ColumnType,
    /// Values that fit it.
    pub fits: u64,
    /// All values that are not null.
    pub values: u64,
    /// The first value that does not fit, as JSON, cut where it is long.
    pub value: String,
    /// Where that is.
    pub place: String,
}

/// A member without a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub member: String,
    /// The reason.
    pub reason: String,
}

/// A record that goes to quarantine, whatever the columns are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Where it is.
    pub place: String,
    /// The decoder's reason.
    pub reason: String,
}

impl Inference {
    /// The options of a topic with these columns.
    pub fn options(&self, reading: &Reading) -> TopicOptions {
        let columns = self.columns.iter().map(|column| column.spec.clone()).collect();
        TopicOptions { format: Format::Json, columns, reading: reading.clone(), ..TopicOptions::default() }
    }
}

/// Proposes columns for a topic whose values are read by `reading`. A topic of these columns takes every record of the
/// sample but the refused ones.
pub fn infer(messages: &[SampledMessage], reading: &Reading) -> Inference {
    let decoded = sample::decode(messages, &[], reading);
    let records = Records::of(messages, &decoded);
    let mut names = Names::default();
    let types = Types { reading };
    let mut inference =
        Inference { records: records.count(), columns: Vec::new(), left_out: Vec::new(), refused: records.refused() };
    let sampled = records.members();
    for member in &sampled.members {
        let spec = match member.twice_in {
            Some(record) => Err(format!("it occurs twice in one record ({})", records.place(record))),
            None => names.column_of(&member.name),
        };
        match spec {
            Ok(spec) => inference.columns.push(column_of(spec, member, &records, &types)),
            Err(reason) => inference.left_out.push(LeftOut { member: member.name.clone(), reason }),
        }
    }
    if let Some(first) = sampled.first_beyond {
        let reason = format!("a table has at most {} columns; it and later members have none", sample::MEMBERS_MAX);
        inference.left_out.push(LeftOut { member: first, reason });
    }
    // The decoder has the last word.
    if !inference.columns.is_empty() {
        let decoded = sample::decode(messages, &inference.options(reading).columns, reading);
        let known: HashSet<&str> = inference.refused.iter().map(|refused| refused.place.as_str()).collect();
        let late = Records::of(messages, &decoded).refused().into_iter();
        let late: Vec<_> = late.filter(|refused| !known.contains(refused.place.as_str())).collect();
        inference.refused.extend(late);
    }
    inference
}

fn column_of(spec: ColumnSpec, member: &Member<'_>, records: &Records<'_>, types: &Types<'_>) -> InferredColumn {
    let values: Vec<Value<'_>> = member.values.iter().copied().filter(|value| value.raw != "null").collect();
    let (present, nulls) = (member.values.len() as u64, (member.values.len() - values.len()) as u64);
    let inferred = types.of(&values, 0);
    let narrower = inferred.narrower.into_iter().map(|too_narrow| Narrower {
        column_type: too_narrow.column_type,
        fits: too_narrow.fits,
        values: too_narrow.values,
        value: excerpt(too_narrow.counter.raw),
        place: records.place(too_narrow.counter.record),
    });
    let is_always_there = present == records.count() && nulls == 0 && !inferred.takes_empty_as_null;
    let spec = ColumnSpec { column_type: inferred.column_type, nullable: !is_always_there, ..spec };
    let note = inferred.note.map(|note| match note.record {
        Some(record) => format!("{} ({})", note.text, records.place(record)),
        None => note.text,
    });
    InferredColumn { spec, present, nulls, narrower: narrower.collect(), note }
}

/// Characters of a value that are shown.
const EXCERPT_CHARACTERS_MAX: usize = 40;

fn excerpt(raw: &str) -> String {
    match raw.char_indices().nth(EXCERPT_CHARACTERS_MAX) {
        None => raw.to_owned(),
        Some((end, _)) => format!("{}…", &raw[..end]),
    }
}
