//! Shares: the partitions that this writer should have, according to the catalog's ownership view.
//!
//! Owns: the partitions to acquire, and reporting a change of the shares. Does not own: the assignment (`balance`),
//! acquiring (`supervise`).

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::{OwnershipView, PartitionOwner, PartitionState};
use common::{OwnerId, TopicPartition};
use tokio::time::Instant;

use crate::ownership::balance::{Balancer, Plan};

/// This writer's share of all partitions.
#[derive(Debug)]
pub(crate) struct Shares {
    me: OwnerId,
    balancer: Balancer,
    reported: Option<Counts>,
}

/// The numbers of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    own: usize,
    all: usize,
    writers: usize,
}

impl Shares {
    pub(crate) fn new(me: OwnerId, lease: Duration, now: Instant) -> Self {
        Self { me, balancer: Balancer::new(me, lease, now), reported: None }
    }

    /// Plans from a view taken at `now`.
    pub(crate) fn plan(&mut self, view: &OwnershipView, now: Instant) -> Plan {
        self.report(view);
        self.balancer.plan(view, now)
    }

    /// The partitions to acquire, in order: those of the plan, this writer's own ones without a pipeline, and halted
    /// ones, to learn the reason. `may_ask` excludes partitions that cannot start now.
    pub(crate) fn to_ask_for(
        &self,
        view: &OwnershipView,
        acquire: Vec<TopicPartition>,
        may_ask: impl Fn(&TopicPartition) -> bool,
    ) -> Vec<TopicPartition> {
        let mut wanted: BTreeSet<TopicPartition> = acquire.into_iter().collect();
        let own_or_halted = |row: &&PartitionOwner| row.owner == Some(self.me) || row.state == PartitionState::Halted;
        wanted.extend(view.partitions.iter().filter(own_or_halted).map(|row| row.partition.clone()));
        wanted.into_iter().filter(may_ask).collect()
    }

    /// Logs one line at each change of the shares.
    fn report(&mut self, view: &OwnershipView) {
        let own = view.partitions.iter().filter(|row| row.owner == Some(self.me)).count();
        let counts = Counts { own, all: view.partitions.len(), writers: view.agents.len() };
        if self.reported != Some(counts) {
            tracing::info!(own, all = counts.all, writers = counts.writers, "partitions shared out");
            self.reported = Some(counts);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use common::{Epoch, TopicName};
    use uuid::Uuid;

    use super::*;

    fn partition(id: u32) -> TopicPartition {
        TopicPartition::new(TopicName::new("t").expect("valid"), id)
    }

    #[tokio::test]
    async fn own_idle_planned_and_halted_partitions_are_asked_for_unless_they_cannot_start() {
        let (me, other) = (OwnerId(Uuid::from_u128(1)), OwnerId(Uuid::from_u128(2)));
        let row = |id, owner, state| PartitionOwner {
            partition: partition(id),
            state,
            owner,
            epoch: Epoch(1),
            high_watermark: 0,
        };
        let view = OwnershipView {
            agents: Vec::new(),
            young: BTreeSet::new(),
            partitions: vec![
                row(0, Some(me), PartitionState::Active),
                row(1, Some(me), PartitionState::Active),
                row(2, Some(other), PartitionState::Active),
                row(3, None, PartitionState::Halted),
                row(4, None, PartitionState::Active),
                row(5, None, PartitionState::Active),
            ],
        };
        let shares = Shares::new(me, Duration::from_secs(30), Instant::now());
        let may_ask = |asked: &TopicPartition| *asked != partition(1);
        assert_eq!(shares.to_ask_for(&view, vec![partition(5)], may_ask), [partition(0), partition(3), partition(5)]);
    }
}
