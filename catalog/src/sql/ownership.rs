//! Agents, and who owns which partition.
//!
//! Owns: heartbeats, release, halt, suspects, and the view of all of it. Leases are judged by the database's clock alone.
//! Does not own: taking a partition over (`takeover`), which partitions a writer wants.

use std::time::Duration;

use async_trait::async_trait;
use common::{Incarnation, OwnerId, TopicPartition};

use super::dialect::{postgres, sqlite};
use super::input;
use super::rows::{self, AgentRow, PartitionOwnerRow};
use crate::error::{CatalogError, Result};
use crate::model::{AcquireOutcome, Agent, Ownership, OwnershipView, Partition, ResumePoint};
use crate::store::OwnershipStore;
use crate::{PostgresMetadataStore, SqliteMetadataStore};

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
                self.answered(async { beat.await.map_err(|error| self.unknown_commit(error)) }).await?;
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
        }
    };
}

impl_ownership_store!(SqliteMetadataStore, sqlx::Sqlite, sqlite);
impl_ownership_store!(PostgresMetadataStore, sqlx::Postgres, postgres);

fn not_held(held: &Ownership) -> CatalogError {
    let reason = format!("it is not held at epoch {} by {} any more", held.epoch, held.owner);
    CatalogError::Fenced { partition: held.partition.clone(), reason }
}
