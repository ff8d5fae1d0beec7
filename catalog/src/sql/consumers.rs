//! Consumer groups and how far they have read.
//!
//! Owns: their statements. Does not own: the meaning of an offset, which is the consumer's.

use async_trait::async_trait;
use common::TopicPartition;

use super::dialect::{postgres, sqlite};
use super::input;
use super::rows::{self, ConsumerOffsetRow};
use crate::error::{CatalogError, Result, is_foreign_key_violation};
use crate::model::ConsumerOffset;
use crate::store::ConsumerStore;
use crate::{PostgresMetadataStore, SqliteMetadataStore};

macro_rules! impl_consumer_store {
    ($store:ty, $dialect:ident) => {
        #[async_trait]
        impl ConsumerStore for $store {
            async fn ensure_consumer_group(&self, group_id: &str) -> Result<()> {
                sqlx::query(concat!(
                    "INSERT INTO consumer_groups (group_id, created_at, updated_at)
                     SELECT $1, now_ms, now_ms FROM (SELECT ",
                    $dialect!(now_ms),
                    " AS now_ms) AS clock WHERE true
                     ON CONFLICT (group_id) DO NOTHING"
                ))
                .bind(group_name(group_id)?)
                .execute(self.writer())
                .await?;
                Ok(())
            }

            async fn commit_offset(&self, offset: ConsumerOffset) -> Result<()> {
                let committed_offset = input::offset(offset.committed_offset)?;
                let metadata = offset.metadata.as_deref().map(|text| input::exact("metadata", text)).transpose()?;
                let mut transaction = self.begin_write().await?;
                sqlx::query(concat!(
                    "INSERT INTO consumer_groups (group_id, created_at, updated_at)
                     SELECT $1, now_ms, now_ms FROM (SELECT ",
                    $dialect!(now_ms),
                    " AS now_ms) AS clock WHERE true
                     ON CONFLICT (group_id) DO UPDATE SET updated_at = excluded.updated_at"
                ))
                .bind(group_name(&offset.group_id)?)
                .execute(&mut *transaction)
                .await?;
                let upserted = sqlx::query(concat!(
                    "INSERT INTO consumer_offsets
                            (group_id, topic, partition_id, committed_offset, metadata, committed_at)
                     VALUES ($1, $2, $3, $4, $5, ",
                    $dialect!(now_ms),
                    ")
                     ON CONFLICT (group_id, topic, partition_id) DO UPDATE SET
                            committed_offset = excluded.committed_offset, metadata = excluded.metadata,
                            committed_at = excluded.committed_at"
                ))
                .bind(&offset.group_id)
                .bind(offset.topic.as_str())
                .bind(i64::from(offset.partition_id))
                .bind(committed_offset)
                .bind(metadata)
                .execute(&mut *transaction)
                .await;
                if let Err(error) = upserted {
                    transaction.rollback().await?;
                    if is_foreign_key_violation(&error) {
                        let partition = TopicPartition::new(offset.topic, offset.partition_id);
                        return Err(rows::partition_not_found(&partition));
                    }
                    return Err(error.into());
                }
                self.end(transaction).await?;
                Ok(())
            }

            async fn get_committed_offset(&self, group_id: &str, partition: &TopicPartition) -> Result<Option<u64>> {
                let offset: Option<i64> = sqlx::query_scalar(
                    "SELECT committed_offset FROM consumer_offsets
                     WHERE group_id = $1 AND topic = $2 AND partition_id = $3",
                )
                .bind(group_name(group_id)?)
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .fetch_optional(self.reader())
                .await?;
                offset.map(|offset| rows::unsigned("committed_offset", offset)).transpose()
            }

            async fn get_consumer_offsets(&self, group_id: &str) -> Result<Vec<ConsumerOffset>> {
                let rows = sqlx::query_as::<_, ConsumerOffsetRow>(
                    "SELECT group_id, topic, partition_id, committed_offset, metadata FROM consumer_offsets
                     WHERE group_id = $1 ORDER BY topic, partition_id",
                )
                .bind(group_name(group_id)?)
                .fetch_all(self.reader())
                .await?;
                rows::all(rows)
            }

            async fn delete_consumer_group(&self, group_id: &str) -> Result<()> {
                let deleted = sqlx::query("DELETE FROM consumer_groups WHERE group_id = $1")
                    .bind(group_name(group_id)?)
                    .execute(self.writer())
                    .await?;
                if deleted.rows_affected() == 0 {
                    return Err(CatalogError::GroupNotFound(group_id.to_owned()));
                }
                Ok(())
            }
        }
    };
}

impl_consumer_store!(SqliteMetadataStore, sqlite);
impl_consumer_store!(PostgresMetadataStore, postgres);

fn group_name(group_id: &str) -> Result<&str> {
    if group_id.is_empty() {
        return Err(CatalogError::Refused("the consumer group's id is empty; allowed is any other text".to_owned()));
    }
    input::exact("consumer group id", group_id)
}
