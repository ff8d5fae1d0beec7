//! The loop of the compactor.
//!
//! Owns: the choice of the next step, retention, folding, and dooming abandoned intents.
//! Does not own: the replacement (`replace`).

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use catalog::{Agent, ExpiredBefore, JanitorStore, OwnershipStore, Scope, SegmentStore};
use common::OwnerId;
use lake::Storage;

use super::Compactor;
use crate::catalog::Session;
use crate::chance::Chance;
use crate::trace::Trace;

/// One process at work.
pub(super) struct Worker {
    pub(super) compactor: Compactor,
    pub(super) owner: OwnerId,
    pub(super) catalog: Session,
    pub(super) storage: Storage,
    pub(super) chance: Chance,
    pub(super) trace: Trace,
    pub(super) only_clears_up: Arc<AtomicBool>,
}

impl Worker {
    pub(super) async fn run(self) {
        loop {
            self.wait(500..4_000).await;
            // An owner that is silent loses its intents; one whose heartbeat fails waits for the next.
            let agent = Agent {
                owner: self.owner,
                name: "compactor".to_owned(),
                scope: Scope::Nothing,
                contact: Default::default(),
            };
            if self.catalog.heartbeat(&agent).await.is_err() {
                continue;
            }
            let only_clears_up = self.only_clears_up.load(Ordering::Relaxed);
            match self.chance.below(10) {
                _ if only_clears_up => self.clear_up().await,
                0..6 => self.replace_some().await,
                6 | 7 => self.expire_some().await,
                _ => self.clear_up().await,
            }
        }
    }

    pub(super) async fn wait(&self, milliseconds: Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.chance.between(milliseconds))).await;
    }

    /// Steps that fail here, out of reach of the catalog, are repeated later.
    async fn clear_up(&self) {
        let _unless_out_of_reach = self.catalog.doom_abandoned_replacements(self.compactor.lease).await;
        let hold = Duration::from_millis(self.chance.between(2_000..20_000));
        let _unless_out_of_reach = self.catalog.fold_history(hold).await;
    }

    /// Takes segments some way behind the watermarks off the list, of one partition or of several.
    async fn expire_some(&self) {
        let topic = &self.compactor.topic;
        let Ok(snapshot) = self.catalog.snapshot(topic).await else { return };
        let behind = self.chance.between(5..120);
        let mut before = Vec::new();
        for partition in &snapshot.partitions {
            if self.chance.below(3) > 0 {
                let offset = partition.high_watermark.saturating_sub(behind);
                before.push(ExpiredBefore { partition_id: partition.partition_id, offset });
            }
        }
        let _unless_out_of_reach = self.catalog.expire_segments(topic, &before).await;
    }
}
