//! Sharing out: which partitions this writer ends, drains and takes over, as the catalog's view and its balance say.
//!
//! Owns: carrying a plan out, and noticing what was lost meanwhile. Does not own: the plan (`balance`), pipelines.

use std::collections::{BTreeMap, BTreeSet};

use catalog::{AcquireOutcome, OwnershipView, PartitionState};
use common::{TopicPartition, failpoint, mutation};
use tokio::time::Instant;

use super::{Supervisor, place};
use crate::error::Result;
use crate::ownership::balance::Plan;

/// Partitions taken over in one transaction, whose rows are locked meanwhile.
const ACQUIRE_MAX: usize = 200;

/// How the partitions are shared, as last told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    own: usize,
    all: usize,
    writers: usize,
}

impl Supervisor {
    /// Looks who owns what, and does this writer's part: ends what was lost, drains what is too much, takes what is due.
    pub(super) async fn share_out(&mut self) -> Result<()> {
        self.resting.retain(|_, until| *until > Instant::now());
        // Taken before the view, which must show at least as much.
        let committed = self.board.watermarks();
        let view = self.context.catalog.ownership_view(self.context.config.lease).await?;
        self.end_lost(&view, &committed);
        self.tell_shares(&view);
        let Plan { acquire, release } = self.balancer.plan(&view, Instant::now());
        for partition in &release {
            if let Some(running) = self.running.get(partition).filter(|running| !running.stop.is_cancelled()) {
                tracing::info!(%partition, "partition is drained for a writer that has fewer");
                running.stop.cancel();
            }
        }
        let missing = self.missing(&view, acquire);
        for some in missing.chunks(ACQUIRE_MAX) {
            self.take_over(some).await?;
        }
        Ok(())
    }

    async fn take_over(&mut self, missing: &[TopicPartition]) -> Result<()> {
        let outcomes = self.context.catalog.acquire(self.agent.owner, self.context.config.lease, missing).await?;
        failpoint::hit("takeover.done").await;
        for outcome in outcomes {
            match outcome {
                AcquireOutcome::Acquired(held) => self.spawn(held),
                AcquireOutcome::Held { partition, owner } => {
                    tracing::debug!(%partition, %owner, "another writer was faster");
                }
                AcquireOutcome::Halted { partition, reason } => {
                    tracing::error!(%partition, reason, "partition is halted and needs an operator");
                    self.board.trouble(place(&partition), reason);
                    self.halted.insert(partition);
                }
            }
        }
        Ok(())
    }

    /// What to ask the catalog for: this writer's share, what it owns without working on it, and what is halted, to
    /// hear why.
    fn missing(&mut self, view: &OwnershipView, acquire: Vec<TopicPartition>) -> Vec<TopicPartition> {
        let mut wanted: BTreeSet<TopicPartition> = acquire.into_iter().collect();
        for row in &view.partitions {
            let is_halted = row.state == PartitionState::Halted;
            if !is_halted && self.halted.remove(&row.partition) {
                self.board.clear(&place(&row.partition));
            }
            let is_own = row.owner == Some(self.agent.owner);
            if (is_own && !is_halted) || (is_halted && !self.halted.contains(&row.partition)) {
                wanted.insert(row.partition.clone());
            }
        }
        wanted.retain(|partition| {
            self.topics.get(&partition.topic).is_some()
                && !self.running.contains_key(partition)
                && !self.resting.contains_key(partition)
        });
        wanted.into_iter().collect()
    }

    /// Ends pipelines whose partition has another owner or epoch: nothing of them could be committed. Also those of
    /// which the catalog knows less than was committed, since a server that lagged took over: what it lost is read again,
    /// and not only once the next message comes.
    fn end_lost(&self, view: &OwnershipView, committed: &BTreeMap<TopicPartition, u64>) {
        for row in &view.partitions {
            let Some(running) = self.running.get(&row.partition) else { continue };
            let (known, committed) = (row.high_watermark, committed.get(&row.partition).copied().unwrap_or_default());
            if (row.owner, row.epoch) != (Some(self.agent.owner), running.held.epoch) {
                let (partition, epoch) = (&row.partition, row.epoch.0);
                tracing::warn!(%partition, epoch, "partition lost; what was not committed is left to its owner");
                running.abort.abort();
            } else if known < committed && !mutation::is_off("supervise.went_back") {
                let partition = &row.partition;
                tracing::warn!(%partition, known, committed, "the catalog went back; what it forgot is read again");
                running.abort.abort();
            }
        }
    }

    /// One line whenever the shares change.
    fn tell_shares(&mut self, view: &OwnershipView) {
        let own = view.partitions.iter().filter(|row| row.owner == Some(self.agent.owner)).count();
        let shares = Shares { own, all: view.partitions.len(), writers: view.agents.len() };
        if self.shares != Some(shares) {
            tracing::info!(own, all = shares.all, writers = shares.writers, "partitions shared out");
            self.shares = Some(shares);
        }
    }
}
