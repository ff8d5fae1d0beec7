//! Transactions on ingesters, and the list of all agents.
//!
//! Owns: the rows of ingesters. Leases are judged by the database's clock alone. Does not own: the heartbeat of a writer
//! (`ownership`).

use std::time::Duration;

use ::catalog::{AgentRole, Contact, Ingester, RegisteredAgent, Result};
use common::OwnerId;

use super::event::Change;
use super::limits;
use super::state::CatalogState;

/// Time for which an ingester is kept after its last heartbeat.
const INGESTERS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A row of `ingesters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngesterRow {
    /// Name for people.
    pub name: String,
    /// Its group and address.
    pub contact: Contact,
    /// Time after its heartbeat in which it is alive, in milliseconds.
    pub lease_ms: i64,
    /// Time of its start.
    pub started_at: i64,
    /// Time of its last heartbeat.
    pub heartbeat_at: i64,
}

impl CatalogState {
    pub(crate) fn announce(&mut self, ingester: &Ingester) -> Result<()> {
        limits::contact(&ingester.contact)?;
        let (now, name) = (self.now_ms, limits::note(&ingester.name));
        let started_at = self.ingesters.get(&ingester.id).map_or(now, |row| row.started_at);
        let (contact, lease_ms) = (ingester.contact.clone(), limits::duration_ms(ingester.lease));
        let row = IngesterRow { name, contact, lease_ms, started_at, heartbeat_at: now };
        self.ingesters.insert(ingester.id, row);
        let oldest = now - limits::duration_ms(INGESTERS_KEPT);
        self.ingesters.retain(|_, row| row.heartbeat_at >= oldest);
        self.changed(Change::Other("announce"));
        Ok(())
    }

    pub(crate) fn withdraw(&mut self, id: OwnerId) {
        if self.ingesters.remove(&id).is_some() {
            self.changed(Change::Other("withdraw"));
        }
    }

    pub(crate) fn list_registered(&self, writer_lease: Duration) -> Vec<RegisteredAgent> {
        let alive = self.registered(writer_lease).into_iter().filter(|(alive_until, _)| *alive_until >= self.now_ms);
        alive.map(|(_, agent)| agent).collect()
    }

    /// Every agent that left a row, silent ones too.
    pub(crate) fn all_registered(&self) -> Vec<RegisteredAgent> {
        self.registered(Duration::ZERO).into_iter().map(|(_, agent)| agent).collect()
    }

    /// Every agent in the order of the contract, with the time at which its lease ends.
    fn registered(&self, writer_lease: Duration) -> Vec<(i64, RegisteredAgent)> {
        let (now, writer_lease) = (self.now_ms, limits::duration_ms(writer_lease));
        let silent_ms = |heartbeat_at: i64| u64::try_from(now - heartbeat_at).unwrap_or_default();
        let ingesters = self.ingesters.iter().map(|(&id, row)| {
            let IngesterRow { name, contact, lease_ms, started_at, heartbeat_at } = row.clone();
            let silent_for = Duration::from_millis(silent_ms(heartbeat_at));
            let role = AgentRole::Ingester;
            (
                heartbeat_at + lease_ms,
                RegisteredAgent { role, id, name, contact, started_at, silent_for, partitions: 0 },
            )
        });
        let writers = self.agents.iter().map(|(&id, row)| {
            let agent = RegisteredAgent {
                role: AgentRole::Writer,
                id,
                name: row.name.clone(),
                contact: row.contact.clone(),
                started_at: row.started_at,
                silent_for: Duration::from_millis(silent_ms(row.heartbeat_at)),
                partitions: self.partitions_owned_by(id).len() as u64,
            };
            (row.heartbeat_at + writer_lease, agent)
        });
        let mut agents: Vec<(i64, RegisteredAgent)> = ingesters.chain(writers).collect();
        agents.sort_by(|(_, a), (_, b)| (a.role, &a.name, a.id).cmp(&(b.role, &b.name, b.id)));
        agents
    }
}
