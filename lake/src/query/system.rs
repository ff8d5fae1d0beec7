//! The tables `siltstone.topics`, `siltstone.partitions` and `siltstone.segments`.
//!
//! Owns: their columns. Offsets and counts are UInt64, times are timestamps in UTC.
//! Does not own: the source of the rows (`schemas`).

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray, UInt32Array,
    UInt64Array,
};
use datafusion::datasource::MemTable;
use datafusion::error::Result;

use catalog::{Partition, PartitionState, SegmentInfo, Topic, TopicSnapshot};

pub(super) const TOPICS: &str = "topics";
pub(super) const PARTITIONS: &str = "partitions";
pub(super) const SEGMENTS: &str = "segments";
pub(super) const TABLES: [&str; 3] = [TOPICS, PARTITIONS, SEGMENTS];

pub(super) fn topics(topics: &[Topic]) -> Result<MemTable> {
    table(vec![
        ("topic", text(topics, |topic| Some(topic.name.as_str()))),
        ("format", text(topics, |topic| Some(topic.config.format.as_str()))),
        ("partition_count", uint32(topics, |topic| topic.partition_count)),
        ("retention_ms", uint64(topics, |topic| topic.retention_ms)),
        ("schema_version", uint32(topics, |topic| topic.schema_version)),
        ("created_at", milliseconds(topics, |topic| topic.created_at)),
        ("updated_at", milliseconds(topics, |topic| topic.updated_at)),
    ])
}

pub(super) fn partitions(snapshots: &[Arc<TopicSnapshot>]) -> Result<MemTable> {
    let rows: Vec<&Partition> = snapshots.iter().flat_map(|snapshot| &snapshot.partitions).collect();
    let owners: Vec<_> = rows.iter().map(|row| row.owner.map(|owner| owner.to_string())).collect();
    let state = |row: &&Partition| match row.state {
        PartitionState::Active => "active",
        PartitionState::Halted => "halted",
    };
    table(vec![
        ("topic", text(&rows, |row| Some(row.topic.as_str()))),
        ("partition", int32(&rows, |row| row.partition_id)),
        ("high_watermark", uint64(&rows, |row| Some(row.high_watermark))),
        ("incarnation", uint32(&rows, |row| row.incarnation.0)),
        ("epoch", uint64(&rows, |row| Some(row.epoch.0))),
        ("owner", text(&owners, |owner| owner.as_deref())),
        ("state", text(&rows, |row| Some(state(row)))),
        ("halt_reason", text(&rows, |row| row.halt_reason.as_deref())),
        ("commit_no", uint64(&rows, |row| Some(row.commit_no))),
        ("updated_at", milliseconds(&rows, |row| row.updated_at)),
    ])
}

pub(super) fn segments(snapshots: &[Arc<TopicSnapshot>]) -> Result<MemTable> {
    let rows: Vec<&SegmentInfo> = snapshots.iter().flat_map(|snapshot| &snapshot.segments).collect();
    table(vec![
        ("topic", text(&rows, |row| Some(row.topic.as_str()))),
        ("partition", int32(&rows, |row| row.partition_id)),
        ("kind", text(&rows, |row| Some(row.kind.as_str()))),
        ("incarnation", uint32(&rows, |row| row.incarnation.0)),
        ("base_offset", uint64(&rows, |row| Some(row.range.base()))),
        ("end_offset", uint64(&rows, |row| Some(row.range.end()))),
        ("record_count", uint64(&rows, |row| Some(row.record_count))),
        ("size_bytes", uint64(&rows, |row| Some(row.object.size_bytes))),
        ("min_timestamp", microseconds(&rows, |row| row.min_timestamp_us)),
        ("max_timestamp", microseconds(&rows, |row| row.max_timestamp_us)),
        ("schema_version", uint32(&rows, |row| row.schema_version)),
        ("created_at", milliseconds(&rows, |row| row.created_at)),
        ("bucket", text(&rows, |row| Some(row.object.bucket.as_str()))),
        ("key", text(&rows, |row| Some(row.object.key.as_str()))),
        ("id", text(&rows, |row| Some(row.id.as_str()))),
    ])
}

fn table(columns: Vec<(&str, ArrayRef)>) -> Result<MemTable> {
    // Nullability is declared, not taken from the rows that happen to be there.
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, rows)| (name, rows, true)))?;
    MemTable::try_new(batch.schema(), vec![vec![batch]])
}

fn text<'a, T>(rows: &'a [T], value: impl Fn(&'a T) -> Option<&'a str>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<StringArray>())
}

fn uint64<T>(rows: &[T], value: impl Fn(&T) -> Option<u64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<UInt64Array>())
}

fn uint32<T>(rows: &[T], value: impl Fn(&T) -> u32) -> ArrayRef {
    Arc::new(rows.iter().map(|row| Some(value(row))).collect::<UInt32Array>())
}

/// Numbers of partitions, of the same type as the column `_partition_id`.
fn int32<T>(rows: &[T], value: impl Fn(&T) -> u32) -> ArrayRef {
    Arc::new(rows.iter().map(|row| i32::try_from(value(row)).ok()).collect::<Int32Array>())
}

fn milliseconds<T>(rows: &[T], value: impl Fn(&T) -> i64) -> ArrayRef {
    Arc::new(rows.iter().map(|row| Some(value(row))).collect::<TimestampMillisecondArray>().with_timezone("UTC"))
}

fn microseconds<T>(rows: &[T], value: impl Fn(&T) -> i64) -> ArrayRef {
    Arc::new(rows.iter().map(|row| Some(value(row))).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}
