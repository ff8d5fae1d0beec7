//! A query in a task of its own.
//!
//! A query computes for a long time between two points at which it can be left, and whoever waits for it in the same task
//! notices no signal meanwhile. The task is left at once, and ends at its next such point.
//!
//! Owns: the task. Does not own: the query, the signals (`stop`, `shell`).

use std::panic::resume_unwind;

use anyhow::anyhow;
use arrow_array::RecordBatch;
use futures::StreamExt;
use lake::query::BatchStream;
use lake::query::datafusion::arrow::datatypes::SchemaRef;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Batches that are ready before they are taken: while one is written, the next is made.
const BATCHES_WAITING: usize = 1;

/// The rows of a query that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    schema: SchemaRef,
    batches: mpsc::Receiver<anyhow::Result<RecordBatch>>,
    /// `None` once it has ended.
    task: Option<AbortOnDropHandle<()>>,
}

impl Running {
    pub(super) fn start(mut query: BatchStream) -> Self {
        let schema = query.schema();
        let (sender, batches) = mpsc::channel(BATCHES_WAITING);
        let task = tokio::spawn(async move {
            while let Some(batch) = query.next().await {
                if sender.send(batch.map_err(Into::into)).await.is_err() {
                    return;
                }
            }
        });
        Self { schema, batches, task: Some(AbortOnDropHandle::new(task)) }
    }

    /// The columns of every batch.
    pub(super) fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// The next batch; `None` at the end.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        if let Some(batch) = self.batches.recv().await {
            return batch.map(Some);
        }
        let Some(task) = self.task.take() else { return Ok(None) };
        match task.await {
            Ok(()) => Ok(None),
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(error) => Err(anyhow!("the query was cut off: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use lake::query::datafusion::arrow::datatypes::Schema;
    use lake::query::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn query(batches: impl futures::Stream<Item = RecordBatch> + Send + 'static) -> Running {
        let schema = Arc::new(Schema::empty());
        Running::start(Box::pin(RecordBatchStreamAdapter::new(schema, batches.map(Ok))))
    }

    fn empty() -> RecordBatch {
        RecordBatch::new_empty(Arc::new(Schema::empty()))
    }

    /// A batch that takes as long as its thread waits here.
    fn long(release: Receiver<()>) -> impl futures::Stream<Item = RecordBatch> {
        let release = Mutex::new(release);
        futures::stream::once(async move {
            release.lock().expect("one thread").recv().ok();
            empty()
        })
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_query_that_computes_is_left_at_once() {
        let (release, released) = channel();
        let mut running = query(long(released));
        // Waiting in the same task would hold this one, timer and all.
        timeout(Duration::from_millis(50), running.next()).await.expect_err("it computes");
        drop(running);
        release.send(()).expect("it computed until now");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_batches_come_and_a_panic_is_passed_on() {
        let mut running = query(futures::stream::iter([empty(), empty()]));
        let mut count = 0;
        while timeout(PATIENCE, running.next()).await.expect("in time").expect("a batch").is_some() {
            count += 1;
        }
        assert_eq!(count, 2);
        let panicking = query(futures::stream::once(async { panic!("a defect") }));
        let waiting = tokio::spawn(async move {
            let mut panicking = panicking;
            panicking.next().await.map(|_| ())
        });
        assert!(waiting.await.expect_err("a panic").is_panic());
    }
}
