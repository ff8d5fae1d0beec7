//! The compactor: an actor of the simulation that replaces objects, takes old ones off the list and folds history.
//!
//! Owns: one process of it: starting, pausing, killing. Does not own: its work (`work`), the moment of its death
//! (`world`). Writers merge objects too (`plan::settings`);
//! this one merges any objects, of any days, and sometimes loses a row, which the catalog must refuse.

mod replace;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::topic::Format;
use common::{OwnerId, TopicName};
use lake::Storage;
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::work::Worker;
use crate::catalog::{Faults, Session};
use crate::network::{Life, Link, Process};
use crate::process::Surroundings;
use crate::store::ModelStore;
use crate::trace::Trace;

/// The settings of a compactor.
#[derive(Clone, Debug)]
pub struct Compactor {
    /// The topic.
    pub topic: TopicName,
    /// Its number of partitions.
    pub partition_count: u32,
    /// Its format.
    pub format: Format,
    /// Intents of owners that are silent for this long are abandoned.
    pub lease: Duration,
}

/// One process of it.
pub struct CompactorProcess {
    /// Number of its session.
    pub number: u32,
    /// Its connection to the store.
    pub store: ModelStore,
    process: Process,
    catalog_faults: Faults,
    trace: Trace,
    only_clears_up: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl CompactorProcess {
    /// Starts one.
    pub fn start(around: &Surroundings, number: u32, compactor: Compactor) -> Self {
        let (process, chance) = (Process::default(), around.chance.fork());
        let link = Link::new(process.clone(), chance.fork());
        let store = ModelStore::new(around.store.clone(), link, chance.fork());
        let only_clears_up = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            compactor,
            owner: OwnerId(Uuid::from_u128(u128::from(number))),
            catalog: Session::new(&around.catalog, &around.catalog_faults, number),
            storage: Storage::from_store(Arc::new(store.clone())),
            chance,
            trace: around.trace.clone(),
            only_clears_up: Arc::clone(&only_clears_up),
        };
        let (trace, catalog_faults) = (around.trace.clone(), around.catalog_faults.clone());
        trace.note(format!("c{number}"), "starts");
        let task = tokio::spawn(worker.run());
        Self { number, store, process, catalog_faults, trace, only_clears_up, task }
    }

    /// Its state.
    pub fn life(&self) -> Life {
        self.process.life()
    }

    /// From now on it only clears up: no new replacement, nothing taken off the list.
    pub fn only_clear_up(&self) {
        self.only_clears_up.store(true, Ordering::Relaxed);
    }

    /// Pauses it for this time: no request and no answer passes.
    pub fn pause(&self, lasting: Duration) {
        self.trace.note(format!("c{}", self.number), "pauses");
        self.process.set(Life::Paused);
        self.catalog_faults.pause(self.number);
        let (process, faults, number) = (self.process.clone(), self.catalog_faults.clone(), self.number);
        tokio::spawn(async move {
            tokio::time::sleep(lasting).await;
            if process.life() == Life::Paused {
                process.set(Life::Running);
                faults.resume(number);
            }
        });
    }

    /// Resumes it.
    pub fn resume(&self) {
        if self.process.life() == Life::Paused {
            self.process.set(Life::Running);
            self.catalog_faults.resume(self.number);
        }
    }

    /// Kills it at any step. Requests that it sent still take effect.
    pub fn kill(self) {
        self.trace.note(format!("c{}", self.number), "is killed");
        self.process.set(Life::Dead);
        self.catalog_faults.pause(self.number);
        self.task.abort();
    }
}
