//! Balance: the partitions that a writer should take, and those that it should give away. Pure.
//!
//! Owns: the assignment that every writer computes for itself from the same view, and the damping of moves.
//! Does not own: acquiring and releasing (`supervise`). Safety does not depend on it: a wrong or stale view costs work,
//! never data.
//!
//! A partition stays with its owner. A free one goes to the writer with the fewest. A writer gives some away only if it
//! has two more than another that could take one, half of its surplus at a time. The set of writers must have been the
//! same for a whole lease, so that a writer that restarts repeatedly moves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catalog::{Agent, OwnershipView, PartitionOwner, PartitionState};
use common::{OwnerId, TopicPartition};
use tokio::time::Instant;

/// Any eligible writer takes a partition that was free for this many leases, since the assigned writer did not.
const LEASES_UNTIL_ANYBODY: u32 = 3;

/// The changes that a writer should make now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Partitions to take over.
    pub(crate) acquire: Vec<TopicPartition>,
    /// Partitions to drain and give back.
    pub(crate) release: Vec<TopicPartition>,
}

/// One writer's state between two looks at the catalog.
#[derive(Debug)]
pub(crate) struct Balancer {
    me: OwnerId,
    lease: Duration,
    agents: Vec<OwnerId>,
    steady_since: Instant,
    free_since: BTreeMap<TopicPartition, Instant>,
}

impl Balancer {
    pub(crate) fn new(me: OwnerId, lease: Duration, now: Instant) -> Self {
        Self { me, lease, agents: Vec::new(), steady_since: now, free_since: BTreeMap::new() }
    }

    /// Plans from a view taken at `now`.
    pub(crate) fn plan(&mut self, view: &OwnershipView, now: Instant) -> Plan {
        let agents: Vec<OwnerId> = view.agents.iter().map(|agent| agent.owner).collect();
        if agents != self.agents {
            self.agents = agents;
            self.steady_since = now;
        }
        let Some(me) = view.agents.iter().find(|agent| agent.owner == self.me) else {
            // The other writers compute the same: a writer without a heartbeat takes nothing.
            self.free_since.clear();
            return Plan::default();
        };
        let mut assignment = Assignment::new(view);
        let free: BTreeSet<TopicPartition> = assignment.free.iter().cloned().collect();
        self.free_since.retain(|partition, _| free.contains(partition));
        let mut acquire = Vec::new();
        for partition in &free {
            let since = *self.free_since.entry(partition.clone()).or_insert(now);
            let is_forgotten = now.duration_since(since) >= self.lease * LEASES_UNTIL_ANYBODY;
            let is_mine = assignment.give(partition) == Some(self.me);
            if is_mine || (is_forgotten && is_eligible(me, partition)) {
                acquire.push(partition.clone());
            }
        }
        let is_steady = now.duration_since(self.steady_since) >= self.lease;
        let mut release = if is_steady { assignment.surplus(self.me) } else { Vec::new() };
        release.truncate(release.len().div_ceil(2));
        Plan { acquire, release }
    }
}

fn is_eligible(agent: &Agent, partition: &TopicPartition) -> bool {
    agent.scope.contains(&partition.topic)
}

/// The owner of each partition in the course of the plan.
struct Assignment<'v> {
    agents: &'v [Agent],
    young: &'v BTreeSet<OwnerId>,
    owned: BTreeMap<OwnerId, BTreeSet<TopicPartition>>,
    /// Partitions without a live owner, in order.
    free: Vec<TopicPartition>,
}

impl<'v> Assignment<'v> {
    fn new(view: &'v OwnershipView) -> Self {
        let mut owned: BTreeMap<OwnerId, BTreeSet<TopicPartition>> =
            view.agents.iter().map(|agent| (agent.owner, BTreeSet::new())).collect();
        let mut free = Vec::new();
        let active = |partition: &&PartitionOwner| partition.state == PartitionState::Active;
        for PartitionOwner { partition, owner, .. } in view.partitions.iter().filter(active) {
            match owner.and_then(|owner| owned.get_mut(&owner)) {
                Some(partitions) => {
                    partitions.insert(partition.clone());
                }
                None => free.push(partition.clone()),
            }
        }
        Self { agents: &view.agents, young: &view.young, owned, free }
    }

    fn load(&self, owner: OwnerId) -> usize {
        self.owned.get(&owner).map_or(0, BTreeSet::len)
    }

    /// The eligible writer with the fewest partitions, the first of equals. A writer that has just started is chosen
    /// only if there is no other: it may be in a crash loop, and gets its share after it has stayed alive.
    fn least_loaded(&self, partition: &TopicPartition) -> Option<OwnerId> {
        let eligible = self.agents.iter().filter(|agent| is_eligible(agent, partition));
        let order = |owner: &OwnerId| (self.young.contains(owner), self.load(*owner), *owner);
        eligible.map(|agent| agent.owner).min_by_key(order)
    }

    /// Assigns a free partition.
    fn give(&mut self, partition: &TopicPartition) -> Option<OwnerId> {
        let owner = self.least_loaded(partition)?;
        self.owned.entry(owner).or_default().insert(partition.clone());
        Some(owner)
    }

    /// The surplus of `me` after the free partitions are assigned. Moves of the others count as done, so that two
    /// writers do not both fill the same third one beyond its share.
    fn surplus(&mut self, me: OwnerId) -> Vec<TopicPartition> {
        let mut moves = Vec::new();
        while let Some((partition, from, to)) = self.next_move() {
            self.owned.entry(from).or_default().remove(&partition);
            self.owned.entry(to).or_default().insert(partition.clone());
            if from == me {
                moves.push(partition);
            }
        }
        moves
    }

    /// A move from the most loaded writer that reduces the difference, if there is one.
    fn next_move(&self) -> Option<(TopicPartition, OwnerId, OwnerId)> {
        let mut by_load: Vec<(usize, OwnerId)> = self.owned.iter().map(|(owner, held)| (held.len(), *owner)).collect();
        by_load.sort_by_key(|(load, owner)| (std::cmp::Reverse(*load), *owner));
        let least = by_load.last().map_or(0, |(load, _)| *load);
        by_load.into_iter().take_while(|(load, _)| *load >= least + 2).find_map(|(load, from)| {
            // Last partitions first: those taken last lose the least.
            self.owned[&from].iter().rev().find_map(|partition| {
                let to = self.least_loaded(partition)?;
                (self.load(to) + 2 <= load).then(|| (partition.clone(), from, to))
            })
        })
    }
}

#[cfg(test)]
mod tests;
