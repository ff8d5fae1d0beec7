//! Intents: the objects that are about to be put.
//!
//! Owns: how they are recorded and given up. Does not own: how a commit consumes them (`commit`), and the objects.

use super::dialect::{postgres, sqlite};
use super::input;
use crate::error::{CatalogError, Result};
use crate::model::{Partition, PartitionState, UploadIntent};
use crate::{PostgresMetadataStore, SqliteMetadataStore};

macro_rules! impl_intents {
    ($store:ty, $db:ty, $dialect:ident) => {
        impl $store {
            /// Records the intents in one transaction; the outer error means that none of them is known to be.
            pub(super) async fn write_intents(&self, intents: &[UploadIntent]) -> Result<Vec<Result<()>>> {
                // In the order in which every transaction locks partitions.
                let mut order: Vec<usize> = (0..intents.len()).collect();
                order.sort_by_key(|&index| &intents[index].partition);
                let mut answers = vec![Ok(()); intents.len()];
                let mut transaction = self.begin_write().await?;
                for index in order {
                    answers[index] = match Self::write_intent(&mut transaction, &intents[index]).await {
                        Err(error @ CatalogError::Database(_)) => {
                            // The first error is the one to tell.
                            transaction.rollback().await.ok();
                            return Err(error);
                        }
                        answer => answer,
                    };
                }
                self.end(transaction).await?;
                Ok(answers)
            }

            /// Writes one intent if its ownership holds. On PostgreSQL the partition's row is locked, so that a
            /// takeover comes either before, and fences the intent, or after, and dooms it.
            async fn write_intent(
                connection: &mut <$db as sqlx::Database>::Connection,
                intent: &UploadIntent,
            ) -> Result<()> {
                let written = sqlx::query(concat!(
                    "INSERT INTO uploads (bucket, key, topic, partition_id, epoch, owner, state, created_at)
                     SELECT $1, $2, topic, partition_id, epoch, owner, 'pending', ",
                    $dialect!(now_ms),
                    "
                     FROM partitions
                     WHERE topic = $3 AND partition_id = $4 AND epoch = $5 AND owner = $6 AND state = 'active'
                       AND NOT EXISTS (SELECT 1 FROM segments WHERE segments.bucket = $1 AND segments.key = $2)",
                    $dialect!(for_share),
                    " ON CONFLICT (bucket, key) DO UPDATE SET state = 'pending'
                      WHERE uploads.topic = excluded.topic AND uploads.partition_id = excluded.partition_id
                        AND uploads.epoch = excluded.epoch AND uploads.owner = excluded.owner
                        AND uploads.state = 'pending'"
                ))
                .bind(input::exact("bucket", &intent.bucket)?)
                .bind(input::exact("key", &intent.key)?)
                .bind(intent.partition.topic.as_str())
                .bind(i64::from(intent.partition.partition_id))
                .bind(input::number("epoch", intent.epoch.0)?)
                .bind(intent.owner.to_string())
                .execute(&mut *connection)
                .await?;
                if written.rows_affected() == 1 {
                    return Ok(());
                }
                let now = Self::read_partition(connection, &intent.partition).await?;
                Err(CatalogError::Fenced { partition: intent.partition.clone(), reason: reason(intent, now) })
            }

            pub(super) async fn doom_intents(&self, intents: &[UploadIntent]) -> Result<()> {
                let mut transaction = self.begin_write().await?;
                for intent in intents {
                    sqlx::query(concat!(
                        "UPDATE uploads SET state = 'doomed', doomed_at = ",
                        $dialect!(now_ms),
                        "
                         WHERE bucket = $1 AND key = $2 AND epoch = $3 AND owner = $4 AND state = 'pending'"
                    ))
                    .bind(input::exact("bucket", &intent.bucket)?)
                    .bind(input::exact("key", &intent.key)?)
                    .bind(input::number("epoch", intent.epoch.0)?)
                    .bind(intent.owner.to_string())
                    .execute(&mut *transaction)
                    .await?;
                }
                self.end(transaction).await?;
                Ok(())
            }
        }
    };
}

impl_intents!(SqliteMetadataStore, sqlx::Sqlite, sqlite);
impl_intents!(PostgresMetadataStore, sqlx::Postgres, postgres);

fn reason(intent: &UploadIntent, now: Option<Partition>) -> String {
    let Some(now) = now else { return "it does not exist".to_owned() };
    if now.epoch != intent.epoch || now.owner != Some(intent.owner) {
        let owner = now.owner.map_or_else(|| "nobody".to_owned(), |owner| owner.to_string());
        return format!("its epoch is {} and its owner {owner}, not {} and {}", now.epoch, intent.epoch, intent.owner);
    }
    if now.state != PartitionState::Active {
        return format!("it is halted: {}", now.halt_reason.as_deref().unwrap_or("no reason given"));
    }
    format!("the key {:?} was used before; every object needs a new one", intent.key)
}
