//! Topics and partitions.
//!
//! Owns: their statements. Does not own: moving watermarks in operation (`commit`).

use async_trait::async_trait;
use common::topic::{TopicDefinition, TopicOptions};
use common::{TopicName, TopicPartition};
use uuid::Uuid;

use super::objects::{self, TopicLock, tables_of};
use super::partition_row::lock_partition;
use super::snapshots::{Change, advance};
use super::{SqlMetadataStore, iceberg, input, rows, tables, topic_names};
use crate::database::{Session, sql, values};
use crate::error::{CatalogError, Result, is_unique_violation};
use crate::model::{Partition, PartitionState, TableId, Tables, Topic, TopicConfig};
use crate::store::TopicStore;

#[async_trait]
impl<D> TopicStore for SqlMetadataStore<D> {
    async fn create_topic(&self, topic: TopicConfig) -> Result<Topic> {
        self.door.write(|session| Box::pin(create_topic(session, &topic))).await
    }

    async fn delete_topic(&self, name: &TopicName) -> Result<()> {
        self.door.write(|session| Box::pin(delete_topic(session, name))).await
    }

    async fn get_topic(&self, name: &TopicName) -> Result<Option<Topic>> {
        let select = sql!("SELECT " topic_columns " FROM topics WHERE name = $1");
        rows::only(self.door.fetch(&select, values![name]).await?)
    }

    async fn list_topics(&self) -> Result<Vec<Topic>> {
        let select = sql!("SELECT " topic_columns " FROM topics ORDER BY name");
        rows::all(self.door.fetch(&select, values![]).await?)
    }

    async fn update_topic_config(
        &self,
        name: &TopicName,
        seen_version: u32,
        retention_ms: Option<u64>,
        config: TopicOptions,
    ) -> Result<Topic> {
        let change = TopicChange { seen_version, retention_ms: Some(retention_ms), config: &config };
        self.door.write(|session| Box::pin(update_topic(session, name, change))).await
    }

    async fn update_topic_options(&self, name: &TopicName, seen_version: u32, config: TopicOptions) -> Result<Topic> {
        let change = TopicChange { seen_version, retention_ms: None, config: &config };
        self.door.write(|session| Box::pin(update_topic(session, name, change))).await
    }

    async fn get_partition(&self, partition: &TopicPartition) -> Result<Option<Partition>> {
        let select = sql!("SELECT " partition_columns " FROM partitions WHERE topic = $1 AND partition_id = $2");
        rows::only(self.door.fetch(&select, values![&partition.topic, partition.partition_id]).await?)
    }

    async fn list_partitions(&self, topic: &TopicName) -> Result<Vec<Partition>> {
        let select = sql!("SELECT " partition_columns " FROM partitions WHERE topic = $1 ORDER BY partition_id");
        rows::all(self.door.fetch(&select, values![topic]).await?)
    }

    async fn update_high_watermark(&self, partition: &TopicPartition, high_watermark: u64) -> Result<()> {
        self.door.write(|session| Box::pin(move_watermark(session, partition, high_watermark))).await
    }
}

/// A change of a topic, decided on one version of it.
#[derive(Clone, Copy)]
struct TopicChange<'a> {
    seen_version: u32,
    /// Absent: it stays as it is.
    retention_ms: Option<Option<u64>>,
    config: &'a TopicOptions,
}

async fn create_topic(session: &mut dyn Session, topic: &TopicConfig) -> Result<Topic> {
    let insert = sql!(
        "INSERT INTO topics (name, partition_count, retention_ms, config, table_id, table_uuid, quarantine_table_id,
                quarantine_uuid, begin_snapshot, created_at, updated_at)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, now_ms, now_ms FROM (SELECT " now_ms " AS now_ms) AS clock
         RETURNING " topic_columns
    );
    let insert_partitions = sql!(
        "WITH RECURSIVE ids (id) AS (
             SELECT CAST(0 AS BIGINT) UNION ALL SELECT id + 1 FROM ids WHERE id + 1 < $2
         )
         INSERT INTO partitions (topic, partition_id, epoch, created_at, updated_at)
         SELECT $1, id, COALESCE((SELECT epoch FROM retired_epochs WHERE topic = $1), 0), $3, $3 FROM ids"
    );
    let (retention_ms, config) = storable(&topic.name, topic.retention_ms, &topic.config)?;
    valid(&topic.name, topic.partition_count, &topic.config)?;
    // Of two transactions that create a topic of one name, the second waits here, before it holds a snapshot number.
    topic_names::take(session, topic.name.as_str()).await?;
    let snapshot = advance(session, Change::create(topic.name.as_str())).await?;
    let table_id = snapshot.first_catalog_id.cast_signed();
    let values = values![
        &topic.name,
        topic.partition_count,
        retention_ms,
        config,
        table_id,
        Uuid::now_v7().to_string(),
        table_id + 1,
        Uuid::now_v7().to_string(),
        snapshot.id.0.cast_signed(),
    ];
    let inserted = session.fetch(&insert, values).await.map_err(|error| {
        if is_unique_violation(&error) {
            return CatalogError::TopicAlreadyExists(topic.name.to_string());
        }
        error.into()
    })?;
    let created: Topic = rows::only(inserted)?.expect("an INSERT of one row returns it");
    let numbers =
        Tables { data: TableId(snapshot.first_catalog_id), quarantine: TableId(snapshot.first_catalog_id + 1) };
    tables::create(session, numbers, &topic.config, snapshot.id).await?;
    let values = values![&topic.name, topic.partition_count, created.created_at];
    let partitions = session.execute(&insert_partitions, values).await?;
    assert!(partitions == u64::from(topic.partition_count), "{partitions} partitions of topic {} exist", topic.name);
    Ok(created)
}

async fn delete_topic(session: &mut dyn Session, name: &TopicName) -> Result<()> {
    // The topic is locked first: partitions created afterwards belong to another topic.
    let numbers = tables_of(session, name.as_str(), TopicLock::Exclusive).await?;
    let numbers = numbers.ok_or_else(|| CatalogError::TopicNotFound(name.to_string()))?;
    // The lock waits for takeovers and commits in flight: their objects must be doomed, their epochs retired too.
    let lock = sql!("SELECT partition_id FROM partitions WHERE topic = $1 ORDER BY partition_id" for_update);
    session.fetch(&lock, values![name]).await?;
    let doom_intents =
        sql!("UPDATE uploads SET state = 'doomed', doomed_at = " now_ms " WHERE topic = $1 AND state = 'pending'");
    session.execute(&doom_intents, values![name]).await?;
    let retire_epoch = sql!(
        "INSERT INTO retired_epochs (topic, epoch)
         SELECT topic, MAX(epoch) FROM partitions WHERE topic = $1 GROUP BY topic
         ON CONFLICT (topic) DO UPDATE SET epoch = excluded.epoch"
    );
    session.execute(&retire_epoch, values![name]).await?;
    topic_names::give_back(session, name.as_str()).await?;
    let snapshot = advance(session, Change::drop(numbers)).await?;
    let retired = objects::retire_all(session, numbers, snapshot).await?;
    let doomed = objects::doom(session, name.as_str(), numbers, snapshot).await?;
    tables::drop_columns(session, numbers).await?;
    iceberg::drop_tables(session, name.as_str(), numbers).await?;
    // The foreign keys delete all other rows of the topic.
    session.execute(&sql!("DELETE FROM topics WHERE name = $1"), values![name]).await?;
    let dropped = objects::drop_retired(session, numbers, snapshot).await?;
    assert!([doomed, dropped] == [retired; 2], "{doomed}, {dropped} of {retired} objects of topic {name} went");
    Ok(())
}

async fn update_topic(session: &mut dyn Session, name: &TopicName, change: TopicChange<'_>) -> Result<Topic> {
    let Some(topic) = lock_topic(session, name).await? else {
        return Err(CatalogError::TopicNotFound(name.to_string()));
    };
    let retention_ms = change.retention_ms.unwrap_or(topic.retention_ms);
    let (retention_ms, config) = storable(name, retention_ms, change.config)?;
    if topic.schema_version != change.seen_version {
        let (topic, seen, now) = (name.clone(), change.seen_version, topic.schema_version);
        return Err(CatalogError::TopicChanged { topic, seen, now });
    }
    valid(name, topic.partition_count, change.config)?;
    if topic.config != *change.config {
        let numbers = tables_of(session, name.as_str(), TopicLock::None).await?;
        let numbers = numbers.expect("the row is locked by this transaction");
        let snapshot = advance(session, Change::alter(numbers)).await?;
        tables::alter(session, numbers.data, change.config, snapshot).await?;
    }
    let update = sql!(
        "UPDATE topics SET retention_ms = $2, config = $3, schema_version = schema_version + $4, updated_at = " now_ms "
         WHERE name = $1 RETURNING " topic_columns
    );
    let values = values![name, retention_ms, config, i64::from(topic.config != *change.config)];
    let updated = rows::only(session.fetch(&update, values).await?)?;
    Ok(updated.expect("the row is locked by this transaction"))
}

async fn move_watermark(session: &mut dyn Session, partition: &TopicPartition, high_watermark: u64) -> Result<()> {
    let column = input::offset(high_watermark)?;
    may_move(partition, lock_partition(session, partition).await?, high_watermark)?;
    // The message before the new watermark is unknown: the anchor is removed.
    let update = sql!(
        "UPDATE partitions SET high_watermark = $3, anchor_offset = NULL, anchor_timestamp_us = NULL,
                anchor_hash = NULL, updated_at = " now_ms "
         WHERE topic = $1 AND partition_id = $2 AND owner IS NULL AND high_watermark < $3"
    );
    session.execute(&update, values![&partition.topic, partition.partition_id, column]).await?;
    Ok(())
}

/// The topic, if it exists; its row is locked until the end of the transaction.
async fn lock_topic(session: &mut dyn Session, name: &TopicName) -> Result<Option<Topic>> {
    let select = sql!("SELECT " topic_columns " FROM topics WHERE name = $1" for_update);
    rows::only(session.fetch(&select, values![name]).await?)
}

/// Retention and options as column values.
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

fn may_move(partition: &TopicPartition, now: Option<Partition>, high_watermark: u64) -> Result<()> {
    let Some(now) = now else { return Err(rows::partition_not_found(partition)) };
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
