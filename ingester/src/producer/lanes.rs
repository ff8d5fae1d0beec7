//! The lanes of a producer, and the tasks that empty them: at most one for each partition.
//!
//! Owns: the tasks, which are joined when the producer is closed and aborted when it is dropped; that a partition has one
//! batch on its way. Does not own: when a batch is due (`lane`), publishing (`delivery`), waiting for commits (`commits`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use common::clock::SharedClock;
use common::memory::MemoryPermit;
use common::{OutgoingMessage, TopicPartition};
use futures::future::join_all;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep_until;

use super::batch::{Batch, Origin, SendHandle};
use super::delivery::Delivery;
use super::lane::{Lane, Step};
use super::ledger::Ledger;
use super::options::Options;
use super::packing;
use crate::commits::Commits;
use crate::error::ProducerError;
use crate::outcome::SendFailure;

/// All lanes of a producer.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub(crate) delivery: Delivery,
    pub(crate) ledger: Arc<Ledger>,
    options: Options,
    clock: SharedClock,
    /// Present if results come after the commit.
    commits: Option<Arc<Commits>>,
    // Locked for a look-up or an insert, never across an await. Lanes stay: a lane made anew could overtake one whose
    // batch is on its way.
    lanes: Mutex<HashMap<TopicPartition, Arc<Lane>>>,
    // Locked to start a task or to take all of them, never across an await.
    tasks: Mutex<JoinSet<()>>,
}

/// Frees a lane whose task ends early.
struct Running {
    lane: Arc<Lane>,
    has_ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended {
            drop(self.lane.abandon());
        }
    }
}

impl Lanes {
    pub(crate) fn new(
        delivery: Delivery,
        options: Options,
        clock: SharedClock,
        commits: Option<Arc<Commits>>,
    ) -> Arc<Self> {
        let (ledger, lanes, tasks) = Default::default();
        Arc::new(Self { delivery, ledger, options, clock, commits, lanes, tasks })
    }

    /// Adds messages of one partition, whose bytes are in `memory`, and one handle for each. `is_hurried`: they are sent
    /// without waiting for more.
    pub(crate) fn push(
        self: &Arc<Self>,
        partition: TopicPartition,
        messages: impl ExactSizeIterator<Item = (OutgoingMessage, Origin)>,
        memory: MemoryPermit,
        is_hurried: bool,
    ) -> Vec<SendHandle> {
        let lane = self.lane(partition);
        let mut handles = Vec::with_capacity(messages.len());
        if lane.push(messages, memory, is_hurried, &mut handles) {
            let running = Running { lane, has_ended: false };
            self.spawn(Arc::clone(self).run(running));
        }
        handles
    }

    /// Lets everything that is buffered be sent without waiting for more.
    pub(crate) fn hurry(&self) {
        self.all().iter().for_each(|lane| lane.hurry());
    }

    /// Fails everything that is buffered and not on its way; returns the number of messages.
    pub(crate) fn discard(&self) -> u64 {
        let mut messages = 0;
        for batch in self.all().iter().flat_map(|lane| lane.take_back()) {
            let count = batch.messages.len();
            messages += count as u64;
            let (partition, error) = (batch.partition.partition_id, Arc::new(ProducerError::Discarded));
            let failure = SendFailure { partition, error, is_not_stored: true };
            batch.settle(self.clock.now_us(), vec![Err(failure); count]);
        }
        messages
    }

    /// Waits for all tasks; they end when their lanes are empty.
    pub(crate) async fn join(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks());
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    }

    /// Ends all tasks.
    pub(crate) fn abort(&self) {
        self.tasks().abort_all();
    }

    fn all(&self) -> Vec<Arc<Lane>> {
        self.lanes.lock().expect("no holder of this lock panics").values().cloned().collect()
    }

    fn lane(&self, partition: TopicPartition) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().expect("no holder of this lock panics");
        if let Some(lane) = lanes.get(&partition) {
            return Arc::clone(lane);
        }
        let Options { batch_size, batch_timeout, .. } = self.options;
        let lane = Arc::new(Lane::new(partition.clone(), batch_size, batch_timeout, Arc::clone(&self.ledger)));
        lanes.insert(partition, Arc::clone(&lane));
        lane
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        while let Some(ended) = tasks.try_join_next() {
            report(ended);
        }
        tasks.spawn(task);
    }

    async fn run(self: Arc<Self>, mut running: Running) {
        loop {
            match running.lane.step() {
                Step::Send(batch) => self.send(batch).await,
                Step::Wait(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = running.lane.hurried.notified() => {}
                },
                Step::End => {
                    running.has_ended = true;
                    return;
                }
            }
        }
    }

    async fn send(self: &Arc<Self>, mut batch: Box<Batch>) {
        let before = match &self.commits {
            None => None,
            Some(commits) => match commits.before(&batch.partition).await {
                Ok(before) => Some((Arc::clone(commits), before)),
                Err(error) => {
                    let (partition, error) = (batch.partition.partition_id, Arc::new(error.into()));
                    let failure = SendFailure { partition, error, is_not_stored: true };
                    let answers = vec![Err(failure); batch.messages.len()];
                    return batch.settle(self.clock.now_us(), answers);
                }
            },
        };
        let sent = packing::deliver(&self.delivery, &batch, &self.options).await;
        let timestamp = self.clock.now_us();
        let Some((commits, before)) = before else { return batch.settle(timestamp, packing::answers(sent)) };
        // The next batch is sent meanwhile; what waits is bounded by the memory that it keeps.
        batch.release_messages();
        let limit = self.options.commit_timeout;
        self.spawn(async move {
            let waits = sent.into_iter().map(|sent| sent.committed(&commits, &before, limit));
            batch.settle(timestamp, join_all(waits).await.concat());
        });
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().expect("no holder of this lock panics")
    }
}

/// Logs a panic: it is a defect, not only the error of a caller.
fn report(ended: Result<(), JoinError>) {
    match ended {
        Err(error) if error.is_panic() => tracing::error!(%error, "a task of the producer panicked"),
        _ => {}
    }
}
