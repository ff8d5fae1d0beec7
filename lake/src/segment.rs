//! Segment: record batches become one Parquet object in memory.
//!
//! Owns: the Parquet settings, the footer's key-values, size and checksum of what will be put.
//! Does not own: when a segment ends (roll), its key and its upload.

mod sink;

use crate::schema::{OFFSET, TIMESTAMP};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_schema::SchemaRef;
use object_store::PutPayload;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use self::sink::ChunkSink;

/// A Parquet object being written.
pub struct SegmentEncoder {
    writer: ArrowWriter<ChunkSink>,
    record_count: u64,
    timestamps_us: Option<(i64, i64)>,
}

/// A complete Parquet object in memory.
#[derive(Clone, Debug)]
pub struct EncodedSegment {
    /// Its bytes.
    pub payload: PutPayload,
    /// How many bytes.
    pub size_bytes: u64,
    /// CRC-32C of the bytes.
    pub checksum: u32,
    /// Rows in it.
    pub record_count: u64,
    /// Smallest queue time of its rows, microseconds UTC.
    pub min_timestamp_us: i64,
    /// Largest queue time of its rows, microseconds UTC.
    pub max_timestamp_us: i64,
}

impl SegmentEncoder {
    /// An empty segment of `schema` with data pages of about `page_bytes` bytes.
    ///
    /// # Errors
    /// When Parquet cannot represent the schema.
    pub fn new(schema: &SchemaRef, page_bytes: usize) -> Result<Self, ParquetError> {
        let writer = ArrowWriter::try_new(ChunkSink::default(), schema.clone(), Some(properties(page_bytes)))?;
        Ok(Self { writer, record_count: 0, timestamps_us: None })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When the batch is not of the schema; memory cannot fail otherwise.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.writer.write(batch)?;
        self.record_count += batch.num_rows() as u64;
        if let Some(column) = batch.column_by_name(TIMESTAMP) {
            let times = column.as_primitive::<TimestampMicrosecondType>().values();
            for time in times {
                let (min, max) = self.timestamps_us.unwrap_or((*time, *time));
                self.timestamps_us = Some((min.min(*time), max.max(*time)));
            }
        }
        Ok(())
    }

    /// Rows so far.
    pub fn record_count(&self) -> u64 {
        self.record_count
    }

    /// About how large the object would be if it ended here, in bytes; open pages are counted before compression.
    pub fn estimated_size(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// Memory it occupies, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.writer.memory_size() + self.writer.inner().memory_bytes()
    }

    /// Completes the object; `footer` goes into the file's key-value metadata.
    ///
    /// # Errors
    /// When Parquet refuses; memory cannot fail.
    pub fn finish(mut self, footer: &[(&str, String)]) -> Result<EncodedSegment, ParquetError> {
        for (key, value) in footer {
            self.writer.append_key_value_metadata(KeyValue::new(format!("siltstone.{key}"), value.clone()));
        }
        let sink = self.writer.into_inner()?;
        let (min_timestamp_us, max_timestamp_us) = self.timestamps_us.unwrap_or_default();
        let (checksum, chunks) = sink.finish();
        let payload: PutPayload = chunks.into_iter().collect();
        Ok(EncodedSegment {
            size_bytes: payload.content_length() as u64,
            payload,
            checksum,
            record_count: self.record_count,
            min_timestamp_us,
            max_timestamp_us,
        })
    }
}

/// Encoded bytes of one row group: large enough for good compression, small enough for a reader's memory.
const ROW_GROUP_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The fastest level: the writer shares its cores with the queue.
const ZSTD_LEVEL: i32 = 1;

/// Narrow columns end their pages here, for the page index. Each page costs a compression context of its own, so the
/// usual 20,000 rows would cost more than they save.
const PAGE_ROWS_MAX: usize = 100_000;

fn properties(page_bytes: usize) -> WriterProperties {
    let zstd = ZstdLevel::try_new(ZSTD_LEVEL).expect("a valid level");
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("siltstone {}", env!("CARGO_PKG_VERSION")))
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(zstd))
        .set_data_page_size_limit(page_bytes)
        .set_data_page_row_count_limit(PAGE_ROWS_MAX)
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES_MAX))
        .set_statistics_enabled(EnabledStatistics::Page);
    // Rising numbers: a dictionary would be as large as the column, differences are a few bits.
    for name in [OFFSET, TIMESTAMP].map(ColumnPath::from) {
        builder = builder
            .set_column_dictionary_enabled(name.clone(), false)
            .set_column_encoding(name, Encoding::DELTA_BINARY_PACKED);
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::schema::timestamp_type;
    use arrow_array::{Int64Array, TimestampMicrosecondArray};
    use arrow_schema::{DataType, Field, Schema};
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn batch(from: i64, rows: i64) -> RecordBatch {
        let fields = vec![Field::new(OFFSET, DataType::Int64, false), Field::new(TIMESTAMP, timestamp_type(), false)];
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
        let segment = encoder.finish(&[("topic", "orders".to_owned())]).expect("finishes");
        assert_eq!((segment.record_count, segment.min_timestamp_us, segment.max_timestamp_us), (8_010, 5, 8_014));
        let bytes = bytes_of(&segment);
        assert_eq!(segment.size_bytes, bytes.len() as u64);
        assert_eq!(u64::from(segment.checksum), crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes));
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a Parquet file");
        let footer = reader.metadata().file_metadata().key_value_metadata().expect("there");
        assert!(footer.iter().any(|kv| kv.key == "siltstone.topic" && kv.value.as_deref() == Some("orders")));
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
