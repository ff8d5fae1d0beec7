//! What happened to a partition: its commits, its gaps, its incarnations.
//!
//! Owns: reading them. Does not own: how they come to be (`commit`, `resume`).

use common::{Anchor, Epoch, Incarnation, TopicPartition};
use sqlx::FromRow;

use super::rows::{self, unsigned};
use crate::commit::Gap;
use crate::error::{CatalogError, Result};
use crate::model::{CommitRecord, IncarnationStart, RecordedGap};
use crate::{PostgresMetadataStore, SqliteMetadataStore};

#[derive(FromRow)]
struct GapRow {
    incarnation: i64,
    base_offset: i64,
    end_offset: i64,
    reason: String,
    created_at: i64,
}

#[derive(FromRow)]
struct CommitRow {
    incarnation: i64,
    commit_no: i64,
    base_offset: i64,
    end_offset: i64,
    epoch: i64,
    owner: String,
    message_count: i64,
    data_segment_id: Option<String>,
    quarantine_segment_id: Option<String>,
    anchor_offset: i64,
    anchor_timestamp_us: i64,
    anchor_hash: i64,
    committed_at: i64,
}

#[derive(FromRow)]
struct IncarnationRow {
    incarnation: i64,
    start_offset: i64,
    reason: String,
    created_at: i64,
}

impl TryFrom<GapRow> for RecordedGap {
    type Error = CatalogError;
    fn try_from(row: GapRow) -> Result<Self> {
        let gap = Gap {
            base_offset: unsigned("base_offset", row.base_offset)?,
            end_offset: unsigned("end_offset", row.end_offset)?,
            reason: row.reason,
        };
        let incarnation = Incarnation(unsigned("incarnation", row.incarnation)?);
        Ok(Self { incarnation, gap, created_at: row.created_at })
    }
}

impl TryFrom<CommitRow> for CommitRecord {
    type Error = CatalogError;
    fn try_from(row: CommitRow) -> Result<Self> {
        Ok(Self {
            incarnation: Incarnation(unsigned("incarnation", row.incarnation)?),
            commit_no: unsigned("commit_no", row.commit_no)?,
            base_offset: unsigned("base_offset", row.base_offset)?,
            end_offset: unsigned("end_offset", row.end_offset)?,
            epoch: Epoch(unsigned("epoch", row.epoch)?),
            owner: rows::owner_id(&row.owner)?,
            message_count: unsigned("message_count", row.message_count)?,
            data_segment_id: row.data_segment_id,
            quarantine_segment_id: row.quarantine_segment_id,
            anchor: Anchor {
                offset: unsigned("anchor_offset", row.anchor_offset)?,
                timestamp_us: row.anchor_timestamp_us,
                hash: row.anchor_hash.cast_unsigned(),
            },
            committed_at: row.committed_at,
        })
    }
}

impl TryFrom<IncarnationRow> for IncarnationStart {
    type Error = CatalogError;
    fn try_from(row: IncarnationRow) -> Result<Self> {
        Ok(Self {
            incarnation: Incarnation(unsigned("incarnation", row.incarnation)?),
            start_offset: unsigned("start_offset", row.start_offset)?,
            reason: row.reason,
            created_at: row.created_at,
        })
    }
}

macro_rules! impl_history {
    ($store:ty) => {
        impl $store {
            pub(super) async fn read_gaps(&self, partition: &TopicPartition) -> Result<Vec<RecordedGap>> {
                let rows = sqlx::query_as::<_, GapRow>(
                    "SELECT incarnation, base_offset, end_offset, reason, created_at FROM gaps
                     WHERE topic = $1 AND partition_id = $2 ORDER BY incarnation, base_offset",
                )
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .fetch_all(self.reader())
                .await?;
                rows::all(rows)
            }

            pub(super) async fn read_commits(&self, partition: &TopicPartition) -> Result<Vec<CommitRecord>> {
                let rows = sqlx::query_as::<_, CommitRow>(
                    "SELECT incarnation, commit_no, base_offset, end_offset, epoch, owner, message_count,
                            data_segment_id, quarantine_segment_id, anchor_offset, anchor_timestamp_us, anchor_hash,
                            committed_at
                     FROM commits WHERE topic = $1 AND partition_id = $2 ORDER BY commit_no",
                )
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .fetch_all(self.reader())
                .await?;
                rows::all(rows)
            }

            pub(super) async fn read_incarnations(&self, partition: &TopicPartition) -> Result<Vec<IncarnationStart>> {
                let rows = sqlx::query_as::<_, IncarnationRow>(
                    "SELECT incarnation, start_offset, reason, created_at FROM incarnations
                     WHERE topic = $1 AND partition_id = $2 ORDER BY incarnation",
                )
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .fetch_all(self.reader())
                .await?;
                rows::all(rows)
            }
        }
    };
}

impl_history!(SqliteMetadataStore);
impl_history!(PostgresMetadataStore);
