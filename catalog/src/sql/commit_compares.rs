//! Steps 1 and 2 of the commit: the watermark moves and intents are consumed, if every compare holds.
//!
//! Owns: the compares. Each is part of the protocol: none may be dropped. Does not own: what else is in the transaction
//! (`commit`).

use super::commit_rows::{CommitColumns, CommitRow, Verdict, fenced, fenced_reason};
use super::dialect::{postgres, sqlite};
use crate::commit::{CommitRequest, NewSegment};
use crate::error::{CatalogError, Result};
use crate::{PostgresMetadataStore, SqliteMetadataStore};

macro_rules! impl_compares {
    ($store:ty, $db:ty, $dialect:ident) => {
        impl $store {
            /// Step 1. Gives the number of the commit, or `None` where any of the compares fails.
            pub(super) async fn move_watermark(
                connection: &mut <$db as sqlx::Database>::Connection,
                request: &CommitRequest,
                columns: &CommitColumns,
            ) -> Result<Option<i64>> {
                let commit_no = sqlx::query_scalar(concat!(
                    "UPDATE partitions SET high_watermark = $7, anchor_offset = $8, anchor_timestamp_us = $9,
                            anchor_hash = $10, commit_no = commit_no + 1, takeovers = 0,
                            suspect_offset = CASE WHEN suspect_offset >= $7 THEN suspect_offset END,
                            suspect_times = CASE WHEN suspect_offset >= $7 THEN suspect_times ELSE 0 END,
                            updated_at = ", $dialect!(now_ms), "
                     WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND epoch = $4 AND owner = $5
                       AND high_watermark = $6 AND state = 'active'
                     RETURNING commit_no"
                ))
                .bind(request.partition.topic.as_str())
                .bind(i64::from(request.partition.partition_id))
                .bind(columns.incarnation)
                .bind(columns.epoch)
                .bind(&columns.owner)
                .bind(columns.base_offset)
                .bind(columns.high_watermark)
                .bind(columns.anchor_offset)
                .bind(columns.anchor_timestamp_us)
                .bind(columns.anchor_hash)
                .fetch_optional(connection)
                .await?;
                Ok(commit_no)
            }

            /// Step 2. Whether the intent was there to be consumed.
            pub(super) async fn consume_intent(
                connection: &mut <$db as sqlx::Database>::Connection,
                request: &CommitRequest,
                columns: &CommitColumns,
                segment: &NewSegment,
            ) -> Result<bool> {
                let consumed = sqlx::query(
                    "DELETE FROM uploads WHERE bucket = $1 AND key = $2 AND topic = $3 AND partition_id = $4
                        AND epoch = $5 AND owner = $6 AND state = 'pending'",
                )
                .bind(&segment.bucket)
                .bind(&segment.key)
                .bind(request.partition.topic.as_str())
                .bind(i64::from(request.partition.partition_id))
                .bind(columns.epoch)
                .bind(&columns.owner)
                .execute(connection)
                .await?;
                Ok(consumed.rows_affected() == 1)
            }

            /// What to answer when the watermark did not move.
            pub(super) async fn why_not(
                connection: &mut <$db as sqlx::Database>::Connection,
                request: &CommitRequest,
                columns: &CommitColumns,
            ) -> Result<Verdict> {
                if Self::is_committed(connection, request, columns).await? {
                    return Ok(Verdict::Done);
                }
                let now = Self::read_partition(connection, &request.partition).await?;
                Ok(match fenced_reason(request, now.as_ref()) {
                    Some(reason) => Verdict::Refused(fenced(request, reason)),
                    // On PostgreSQL the row may change between the two statements.
                    None => Verdict::NotDone(CatalogError::NotCommitted(request.partition.clone())),
                })
            }

            /// Whether this very request is among the commits, whoever owns the partition now.
            pub(super) async fn is_committed(
                connection: &mut <$db as sqlx::Database>::Connection,
                request: &CommitRequest,
                columns: &CommitColumns,
            ) -> Result<bool> {
                let row = sqlx::query_as::<_, CommitRow>(
                    "SELECT end_offset, epoch, owner, message_count, data_segment_id, quarantine_segment_id,
                            anchor_offset, anchor_timestamp_us, anchor_hash
                     FROM commits WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND base_offset = $4",
                )
                .bind(request.partition.topic.as_str())
                .bind(i64::from(request.partition.partition_id))
                .bind(columns.incarnation)
                .bind(columns.base_offset)
                .fetch_optional(connection)
                .await?;
                Ok(row.is_some_and(|row| columns.is(&row)))
            }
        }
    };
}

impl_compares!(SqliteMetadataStore, sqlx::Sqlite, sqlite);
impl_compares!(PostgresMetadataStore, sqlx::Postgres, postgres);
