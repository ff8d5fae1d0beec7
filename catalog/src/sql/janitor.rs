//! Objects that are not listed: what the janitor may delete, and when.
//!
//! Owns: the statement that says an object is due; it looks at the list of segments once more, whatever the intent
//! says. Does not own: deleting, and how an object comes to be doomed (`ownership`, `intents`, `segments`, `topics`).

use std::time::Duration;

use async_trait::async_trait;
use common::{Epoch, TopicPartition};
use sqlx::FromRow;

use super::dialect::{postgres, sqlite};
use super::input;
use super::rows::{self, unsigned};
use crate::error::{CatalogError, Result};
use crate::model::{Upload, UploadState};
use crate::store::JanitorStore;
use crate::{PostgresMetadataStore, SqliteMetadataStore};

#[derive(FromRow)]
struct UploadRow {
    bucket: String,
    key: String,
    topic: String,
    partition_id: i64,
    epoch: Option<i64>,
    owner: Option<String>,
    state: String,
    created_at: i64,
    doomed_at: Option<i64>,
    sweeps: i64,
}

macro_rules! upload_columns {
    () => {
        "bucket, key, topic, partition_id, epoch, owner, state, created_at, doomed_at, sweeps"
    };
}

impl TryFrom<UploadRow> for Upload {
    type Error = CatalogError;
    fn try_from(row: UploadRow) -> Result<Self> {
        Ok(Self {
            partition: rows::topic_partition(&row.topic, row.partition_id)?,
            epoch: row.epoch.map(|epoch| unsigned("epoch", epoch).map(Epoch)).transpose()?,
            owner: row.owner.as_deref().map(rows::owner_id).transpose()?,
            state: match row.state.as_str() {
                "pending" => UploadState::Pending,
                "doomed" => UploadState::Doomed,
                other => return Err(CatalogError::Inconsistent(format!("upload state {other:?}"))),
            },
            created_at: row.created_at,
            doomed_at: row.doomed_at,
            sweeps: unsigned("sweeps", row.sweeps)?,
            bucket: row.bucket,
            key: row.key,
        })
    }
}

macro_rules! impl_janitor_store {
    ($store:ty, $dialect:ident) => {
        #[async_trait]
        impl JanitorStore for $store {
            async fn due_objects(
                &self,
                bucket: &str,
                hold: Duration,
                second_sweep: Duration,
                limit: u32,
            ) -> Result<Vec<Upload>> {
                let rows = sqlx::query_as::<_, UploadRow>(concat!(
                    "SELECT ",
                    upload_columns!(),
                    " FROM uploads
                     WHERE state = 'doomed' AND bucket = $4
                       AND ((sweeps = 0 AND doomed_at < ",
                    $dialect!(now_ms),
                    " - $1) OR (sweeps = 1 AND doomed_at < ",
                    $dialect!(now_ms),
                    " - $2))
                       AND NOT EXISTS (SELECT 1 FROM segments
                                       WHERE segments.bucket = uploads.bucket AND segments.key = uploads.key)
                     ORDER BY doomed_at, bucket, key LIMIT $3"
                ))
                .bind(input::lease_ms(hold))
                .bind(input::lease_ms(second_sweep))
                .bind(i64::from(limit))
                .bind(bucket)
                .fetch_all(self.reader());
                rows::all(self.answered(rows).await?)
            }

            async fn swept(&self, objects: &[Upload]) -> Result<()> {
                self.answered(self.count_sweeps(objects)).await
            }

            async fn list_uploads(&self, partition: &TopicPartition) -> Result<Vec<Upload>> {
                let rows = sqlx::query_as::<_, UploadRow>(concat!(
                    "SELECT ",
                    upload_columns!(),
                    " FROM uploads WHERE topic = $1 AND partition_id = $2 ORDER BY key"
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .fetch_all(self.reader());
                rows::all(self.answered(rows).await?)
            }
        }

        impl $store {
            /// See [`JanitorStore::swept`].
            async fn count_sweeps(&self, objects: &[Upload]) -> Result<()> {
                let mut transaction = self.begin_write().await?;
                for object in objects {
                    // Compared with what was seen: another janitor may have counted already.
                    sqlx::query(
                        "UPDATE uploads SET sweeps = sweeps + 1
                         WHERE bucket = $1 AND key = $2 AND state = 'doomed' AND sweeps = $3",
                    )
                    .bind(input::exact("bucket", &object.bucket)?)
                    .bind(input::exact("key", &object.key)?)
                    .bind(i64::from(object.sweeps))
                    .execute(&mut *transaction)
                    .await?;
                    sqlx::query(
                        "DELETE FROM uploads WHERE bucket = $1 AND key = $2 AND state = 'doomed' AND sweeps >= 2",
                    )
                    .bind(&object.bucket)
                    .bind(&object.key)
                    .execute(&mut *transaction)
                    .await?;
                }
                self.end(transaction).await?;
                Ok(())
            }
        }
    };
}

impl_janitor_store!(SqliteMetadataStore, sqlite);
impl_janitor_store!(PostgresMetadataStore, postgres);
