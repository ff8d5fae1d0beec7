//! A running writer: its handle, and its observer.
//!
//! Owns: flushing, waiting for commits, the drain and its deadline. Does not own: the work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::{MetadataStore, Topic, TopicConfig};
use common::clock::SharedClock;
use common::memory::MemoryBudget;
use common::{Queue, TopicPartition};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::error::{Result, WriterError};
use crate::ownership::pipeline_tasks::CommandSenders;
use crate::pipeline::context::Context;
use crate::service::flush::{flush, flush_all};
use crate::service::metrics;
use crate::service::status::{PartitionStatus, StatusBoard};
use crate::service::summary::{Summary, Totals};

/// Time between two look-ups of a partition that runs in another writer.
const OTHERS_INTERVAL: Duration = Duration::from_millis(100);

/// The handle of a running writer. Dropping it aborts the writer, which is safe but skips the drain: call
/// [`RunningWriter::shutdown`].
///
/// The compiler warns of a handle that is not kept:
///
/// ```compile_fail
/// # #![deny(unused_must_use)]
/// # async fn example(writer: writer::Writer) -> writer::Result<()> {
/// writer.start().await?;
/// # Ok(())
/// # }
/// ```
///
/// ```
/// # #![deny(unused_must_use)]
/// # async fn example(writer: writer::Writer) -> writer::Result<()> {
/// let running = writer.start().await?;
/// # drop(running);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping the handle stops the writer; keep it, and call `shutdown` at the end"]
pub struct RunningWriter {
    pub(crate) context: Arc<Context>,
    pub(crate) board: StatusBoard,
    pub(crate) clock: SharedClock,
    pub(crate) totals: Arc<Totals>,
    pub(crate) commands: CommandSenders,
    pub(crate) refresh: Arc<Notify>,
    pub(crate) stop: CancellationToken,
    pub(crate) supervisor: Option<JoinHandle<Result<()>>>,
    /// The watchers; none of them ends by itself.
    pub(crate) watchers: JoinSet<()>,
}

impl RunningWriter {
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
    /// not fetched yet are not part of it: [`RunningWriter::wait_committed`] waits for given ones.
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
    /// Errors of the catalog.
    pub async fn wait_committed(&self, targets: &[(TopicPartition, u64)]) -> Result<()> {
        let waits = targets.iter().map(|(partition, target)| self.wait_for(partition, *target));
        futures::future::try_join_all(waits).await?;
        Ok(())
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
                None => {
                    let stored = self.context.catalog.get_partition(partition).await?;
                    if stored.is_some_and(|stored| stored.high_watermark >= target) {
                        return Ok(());
                    }
                }
            }
            // The board does not know the commits of other writers, so the catalog is queried again after a while.
            tokio::time::timeout(OTHERS_INTERVAL, steps.changed()).await.ok();
        }
    }

    /// Returns after the writer has ended by itself, because it could not continue.
    ///
    /// # Errors
    /// The reason for the end.
    pub async fn ended(&mut self) -> Result<()> {
        let Some(supervisor) = &mut self.supervisor else { return Ok(()) };
        let ended = tokio::select! {
            biased;
            ended = supervisor => ended,
            // Without any one of the watchers, pipelines would run without commits, or memory would never be relieved.
            Some(watcher) = self.watchers.join_next() => {
                let reason = watcher.err().map_or_else(|| "it returned".to_owned(), |error| error.to_string());
                return Err(WriterError::Internal(format!("a watcher ended: {reason}")));
            }
        };
        self.supervisor = None;
        ended.unwrap_or_else(|error| Err(WriterError::Internal(error.to_string())))
    }

    /// Stops fetching, commits everything fetched, acks it, and gives the partitions back.
    ///
    /// # Errors
    /// [`WriterError::ShutdownDeadline`] if this takes longer than allowed; the writer is then aborted, which is safe.
    pub async fn shutdown(&mut self) -> Result<Summary> {
        self.stop.cancel();
        let timeout = self.context.config.shutdown_timeout;
        let drained = tokio::time::timeout(timeout, self.ended()).await;
        self.watchers.shutdown().await;
        match drained {
            Ok(ended) => ended.map(|()| self.totals.summary()),
            Err(_) => {
                if let Some(supervisor) = self.supervisor.take() {
                    supervisor.abort();
                }
                Err(WriterError::ShutdownDeadline { seconds: timeout.as_secs() })
            }
        }
    }

    /// An observer for readiness and metrics.
    pub fn observer(&self) -> Observer {
        let (context, clock) = (Arc::clone(&self.context), Arc::clone(&self.clock));
        Observer { context, board: self.board.clone(), shown: metrics::Shown::default(), clock }
    }
}

impl Drop for RunningWriter {
    fn drop(&mut self) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.abort();
        }
    }
}

/// Reads the state of a running writer.
#[derive(Clone, Debug)]
pub struct Observer {
    context: Arc<Context>,
    board: StatusBoard,
    shown: metrics::Shown,
    clock: SharedClock,
}

impl Observer {
    /// The status of each owned partition.
    pub fn statuses(&self) -> Vec<PartitionStatus> {
        self.board.statuses(self.clock.now_us())
    }

    pub(crate) fn observe(&self) {
        metrics::observe(&self.board, &self.context.limits.memory, &self.shown, self.clock.now_us());
    }

    /// Topics and partitions that this writer cannot work on, by `topic` or `topic/partition`, with the reason: halts,
    /// defects, topics that cannot be opened.
    pub fn troubles(&self) -> BTreeMap<String, String> {
        self.board.troubles()
    }

    pub(crate) fn failing_partitions(&self) -> Vec<String> {
        self.statuses().iter().filter(|status| status.failing).map(|status| status.partition.to_string()).collect()
    }

    pub(crate) async fn check_queue(&self) -> Result<(), String> {
        self.context.queue.check().await.map_err(|error| error.to_string())
    }

    pub(crate) async fn check_catalog(&self) -> Result<(), String> {
        self.context.catalog.check().await.map_err(|error| error.to_string())
    }

    /// Requests an object that does not exist: the right answer proves address, bucket and login.
    pub(crate) async fn check_store(&self) -> Result<(), String> {
        let storage = &self.context.storage;
        // A put creates missing directories, but a vanished one, such as a lost mount, must not be recreated unnoticed.
        if let Some(root) = storage.local_root.as_ref().filter(|root| !root.is_dir()) {
            return Err(format!("the directory {} is gone", root.display()));
        }
        let absent: Path = storage.prefix.clone().join("siltstone-readiness-check");
        match storage.store.head(&absent).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use common::queue::memory::InMemoryQueue;

    use crate::writer::Writer;
    use lake::Storage;

    #[tokio::test]
    async fn a_watcher_that_ends_is_the_end_of_the_writer() {
        let writer = Writer::new(Box::new(InMemoryQueue::default()), Storage::memory().store);
        let mut running = writer.start().await.expect("starts");
        // The abort simulates a panic: without the task that groups commits, nothing is committed any more.
        running.watchers.abort_all();
        let deadline = std::time::Duration::from_secs(20);
        let ended = tokio::time::timeout(deadline, running.ended()).await.expect("it is noticed");
        assert!(ended.expect_err("it cannot go on").to_string().contains("internal error"));
    }
}
