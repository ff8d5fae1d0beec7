//! The system tables of consumers: `consumer_groups` and `consumer_offsets`.
//!
//! Owns: their columns. Does not own: the tables of the lists (`system`), the types of columns (`columns`).

use datafusion::datasource::MemTable;
use datafusion::error::Result;

use super::columns::{milliseconds, partition, table, text, uint32, uint64};
use catalog::{GroupInfo, GroupOffset};

pub(super) fn groups(rows: &[GroupInfo]) -> Result<MemTable> {
    table(vec![
        ("group_id", text(rows, |row| Some(row.group_id.as_str()))),
        ("generation", uint64(rows, |row| Some(row.generation.0))),
        ("member_count", uint64(rows, |row| Some(row.members))),
        ("created_at", milliseconds(rows, |row| Some(row.created_at))),
        ("updated_at", milliseconds(rows, |row| Some(row.updated_at))),
    ])
}

pub(super) fn offsets(rows: &[GroupOffset]) -> Result<MemTable> {
    table(vec![
        ("group_id", text(rows, |row| Some(row.offset.group_id.as_str()))),
        ("topic", text(rows, |row| Some(row.offset.topic.as_str()))),
        ("partition", partition(rows, |row| Some(row.offset.partition_id))),
        ("incarnation", uint32(rows, |row| row.offset.incarnation.0)),
        ("committed_offset", uint64(rows, |row| Some(row.offset.committed_offset))),
        ("high_watermark", uint64(rows, |row| Some(row.high_watermark))),
        ("lag", uint64(rows, GroupOffset::lag)),
        ("metadata", text(rows, |row| row.offset.metadata.as_deref())),
        ("committed_at", milliseconds(rows, |row| Some(row.committed_at))),
    ])
}
