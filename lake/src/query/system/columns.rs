//! Columns of system tables, made of rows of the catalog.
//!
//! Owns: their types. Offsets and counts are UInt64, times are timestamps in UTC.
//! Does not own: the choice of columns (`system`).

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray, UInt32Array,
    UInt64Array,
};
use datafusion::datasource::MemTable;
use datafusion::error::Result;

/// A table of these columns.
pub(super) fn table(columns: Vec<(&str, ArrayRef)>) -> Result<MemTable> {
    // Nullability is declared, not taken from the rows that happen to be there.
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, rows)| (name, rows, true)))?;
    MemTable::try_new(batch.schema(), vec![vec![batch]])
}

pub(super) fn text<'a, T>(rows: &'a [T], value: impl Fn(&'a T) -> Option<&'a str>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<StringArray>())
}

/// Values that are shown as text.
pub(super) fn shown<T, V: ToString>(rows: &[T], value: impl Fn(&T) -> Option<V>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| value(row).map(|value| value.to_string())).collect::<StringArray>())
}

pub(super) fn uint64<T>(rows: &[T], value: impl Fn(&T) -> Option<u64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<UInt64Array>())
}

pub(super) fn uint32<T>(rows: &[T], value: impl Fn(&T) -> u32) -> ArrayRef {
    Arc::new(rows.iter().map(|row| Some(value(row))).collect::<UInt32Array>())
}

/// Numbers of partitions, of the same type as the column `_partition_id`.
pub(super) fn partition<T>(rows: &[T], value: impl Fn(&T) -> Option<u32>) -> ArrayRef {
    let number = |row| value(row).and_then(|value| i32::try_from(value).ok());
    Arc::new(rows.iter().map(number).collect::<Int32Array>())
}

pub(super) fn milliseconds<T>(rows: &[T], value: impl Fn(&T) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<TimestampMillisecondArray>().with_timezone("UTC"))
}

pub(super) fn microseconds<T>(rows: &[T], value: impl Fn(&T) -> i64) -> ArrayRef {
    let times: TimestampMicrosecondArray = rows.iter().map(|row| Some(value(row))).collect();
    Arc::new(times.with_timezone("UTC"))
}
