//! Compaction as a process of its own.
//!
//! Owns: its registration as an agent, without which its intents would be doomed, and doing all that is due.
//! Does not own: the jobs (`compact`).

use std::sync::Arc;
use std::time::Duration;

use catalog::{Agent, CatalogError, Contact, MetadataStore, Scope};
use common::clock::system_clock;
use common::memory::MemoryBudget;
use common::{OwnerId, TopicName, agent_name};
use lake::Storage;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Compaction, CompactionConfig, Told, Tools};
use crate::pipeline::cpu::Cpu;

/// Looks that may end without success, one after the other, before a run is over.
const LOST_MAX: u32 = 5;

/// Compacts without writing anything else.
#[derive(Debug)]
pub struct Compactor {
    compaction: Compaction,
    agent: Agent,
    lease: Duration,
    stop: CancellationToken,
}

impl Compactor {
    /// A compactor whose intents are given up when it is silent for `lease`.
    pub fn new(catalog: Arc<dyn MetadataStore>, storage: Storage, config: CompactionConfig, lease: Duration) -> Self {
        let (owner, stop) = (OwnerId(Uuid::now_v7()), CancellationToken::new());
        // The budget counts the job alone: what it may take was limited already.
        let memory = MemoryBudget::new(usize::try_from(config.memory_bytes).unwrap_or(usize::MAX));
        let cpu = Cpu::new(false);
        let tools = Tools { catalog, storage, owner, memory, cpu, stop: stop.clone(), config };
        let agent = Agent { owner, name: agent_name(), scope: Scope::Nothing, contact: Contact::default() };
        Self { compaction: Compaction::new(tools, system_clock()), agent, lease, stop }
    }

    /// Ends a run soon. Nothing is lost but unfinished work.
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Does every job that is due for these topics, or for all, and tells each; then with `is_once` returns, else waits
    /// for more until it is stopped.
    ///
    /// # Errors
    /// If the catalog does not answer.
    pub async fn run(&mut self, topics: &[TopicName], is_once: bool, told: Told<'_>) -> Result<(), CatalogError> {
        let Self { compaction, agent, lease, stop } = self;
        let catalog = Arc::clone(&compaction.tools.catalog);
        catalog.heartbeat(agent).await?;
        let worked = tokio::select! {
            biased;
            worked = work(compaction, topics, is_once, told) => worked,
            () = heartbeats(catalog.as_ref(), agent, *lease) => Ok(()),
        };
        stop.cancel();
        catalog.remove_agent(agent.owner).await.ok();
        worked
    }
}

async fn work(
    compaction: &mut Compaction,
    topics: &[TopicName],
    is_once: bool,
    told: Told<'_>,
) -> Result<(), CatalogError> {
    let stop = compaction.tools.stop.clone();
    let mut lost = 0;
    while !stop.is_cancelled() {
        let passed = compaction.look(topics, told).await?;
        if passed.done > 0 {
            lost = 0;
            continue;
        }
        lost += 1;
        if passed.lost > 0 && lost < LOST_MAX {
            continue;
        }
        if is_once {
            return Ok(());
        }
        lost = 0;
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep(compaction.tools.config.pause) => {}
        }
    }
    Ok(())
}

/// Renews the lease. Never returns.
async fn heartbeats(catalog: &dyn MetadataStore, agent: &Agent, lease: Duration) {
    loop {
        tokio::time::sleep(lease / 3).await;
        if let Err(error) = catalog.heartbeat(agent).await {
            tracing::warn!(%error, "heartbeat failed, tried again");
        }
    }
}
