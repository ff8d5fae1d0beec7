//! Objects that are not listed, for the janitor to delete.
//!
//! Owns: the statement that selects due objects; it checks the list of objects and what readers of Iceberg have again,
//! independent of the intent.
//! Does not own: deleting, dooming an object (`ownership`, `intents`, `objects`, `topics`), folding history (`fold`).

use std::time::Duration;

use async_trait::async_trait;
use common::{Epoch, TopicName, TopicPartition};

use super::{SqlMetadataStore, fold, input, objects, rows};
use crate::database::{Row, Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{Folded, Upload};
use crate::store::JanitorStore;

impl TryFrom<Row> for Upload {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            bucket: row.text("bucket")?,
            key: row.text("key")?,
            topic: row.topic()?,
            partition_id: row.optional_unsigned("partition_id")?,
            segment_id: row.optional_text("segment_id")?,
            epoch: row.optional_unsigned("epoch")?.map(Epoch),
            owner: row.optional_owner()?,
            state: row.word("state")?,
            created_at: row.integer("created_at")?,
            doomed_at: row.optional_integer("doomed_at")?,
            sweeps: row.unsigned("sweeps")?,
        })
    }
}

#[async_trait]
impl<D> JanitorStore for SqlMetadataStore<D> {
    async fn due_objects(
        &self,
        bucket: &str,
        hold: Duration,
        second_sweep: Duration,
        limit: u32,
    ) -> Result<Vec<Upload>> {
        // Each condition behind the hold names one kind of reader that may still need the object: of the list, of a kept
        // lake snapshot. Those of other tables add theirs here.
        let select = sql!(
            "SELECT " upload_columns " FROM uploads
             WHERE state = 'doomed' AND bucket = $4
               AND ((sweeps = 0 AND doomed_at < " now_ms " - $1) OR (sweeps = 1 AND doomed_at < " now_ms " - $2))
               AND NOT EXISTS (SELECT 1 FROM objects
                               WHERE objects.bucket = uploads.bucket AND objects.key = uploads.key)
               AND NOT EXISTS (SELECT 1 FROM iceberg_objects
                               WHERE iceberg_objects.bucket = uploads.bucket AND iceberg_objects.key = uploads.key)
               AND NOT EXISTS (SELECT 1 FROM retired_objects AS r JOIN iceberg_published AS p ON p.file_id = r.file_id
                               WHERE r.bucket = uploads.bucket AND r.key = uploads.key)
               AND NOT EXISTS (SELECT 1 FROM retired_objects AS r JOIN lake_snapshots AS s
                                   ON s.snapshot_id >= r.begin_snapshot AND s.snapshot_id < r.end_snapshot
                               WHERE r.bucket = uploads.bucket AND r.key = uploads.key)
             ORDER BY doomed_at, bucket, key LIMIT $3"
        );
        let values = values![input::lease_ms(hold), input::lease_ms(second_sweep), limit, bucket];
        rows::all(self.door.fetch(&select, values).await?)
    }

    async fn swept(&self, objects: &[Upload]) -> Result<()> {
        self.door.write(|session| Box::pin(count_sweeps(session, objects))).await
    }

    async fn doom_abandoned_replacements(&self, lease: Duration) -> Result<u64> {
        let update = sql!(
            "UPDATE uploads SET state = 'doomed', doomed_at = " now_ms "
             WHERE partition_id IS NULL AND state = 'pending' AND NOT EXISTS (
                 SELECT 1 FROM agents WHERE agents.owner = uploads.owner AND heartbeat_at >= " now_ms " - $1
             )"
        );
        self.door.execute(&update, values![input::lease_ms(lease)]).await
    }

    async fn fold_history(&self, hold: Duration) -> Result<Folded> {
        fold::fold(&self.door, hold).await
    }

    async fn list_uploads(&self, partition: &TopicPartition) -> Result<Vec<Upload>> {
        let select = sql!("SELECT " upload_columns " FROM uploads WHERE topic = $1 AND partition_id = $2 ORDER BY key");
        rows::all(self.door.fetch(&select, values![&partition.topic, partition.partition_id]).await?)
    }

    async fn list_shared_uploads(&self, topic: &TopicName) -> Result<Vec<Upload>> {
        let select =
            sql!("SELECT " upload_columns " FROM uploads WHERE topic = $1 AND partition_id IS NULL ORDER BY key");
        rows::all(self.door.fetch(&select, values![topic]).await?)
    }
}

async fn count_sweeps(session: &mut dyn Session, objects: &[Upload]) -> Result<()> {
    // Compared with the number that was read: another janitor may have counted already.
    let update = sql!(
        "UPDATE uploads SET sweeps = sweeps + 1 WHERE bucket = $1 AND key = $2 AND state = 'doomed' AND sweeps = $3"
    );
    let delete = sql!("DELETE FROM uploads WHERE bucket = $1 AND key = $2 AND state = 'doomed' AND sweeps >= 2");
    for object in objects {
        let (bucket, key) = (input::exact("bucket", &object.bucket)?, input::exact("key", &object.key)?);
        if session.execute(&update, values![bucket, key, object.sweeps]).await? == 1 {
            objects::forget_retired(session, bucket, key).await?;
        }
        session.execute(&delete, values![bucket, key]).await?;
    }
    Ok(())
}
