//! A running writer: its end, and its observer.
//!
//! Owns: noticing the writer's end, the drain and its deadline. Does not own: the work; flushing and waiting for commits
//! (`handle`).

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use common::clock::SharedClock;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::error::{Result, WriterError};
use crate::pipeline::context::Context;
use crate::service::handle::WriterHandle;
use crate::service::metrics;
use crate::service::status::{PartitionStatus, StatusBoard};
use crate::service::summary::Summary;

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
    pub(crate) handle: WriterHandle,
    pub(crate) stop: CancellationToken,
    pub(crate) supervisor: Option<JoinHandle<Result<()>>>,
    /// The task that merges objects. It ends soon after the stop; without it nothing is wrong.
    pub(crate) compaction: Option<JoinHandle<()>>,
    /// The watchers; none of them ends by itself.
    pub(crate) watchers: JoinSet<()>,
    /// Tasks that look for a reason to end.
    pub(crate) reasons: JoinSet<WriterError>,
}

impl RunningWriter {
    /// A handle that any number of tasks share. It lasts no longer than the writer: afterwards nothing is committed.
    pub fn handle(&self) -> WriterHandle {
        self.handle.clone()
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
            Some(reason) = self.reasons.join_next() => {
                return Err(reason.unwrap_or_else(|error| WriterError::Internal(error.to_string())));
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
        let timeout = self.handle.context.config.shutdown_timeout;
        let drained = tokio::time::timeout(timeout, self.drained()).await;
        self.watchers.shutdown().await;
        match drained {
            Ok(ended) => ended.map(|()| self.handle.summary()),
            Err(_) => {
                if let Some(supervisor) = self.supervisor.take() {
                    supervisor.abort();
                }
                Err(WriterError::ShutdownDeadline { seconds: timeout.as_secs() })
            }
        }
    }

    /// Waits for the pipelines, and then for a replacement that is on its way.
    async fn drained(&mut self) -> Result<()> {
        let ended = self.ended().await;
        if let Some(compaction) = &mut self.compaction {
            // A panic in it concerns no message.
            compaction.await.ok();
            self.compaction = None;
        }
        ended
    }

    /// An observer for readiness and metrics.
    pub fn observer(&self) -> Observer {
        let WriterHandle { context, board, clock, .. } = self.handle.clone();
        Observer { context, board, shown: metrics::Shown::default(), clock }
    }
}

/// Everything that a shared handle does.
impl Deref for RunningWriter {
    type Target = WriterHandle;

    fn deref(&self) -> &WriterHandle {
        &self.handle
    }
}

impl Drop for RunningWriter {
    fn drop(&mut self) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.abort();
        }
        if let Some(compaction) = &self.compaction {
            compaction.abort();
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
