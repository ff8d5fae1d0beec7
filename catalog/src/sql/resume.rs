//! Resume: a halted partition goes on in a new incarnation.
//!
//! Owns: the one transaction that does so. Does not own: where it goes on, which an operator decides.

use common::{Incarnation, TopicPartition};

use super::dialect::{postgres, sqlite};
use super::input;
use super::rows;
use crate::error::{CatalogError, Result};
use crate::model::{Partition, ResumePoint};
use crate::{PostgresMetadataStore, SqliteMetadataStore};

macro_rules! impl_resume {
    ($store:ty, $dialect:ident) => {
        impl $store {
            pub(super) async fn begin_incarnation(
                &self,
                partition: &TopicPartition,
                seen: Incarnation,
                at: &ResumePoint,
            ) -> Result<Partition> {
                let start_offset = input::offset(at.high_watermark)?;
                let mut transaction = self.begin_write().await?;
                // The epoch rises: whoever held it before the halt is fenced even if it comes back.
                let resumed = sqlx::query(concat!(
                    "UPDATE partitions SET incarnation = incarnation + 1, epoch = epoch + 1, owner = NULL,
                            state = 'active', halt_reason = NULL, high_watermark = $4, anchor_offset = $5,
                            anchor_timestamp_us = $6, anchor_hash = $7, takeovers = 0, suspect_offset = NULL,
                            suspect_times = 0, updated_at = ",
                    $dialect!(now_ms),
                    "
                     WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND state = 'halted'"
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .bind(i64::from(seen.0))
                .bind(start_offset)
                .bind(at.anchor.map(|anchor| input::offset(anchor.offset)).transpose()?)
                .bind(at.anchor.map(|anchor| anchor.timestamp_us))
                .bind(at.anchor.map(|anchor| input::hash(anchor.hash)))
                .execute(&mut *transaction)
                .await?;
                let now = Self::read_partition(&mut transaction, partition).await?;
                let now = now.ok_or_else(|| rows::partition_not_found(partition))?;
                if resumed.rows_affected() != 1 {
                    transaction.rollback().await?;
                    return Err(not_halted(partition, seen, &now));
                }
                sqlx::query(concat!(
                    "INSERT INTO incarnations (topic, partition_id, incarnation, start_offset, reason, created_at)
                     VALUES ($1, $2, $3, $4, $5, ",
                    $dialect!(now_ms),
                    ")"
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .bind(i64::from(now.incarnation.0))
                .bind(start_offset)
                .bind(input::note(&at.reason))
                .execute(&mut *transaction)
                .await?;
                sqlx::query(concat!(
                    "UPDATE uploads SET state = 'doomed', doomed_at = ",
                    $dialect!(now_ms),
                    " WHERE topic = $1 AND partition_id = $2 AND state = 'pending'"
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .execute(&mut *transaction)
                .await?;
                self.end(transaction).await?;
                Ok(now)
            }
        }
    };
}

impl_resume!(SqliteMetadataStore, sqlite);
impl_resume!(PostgresMetadataStore, postgres);

fn not_halted(partition: &TopicPartition, seen: Incarnation, now: &Partition) -> CatalogError {
    let reason = if now.incarnation == seen {
        "it is not halted; only a halted partition can be resumed".to_owned()
    } else {
        format!("its incarnation is {}, not {seen}; somebody resumed it already", now.incarnation)
    };
    CatalogError::Fenced { partition: partition.clone(), reason }
}
