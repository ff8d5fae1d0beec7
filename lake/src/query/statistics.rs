//! The catalog's figures about objects, as DataFusion statistics.
//!
//! Owns: the choice of exact numbers. DataFusion answers `count(*)`, `min` and `max` from exact ones without reading,
//! so a number is exact only where the commit measured it: rows, times, partitions. A range of offsets only bounds
//! the offsets in the object.
//! Does not own: pruning by them (`pruning`).

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};

use crate::schema::{INCARNATION, OFFSET, PARTITION, ROW, SUBJECT, TIMESTAMP};
use catalog::ObjectInfo;

/// Statistics of `objects` together, for the columns of `schema`.
pub(super) fn statistics_of(objects: &[&ObjectInfo], schema: &Schema) -> Statistics {
    let rows: u64 = objects.iter().map(|object| object.record_count).sum();
    let bytes: u64 = objects.iter().map(|object| object.size_bytes).sum();
    Statistics {
        num_rows: Precision::Exact(clamp(rows)),
        total_byte_size: Precision::Inexact(clamp(bytes)),
        column_statistics: schema.fields().iter().map(|field| column(field.name(), objects)).collect(),
    }
}

fn column(name: &str, objects: &[&ObjectInfo]) -> ColumnStatistics {
    let mut column = ColumnStatistics::new_unknown();
    if [PARTITION, OFFSET, ROW, TIMESTAMP, SUBJECT, INCARNATION].contains(&name) {
        column.null_count = Precision::Exact(0);
    }
    match name {
        PARTITION => {
            column.min_value = exact(objects.iter().map(|o| o.min_partition_id).min().and_then(partition_value));
            column.max_value = exact(objects.iter().map(|o| o.max_partition_id).max().and_then(partition_value));
        }
        OFFSET => {
            column.min_value = exact(objects.iter().map(|o| o.min_offset).min().and_then(offset_value)).to_inexact();
            column.max_value = exact(objects.iter().map(|o| o.max_offset).max().and_then(offset_value)).to_inexact();
        }
        TIMESTAMP => {
            column.min_value = exact(objects.iter().map(|o| o.min_timestamp_us).min().map(timestamp_value));
            column.max_value = exact(objects.iter().map(|o| o.max_timestamp_us).max().map(timestamp_value));
        }
        _ => {}
    }
    column
}

fn exact(value: Option<ScalarValue>) -> Precision<ScalarValue> {
    value.map_or(Precision::Absent, Precision::Exact)
}

pub(super) fn partition_value(partition: u32) -> Option<ScalarValue> {
    i32::try_from(partition).ok().map(|partition| ScalarValue::Int32(Some(partition)))
}

pub(super) fn offset_value(offset: u64) -> Option<ScalarValue> {
    i64::try_from(offset).ok().map(|offset| ScalarValue::Int64(Some(offset)))
}

pub(super) fn timestamp_value(microseconds: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(microseconds), Some(Arc::from("UTC")))
}

fn clamp(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
