//! Taking partitions over: a writer becomes the owner, in a new epoch.
//!
//! Owns: the transaction that makes somebody the owner. Leases are judged by the database's clock alone.
//! Does not own: what else is said of owners (`ownership`).

use std::collections::HashMap;
use std::time::Duration;

use common::{Epoch, OwnerId, TopicPartition};

use super::dialect::{postgres, sqlite};
use super::input;
use super::rows;
use crate::error::{CatalogError, Result};
use crate::model::{AcquireOutcome, Ownership, Partition, PartitionState, Suspect};
use crate::{PostgresMetadataStore, SqliteMetadataStore};

/// How long the row of a writer is kept after its last heartbeat; longer than anybody wonders who it was.
const AGENTS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

macro_rules! impl_takeover {
    ($store:ty, $db:ty, $dialect:ident) => {
        impl $store {
            /// See [`OwnershipStore::acquire`](crate::store::OwnershipStore::acquire).
            pub(super) async fn take_over(
                &self,
                owner: OwnerId,
                lease: Duration,
                partitions: &[TopicPartition],
            ) -> Result<Vec<AcquireOutcome>> {
                let mut order: Vec<usize> = (0..partitions.len()).collect();
                order.sort_by_key(|&index| &partitions[index]);
                let mut outcomes: Vec<Option<AcquireOutcome>> = vec![None; partitions.len()];
                let mut transaction = self.begin_write().await?;
                if !Self::is_registered(&mut transaction, owner).await? {
                    transaction.rollback().await?;
                    return Err(CatalogError::Refused(format!("agent {owner} has not sent a heartbeat")));
                }
                // An owner without a row has expired: nothing is lost with the rows of writers that died long ago.
                sqlx::query(concat!("DELETE FROM agents WHERE heartbeat_at < ", $dialect!(now_ms), " - $1"))
                    .bind(input::lease_ms(lease.max(AGENTS_KEPT)))
                    .execute(&mut *transaction)
                    .await?;
                let mut alive = HashMap::new();
                for index in order {
                    let outcome =
                        Self::acquire_one(&mut transaction, owner, lease, &partitions[index], &mut alive).await;
                    match outcome {
                        Ok(outcome) => outcomes[index] = Some(outcome),
                        Err(error) => {
                            transaction.rollback().await?;
                            return Err(error);
                        }
                    }
                }
                self.end(transaction).await?;
                Ok(outcomes.into_iter().map(|outcome| outcome.expect("each index is in order once")).collect())
            }

            async fn is_registered(
                connection: &mut <$db as sqlx::Database>::Connection,
                owner: OwnerId,
            ) -> Result<bool> {
                let found = sqlx::query("SELECT owner FROM agents WHERE owner = $1")
                    .bind(owner.to_string())
                    .fetch_optional(connection)
                    .await?;
                Ok(found.is_some())
            }

            /// Takes one partition over if it is free. `alive` remembers what was found of each other owner.
            async fn acquire_one(
                connection: &mut <$db as sqlx::Database>::Connection,
                owner: OwnerId,
                lease: Duration,
                partition: &TopicPartition,
                alive: &mut HashMap<OwnerId, bool>,
            ) -> Result<AcquireOutcome> {
                let row = Self::lock_partition(connection, partition).await?;
                let seen = Partition::try_from(row.ok_or_else(|| rows::partition_not_found(partition))?)?;
                if seen.state == PartitionState::Halted {
                    let reason = seen.halt_reason.unwrap_or_default();
                    return Ok(AcquireOutcome::Halted { partition: partition.clone(), reason });
                }
                if let Some(other) = seen.owner.filter(|&other| other != owner) {
                    // Read after the lock was got: a heartbeat sent while it was waited for counts.
                    if !alive.contains_key(&other) {
                        alive.insert(other, Self::is_alive(&mut *connection, other, lease).await?);
                    }
                    if alive[&other] {
                        return Ok(AcquireOutcome::Held { partition: partition.clone(), owner: other });
                    }
                }
                Ok(AcquireOutcome::Acquired(Self::raise_epoch(connection, owner, seen).await?))
            }

            /// Makes `owner` the owner in a new epoch, and dooms the intents of older ones. The row is locked.
            async fn raise_epoch(
                connection: &mut <$db as sqlx::Database>::Connection,
                owner: OwnerId,
                seen: Partition,
            ) -> Result<Ownership> {
                let partition = TopicPartition::new(seen.topic, seen.partition_id);
                let epoch = input::number("epoch", seen.epoch.0)?;
                // An owner that released took nothing down with it.
                let taken: Option<(i64, Option<i64>, i64)> = sqlx::query_as(concat!(
                    "UPDATE partitions SET epoch = epoch + 1, owner = $4,
                            takeovers = CASE WHEN owner IS NULL THEN takeovers ELSE takeovers + 1 END, updated_at = ",
                    $dialect!(now_ms),
                    "
                     WHERE topic = $1 AND partition_id = $2 AND epoch = $3
                     RETURNING takeovers, suspect_offset, suspect_times"
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .bind(epoch)
                .bind(owner.to_string())
                .fetch_optional(&mut *connection)
                .await?;
                let Some((takeovers, suspect_offset, suspect_times)) = taken else {
                    let reason = format!("its epoch is no longer {epoch}");
                    return Err(CatalogError::Fenced { partition, reason });
                };
                let suspect = suspect_offset.map(|offset| {
                    Ok::<_, CatalogError>(Suspect {
                        offset: rows::unsigned("suspect_offset", offset)?,
                        times: rows::unsigned("suspect_times", suspect_times)?,
                    })
                });
                sqlx::query(concat!(
                    "UPDATE uploads SET state = 'doomed', doomed_at = ",
                    $dialect!(now_ms),
                    "
                     WHERE topic = $1 AND partition_id = $2 AND state = 'pending' AND epoch <= $3"
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .bind(epoch)
                .execute(&mut *connection)
                .await?;
                Ok(Ownership {
                    partition,
                    owner,
                    epoch: Epoch(seen.epoch.0 + 1),
                    incarnation: seen.incarnation,
                    high_watermark: seen.high_watermark,
                    anchor: seen.anchor,
                    takeovers: rows::unsigned("takeovers", takeovers)?,
                    suspect: suspect.transpose()?,
                })
            }

            /// Whether the owner has sent a heartbeat within `lease`. An owner without a row has not.
            async fn is_alive(
                connection: &mut <$db as sqlx::Database>::Connection,
                owner: OwnerId,
                lease: Duration,
            ) -> Result<bool> {
                let found = sqlx::query(concat!(
                    "SELECT owner FROM agents WHERE owner = $1 AND heartbeat_at >= ",
                    $dialect!(now_ms),
                    " - $2"
                ))
                .bind(owner.to_string())
                .bind(input::lease_ms(lease))
                .fetch_optional(connection)
                .await?;
                Ok(found.is_some())
            }
        }
    };
}

impl_takeover!(SqliteMetadataStore, sqlx::Sqlite, sqlite);
impl_takeover!(PostgresMetadataStore, sqlx::Postgres, postgres);
