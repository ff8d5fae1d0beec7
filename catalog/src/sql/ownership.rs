//! Agents, and who owns which partition.
//!
//! Owns: the statements by which epochs rise. Leases are judged by the database's clock alone.
//! Does not own: which partitions a writer wants.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use common::{Epoch, Incarnation, OwnerId, TopicPartition};

use super::dialect::{postgres, sqlite};
use super::input;
use super::rows::{self, AgentRow, PartitionOwnerRow, PartitionRow, partition_columns};
use crate::error::{CatalogError, Result};
use crate::model::{AcquireOutcome, Agent, Ownership, OwnershipView, Partition, PartitionState, ResumePoint, Suspect};
use crate::store::OwnershipStore;
use crate::{PostgresMetadataStore, SqliteMetadataStore};

/// How long the row of a writer is kept after its last heartbeat; longer than anybody wonders who it was.
const AGENTS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

macro_rules! impl_ownership_store {
    ($store:ty, $db:ty, $dialect:ident) => {
        #[async_trait]
        impl OwnershipStore for $store {
            async fn heartbeat(&self, agent: &Agent) -> Result<()> {
                self.usable()?;
                let beat = sqlx::query(concat!(
                    "INSERT INTO agents (owner, name, topics, started_at, heartbeat_at)
                     SELECT $1, $2, $3, now_ms, now_ms FROM (SELECT ",
                    $dialect!(now_ms),
                    " AS now_ms) AS clock WHERE true
                     ON CONFLICT (owner) DO UPDATE
                         SET name = excluded.name, topics = excluded.topics, heartbeat_at = excluded.heartbeat_at"
                ))
                .bind(agent.owner.to_string())
                .bind(input::note(&agent.name))
                .bind(input::scope(&agent.scope))
                .execute(self.writer());
                self.answered(async { beat.await.map_err(|error| self.unknown_commit(error)) })
                    .await?;
                Ok(())
            }

            async fn acquire(
                &self,
                owner: OwnerId,
                lease: Duration,
                partitions: &[TopicPartition],
            ) -> Result<Vec<AcquireOutcome>> {
                self.answered(self.take_over(owner, lease, partitions)).await
            }

            async fn release(&self, held: &[Ownership]) -> Result<()> {
                self.answered(self.give_up(held)).await
            }

            async fn halt(&self, held: &Ownership, reason: &str) -> Result<()> {
                let halted = sqlx::query(concat!(
                    "UPDATE partitions SET state = 'halted', halt_reason = $5, updated_at = ",
                    $dialect!(now_ms),
                    "
                     WHERE topic = $1 AND partition_id = $2 AND epoch = $3 AND owner = $4"
                ))
                .bind(held.partition.topic.as_str())
                .bind(i64::from(held.partition.partition_id))
                .bind(input::number("epoch", held.epoch.0)?)
                .bind(held.owner.to_string())
                .bind(input::note(reason))
                .execute(self.writer());
                if self.answered(halted).await?.rows_affected() == 0 { Err(not_held(held)) } else { Ok(()) }
            }

            async fn remove_agent(&self, owner: OwnerId) -> Result<()> {
                let mut transaction = self.begin_write().await?;
                sqlx::query("DELETE FROM agents WHERE owner = $1")
                    .bind(owner.to_string())
                    .execute(&mut *transaction)
                    .await?;
                // Locked in the order that every transaction keeps.
                sqlx::query(concat!(
                    "SELECT partition_id FROM partitions WHERE owner = $1 ORDER BY topic, partition_id",
                    $dialect!(for_update)
                ))
                .bind(owner.to_string())
                .fetch_all(&mut *transaction)
                .await?;
                sqlx::query(concat!(
                    "UPDATE partitions SET owner = NULL, updated_at = ",
                    $dialect!(now_ms),
                    " WHERE owner = $1"
                ))
                .bind(owner.to_string())
                .execute(&mut *transaction)
                .await?;
                self.end(transaction).await?;
                Ok(())
            }

            async fn list_agents(&self, lease: Duration) -> Result<Vec<Agent>> {
                let rows = sqlx::query_as::<_, AgentRow>(concat!(
                    "SELECT owner, name, topics FROM agents WHERE heartbeat_at >= ",
                    $dialect!(now_ms),
                    " - $1 ORDER BY owner"
                ))
                .bind(input::lease_ms(lease))
                .fetch_all(self.reader())
                .await?;
                rows::all(rows)
            }

            async fn ownership_view(&self, lease: Duration) -> Result<OwnershipView> {
                self.answered(self.view(lease)).await
            }

            async fn mark_suspect(&self, held: &Ownership, offset: u64) -> Result<u32> {
                // Counted from what the ownership began with, so that a repetition counts once.
                let times = held.suspect.filter(|suspect| suspect.offset == offset).map_or(0, |s| s.times) + 1;
                let marked = sqlx::query(
                    "UPDATE partitions SET suspect_offset = $5, suspect_times = $6
                     WHERE topic = $1 AND partition_id = $2 AND epoch = $3 AND owner = $4",
                )
                .bind(held.partition.topic.as_str())
                .bind(i64::from(held.partition.partition_id))
                .bind(input::number("epoch", held.epoch.0)?)
                .bind(held.owner.to_string())
                .bind(input::offset(offset)?)
                .bind(i64::from(times))
                .execute(self.writer());
                if self.answered(marked).await?.rows_affected() == 0 { Err(not_held(held)) } else { Ok(times) }
            }

            async fn clear_suspect(&self, held: &Ownership) -> Result<()> {
                let cleared = sqlx::query(
                    "UPDATE partitions SET suspect_offset = NULL, suspect_times = 0
                     WHERE topic = $1 AND partition_id = $2 AND epoch = $3 AND owner = $4",
                )
                .bind(held.partition.topic.as_str())
                .bind(i64::from(held.partition.partition_id))
                .bind(input::number("epoch", held.epoch.0)?)
                .bind(held.owner.to_string())
                .execute(self.writer());
                if self.answered(cleared).await?.rows_affected() == 0 { Err(not_held(held)) } else { Ok(()) }
            }

            async fn resume(
                &self,
                partition: &TopicPartition,
                seen: Incarnation,
                at: &ResumePoint,
            ) -> Result<Partition> {
                self.answered(self.begin_incarnation(partition, seen, at)).await
            }
        }

        impl $store {
            /// See [`OwnershipStore::release`].
            async fn give_up(&self, held: &[Ownership]) -> Result<()> {
                let mut held: Vec<&Ownership> = held.iter().collect();
                held.sort_by_key(|held| &held.partition);
                let mut transaction = self.begin_write().await?;
                for held in held {
                    sqlx::query(concat!(
                        "UPDATE partitions SET owner = NULL, updated_at = ",
                        $dialect!(now_ms),
                        "
                         WHERE topic = $1 AND partition_id = $2 AND epoch = $3 AND owner = $4"
                    ))
                    .bind(held.partition.topic.as_str())
                    .bind(i64::from(held.partition.partition_id))
                    .bind(input::number("epoch", held.epoch.0)?)
                    .bind(held.owner.to_string())
                    .execute(&mut *transaction)
                    .await?;
                }
                self.end(transaction).await?;
                Ok(())
            }

            /// See [`OwnershipStore::ownership_view`].
            async fn view(&self, lease: Duration) -> Result<OwnershipView> {
                let mut transaction = self.begin_read().await?;
                let is_replica: bool =
                    sqlx::query_scalar(concat!("SELECT ", $dialect!(is_replica))).fetch_one(&mut *transaction).await?;
                if is_replica {
                    // It may lag, and decisions are made on what it says.
                    return Err(sqlx::Error::Io(std::io::Error::other("the server is a replica")).into());
                }
                let agents = sqlx::query_as::<_, AgentRow>(concat!(
                    "SELECT owner, name, topics FROM agents WHERE heartbeat_at >= ",
                    $dialect!(now_ms),
                    " - $1 ORDER BY owner"
                ))
                .bind(input::lease_ms(lease))
                .fetch_all(&mut *transaction)
                .await?;
                let young: Vec<String> = sqlx::query_scalar(concat!(
                    "SELECT owner FROM agents WHERE started_at > ",
                    $dialect!(now_ms),
                    " - $1 ORDER BY owner"
                ))
                .bind(input::lease_ms(lease))
                .fetch_all(&mut *transaction)
                .await?;
                let partitions = sqlx::query_as::<_, PartitionOwnerRow>(
                    "SELECT topic, partition_id, owner, epoch, high_watermark, state FROM partitions
                     ORDER BY topic, partition_id",
                )
                .fetch_all(&mut *transaction)
                .await?;
                transaction.rollback().await?;
                let young = young.iter().map(|owner| rows::owner_id(owner)).collect::<Result<_>>()?;
                Ok(OwnershipView { agents: rows::all(agents)?, young, partitions: rows::all(partitions)? })
            }

            /// See [`OwnershipStore::acquire`].
            async fn take_over(
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
                let row = sqlx::query_as::<_, PartitionRow>(concat!(
                    "SELECT ",
                    partition_columns!(),
                    " FROM partitions WHERE topic = $1 AND partition_id = $2",
                    $dialect!(for_update)
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .fetch_optional(&mut *connection)
                .await?;
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
                    return Err(CatalogError::Fenced { partition: partition.clone(), reason });
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
                Ok(AcquireOutcome::Acquired(Ownership {
                    partition: partition.clone(),
                    owner,
                    epoch: Epoch(seen.epoch.0 + 1),
                    incarnation: seen.incarnation,
                    high_watermark: seen.high_watermark,
                    anchor: seen.anchor,
                    takeovers: rows::unsigned("takeovers", takeovers)?,
                    suspect: suspect.transpose()?,
                }))
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

impl_ownership_store!(SqliteMetadataStore, sqlx::Sqlite, sqlite);
impl_ownership_store!(PostgresMetadataStore, sqlx::Postgres, postgres);

fn not_held(held: &Ownership) -> CatalogError {
    let reason = format!("it is not held at epoch {} by {} any more", held.epoch, held.owner);
    CatalogError::Fenced { partition: held.partition.clone(), reason }
}
