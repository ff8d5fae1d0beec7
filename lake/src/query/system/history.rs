//! The system tables of what happened and of who is there: `commits`, `gaps`, `agents` and `uploads`.
//!
//! Owns: their columns. Does not own: the tables of the lists (`system`), the types of columns (`columns`).

use datafusion::datasource::MemTable;
use datafusion::error::Result;

use super::columns::{milliseconds, partition, shown, table, text, uint32, uint64};
use catalog::{CommitRecord, RecordedGap, RegisteredAgent, Upload, UploadState};
use common::TopicPartition;

pub(super) fn commits(rows: &[(TopicPartition, CommitRecord)]) -> Result<MemTable> {
    table(vec![
        ("topic", text(rows, |(of, _)| Some(of.topic.as_str()))),
        ("partition", partition(rows, |(of, _)| Some(of.partition_id))),
        ("incarnation", uint32(rows, |(_, row)| row.incarnation.0)),
        ("first_commit_no", uint64(rows, |(_, row)| Some(row.first_commit_no))),
        ("commit_no", uint64(rows, |(_, row)| Some(row.commit_no))),
        ("base_offset", uint64(rows, |(_, row)| Some(row.range.base()))),
        ("end_offset", uint64(rows, |(_, row)| Some(row.range.end()))),
        ("message_count", uint64(rows, |(_, row)| Some(row.message_count))),
        ("record_count", uint64(rows, |(_, row)| row.record_count)),
        ("quarantined_count", uint64(rows, |(_, row)| row.quarantined_count)),
        ("epoch", uint64(rows, |(_, row)| Some(row.epoch.0))),
        ("owner", shown(rows, |(_, row)| Some(row.owner))),
        ("snapshot_id", uint64(rows, |(_, row)| row.snapshot_id.map(|snapshot| snapshot.0))),
        ("committed_at", milliseconds(rows, |(_, row)| Some(row.committed_at))),
    ])
}

pub(super) fn gaps(rows: &[(TopicPartition, RecordedGap)]) -> Result<MemTable> {
    table(vec![
        ("topic", text(rows, |(of, _)| Some(of.topic.as_str()))),
        ("partition", partition(rows, |(of, _)| Some(of.partition_id))),
        ("incarnation", uint32(rows, |(_, row)| row.incarnation.0)),
        ("base_offset", uint64(rows, |(_, row)| Some(row.gap.range.base()))),
        ("end_offset", uint64(rows, |(_, row)| Some(row.gap.range.end()))),
        ("kind", text(rows, |(_, row)| Some(row.gap.kind.word()))),
        ("reason", text(rows, |(_, row)| Some(row.gap.reason.as_str()))),
        ("created_at", milliseconds(rows, |(_, row)| Some(row.created_at))),
    ])
}

pub(super) fn agents(rows: &[RegisteredAgent]) -> Result<MemTable> {
    table(vec![
        ("role", text(rows, |row| Some(row.role.as_str()))),
        ("id", shown(rows, |row| Some(row.id))),
        ("name", text(rows, |row| Some(row.name.as_str()))),
        ("agent_group", shown(rows, |row| Some(row.contact.group.to_string()))),
        ("address", text(rows, |row| row.contact.address.as_deref())),
        ("started_at", milliseconds(rows, |row| Some(row.started_at))),
        ("silent_ms", uint64(rows, |row| u64::try_from(row.silent_for.as_millis()).ok())),
        ("partition_count", uint64(rows, |row| Some(row.partitions))),
    ])
}

pub(super) fn uploads(rows: &[Upload]) -> Result<MemTable> {
    let state = |row: &Upload| match row.state {
        UploadState::Pending => "pending",
        UploadState::Doomed => "doomed",
    };
    table(vec![
        ("topic", text(rows, |row| Some(row.topic.as_str()))),
        ("partition", partition(rows, |row| row.partition_id)),
        ("state", text(rows, |row| Some(state(row)))),
        ("bucket", text(rows, |row| Some(row.bucket.as_str()))),
        ("key", text(rows, |row| Some(row.key.as_str()))),
        ("segment_id", text(rows, |row| row.segment_id.as_deref())),
        ("epoch", uint64(rows, |row| row.epoch.map(|epoch| epoch.0))),
        ("owner", shown(rows, |row| row.owner)),
        ("created_at", milliseconds(rows, |row| Some(row.created_at))),
        ("doomed_at", milliseconds(rows, |row| row.doomed_at)),
        ("sweeps", uint32(rows, |row| row.sweeps)),
    ])
}
