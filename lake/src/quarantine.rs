//! Quarantined records, as they are read back.
//!
//! Owns: the parts of a quarantined record, and reading the records of a segment.
//! Does not own: quarantining records and publishing them again (`writer`), showing.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::Field;
use bytes::Bytes;
use catalog::{SegmentInfo, SegmentKind};
use common::message::Headers;
use common::{Incarnation, TopicPartition};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::error::{LakeError, Result};
use crate::headers::values;
use crate::object::{Found, ListedObject};
use crate::read::{Columns, SegmentFile, Unreadable};
use crate::schema::{
    HEADERS, INCARNATION, KEY, OFFSET, PARTITION, PAYLOAD, REASON, ROW, SUBJECT, TIMESTAMP, name_in_layout,
    quarantine_schema,
};
use crate::storage::Storage;

/// Most records decoded at once, since their payloads may be large.
const BATCH_ROWS: usize = 256;

/// The origin of a record, unique to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Its partition.
    pub partition: TopicPartition,
    /// The incarnation in which its offset counts.
    pub incarnation: Incarnation,
    /// Offset of its message.
    pub offset: u64,
    /// Its number in the message.
    pub row: u32,
}

impl std::fmt::Display for Origin {
    /// `<incarnation>/<partition>/<offset>/<row>`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{}", self.incarnation, self.partition.partition_id, self.offset, self.row)
    }
}

/// A record that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedRecord {
    /// Its origin.
    pub origin: Origin,
    /// Queue time of its message, microseconds UTC.
    pub timestamp_us: i64,
    /// Key of its message.
    pub key: Option<Bytes>,
    /// Headers of its message.
    pub headers: Headers,
    /// Subject of its message.
    pub subject: String,
    /// The reason why it could not be decoded.
    pub reason: String,
    /// The record itself: the message, or the part of it that could not be decoded.
    pub payload: Bytes,
}

/// Selects records. An absent part selects all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Records of this partition.
    pub partition_id: Option<u32>,
    /// Records of the message with this offset.
    pub offset: Option<u64>,
    /// Records whose reason contains this text.
    pub reason: Option<String>,
}

impl Filter {
    /// True if `segment` can hold a selected record.
    pub fn may_be_in(&self, segment: &SegmentInfo) -> bool {
        segment.kind == SegmentKind::Quarantine
            && self.partition_id.is_none_or(|partition_id| partition_id == segment.partition_id)
            && self.offset.is_none_or(|offset| segment.range.contains(offset))
    }

    /// True if `record` is selected.
    pub fn wants(&self, record: &QuarantinedRecord) -> bool {
        self.partition_id.is_none_or(|partition_id| partition_id == record.origin.partition.partition_id)
            && self.offset.is_none_or(|offset| offset == record.origin.offset)
            && self.reason.as_ref().is_none_or(|text| record.reason.contains(text.as_str()))
    }
}

/// The records of one quarantine segment, in order, decoded a few at a time.
#[derive(Debug)]
pub struct QuarantineReader {
    segment: SegmentInfo,
    batches: ParquetRecordBatchReader,
    waiting: std::vec::IntoIter<QuarantinedRecord>,
}

impl QuarantineReader {
    /// Reads the object of `segment` and compares it with the catalog.
    ///
    /// # Errors
    /// [`LakeError::Segment`] if the object is missing or not the committed one.
    pub async fn open(storage: &Storage, segment: &SegmentInfo) -> Result<Self> {
        let object = segment.object.as_ref();
        let refuse = |reason: String| LakeError::Segment { key: object.key.clone(), reason };
        let listed = ListedObject::of(object).map_err(|error| refuse(error.to_string()))?;
        let file = SegmentFile::open(storage, &listed).await.map_err(|unreadable| {
            refuse(match unreadable {
                Unreadable::Object(Found::Absent(error) | Found::Unreadable(error)) => error.to_string(),
                Unreadable::Object(_) => "the object is not the one that was committed".to_owned(),
                Unreadable::File(error) => error.to_string(),
            })
        })?;
        let expected = quarantine_schema();
        let found = file.schema().fields().iter().map(|field| (field.name().clone(), field.data_type().clone()));
        let stored = |field: &'_ Arc<Field>| {
            Some((name_in_layout(field.name(), object.layout)?.to_owned(), field.data_type().clone()))
        };
        if !found.eq(expected.fields().iter().filter_map(stored)) {
            return Err(refuse("its columns are not those of a quarantine".to_owned()));
        }
        let batches = file.rows(Columns::All, BATCH_ROWS).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { segment: segment.clone(), batches, waiting: Vec::new().into_iter() })
    }
}

impl Iterator for QuarantineReader {
    type Item = Result<QuarantinedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.waiting.next() {
                return Some(Ok(record));
            }
            match self.batches.next()? {
                Ok(batch) => self.waiting = records(&batch, &self.segment).into_iter(),
                Err(error) => {
                    let reason = error.to_string();
                    return Some(Err(LakeError::Segment { key: self.segment.object.key.clone(), reason }));
                }
            }
        }
    }
}

/// The rows of a segment in a batch of its object, which has the columns of quarantine.
fn records(batch: &RecordBatch, segment: &SegmentInfo) -> Vec<QuarantinedRecord> {
    let column = |name: &str| batch.column_by_name(name).expect("the columns were compared");
    let offsets = column(OFFSET).as_primitive::<Int64Type>().values();
    let rows = column(ROW).as_primitive::<Int32Type>().values();
    let times = column(TIMESTAMP).as_primitive::<TimestampMicrosecondType>().values();
    let keys = column(KEY).as_binary::<i32>();
    let headers = column(HEADERS).as_map();
    let subjects = column(SUBJECT).as_string::<i32>();
    let reasons = column(REASON).as_string::<i32>();
    let payloads = column(PAYLOAD).as_binary::<i32>();
    let header_pairs = |index: usize| {
        if headers.is_null(index) {
            return Headers::new();
        }
        let entries = headers.value(index);
        let (names, joined) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
        let pairs = (0..entries.len()).flat_map(|entry| {
            values(joined.value(entry)).map(move |value| (names.value(entry).to_owned(), value.to_owned()))
        });
        pairs.collect()
    };
    let record = |index: usize| QuarantinedRecord {
        origin: Origin {
            partition: TopicPartition::new(segment.topic.clone(), segment.partition_id),
            incarnation: segment.incarnation,
            offset: offsets[index].cast_unsigned(),
            row: rows[index].cast_unsigned(),
        },
        timestamp_us: times[index],
        key: keys.is_valid(index).then(|| Bytes::copy_from_slice(keys.value(index))),
        headers: header_pairs(index),
        subject: subjects.value(index).to_owned(),
        reason: reasons.value(index).to_owned(),
        payload: Bytes::copy_from_slice(payloads.value(index)),
    };
    let numbers = |name: &str| {
        let name = name_in_layout(name, segment.object.layout)?;
        Some(&column(name).as_primitive::<Int32Type>().values()[..])
    };
    let (partitions, incarnations) = (numbers(PARTITION), numbers(INCARNATION));
    // A column that an older layout lacks has the value of the object's only segment.
    let is = |said: Option<&[i32]>, index: usize, number: u32| {
        said.is_none_or(|said| u32::try_from(said[index]) == Ok(number))
    };
    let is_of_segment = |index: &usize| {
        is(partitions, *index, segment.partition_id)
            && is(incarnations, *index, segment.incarnation.0)
            && segment.range.contains(offsets[*index].cast_unsigned())
    };
    (0..batch.num_rows()).filter(is_of_segment).map(record).collect()
}
