//! Rows: those that a message must become, and those in a segment.
//!
//! Owns: the payloads that the simulation publishes, the rows expected of them, reading rows out of Parquet.
//! Does not own: the places of rows (`oracle`).
//!
//! Expected rows are stated here a second time, without the writer's decoder.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use bytes::{Buf, Bytes};
use catalog::SegmentKind;
use common::packing::Pack;
use common::topic::{ColumnSpec, ColumnType, Format, TopicOptions};
use common::{Message, OffsetRange, OutgoingMessage};
use lake::schema::{INCARNATION, KEY, OFFSET, PARTITION, PAYLOAD, ROW, TIMESTAMP, VALUE};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::chance::Chance;

/// The declared column of a `json` topic.
const ID: &str = "id";

/// One row, of the table or of quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// True when the record could be decoded.
    pub is_good: bool,
    /// Queue time.
    pub timestamp_us: i64,
    /// The message's key.
    pub key: Option<Bytes>,
    /// The payload, the quarantined bytes, or the column `id` as text.
    pub content: Bytes,
}

/// Rows of one history of a partition, by offset and number in the message.
pub type Rows = BTreeMap<(u64, u32), Row>;

/// The place of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its partition.
    pub partition_id: u32,
    /// The incarnation that its offset counts in.
    pub incarnation: u32,
    /// The offset of its message.
    pub offset: u64,
    /// Its number in the message.
    pub row: u32,
}

/// Rows of any partitions.
pub type PlacedRows = BTreeMap<Place, Row>;

/// Every place in these offsets.
pub fn range(partition_id: u32, incarnation: u32, offsets: OffsetRange) -> RangeInclusive<Place> {
    let place = |offset, row| Place { partition_id, incarnation, offset, row };
    place(offsets.base(), 0)..=place(offsets.end(), u32::MAX)
}

/// A topic of this format.
pub fn options(format: Format) -> TopicOptions {
    let columns = match format {
        Format::Raw | Format::Text => vec![],
        Format::Json => vec![ColumnSpec::new(ID, ColumnType::Int64).required()],
    };
    TopicOptions { format, columns, ..TopicOptions::default() }
}

/// A payload that no other message has, `number` being in it: one line, or for a `json` topic one to three records, some of
/// which cannot be decoded.
pub fn payload(format: Format, number: u64, chance: &Chance) -> String {
    match format {
        Format::Raw | Format::Text => format!("message {number} {}", "x".repeat(chance.below(40) as usize)),
        Format::Json => {
            let record = |index: u64| match chance.below(10) {
                0 => format!("garbage {number}.{index}"),
                1 => format!("{{\"id\":\"text {number}.{index}\"}}"),
                _ => format!("{{\"id\":{}}}", number * 10 + index),
            };
            let records: Vec<String> = (0..=chance.below(3)).map(record).collect();
            records.join("\n")
        }
    }
}

/// One message of all these, at least one, under the id of the first.
pub fn packed(messages: &[OutgoingMessage]) -> OutgoingMessage {
    let mut pack = Pack::default();
    messages.iter().for_each(|message| pack.push(message.key.as_deref(), &message.payload));
    let OutgoingMessage { message_id, is_awaited, .. } = messages[0].clone();
    OutgoingMessage { message_id, is_awaited, ..pack.finish(false) }
}

/// The rows that `message` must become, by their number.
pub fn expected(format: Format, message: &Message) -> Vec<Row> {
    if message.headers.is_empty() {
        return expected_of_record(format, message);
    }
    let mut rows = Vec::new();
    let mut rest = message.payload.clone();
    while !rest.is_empty() {
        let (payload, key) = (rest.get_u32_le() as usize, rest.get_u32_le() as usize);
        let key = (key > 0).then(|| rest.split_to(key - 1));
        let record = Message { key, payload: rest.split_to(payload), headers: Vec::new(), ..message.clone() };
        rows.extend(expected_of_record(format, &record));
    }
    rows
}

fn expected_of_record(format: Format, message: &Message) -> Vec<Row> {
    let row = |is_good, content: &[u8]| Row {
        is_good,
        timestamp_us: message.timestamp_us,
        key: message.key.clone(),
        content: Bytes::copy_from_slice(content),
    };
    match format {
        Format::Raw | Format::Text => vec![row(true, &message.payload)],
        Format::Json => {
            let lines = message.payload.split(|byte| *byte == b'\n');
            let of_line = |line: &[u8]| {
                let number = line.strip_prefix(b"{\"id\":").and_then(|rest| rest.strip_suffix(b"}"));
                match number.filter(|number| number.iter().all(u8::is_ascii_digit)) {
                    Some(number) => row(true, number),
                    None => row(false, line),
                }
            };
            lines.map(of_line).collect()
        }
    }
}

/// The row of a message that is set aside undecoded.
pub fn condemned(message: &Message) -> Row {
    let Message { timestamp_us, key, payload, .. } = message.clone();
    Row { is_good: false, timestamp_us, key, content: payload }
}

/// Adds the rows of a Parquet object to `rows`.
///
/// # Errors
/// A row that cannot be read, or is there twice.
pub fn read(format: Format, kind: SegmentKind, object: Bytes, rows: &mut PlacedRows) -> Result<(), String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(object).and_then(ParquetRecordBatchReaderBuilder::build);
    for batch in reader.map_err(|error| error.to_string())? {
        read_batch(format, kind, &batch.map_err(|error| error.to_string())?, rows)?;
    }
    Ok(())
}

/// Adds the rows of a batch to `rows`.
///
/// # Errors
/// As [`read`].
pub fn read_batch(format: Format, kind: SegmentKind, batch: &RecordBatch, rows: &mut PlacedRows) -> Result<(), String> {
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("no column {name}"));
    let partitions = column(PARTITION)?.as_primitive::<Int32Type>();
    let incarnations = column(INCARNATION)?.as_primitive::<Int32Type>();
    let offsets = column(OFFSET)?.as_primitive::<Int64Type>();
    let numbers = column(ROW)?.as_primitive::<Int32Type>();
    let times = column(TIMESTAMP)?.as_primitive::<TimestampMicrosecondType>();
    let keys = column(KEY)?.as_binary::<i32>();
    let content: Box<dyn Fn(usize) -> Bytes> = match (kind, format) {
        (SegmentKind::Quarantine, _) => binary(column(PAYLOAD)?),
        (SegmentKind::Data, Format::Raw) => binary(column(VALUE)?),
        (SegmentKind::Data, Format::Text) => {
            let values = column(VALUE)?.as_string::<i32>();
            Box::new(|index| Bytes::copy_from_slice(values.value(index).as_bytes()))
        }
        (SegmentKind::Data, Format::Json) => {
            let ids = column(ID)?.as_primitive::<Int64Type>();
            Box::new(|index| ids.value(index).to_string().into())
        }
    };
    for index in 0..batch.num_rows() {
        let place = Place {
            partition_id: partitions.value(index) as u32,
            incarnation: incarnations.value(index) as u32,
            offset: offsets.value(index) as u64,
            row: numbers.value(index) as u32,
        };
        let row = Row {
            is_good: kind == SegmentKind::Data,
            timestamp_us: times.value(index),
            key: keys.is_valid(index).then(|| Bytes::copy_from_slice(keys.value(index))),
            content: content(index),
        };
        if rows.insert(place, row).is_some() {
            return Err(format!("{place:?} is there twice"));
        }
    }
    Ok(())
}

fn binary(column: &dyn Array) -> Box<dyn Fn(usize) -> Bytes + '_> {
    let values = column.as_binary::<i32>();
    Box::new(|index| Bytes::copy_from_slice(values.value(index)))
}
