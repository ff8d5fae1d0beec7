//! Heartbeat: keeps this writer's lease alive.
//!
//! Owns: the times of heartbeats, and the scope that they announce. Does not own: the agent's row (`topics`), the
//! catalog's decision about an expired lease.

use std::sync::Arc;

use catalog::{Agent, Scope};
use common::failpoint;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::pipeline::context::Context;

/// Heartbeats per lease: two lost ones cause no takeover by another writer.
pub(crate) const HEARTBEATS_PER_LEASE: u32 = 3;

/// Renews the agent's lease until dropped; sends nothing while `advert` is empty. As soon as the writer stops, the
/// heartbeat announces that it takes no more partitions, while its own ones drain.
pub(crate) async fn beat(context: Arc<Context>, advert: watch::Receiver<Option<Agent>>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(context.config.lease / HEARTBEATS_PER_LEASE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_leaving = false;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled(), if !is_leaving => is_leaving = true,
            _ = ticks.tick() => {}
        }
        failpoint::hit("heartbeat.before").await;
        let Some(mut agent) = advert.borrow().clone() else { continue };
        if is_leaving {
            agent.scope = Scope::Nothing;
        }
        // A heartbeat without an answer must not delay the next one.
        let beat = tokio::time::timeout(context.config.lease, context.catalog.heartbeat(&agent)).await;
        let failed =
            beat.map_or_else(|_| Some("no answer within a lease".to_owned()), |beat| beat.err().map(|e| e.to_string()));
        if let Some(error) = failed {
            tracing::warn!(error, "heartbeat failed; another writer may take over");
        }
    }
}
