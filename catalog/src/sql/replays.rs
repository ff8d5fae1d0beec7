//! Quarantined records that were published again.
//!
//! Owns: the marks. Does not own: publishing.

use async_trait::async_trait;
use common::{Incarnation, TopicPartition};
use sqlx::FromRow;

use super::dialect::{postgres, sqlite};
use super::input;
use super::rows::{self, unsigned};
use crate::error::{CatalogError, Result, is_foreign_key_violation};
use crate::model::Replay;
use crate::store::ReplayStore;
use crate::{PostgresMetadataStore, SqliteMetadataStore};

#[derive(FromRow)]
struct ReplayRow {
    topic: String,
    partition_id: i64,
    incarnation: i64,
    message_offset: i64,
    row_number: i64,
    new_partition_id: i64,
    new_offset: i64,
    replayed_at: i64,
}

impl TryFrom<ReplayRow> for Replay {
    type Error = CatalogError;
    fn try_from(row: ReplayRow) -> Result<Self> {
        Ok(Self {
            partition: rows::topic_partition(&row.topic, row.partition_id)?,
            incarnation: Incarnation(unsigned("incarnation", row.incarnation)?),
            offset: unsigned("message_offset", row.message_offset)?,
            row: unsigned("row_number", row.row_number)?,
            new_partition_id: unsigned("new_partition_id", row.new_partition_id)?,
            new_offset: unsigned("new_offset", row.new_offset)?,
            replayed_at: row.replayed_at,
        })
    }
}

macro_rules! impl_replay_store {
    ($store:ty, $dialect:ident) => {
        #[async_trait]
        impl ReplayStore for $store {
            async fn mark_replayed(&self, replays: &[Replay]) -> Result<()> {
                let mut transaction = self.begin_write().await?;
                for replay in replays {
                    let marked = sqlx::query(concat!(
                        "INSERT INTO replays (topic, partition_id, incarnation, message_offset, row_number,
                                new_partition_id, new_offset, replayed_at)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, ",
                        $dialect!(now_ms),
                        ")
                         ON CONFLICT (topic, partition_id, incarnation, message_offset, row_number) DO UPDATE
                             SET new_partition_id = excluded.new_partition_id, new_offset = excluded.new_offset,
                                 replayed_at = excluded.replayed_at"
                    ))
                    .bind(replay.partition.topic.as_str())
                    .bind(i64::from(replay.partition.partition_id))
                    .bind(i64::from(replay.incarnation.0))
                    .bind(input::offset(replay.offset)?)
                    .bind(i64::from(replay.row))
                    .bind(i64::from(replay.new_partition_id))
                    .bind(input::offset(replay.new_offset)?)
                    .execute(&mut *transaction)
                    .await;
                    if let Err(error) = marked {
                        transaction.rollback().await?;
                        let absent = is_foreign_key_violation(&error);
                        return Err(if absent { rows::partition_not_found(&replay.partition) } else { error.into() });
                    }
                }
                self.end(transaction).await?;
                Ok(())
            }

            async fn list_replays(&self, partition: &TopicPartition) -> Result<Vec<Replay>> {
                let rows = sqlx::query_as::<_, ReplayRow>(
                    "SELECT topic, partition_id, incarnation, message_offset, row_number, new_partition_id, new_offset,
                            replayed_at
                     FROM replays WHERE topic = $1 AND partition_id = $2
                     ORDER BY incarnation, message_offset, row_number",
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

impl_replay_store!(SqliteMetadataStore, sqlite);
impl_replay_store!(PostgresMetadataStore, postgres);
