//! Transactions on agents and on the ownership of partitions.
//!
//! Owns: the rise of epochs. Leases are judged by the database's clock alone.
//! Does not own: resuming a halted partition (`resume`).

use std::time::Duration;

use ::catalog::{
    AcquireOutcome, Agent, CatalogError, Ownership, OwnershipView, PartitionOwner, PartitionState, Result, Suspect,
};
use common::{OwnerId, TopicPartition};

use super::event::Change;
use super::limits;
use super::state::{AgentRow, CatalogState, PartitionRow};

impl CatalogState {
    pub(crate) fn heartbeat(&mut self, agent: &Agent) -> Result<()> {
        limits::contact(&agent.contact)?;
        let started_at = self.agents.get(&agent.owner).map_or(self.now_ms, |row| row.started_at);
        let row = AgentRow {
            name: limits::note(&agent.name),
            scope: limits::scope(&agent.scope),
            contact: agent.contact.clone(),
            started_at,
            heartbeat_at: self.now_ms,
        };
        self.agents.insert(agent.owner, row);
        self.changed(Change::Other("heartbeat"));
        Ok(())
    }

    pub(crate) fn acquire(
        &mut self,
        owner: OwnerId,
        lease: Duration,
        partitions: &[TopicPartition],
    ) -> Result<Vec<AcquireOutcome>> {
        if !self.agents.contains_key(&owner) {
            return Err(CatalogError::Refused(format!("agent {owner} has not sent a heartbeat")));
        }
        // All or nothing.
        for partition in partitions {
            self.row(partition)?;
        }
        partitions.iter().map(|partition| self.acquire_one(owner, lease, partition)).collect()
    }

    fn acquire_one(&mut self, owner: OwnerId, lease: Duration, partition: &TopicPartition) -> Result<AcquireOutcome> {
        let seen = self.row(partition)?.partition.clone();
        if seen.state == PartitionState::Halted && self.guards.halt_check {
            let reason = seen.halt_reason.unwrap_or_default();
            return Ok(AcquireOutcome::Halted { partition: partition.clone(), reason });
        }
        let rival =
            seen.owner.filter(|&other| other != owner && self.guards.lease_check && self.is_alive(other, lease));
        if let Some(other) = rival {
            return Ok(AcquireOutcome::Held { partition: partition.clone(), owner: other });
        }
        let (epoch_rises, now_ms) = (self.guards.epoch_rises, self.now_ms);
        let row = self.partitions.get_mut(partition).expect("it was read above");
        row.partition.epoch.0 += u64::from(epoch_rises);
        // A takeover from an owner that released does not count.
        row.takeovers += u32::from(row.partition.owner.is_some());
        row.partition.owner = Some(owner);
        row.partition.updated_at = now_ms;
        let held = row.ownership(owner);
        if self.guards.doom_at_takeover {
            self.doom_pending(|upload| {
                upload.partition().as_ref() == Some(partition) && upload.epoch <= Some(seen.epoch)
            });
            if let Some(expired) = seen.owner.filter(|&expired| expired != owner) {
                self.doom_pending(|upload| {
                    upload.partition_id.is_none() && (&upload.topic, upload.owner) == (&partition.topic, Some(expired))
                });
            }
        }
        self.changed(Change::Acquired(held.clone()));
        Ok(AcquireOutcome::Acquired(held))
    }

    /// True when the owner has sent a heartbeat within `lease`; false for an owner without a row.
    fn is_alive(&self, owner: OwnerId, lease: Duration) -> bool {
        let oldest = self.now_ms - limits::duration_ms(lease);
        self.agents.get(&owner).is_some_and(|agent| agent.heartbeat_at >= oldest)
    }

    /// The row, if it is held by this ownership.
    fn held_row(&mut self, held: &Ownership) -> Result<&mut PartitionRow> {
        let not_held = || {
            let reason = format!("it is not held at epoch {} by {} any more", held.epoch, held.owner);
            CatalogError::Fenced { partition: held.partition.clone(), reason }
        };
        let row = self.partitions.get_mut(&held.partition).ok_or_else(not_held)?;
        let is_held = row.partition.epoch == held.epoch && row.partition.owner == Some(held.owner);
        if is_held { Ok(row) } else { Err(not_held()) }
    }

    pub(crate) fn release(&mut self, held: &[Ownership]) -> Result<()> {
        held.iter().try_for_each(|held| limits::number("epoch", held.epoch.0))?;
        let now_ms = self.now_ms;
        for held in held {
            // A partition that is no longer held needs no release.
            let Ok(row) = self.held_row(held) else { continue };
            row.partition.owner = None;
            row.partition.updated_at = now_ms;
            self.changed(Change::Released(held.partition.clone(), held.owner));
        }
        Ok(())
    }

    pub(crate) fn halt(&mut self, held: &Ownership, reason: &str) -> Result<()> {
        limits::number("epoch", held.epoch.0)?;
        let (now_ms, reason) = (self.now_ms, limits::note(reason));
        let row = self.held_row(held)?;
        row.partition.state = PartitionState::Halted;
        row.partition.halt_reason = Some(reason.clone());
        row.partition.updated_at = now_ms;
        self.changed(Change::Halted(held.partition.clone(), reason));
        Ok(())
    }

    pub(crate) fn remove_agent(&mut self, owner: OwnerId) {
        if self.agents.remove(&owner).is_some() {
            self.changed(Change::Other("remove_agent"));
        }
        let now_ms = self.now_ms;
        for partition in self.partitions_owned_by(owner) {
            let row = self.partitions.get_mut(&partition).expect("it was just listed");
            row.partition.owner = None;
            row.partition.updated_at = now_ms;
            self.changed(Change::Released(partition, owner));
        }
        self.doom_pending(|upload| upload.partition_id.is_none() && upload.owner == Some(owner));
    }

    /// The partitions that the agent owns, by topic and number.
    pub(crate) fn partitions_owned_by(&self, owner: OwnerId) -> Vec<TopicPartition> {
        let owned = self.partitions.iter().filter(|(_, row)| row.partition.owner == Some(owner));
        owned.map(|(partition, _)| partition.clone()).collect()
    }

    pub(crate) fn list_agents(&self, lease: Duration) -> Vec<Agent> {
        let alive = self.agents.iter().filter(|&(&owner, _)| self.is_alive(owner, lease));
        let agent = |owner, row: &AgentRow| {
            let AgentRow { name, scope, contact, .. } = row.clone();
            Agent { owner, name, scope, contact }
        };
        alive.map(|(&owner, row)| agent(owner, row)).collect()
    }

    pub(crate) fn ownership_view(&self, lease: Duration) -> OwnershipView {
        let owner_of = |(partition, row): (&TopicPartition, &PartitionRow)| PartitionOwner {
            partition: partition.clone(),
            owner: row.partition.owner,
            epoch: row.partition.epoch,
            high_watermark: row.partition.high_watermark,
            state: row.partition.state,
        };
        let newest = self.now_ms - limits::duration_ms(lease);
        let young = self.agents.iter().filter(|(_, row)| row.started_at > newest).map(|(&owner, _)| owner).collect();
        OwnershipView {
            agents: self.list_agents(lease),
            young,
            partitions: self.partitions.iter().map(owner_of).collect(),
        }
    }

    pub(crate) fn mark_suspect(&mut self, held: &Ownership, offset: u64) -> Result<u32> {
        limits::number("epoch", held.epoch.0)?;
        limits::offset(offset)?;
        let row = self.held_row(held)?;
        let before = held.suspect.filter(|suspect| suspect.offset == offset).map_or(0, |suspect| suspect.times);
        row.suspect = Some(Suspect { offset, times: before + 1 });
        self.changed(Change::Other("mark_suspect"));
        Ok(before + 1)
    }

    pub(crate) fn clear_suspect(&mut self, held: &Ownership) -> Result<()> {
        limits::number("epoch", held.epoch.0)?;
        self.held_row(held)?.suspect = None;
        self.changed(Change::Other("clear_suspect"));
        Ok(())
    }
}
