//! Segment: record batches become one Parquet object in memory.
//!
//! Owns: size, checksum and statistics of the object that will be put.
//! Does not own: the Parquet settings (`layout`), bounds next to NaN (`unbounded`), the end of a segment (`roll`), the content of the footer (`footer`), its key
//! and its upload.

mod layout;
mod sink;
mod unbounded;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use catalog::{ColumnStatistics, NewObject, NewSegment, SegmentKind};
use object_store::PutPayload;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;

pub use self::layout::{Layout, Pages};
use self::sink::ChunkSink;
use crate::keys::NewKey;
use crate::schema::TIMESTAMP;
use crate::statistics::{self, Nans};

/// A Parquet object being written.
pub struct SegmentEncoder {
    writer: ArrowWriter<ChunkSink>,
    record_count: u64,
    timestamps_us: Option<(i64, i64)>,
    nans: Nans,
}

/// A complete Parquet object in memory.
#[derive(Clone, Debug, Default)]
pub struct EncodedSegment {
    /// Its bytes.
    pub payload: PutPayload,
    /// Number of bytes.
    pub size_bytes: u64,
    /// CRC-32C of the bytes.
    pub checksum: u32,
    /// Rows in it.
    pub record_count: u64,
    /// Smallest queue time of its rows, microseconds UTC.
    pub min_timestamp_us: i64,
    /// Largest queue time of its rows, microseconds UTC.
    pub max_timestamp_us: i64,
    /// Bytes of the file's metadata, without the 8 last bytes of the file, which hold this length.
    pub footer_bytes: u64,
    /// Statistics of the first leaf columns.
    pub statistics: Vec<ColumnStatistics>,
}

impl SegmentEncoder {
    /// An empty segment of `schema` with such data pages: a number is their size in bytes.
    ///
    /// # Errors
    /// When Parquet cannot represent the schema.
    pub fn new(schema: &SchemaRef, pages: impl Into<Pages>) -> Result<Self, ParquetError> {
        Self::with_layout(schema, &Layout::as_written(pages.into()))
    }

    /// An empty segment of `schema` in another layout.
    ///
    /// # Errors
    /// When Parquet cannot represent the schema.
    pub fn with_layout(schema: &SchemaRef, layout: &Layout) -> Result<Self, ParquetError> {
        let writer = ArrowWriter::try_new(ChunkSink::default(), schema.clone(), Some(layout.properties()))?;
        Ok(Self { writer, record_count: 0, timestamps_us: None, nans: Nans::default() })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When the batch is not of the schema; memory cannot fail otherwise.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.writer.write(batch)?;
        self.nans.see(batch);
        self.record_count += batch.num_rows() as u64;
        self.timestamps_us = enclosing(self.timestamps_us, batch);
        Ok(())
    }

    /// Adds the rows of many small batches of one schema, some thousand at a time: each write costs every column something.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_all(&mut self, batches: &[RecordBatch]) -> Result<(), ParquetError> {
        let mut rest = batches;
        while let [first, ..] = rest {
            let mut rows = 0;
            let enough = rest.iter().position(|batch| {
                rows += batch.num_rows();
                rows >= JOINED_ROWS_MAX
            });
            let (some, later) = rest.split_at(enough.map_or(rest.len(), |last| last + 1));
            match some {
                [only] => self.write(only)?,
                several => self.write(&concat_batches(first.schema_ref(), several)?)?,
            }
            rest = later;
        }
        Ok(())
    }

    /// Rows so far.
    pub fn record_count(&self) -> u64 {
        self.record_count
    }

    /// Estimated size of the object if it ended here, in bytes; open pages are counted before compression.
    pub fn estimated_size(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// Size of the complete row groups, in bytes.
    pub fn complete_size(&self) -> usize {
        self.writer.bytes_written()
    }

    /// Memory it occupies, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.writer.memory_size() + self.writer.inner().memory_bytes()
    }

    /// Completes the object; `footer` goes into the file's key-value metadata.
    ///
    /// # Errors
    /// When Parquet refuses; memory cannot fail.
    pub fn finish(mut self, footer: Vec<KeyValue>) -> Result<EncodedSegment, ParquetError> {
        for pair in footer {
            self.writer.append_key_value_metadata(pair);
        }
        let mut metadata = self.writer.finish()?;
        // Everything is flushed: the writer holds no byte back.
        let mut sink = std::mem::take(self.writer.inner_mut());
        if self.nans.any() {
            (sink, metadata) = unbounded::rewritten(sink, metadata, &self.nans)?;
        }
        let (min_timestamp_us, max_timestamp_us) = self.timestamps_us.unwrap_or_default();
        let (checksum, chunks) = sink.finish();
        let payload: PutPayload = chunks.into_iter().collect();
        Ok(EncodedSegment {
            size_bytes: payload.content_length() as u64,
            footer_bytes: footer_bytes(&payload),
            payload,
            checksum,
            record_count: self.record_count,
            min_timestamp_us,
            max_timestamp_us,
            statistics: statistics::of_file(&metadata, &self.nans),
        })
    }
}

impl EncodedSegment {
    /// The object that holds these bytes under `key`, to be listed.
    pub fn object(&self, bucket: &str, key: &Path, schema_version: u32) -> NewObject {
        NewObject {
            bucket: bucket.to_owned(),
            key: key.to_string(),
            record_count: self.record_count,
            size_bytes: self.size_bytes,
            footer_bytes: self.footer_bytes,
            checksum: self.checksum,
            schema_version,
            statistics: self.statistics.clone(),
        }
    }

    /// The segment whose rows are those of the object under the key of `name`, to be listed.
    pub fn segment(&self, kind: SegmentKind, bucket: &str, name: &NewKey, schema_version: u32) -> NewSegment {
        NewSegment {
            id: name.id.clone(),
            kind,
            record_count: self.record_count,
            min_timestamp_us: self.min_timestamp_us,
            max_timestamp_us: self.max_timestamp_us,
            object: Arc::new(self.object(bucket, &name.key, schema_version)),
        }
    }
}

/// Rows that are written at once, if they come in small batches.
const JOINED_ROWS_MAX: usize = 8_192;

/// The smallest and the largest queue time of these and of the rows of `batch`, microseconds UTC.
pub fn enclosing(timestamps_us: Option<(i64, i64)>, batch: &RecordBatch) -> Option<(i64, i64)> {
    let Some(column) = batch.column_by_name(TIMESTAMP) else { return timestamps_us };
    let times = column.as_primitive::<TimestampMicrosecondType>().values();
    times.iter().fold(timestamps_us, |known, time| {
        let (min, max) = known.unwrap_or((*time, *time));
        Some((min.min(*time), max.max(*time)))
    })
}

/// The length that the file itself gives: four bytes before the four of the magic number.
fn footer_bytes(payload: &PutPayload) -> u64 {
    let mut tail = [0; 8];
    let from_end = payload.as_ref().iter().rev().flat_map(|chunk| chunk.iter().rev());
    for (place, byte) in tail.iter_mut().rev().zip(from_end) {
        *place = *byte;
    }
    assert_eq!(&tail[4..], b"PAR1", "a complete Parquet file");
    u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use arrow_array::{Int64Array, TimestampMicrosecondArray};
    use arrow_schema::{DataType, Field, Schema};
    use bytes::Bytes;
    use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::file::metadata::FooterTail;

    use super::*;
    use crate::schema::{OFFSET, timestamp_type};

    fn batch(from: i64, rows: i64) -> RecordBatch {
        let with_id = |field: Field, id: &str| {
            field.with_metadata(HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_owned())]))
        };
        let offset = with_id(Field::new(OFFSET, DataType::Int64, false), "2");
        let fields = vec![offset, with_id(Field::new(TIMESTAMP, timestamp_type(), false), "4")];
        let offsets = Arc::new(Int64Array::from_iter_values(from..from + rows));
        let times = TimestampMicrosecondArray::from_iter_values(from..from + rows).with_timezone("UTC");
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![offsets, Arc::new(times)]).expect("matches")
    }

    fn bytes_of(segment: &EncodedSegment) -> Bytes {
        Bytes::from(segment.payload.iter().flatten().copied().collect::<Vec<u8>>())
    }

    #[test]
    fn what_was_written_is_read_back() {
        let first = batch(5, 8_000);
        let mut encoder = SegmentEncoder::new(&first.schema(), 64 * 1024).expect("a valid schema");
        encoder.write(&first).expect("fits");
        encoder.write(&batch(8_005, 10)).expect("fits");
        let segment =
            encoder.finish(vec![KeyValue::new("siltstone.topic".to_owned(), "orders".to_owned())]).expect("finishes");
        assert_eq!((segment.record_count, segment.min_timestamp_us, segment.max_timestamp_us), (8_010, 5, 8_014));
        let bytes = bytes_of(&segment);
        assert_eq!(segment.size_bytes, bytes.len() as u64);
        let tail = bytes[bytes.len() - 8..].first_chunk().expect("8 bytes");
        let length = FooterTail::try_new(tail).expect("a Parquet file").metadata_length() as u64;
        assert_eq!(segment.footer_bytes, length);
        assert_eq!(u64::from(segment.checksum), crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes));
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a Parquet file");
        let footer = reader.metadata().file_metadata().key_value_metadata().expect("there");
        assert!(footer.iter().any(|kv| kv.key == "siltstone.topic" && kv.value.as_deref() == Some("orders")));
        let [.., offset, timestamp] = &segment.statistics[..] else { panic!("two columns") };
        let bounds = |column: &ColumnStatistics| (column.field_id, column.min.clone(), column.max.clone());
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(bounds(offset), (2, text("5"), text("8014")));
        let (first, last) = ("1970-01-01 00:00:00.000005+00", "1970-01-01 00:00:00.008014+00");
        assert_eq!(bounds(timestamp), (4, text(first), text(last)));
        let rows: usize = reader.build().expect("readable").map(|batch| batch.expect("readable").num_rows()).sum();
        assert_eq!(rows, 8_010);
    }

    #[test]
    fn memory_and_size_are_told_while_writing() {
        let mut encoder = SegmentEncoder::new(&batch(0, 1).schema(), 1024).expect("a valid schema");
        for i in 0..20 {
            encoder.write(&batch(i * 8_000, 8_000)).expect("fits");
        }
        assert!(encoder.estimated_size() > 0);
        assert!(encoder.memory_bytes() >= encoder.estimated_size() / 2);
    }
}
