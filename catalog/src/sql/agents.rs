//! Registered agents: the ingesters, and the list of all.
//!
//! Owns: the statements on the table of ingesters, and the list of both roles. Leases are judged by the database's clock
//! alone. Does not own: the heartbeat of a writer (`ownership`).

use std::time::Duration;

use async_trait::async_trait;
use common::OwnerId;

use super::{SqlMetadataStore, input, rows};
use crate::database::{Session, sql, values};
use crate::error::Result;
use crate::model::{Ingester, RegisteredAgent};
use crate::store::AgentStore;

/// Time for which the row of an ingester is kept after its last heartbeat.
const INGESTERS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

#[async_trait]
impl<D> AgentStore for SqlMetadataStore<D> {
    async fn announce(&self, ingester: &Ingester) -> Result<()> {
        self.door.write(|session| Box::pin(announce(session, ingester))).await
    }

    async fn withdraw(&self, id: OwnerId) -> Result<()> {
        self.door.execute(&sql!("DELETE FROM ingesters WHERE id = $1"), values![id]).await?;
        Ok(())
    }

    async fn list_registered(&self, writer_lease: Duration) -> Result<Vec<RegisteredAgent>> {
        let select = sql!(
            "SELECT role, owner, name, agent_group, address, started_at, now_ms - heartbeat_at AS silent_ms,
                    (SELECT count(*) FROM partitions
                     WHERE registered.role = 'writer' AND partitions.owner = registered.owner) AS partition_count
             FROM (SELECT 'ingester' AS role, id AS owner, name, agent_group, address, started_at, heartbeat_at,
                          lease_ms
                   FROM ingesters
                   UNION ALL
                   SELECT 'writer', owner, name, agent_group, address, started_at, heartbeat_at,
                          CAST($1 AS BIGINT)
                   FROM agents)
                  AS registered,
                  (SELECT " now_ms " AS now_ms) AS clock
             WHERE heartbeat_at >= now_ms - lease_ms
             ORDER BY role, name, owner"
        );
        rows::all(self.door.fetch(&select, values![input::lease_ms(writer_lease)]).await?)
    }
}

async fn announce(session: &mut dyn Session, ingester: &Ingester) -> Result<()> {
    let upsert = sql!(
        "INSERT INTO ingesters (id, name, agent_group, address, lease_ms, started_at, heartbeat_at)
         SELECT $1, $2, $3, $4, $5, now_ms, now_ms FROM (SELECT " now_ms " AS now_ms) AS clock WHERE true
         ON CONFLICT (id) DO UPDATE
             SET name = excluded.name, agent_group = excluded.agent_group, address = excluded.address,
                 lease_ms = excluded.lease_ms, heartbeat_at = excluded.heartbeat_at"
    );
    let (group, address) = input::contact(&ingester.contact)?;
    let lease_ms = input::lease_ms(ingester.lease);
    session.execute(&upsert, values![ingester.id, input::note(&ingester.name), group, address, lease_ms]).await?;
    let delete = sql!("DELETE FROM ingesters WHERE heartbeat_at < " now_ms " - $1");
    session.execute(&delete, values![input::lease_ms(INGESTERS_KEPT)]).await?;
    Ok(())
}
