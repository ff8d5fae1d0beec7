//! Upkeep: the operations of a writer that need no operator.
//!
//! Owns: starting them. Does not own: the operations (`operations`), their end (`running`).

use std::sync::Arc;

use common::OwnerId;
use common::clock::SharedClock;
use open_tables::Publisher;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Writer;
use crate::operations::compact::{Compaction, Tools};
use crate::operations::janitor::Janitor;
use crate::operations::publish;
use crate::operations::retention::Retention;
use crate::pipeline::context::Context;
use crate::service::status::StatusBoard;

impl Writer {
    /// Starts what deletes objects, enforces retention and publishes tables.
    pub(super) fn start_upkeep(&self, context: &Context, owner: OwnerId, watchers: &mut JoinSet<()>) {
        let janitor = Janitor {
            catalog: Arc::clone(&context.catalog),
            storage: self.storage.clone(),
            hold: self.config.janitor_hold,
            second_sweep: self.config.janitor_second_sweep,
            lease: self.config.lease,
        };
        watchers.spawn(janitor.run());
        let publisher = Publisher { catalog: Arc::clone(&context.catalog), storage: self.storage.clone(), owner };
        watchers.spawn(publish::run(publisher, self.config.publish_interval));
        let retention = Retention { catalog: Arc::clone(&context.catalog), hold: self.config.janitor_hold };
        watchers.spawn(retention.run());
    }

    /// Starts merging small objects, if that is on.
    pub(super) fn start_compaction(
        &self,
        context: &Context,
        owner: OwnerId,
        stop: CancellationToken,
        board: &StatusBoard,
    ) -> Option<JoinHandle<()>> {
        if !self.config.compaction.is_on {
            return None;
        }
        let tools = Tools {
            catalog: Arc::clone(&context.catalog),
            storage: self.storage.clone(),
            owner,
            memory: context.limits.memory.clone(),
            cpu: context.limits.cpu.clone(),
            stop,
            config: self.config.compaction.clone(),
        };
        let clock: SharedClock = Arc::clone(&self.clock);
        let compaction = Compaction::new(tools, clock);
        Some(tokio::spawn(compaction.run(self.topics.clone(), board.clone())))
    }
}
