//! A handle of a running writer that any number of tasks share.
//!
//! Owns: creating topics beside the writer, waiting for commits, reading the writer's state.
//! Does not own: the end of the writer (`running`), closing batches (`flush`, `pipeline`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::{MetadataStore, Partition, PartitionState, Topic, TopicConfig};
use common::clock::SharedClock;
use common::memory::MemoryBudget;
use common::{Queue, TopicPartition};
use tokio::sync::{Notify, watch};

use crate::error::{Result, WriterError};
use crate::ownership::pipeline_tasks::CommandSenders;
use crate::pipeline::context::Context;
use crate::service::flush::{CHECK_INTERVAL, flush, flush_all};
use crate::service::status::{PartitionStatus, StatusBoard};
use crate::service::summary::{Summary, Totals};

/// Time between two look-ups of a partition that runs in another writer.
const OTHERS_INTERVAL: Duration = Duration::from_millis(100);

/// A handle of a running writer. Cloning gives another one of the same writer; none of them keeps it running.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    pub(crate) context: Arc<Context>,
    pub(crate) board: StatusBoard,
    pub(crate) clock: SharedClock,
    pub(crate) totals: Arc<Totals>,
    pub(crate) commands: CommandSenders,
    pub(crate) refresh: Arc<Notify>,
}

impl WriterHandle {
    /// Creates a topic in queue and catalog and takes its partitions over.
    ///
    /// # Errors
    /// Errors of the queue or the catalog.
    pub async fn create_topic(&self, topic: TopicConfig) -> Result<Topic> {
        let (queue, catalog) = (self.context.queue.as_ref(), self.context.catalog.as_ref());
        let created = catalog::create_topic(queue, catalog, topic).await?;
        self.refresh.notify_one();
        Ok(created)
    }

    /// Looks for new topics now instead of at the next heartbeat.
    pub fn refresh_topics(&self) {
        self.refresh.notify_one();
    }

    /// The writer's queue.
    pub fn queue(&self) -> &Arc<dyn Queue> {
        &self.context.queue
    }

    /// The writer's catalog.
    pub fn catalog(&self) -> &Arc<dyn MetadataStore> {
        &self.context.catalog
    }

    /// The writer's memory budget.
    pub fn budget(&self) -> &MemoryBudget {
        &self.context.limits.memory
    }

    /// The status of each owned partition.
    pub fn status(&self) -> Vec<PartitionStatus> {
        self.board.statuses(self.clock.now_us())
    }

    /// Totals of the commits so far.
    pub fn summary(&self) -> Summary {
        self.totals.summary()
    }

    /// Changes with each commit of this writer: a hint for those who wait for commits, such as `ingester::Commits`.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.totals.commits()
    }

    /// Closes every open batch and returns after everything fetched before is committed. Messages that are published and
    /// not fetched yet are not part of it: [`Self::wait_committed`] waits for given ones.
    ///
    /// # Errors
    /// [`WriterError::NotCommitted`] with the reason of each partition: uploads or commits failed as often as
    /// `upload_retries` says, another writer took the partition over, it is halted, its topic cannot be opened. Nothing
    /// is lost: the writer goes on trying, and the queue still holds what is not committed.
    pub async fn flush(&self) -> Result<()> {
        let commands = self.commands.lock().expect("no holder panics").clone();
        flush_all(self.context.catalog.as_ref(), &self.board, commands.into_iter().collect()).await
    }

    /// Returns after each partition's watermark has reached its target, for example the offset after the last one that
    /// the queue confirmed to a producer. Closes the open batch of such a partition once everything below its target is
    /// fetched.
    ///
    /// # Errors
    /// Errors of the catalog; [`WriterError::TopicNotFound`] when the topic is deleted meanwhile; [`WriterError::Halted`]
    /// when a partition waits for an operator.
    pub async fn wait_committed(&self, targets: &[(TopicPartition, u64)]) -> Result<()> {
        let waits = targets.iter().map(|(partition, target)| self.wait_for(partition, *target));
        futures::future::try_join_all(waits).await?;
        // The offsets of another history may be below the watermark: such a partition is halted.
        for (partition, _) in targets {
            if let Some(stored) = self.context.catalog.get_partition(partition).await? {
                check_runs(partition, &stored)?;
            }
        }
        Ok(())
    }

    /// As [`Self::wait_committed`], but gives up a partition that does not get on by itself.
    ///
    /// # Errors
    /// [`WriterError::NotCommitted`] with the reason of each partition that was given up: uploads or commits keep failing, it
    /// cannot be read, it is halted, its topic was deleted or cannot be opened. The others are committed.
    pub async fn commit_up_to(&self, targets: &[(TopicPartition, u64)]) -> Result<()> {
        let waits = targets.iter().map(|(partition, target)| async move {
            let waited = tokio::select! {
                biased;
                waited = self.wait_for(partition, *target) => waited.map_err(|error| error.to_string()),
                reason = self.stuck(partition) => Err(reason),
            };
            waited.err().map(|reason| (partition.to_string(), reason))
        });
        let reasons: BTreeMap<_, _> = futures::future::join_all(waits).await.into_iter().flatten().collect();
        if reasons.is_empty() { Ok(()) } else { Err(WriterError::NotCommitted { reasons }) }
    }

    /// Returns once work on the partition does not get on, with the reason.
    async fn stuck(&self, partition: &TopicPartition) -> String {
        loop {
            // Time to be committed comes first: a trouble that is over by then is none.
            tokio::time::sleep(CHECK_INTERVAL).await;
            if let Some(reason) = self.board.trouble_of(partition) {
                return reason;
            }
        }
    }

    async fn wait_for(&self, partition: &TopicPartition, target: u64) -> Result<()> {
        let mut steps = self.board.steps();
        loop {
            steps.borrow_and_update();
            match self.board.place(partition) {
                Some((_, high_watermark)) if high_watermark >= target => return Ok(()),
                Some((position, _)) if position >= target => {
                    let sender = self.commands.lock().expect("no holder panics").get(partition).cloned();
                    if let Some(sender) = sender {
                        // The watermark decides, not the answer: it is looked at again below.
                        flush(sender).await;
                    }
                }
                Some(_) => {}
                None => match self.context.catalog.get_partition(partition).await? {
                    Some(stored) => {
                        check_runs(partition, &stored)?;
                        if stored.high_watermark >= target {
                            return Ok(());
                        }
                    }
                    None => return Err(WriterError::TopicNotFound(partition.topic.to_string())),
                },
            }
            // The board does not know the commits of other writers, so the catalog is queried again after a while.
            tokio::time::timeout(OTHERS_INTERVAL, steps.changed()).await.ok();
        }
    }
}

/// # Errors
/// [`WriterError::Halted`] when the partition waits for an operator.
fn check_runs(partition: &TopicPartition, stored: &Partition) -> Result<()> {
    if stored.state != PartitionState::Halted {
        return Ok(());
    }
    let reason = stored.halt_reason.clone().unwrap_or_default();
    Err(WriterError::Halted { partition: partition.clone(), reason })
}
