//! One start of a writer: the real writer with its own connections to the models.
//!
//! Owns: starting, pausing, killing it. Does not own: the moments of these (`world`).

use std::sync::Arc;
use std::time::Duration;

use common::OwnerId;
use common::clock::SharedClock;
use common::config::StorageType;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;
use writer::{Storage, Writer, WriterConfig};

use crate::catalog::{Faults, ModelCatalog, Session};
use crate::chance::Chance;
use crate::forgery::Forgeries;
use crate::forgery::store::ForgingStore;
use crate::network::{Life, Link, Process};
use crate::oracle::Oracle;
use crate::queue::{ModelQueue, QueueServer};
use crate::store::{ModelStore, StoreServer};
use crate::trace::Trace;

/// Everything outside of writers.
#[derive(Clone)]
pub struct Surroundings {
    /// Trace of the run.
    pub trace: Trace,
    /// Chance of the connections.
    pub chance: Chance,
    /// The clock that writers see.
    pub clock: SharedClock,
    /// JetStream.
    pub queue: QueueServer,
    /// The object store.
    pub store: StoreServer,
    /// The database.
    pub catalog: ModelCatalog,
    /// The way to the database.
    pub catalog_faults: Faults,
    /// Watches every step.
    pub oracle: Oracle,
    /// Replies that are forged for every writer.
    pub forgeries: Forgeries,
}

/// One process of a writer.
pub struct WriterProcess {
    /// Number of the start; the catalog's sessions know it by this.
    pub number: u32,
    /// Its connection to the queue.
    pub queue: ModelQueue,
    /// Its connection to the store.
    pub store: ModelStore,
    process: Process,
    catalog_faults: Faults,
    trace: Trace,
    stop: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

impl WriterProcess {
    /// Starts a writer.
    pub fn start(around: &Surroundings, number: u32, config: WriterConfig) -> Self {
        let process = Process::default();
        let link = || Link::new(process.clone(), around.chance.fork());
        let acks = Arc::new(around.oracle.clone());
        let queue = ModelQueue::new(around.queue.clone(), link(), around.chance.fork(), Some(acks));
        let store = ModelStore::new(around.store.clone(), link(), around.chance.fork());
        let session = Session::new(&around.catalog, &around.catalog_faults, number).forging(around.forgeries);
        let mut storage = Storage::from_store(Arc::new(ForgingStore::new(store.clone(), around.forgeries)));
        if config.publish_interval.is_some() {
            // Tables need addresses that others can read.
            storage.kind = StorageType::S3;
        }
        let writer = Writer::builder(Arc::new(queue.clone()), storage, Arc::new(session))
            .config(config)
            .owner(OwnerId(Uuid::from_u128(u128::from(number))))
            .clock(Arc::clone(&around.clock))
            .encode_inline()
            .build();
        // One order: to stop.
        let (stop, stopped) = mpsc::channel(1);
        let trace = around.trace.clone();
        trace.note(format!("w{number}"), "starts");
        let task = tokio::spawn(run(writer, stopped, trace.clone(), number));
        Self { number, queue, store, process, catalog_faults: around.catalog_faults.clone(), trace, stop, task }
    }

    /// True when it has ended, by itself or on request.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Its state.
    pub fn life(&self) -> Life {
        self.process.life()
    }

    /// Asks it to stop in good order.
    pub fn shutdown(&self) {
        self.trace.note(format!("w{}", self.number), "is told to stop");
        // It was asked before, or has ended.
        let _told_already = self.stop.try_send(());
    }

    /// Pauses it: no request and no answer passes until it is resumed.
    pub fn pause(&self) {
        self.trace.note(format!("w{}", self.number), "pauses");
        self.process.set(Life::Paused);
        self.catalog_faults.pause(self.number);
    }

    /// Resumes it.
    pub fn resume(&self) {
        if self.process.life() == Life::Paused {
            self.trace.note(format!("w{}", self.number), "goes on");
            self.process.set(Life::Running);
            self.catalog_faults.resume(self.number);
        }
    }

    /// Resumes it after this time, if it lives.
    pub fn resume_later(&self, after: Duration) -> impl Future<Output = ()> + Send + 'static {
        let (process, faults, trace, number) =
            (self.process.clone(), self.catalog_faults.clone(), self.trace.clone(), self.number);
        async move {
            tokio::time::sleep(after).await;
            if process.life() == Life::Paused {
                trace.note(format!("w{number}"), "goes on");
                process.set(Life::Running);
                faults.resume(number);
            }
        }
    }

    /// Kills it. Requests that it sent still take effect.
    pub fn kill(self) {
        self.trace.note(format!("w{}", self.number), "is killed");
        self.process.set(Life::Dead);
        // Its tasks are aborted with the handle; the pause stops their calls until then.
        self.catalog_faults.pause(self.number);
        self.task.abort();
    }
}

async fn run(writer: Writer, mut stopped: mpsc::Receiver<()>, trace: Trace, number: u32) {
    let name = format!("w{number}");
    let mut running = match writer.start().await {
        Ok(running) => running,
        Err(error) => return trace.note(name, format!("cannot start: {error}")),
    };
    let ended = tokio::select! {
        biased;
        ended = running.ended() => ended.map(|()| "ended"),
        _ = stopped.recv() => running.shutdown().await.map(|_| "stopped in good order"),
    };
    match ended {
        Ok(how) => trace.note(name, how),
        Err(error) => trace.note(name, format!("ended: {error}")),
    }
}
