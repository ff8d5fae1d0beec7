//! The history of a partition: its commits, gaps, incarnations and expirations.
//!
//! Owns: reading them. Does not own: writing them (`commit`, `resume`, `expire`) and folding commits (`fold`).

use common::TopicPartition;

use super::rows;
use crate::database::{Door, Row, Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{CommitRecord, Expiration, IncarnationStart, RecordedGap, SnapshotId};

pub(super) async fn gaps(door: &Door, of: &TopicPartition) -> Result<Vec<RecordedGap>> {
    let select = sql!(
        "SELECT incarnation, base_offset, end_offset, kind, reason, created_at FROM gaps
         WHERE topic = $1 AND partition_id = $2 ORDER BY incarnation, base_offset"
    );
    rows::all(door.fetch(&select, values![&of.topic, of.partition_id]).await?)
}

pub(super) async fn commits(door: &Door, of: &TopicPartition) -> Result<Vec<CommitRecord>> {
    let select = sql!(
        "SELECT " commit_columns " FROM commits WHERE topic = $1 AND partition_id = $2 ORDER BY commit_no"
    );
    rows::all(door.fetch(&select, values![&of.topic, of.partition_id]).await?)
}

pub(super) async fn incarnations(session: &mut dyn Session, of: &TopicPartition) -> Result<Vec<IncarnationStart>> {
    let select = sql!(
        "SELECT incarnation, start_offset, reason, created_at FROM incarnations
         WHERE topic = $1 AND partition_id = $2 ORDER BY incarnation"
    );
    rows::all(session.fetch(&select, values![&of.topic, of.partition_id]).await?)
}

pub(super) async fn expirations(session: &mut dyn Session, of: &TopicPartition) -> Result<Vec<Expiration>> {
    let select = sql!(
        "SELECT incarnation, before_offset FROM expirations
         WHERE topic = $1 AND partition_id = $2 ORDER BY incarnation"
    );
    rows::all(session.fetch(&select, values![&of.topic, of.partition_id]).await?)
}

impl TryFrom<Row> for RecordedGap {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self { incarnation: row.incarnation()?, gap: row.gap()?, created_at: row.integer("created_at")? })
    }
}

impl TryFrom<Row> for CommitRecord {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            incarnation: row.incarnation()?,
            first_commit_no: row.unsigned("first_commit_no")?,
            commit_no: row.unsigned("commit_no")?,
            range: row.range()?,
            epoch: row.epoch()?,
            owner: row.owner()?,
            message_count: row.unsigned("message_count")?,
            record_count: row.optional_unsigned("record_count")?,
            quarantined_count: row.optional_unsigned("quarantined_count")?,
            data_segment_id: row.optional_text("data_segment_id")?,
            quarantine_segment_id: row.optional_text("quarantine_segment_id")?,
            anchor: row.anchor()?,
            snapshot_id: row.optional_unsigned("snapshot_id")?.map(SnapshotId),
            committed_at: row.integer("committed_at")?,
        })
    }
}

impl TryFrom<Row> for IncarnationStart {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            incarnation: row.incarnation()?,
            start_offset: row.unsigned("start_offset")?,
            reason: row.text("reason")?,
            created_at: row.integer("created_at")?,
        })
    }
}

impl TryFrom<Row> for Expiration {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self { incarnation: row.incarnation()?, before_offset: row.unsigned("before_offset")? })
    }
}
