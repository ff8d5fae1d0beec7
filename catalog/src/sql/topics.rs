//! Topics and partitions.
//!
//! Owns: their statements. Does not own: the watermark's way in operation, which is the commit's.

use async_trait::async_trait;
use common::topic::{TopicDefinition, TopicOptions};
use common::{TopicName, TopicPartition};

use super::dialect::{postgres, sqlite};
use super::input;
use super::rows::{self, PartitionRow, TopicRow, partition_columns, topic_columns};
use crate::error::{CatalogError, Result, is_unique_violation};
use crate::model::{Partition, PartitionState, Topic, TopicConfig};
use crate::store::TopicStore;
use crate::{PostgresMetadataStore, SqliteMetadataStore};

macro_rules! impl_topic_store {
    ($store:ty, $db:ty, $dialect:ident) => {
        #[async_trait]
        impl TopicStore for $store {
            async fn create_topic(&self, topic: TopicConfig) -> Result<Topic> {
                let (retention_ms, config) = storable(&topic.name, topic.retention_ms, &topic.config)?;
                valid(&topic.name, topic.partition_count, &topic.config)?;
                let mut transaction = self.begin_write().await?;
                let inserted = sqlx::query_as::<_, TopicRow>(concat!(
                    "INSERT INTO topics (name, partition_count, retention_ms, config, created_at, updated_at)
                     SELECT $1, $2, $3, $4, now_ms, now_ms FROM (SELECT ",
                    $dialect!(now_ms),
                    " AS now_ms) AS clock
                     RETURNING ",
                    topic_columns!()
                ))
                .bind(topic.name.as_str())
                .bind(i64::from(topic.partition_count))
                .bind(retention_ms)
                .bind(config)
                .fetch_one(&mut *transaction)
                .await;
                let row = inserted.map_err(|error| {
                    if is_unique_violation(&error) {
                        return CatalogError::TopicAlreadyExists(topic.name.to_string());
                    }
                    error.into()
                })?;
                sqlx::query(
                    "WITH RECURSIVE ids (id) AS (
                         SELECT CAST(0 AS BIGINT) UNION ALL SELECT id + 1 FROM ids WHERE id + 1 < $2
                     )
                     INSERT INTO partitions (topic, partition_id, epoch, created_at, updated_at)
                     SELECT $1, id, COALESCE((SELECT epoch FROM retired_epochs WHERE topic = $1), 0), $3, $3 FROM ids",
                )
                .bind(topic.name.as_str())
                .bind(i64::from(topic.partition_count))
                .bind(row.created_at())
                .execute(&mut *transaction)
                .await?;
                self.end(transaction).await?;
                Topic::try_from(row)
            }

            async fn delete_topic(&self, name: &TopicName) -> Result<()> {
                let mut transaction = self.begin_write().await?;
                // The topic first: partitions that are made meanwhile are those of another one.
                if Self::lock_topic(&mut transaction, name).await?.is_none() {
                    transaction.rollback().await?;
                    return Err(CatalogError::TopicNotFound(name.to_string()));
                }
                // Takeovers and commits in flight end first: what they list must be doomed, their epochs retired too.
                sqlx::query(concat!(
                    "SELECT partition_id FROM partitions WHERE topic = $1 ORDER BY partition_id",
                    $dialect!(for_update)
                ))
                .bind(name.as_str())
                .fetch_all(&mut *transaction)
                .await?;
                sqlx::query(concat!(
                    "UPDATE uploads SET state = 'doomed', doomed_at = ",
                    $dialect!(now_ms),
                    " WHERE topic = $1 AND state = 'pending'"
                ))
                .bind(name.as_str())
                .execute(&mut *transaction)
                .await?;
                sqlx::query(concat!(
                    "INSERT INTO uploads (bucket, key, topic, partition_id, state, created_at, doomed_at)
                     SELECT bucket, key, topic, partition_id, 'doomed', created_at, ",
                    $dialect!(now_ms),
                    " FROM segments WHERE topic = $1"
                ))
                .bind(name.as_str())
                .execute(&mut *transaction)
                .await?;
                sqlx::query(
                    "INSERT INTO retired_epochs (topic, epoch)
                     SELECT topic, MAX(epoch) FROM partitions WHERE topic = $1 GROUP BY topic
                     ON CONFLICT (topic) DO UPDATE SET epoch = excluded.epoch",
                )
                .bind(name.as_str())
                .execute(&mut *transaction)
                .await?;
                // The foreign keys take everything else of the topic along.
                sqlx::query("DELETE FROM topics WHERE name = $1")
                    .bind(name.as_str())
                    .execute(&mut *transaction)
                    .await?;
                self.end(transaction).await?;
                Ok(())
            }

            async fn get_topic(&self, name: &TopicName) -> Result<Option<Topic>> {
                sqlx::query_as::<_, TopicRow>(concat!("SELECT ", topic_columns!(), " FROM topics WHERE name = $1"))
                    .bind(name.as_str())
                    .fetch_optional(self.reader())
                    .await?
                    .map(Topic::try_from)
                    .transpose()
            }

            async fn list_topics(&self) -> Result<Vec<Topic>> {
                let rows =
                    sqlx::query_as::<_, TopicRow>(concat!("SELECT ", topic_columns!(), " FROM topics ORDER BY name"))
                        .fetch_all(self.reader());
                rows::all(self.answered(rows).await?)
            }

            async fn update_topic_config(
                &self,
                name: &TopicName,
                retention_ms: Option<u64>,
                options: TopicOptions,
            ) -> Result<Topic> {
                let (retention_ms, config) = storable(name, retention_ms, &options)?;
                let mut transaction = self.begin_write().await?;
                let Some(row) = Self::lock_topic(&mut transaction, name).await? else {
                    transaction.rollback().await?;
                    return Err(CatalogError::TopicNotFound(name.to_string()));
                };
                let topic = Topic::try_from(row)?;
                valid(name, topic.partition_count, &options)?;
                let row = sqlx::query_as::<_, TopicRow>(concat!(
                    "UPDATE topics SET retention_ms = $2, config = $3, schema_version = schema_version + $4,
                            updated_at = ",
                    $dialect!(now_ms),
                    "
                     WHERE name = $1 RETURNING ",
                    topic_columns!()
                ))
                .bind(name.as_str())
                .bind(retention_ms)
                .bind(config)
                .bind(i64::from(topic.config != options))
                .fetch_one(&mut *transaction)
                .await?;
                self.end(transaction).await?;
                Topic::try_from(row)
            }

            async fn get_partition(&self, partition: &TopicPartition) -> Result<Option<Partition>> {
                let row = sqlx::query_as::<_, PartitionRow>(concat!(
                    "SELECT ",
                    partition_columns!(),
                    " FROM partitions WHERE topic = $1 AND partition_id = $2"
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .fetch_optional(self.reader());
                self.answered(row).await?.map(Partition::try_from).transpose()
            }

            async fn list_partitions(&self, topic: &TopicName) -> Result<Vec<Partition>> {
                let rows = sqlx::query_as::<_, PartitionRow>(concat!(
                    "SELECT ",
                    partition_columns!(),
                    " FROM partitions WHERE topic = $1 ORDER BY partition_id"
                ))
                .bind(topic.as_str())
                .fetch_all(self.reader());
                rows::all(self.answered(rows).await?)
            }

            async fn update_high_watermark(&self, partition: &TopicPartition, high_watermark: u64) -> Result<()> {
                let column = input::offset(high_watermark)?;
                let mut transaction = self.begin_write().await?;
                let row = Self::lock_partition(&mut transaction, partition).await?;
                if let Err(error) = may_move(partition, row, high_watermark) {
                    transaction.rollback().await?;
                    return Err(error);
                }
                // Nobody knows the message before the new watermark: there is no anchor any more.
                sqlx::query(concat!(
                    "UPDATE partitions SET high_watermark = $3, anchor_offset = NULL, anchor_timestamp_us = NULL,
                            anchor_hash = NULL, updated_at = ",
                    $dialect!(now_ms),
                    "
                     WHERE topic = $1 AND partition_id = $2 AND owner IS NULL AND high_watermark < $3"
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .bind(column)
                .execute(&mut *transaction)
                .await?;
                self.end(transaction).await?;
                Ok(())
            }
        }

        impl $store {
            /// The topic's row, if there is one; nobody else changes it while the transaction is open.
            async fn lock_topic(
                connection: &mut <$db as sqlx::Database>::Connection,
                name: &TopicName,
            ) -> Result<Option<TopicRow>> {
                let row = sqlx::query_as::<_, TopicRow>(concat!(
                    "SELECT ",
                    topic_columns!(),
                    " FROM topics WHERE name = $1",
                    $dialect!(for_update)
                ))
                .bind(name.as_str())
                .fetch_optional(connection)
                .await?;
                Ok(row)
            }
        }
    };
}

impl_topic_store!(SqliteMetadataStore, sqlx::Sqlite, sqlite);
impl_topic_store!(PostgresMetadataStore, sqlx::Postgres, postgres);

/// Retention and options as their columns hold them.
fn storable(name: &TopicName, retention_ms: Option<u64>, options: &TopicOptions) -> Result<(Option<i64>, String)> {
    let retention_ms = retention_ms.map(|value| input::number("retention_ms", value)).transpose()?;
    let config = serde_json::to_string(options)
        .map_err(|error| CatalogError::Refused(format!("topic {name}: options are not JSON: {error}")))?;
    Ok((retention_ms, config))
}

fn valid(name: &TopicName, partition_count: u32, options: &TopicOptions) -> Result<()> {
    TopicDefinition { name: name.clone(), partition_count, options: options.clone() }
        .validate()
        .map_err(|error| CatalogError::Refused(error.to_string()))
}

fn may_move(partition: &TopicPartition, row: Option<PartitionRow>, high_watermark: u64) -> Result<()> {
    let Some(row) = row else { return Err(rows::partition_not_found(partition)) };
    let now = Partition::try_from(row)?;
    if let Some(owner) = now.owner {
        let state = if now.state == PartitionState::Halted { "halted, and owned" } else { "owned" };
        let reason = format!("it is {state} by {owner}; stop that writer first");
        return Err(CatalogError::Fenced { partition: partition.clone(), reason });
    }
    if high_watermark < now.high_watermark {
        let reason = format!("the watermark is {} and never moves back", now.high_watermark);
        return Err(CatalogError::InvalidOffset { offset: high_watermark, reason });
    }
    Ok(())
}
