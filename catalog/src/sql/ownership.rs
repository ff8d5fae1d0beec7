//! Agents, and the owners of partitions.
//!
//! Owns: heartbeats, release, halt, suspects, and the view of agents and owners. Leases are judged by the database's
//! clock alone.
//! Does not own: taking a partition over (`takeover`), the choice of partitions.

use std::time::Duration;

use async_trait::async_trait;
use common::{Incarnation, OwnerId, TopicPartition};

use super::{SqlMetadataStore, input, resume, rows, takeover};
use crate::database::{Session, Sql, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{AcquireOutcome, Agent, Ownership, OwnershipView, Partition, ResumePoint};
use crate::store::OwnershipStore;

#[async_trait]
impl<D> OwnershipStore for SqlMetadataStore<D> {
    async fn heartbeat(&self, agent: &Agent) -> Result<()> {
        let upsert = sql!(
            "INSERT INTO agents (owner, name, topics, agent_group, address, started_at, heartbeat_at)
             SELECT $1, $2, $3, $4, $5, now_ms, now_ms FROM (SELECT " now_ms " AS now_ms) AS clock WHERE true
             ON CONFLICT (owner) DO UPDATE
                 SET name = excluded.name, topics = excluded.topics, agent_group = excluded.agent_group,
                     address = excluded.address, heartbeat_at = excluded.heartbeat_at"
        );
        let (group, address) = input::contact(&agent.contact)?;
        let values = values![agent.owner, input::note(&agent.name), input::scope(&agent.scope), group, address];
        self.door.execute(&upsert, values).await?;
        Ok(())
    }

    async fn acquire(
        &self,
        owner: OwnerId,
        lease: Duration,
        partitions: &[TopicPartition],
    ) -> Result<Vec<AcquireOutcome>> {
        self.door.write(|session| Box::pin(takeover::acquire(session, owner, lease, partitions))).await
    }

    async fn release(&self, held: &[Ownership]) -> Result<()> {
        self.door.write(|session| Box::pin(release(session, held))).await
    }

    async fn halt(&self, held: &Ownership, reason: &str) -> Result<()> {
        let update = sql!(
            "UPDATE partitions SET state = 'halted', halt_reason = $5, updated_at = " now_ms "
             WHERE topic = $1 AND partition_id = $2 AND epoch = $3 AND owner = $4"
        );
        let epoch = input::number("epoch", held.epoch.0)?;
        let partition = &held.partition;
        let values = values![&partition.topic, partition.partition_id, epoch, held.owner, input::note(reason)];
        still_held(held, self.door.execute(&update, values).await?)
    }

    async fn remove_agent(&self, owner: OwnerId) -> Result<()> {
        self.door.write(|session| Box::pin(remove_agent(session, owner))).await
    }

    async fn list_agents(&self, lease: Duration) -> Result<Vec<Agent>> {
        rows::all(self.door.fetch(&AGENTS, values![input::lease_ms(lease)]).await?)
    }

    async fn ownership_view(&self, lease: Duration) -> Result<OwnershipView> {
        self.door.read(|session| Box::pin(view(session, lease))).await
    }

    async fn mark_suspect(&self, held: &Ownership, offset: u64) -> Result<u32> {
        // Counted from the number at the beginning of the ownership, so that a repetition counts once.
        let times = held.suspect.filter(|suspect| suspect.offset == offset).map_or(0, |s| s.times) + 1;
        let update = sql!(
            "UPDATE partitions SET suspect_offset = $5, suspect_times = $6
             WHERE topic = $1 AND partition_id = $2 AND epoch = $3 AND owner = $4"
        );
        let (epoch, offset) = (input::number("epoch", held.epoch.0)?, input::offset(offset)?);
        let partition = &held.partition;
        let values = values![&partition.topic, partition.partition_id, epoch, held.owner, offset, times];
        still_held(held, self.door.execute(&update, values).await?)?;
        Ok(times)
    }

    async fn clear_suspect(&self, held: &Ownership) -> Result<()> {
        let update = sql!(
            "UPDATE partitions SET suspect_offset = NULL, suspect_times = 0
             WHERE topic = $1 AND partition_id = $2 AND epoch = $3 AND owner = $4"
        );
        let epoch = input::number("epoch", held.epoch.0)?;
        let values = values![&held.partition.topic, held.partition.partition_id, epoch, held.owner];
        still_held(held, self.door.execute(&update, values).await?)
    }

    async fn resume(&self, partition: &TopicPartition, seen: Incarnation, at: &ResumePoint) -> Result<Partition> {
        self.door.write(|session| Box::pin(resume::resume(session, partition, seen, at))).await
    }
}

/// The agents whose heartbeat is at most $1 old.
const AGENTS: Sql = sql!(
    "SELECT owner, name, topics, agent_group, address FROM agents WHERE heartbeat_at >= " now_ms " - $1 ORDER BY owner"
);

async fn release(session: &mut dyn Session, held: &[Ownership]) -> Result<()> {
    let update = sql!(
        "UPDATE partitions SET owner = NULL, updated_at = " now_ms "
         WHERE topic = $1 AND partition_id = $2 AND epoch = $3 AND owner = $4"
    );
    let mut held: Vec<&Ownership> = held.iter().collect();
    held.sort_by_key(|held| &held.partition);
    for held in held {
        let epoch = input::number("epoch", held.epoch.0)?;
        let values = values![&held.partition.topic, held.partition.partition_id, epoch, held.owner];
        session.execute(&update, values).await?;
    }
    Ok(())
}

async fn remove_agent(session: &mut dyn Session, owner: OwnerId) -> Result<()> {
    session.execute(&sql!("DELETE FROM agents WHERE owner = $1"), values![owner]).await?;
    // Locked in the order that every transaction keeps.
    let lock = sql!("SELECT partition_id FROM partitions WHERE owner = $1 ORDER BY topic, partition_id" for_update);
    session.fetch(&lock, values![owner]).await?;
    let update = sql!("UPDATE partitions SET owner = NULL, updated_at = " now_ms " WHERE owner = $1");
    session.execute(&update, values![owner]).await?;
    // Those of its partitions are given up by their next owners.
    let doom = sql!(
        "UPDATE uploads SET state = 'doomed', doomed_at = " now_ms "
         WHERE owner = $1 AND partition_id IS NULL AND state = 'pending'"
    );
    session.execute(&doom, values![owner]).await?;
    Ok(())
}

async fn view(session: &mut dyn Session, lease: Duration) -> Result<OwnershipView> {
    for mut row in session.fetch(&sql!("SELECT " is_replica), values![]).await? {
        if row.integer("is_replica")? != 0 {
            // A replica may lag, and writers base decisions on this view.
            return Err(sqlx::Error::Io(std::io::Error::other("the server is a replica")).into());
        }
    }
    let lease = input::lease_ms(lease);
    let agents = rows::all(session.fetch(&AGENTS, values![lease]).await?)?;
    let select = sql!("SELECT owner FROM agents WHERE started_at > " now_ms " - $1 ORDER BY owner");
    let young = session.fetch(&select, values![lease]).await?;
    let select = sql!(
        "SELECT topic, partition_id, owner, epoch, high_watermark, state FROM partitions ORDER BY topic, partition_id"
    );
    let partitions = rows::all(session.fetch(&select, values![]).await?)?;
    let young = young.into_iter().map(|mut row| row.owner()).collect::<Result<_>>()?;
    Ok(OwnershipView { agents, young, partitions })
}

/// `Fenced` if the statement, which changed this many rows, did not find the partition as it was held.
fn still_held(held: &Ownership, changed: u64) -> Result<()> {
    assert!(changed <= 1, "{changed} rows of partitions are {}", held.partition);
    if changed == 1 {
        return Ok(());
    }
    let reason = format!("it is not held at epoch {} by {} any more", held.epoch, held.owner);
    Err(CatalogError::Fenced { partition: held.partition.clone(), reason })
}
