//! The world: real writers among models, from a plan to a verdict.
//!
//! Owns: the run's loop, restarting writers that ended. Does not own: faults (`faults`), their end (`settle`),
//! the operator (`operator`), compactors (`compactors`), publishing (`producers`), reading tails (`readers`), what readers of Iceberg
//! find (`tables`), invariants (`oracle`).

mod compactors;
mod faults;
mod operator;
mod producers;
mod readers;
mod settle;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use catalog::{TopicConfig, TopicStore};
use common::clock::SharedClock;
use common::{TopicDefinition, TopicName, TopicPartition};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::producers::Producers;
use crate::catalog::{Faults, Guards, ModelCatalog, Rates};
use crate::chance::Chance;
use crate::clock::VirtualClock;
use crate::compactor::CompactorProcess;
use crate::forgery::Forgeries;
use crate::network::Life;
use crate::oracle::{Figures, Oracle};
use crate::plan::{Action, Kind, Plan};
use crate::process::{Surroundings, WriterProcess};
use crate::queue::QueueServer;
use crate::store::StoreServer;
use crate::trace::Trace;

/// Time between two checks of the world on its parts.
const TICK: Duration = Duration::from_millis(500);

/// A run in progress.
pub struct World {
    plan: Plan,
    chance: Chance,
    clock: Arc<VirtualClock>,
    around: Surroundings,
    producers: Producers,
    topic: TopicName,
    /// Writers by slot; a slot is empty while no writer is wanted there.
    slots: Vec<Option<WriterProcess>>,
    /// The compactor, while there is one.
    compactor: Option<CompactorProcess>,
    /// A second compactor, in some runs.
    rival: Option<CompactorProcess>,
    /// Number of compactors started.
    compactors: u32,
    /// Start of the next compactor.
    compactor_due: Option<Instant>,
    /// Restart times of writers, by empty slot.
    restarts: BTreeMap<usize, Instant>,
    starts: u32,
    /// Resume times of halted partitions.
    resumes: BTreeMap<TopicPartition, Instant>,
    /// True when the last writer runs, whose takeover has doomed the pending intents.
    is_last: bool,
    /// Largest lead of the database's clock, in milliseconds.
    clock_error_ms: i64,
    /// Failovers that may still be under way.
    failovers: Vec<AbortHandle>,
    /// Objects that were doomed when the clock was put forward, which ended the janitor's holds too early: a late put
    /// of one may stay.
    swept_early: BTreeSet<String>,
    counts: Counts,
}

/// The world's actions, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Writers killed.
    pub crashes: u64,
    /// Other faults.
    pub faults: u64,
    /// Halted partitions that the operator resumed.
    pub resumes: u64,
}

impl World {
    /// The world of this plan, before anything happens.
    pub async fn new(plan: Plan, chance: Chance, guards: Guards, forgeries: Forgeries) -> Self {
        let clock = Arc::new(VirtualClock::start());
        let shared: SharedClock = clock.clone();
        let trace = Trace::new(Arc::clone(&clock));
        let store = StoreServer::new(Arc::clone(&shared));
        let oracle = Oracle::new(trace.clone(), &store, plan.format);
        let queue = QueueServer::new(Arc::clone(&shared), Some(Arc::new(oracle.clone())));
        let catalog = ModelCatalog::new(Arc::clone(&shared), guards);
        let catalog_faults = Faults::new(chance.below(u64::MAX), calm_rates());
        let topic = TopicName::new("t").expect("a valid name");
        let options = crate::rows::options(plan.format);
        let definition =
            TopicDefinition { name: topic.clone(), partition_count: plan.partition_count, options: options.clone() };
        queue.create_topic(&definition).expect("a new server takes a valid topic");
        if plan.drops_acked {
            queue.drop_acked();
        }
        let config = TopicConfig {
            name: topic.clone(),
            partition_count: plan.partition_count,
            retention_ms: plan.retention.map(|retention| retention.as_millis() as u64),
            config: options,
        };
        catalog.create_topic(config).await.expect("a new catalog takes a valid topic");
        let watching = oracle.clone();
        catalog.observe(Box::new(move |state, event| watching.catalog_changed(state, event)));
        let around = Surroundings {
            trace,
            chance: chance.fork(),
            clock: shared,
            queue,
            store,
            catalog,
            catalog_faults,
            oracle,
            forgeries,
        };
        let producers = Producers::new(&around, &plan, &chance);
        readers::start(&around, &plan, &topic);
        let slots = (0..plan.slots).map(|_| None).collect();
        Self {
            plan,
            chance,
            clock,
            around,
            producers,
            topic,
            slots,
            compactor: None,
            rival: None,
            compactors: 0,
            compactor_due: None,
            restarts: BTreeMap::new(),
            starts: 0,
            resumes: BTreeMap::new(),
            is_last: false,
            clock_error_ms: 0,
            failovers: Vec::new(),
            swept_early: BTreeSet::new(),
            counts: Counts::default(),
        }
    }

    /// Runs the plan, then lets everything settle, and checks the end. The oracle holds the violation.
    pub async fn run(&mut self) {
        for slot in 0..self.plan.writers {
            self.start(slot);
        }
        if self.plan.has_compactor {
            self.start_compactor();
            self.start_rival();
        }
        let begun = Instant::now();
        let fails_over = self.plan.has(Kind::Failover);
        for (at, action) in std::mem::take(&mut self.plan.actions) {
            if !self.wait_until(begun + at).await {
                return;
            }
            match action {
                Action::Publish { partition_id, count, is_repeated } => {
                    self.producers.publish(self.partition(partition_id), count, is_repeated);
                }
                Action::Fault { kind, slot, partition_id, lasting, size } => {
                    self.counts.faults += 1;
                    self.fault(kind, slot, partition_id, lasting, size);
                }
            }
        }
        if self.wait_until(begun + self.plan.end).await {
            self.end(fails_over).await;
        }
    }

    /// The clock, which every part of the world holds.
    pub fn clock(&self) -> &Arc<VirtualClock> {
        &self.clock
    }

    /// The oracle of the run.
    pub fn oracle(&self) -> &Oracle {
        &self.around.oracle
    }

    /// The lines of the run.
    pub fn trace(&self) -> &Trace {
        &self.around.trace
    }

    /// The world's counts.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The oracle's counts.
    pub fn figures(&self) -> Figures {
        self.around.oracle.figures()
    }

    /// Milliseconds of virtual time so far.
    pub fn elapsed_ms(&self) -> u64 {
        self.clock.elapsed_ms()
    }

    fn partition(&self, partition_id: u32) -> TopicPartition {
        TopicPartition::new(self.topic.clone(), partition_id)
    }

    fn partitions(&self) -> Vec<TopicPartition> {
        (0..self.plan.partition_count).map(|id| self.partition(id)).collect()
    }

    fn start(&mut self, slot: usize) {
        self.starts += 1;
        self.restarts.remove(&slot);
        let mut config = self.plan.config.clone();
        // The last one only clears up.
        config.compaction.is_on &= !self.is_last;
        if self.is_last && self.withdraws_tables() {
            config.publish_interval = None;
        }
        self.slots[slot] = Some(WriterProcess::start(&self.around, self.starts, config));
    }

    /// Lets time pass; false as soon as a promise is broken.
    async fn wait_until(&mut self, until: Instant) -> bool {
        while Instant::now() < until {
            tokio::time::sleep_until(until.min(Instant::now() + TICK)).await;
            self.look_after().await;
            if self.is_broken() {
                return false;
            }
        }
        !self.is_broken()
    }

    fn is_broken(&self) -> bool {
        self.around.oracle.violation().is_some()
    }

    /// Starts writers that ended or are due, and acts for the operator.
    async fn look_after(&mut self) {
        for slot in 0..self.slots.len() {
            let has_ended = self.slots[slot].as_ref().is_some_and(WriterProcess::has_ended);
            if has_ended {
                self.slots[slot] = None;
                self.restarts.entry(slot).or_insert(Instant::now() + Duration::from_secs(1));
            }
        }
        let now = Instant::now();
        let due: Vec<usize> = self.restarts.iter().filter(|(_, at)| **at <= now).map(|(slot, _)| *slot).collect();
        for slot in due {
            self.start(slot);
        }
        self.look_after_compactor();
        self.operate().await;
    }

    /// The running writer of a slot.
    fn writer(&self, slot: usize) -> Option<&WriterProcess> {
        self.slots[slot].as_ref().filter(|writer| writer.life() == Life::Running && !writer.has_ended())
    }
}

/// A network without faults, with small delays.
fn calm_rates() -> Rates {
    Rates { network_ms: (0, 3), commit_ms: (0, 5), ..Rates::default() }
}
