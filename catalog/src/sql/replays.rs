//! Quarantined records that were published again.
//!
//! Owns: the marks. Does not own: publishing.

use async_trait::async_trait;
use common::TopicPartition;

use super::{SqlMetadataStore, input, rows};
use crate::database::{Row, Session, sql, values};
use crate::error::{CatalogError, Result, is_foreign_key_violation};
use crate::model::Replay;
use crate::store::ReplayStore;

impl TryFrom<Row> for Replay {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            partition: row.partition()?,
            incarnation: row.incarnation()?,
            offset: row.unsigned("message_offset")?,
            row: row.unsigned("row_number")?,
            new_partition_id: row.unsigned("new_partition_id")?,
            new_offset: row.unsigned("new_offset")?,
            replayed_at: row.integer("replayed_at")?,
        })
    }
}

#[async_trait]
impl<D> ReplayStore for SqlMetadataStore<D> {
    async fn mark_replayed(&self, replays: &[Replay]) -> Result<()> {
        self.door.write(|session| Box::pin(mark_replayed(session, replays))).await
    }

    async fn list_replays(&self, partition: &TopicPartition) -> Result<Vec<Replay>> {
        let select = sql!(
            "SELECT topic, partition_id, incarnation, message_offset, row_number, new_partition_id, new_offset,
                    replayed_at
             FROM replays WHERE topic = $1 AND partition_id = $2 ORDER BY incarnation, message_offset, row_number"
        );
        rows::all(self.door.fetch(&select, values![&partition.topic, partition.partition_id]).await?)
    }
}

async fn mark_replayed(session: &mut dyn Session, replays: &[Replay]) -> Result<()> {
    let upsert = sql!(
        "INSERT INTO replays (topic, partition_id, incarnation, message_offset, row_number, new_partition_id,
                new_offset, replayed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, " now_ms ")
         ON CONFLICT (topic, partition_id, incarnation, message_offset, row_number) DO UPDATE
             SET new_partition_id = excluded.new_partition_id, new_offset = excluded.new_offset,
                 replayed_at = excluded.replayed_at"
    );
    for replay in replays {
        let values = values![
            &replay.partition.topic,
            replay.partition.partition_id,
            replay.incarnation,
            input::offset(replay.offset)?,
            replay.row,
            replay.new_partition_id,
            input::offset(replay.new_offset)?,
        ];
        session.execute(&upsert, values).await.map_err(|error| {
            if is_foreign_key_violation(&error) { rows::partition_not_found(&replay.partition) } else { error.into() }
        })?;
    }
    Ok(())
}
