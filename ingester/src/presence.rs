//! The presence of an ingester in the catalog, by which producers find it.
//!
//! Owns: the times of its heartbeats, and its removal on an orderly stop. Does not own: the list of agents (the catalog),
//! the choice of an agent (`agents`).

use std::sync::Arc;
use std::time::Duration;

use catalog::{Ingester, MetadataStore};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Heartbeats per lease: two lost ones hide no living ingester.
const HEARTBEATS_PER_LEASE: u32 = 3;

/// Longest time for the removal. An ingester that is not removed counts as dead after its lease.
const REMOVAL_MAX: Duration = Duration::from_secs(5);

/// An ingester that is registered in the catalog. Dropping it ends the heartbeats without a removal.
#[derive(Debug)]
pub(crate) struct Presence {
    catalog: Arc<dyn MetadataStore>,
    ingester: Ingester,
    tasks: JoinSet<()>,
}

impl Presence {
    /// Registers the ingester, and renews its lease from now on.
    pub(crate) fn begin(catalog: Arc<dyn MetadataStore>, ingester: Ingester) -> Self {
        if ingester.contact.address.is_none() {
            tracing::warn!(
                "producers cannot find this ingester in the catalog, because its address stands for every address of \
                 the machine; AGENT_URL names the one that they can use"
            );
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(beat(Arc::clone(&catalog), ingester.clone()));
        Self { catalog, ingester, tasks }
    }

    /// Removes the ingester, so that no producer chooses it any more.
    pub(crate) async fn end(mut self) {
        // First, so that no heartbeat registers it again.
        self.tasks.shutdown().await;
        match timeout(REMOVAL_MAX, self.catalog.withdraw(self.ingester.id)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "not removed from the agents; it counts as dead after its lease"),
            Err(_) => tracing::warn!("not removed from the agents in time; it counts as dead after its lease"),
        }
    }
}

async fn beat(catalog: Arc<dyn MetadataStore>, ingester: Ingester) {
    let mut ticks = interval(ingester.lease / HEARTBEATS_PER_LEASE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A heartbeat without an answer must not delay the next one.
        let failed = match timeout(ingester.lease, catalog.announce(&ingester)).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer within a lease".to_owned(),
        };
        tracing::warn!(error = failed, "heartbeat failed; producers may not find this ingester");
    }
}
