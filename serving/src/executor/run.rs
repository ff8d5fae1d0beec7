//! A running query and its rows.
//!
//! Owns: the task of a query, which alone holds its slot and ends at its deadline, taken or not; the rows that wait for
//! their client. Does not own: slots (`slots`), threads (`workers`), what is reported (`report`).
//!
//! The task is not the client's: one that takes no rows would otherwise hold a slot for as long as it likes, since nothing
//! would look at the deadline.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::Executor;
use super::frame::Frame;
use super::report::Report;
use super::slots::{Slot, Waits};
use crate::error::{FailureKind, QueryFailure};

/// Batches that wait for the client: one is being written while the next is made.
const BATCHES_WAITING: usize = 2;

/// Time after its deadline in which a task should end by itself, and say so in the log.
const GRACE: Duration = Duration::from_millis(500);

/// The rows of a running query. Dropping them ends it.
#[derive(Debug)]
pub struct Rows {
    schema: SchemaRef,
    /// The first batch, which was awaited so that most failures come before any row.
    first: Option<RecordBatch>,
    batches: mpsc::Receiver<RecordBatch>,
    /// `None` once its end was told.
    task: Option<AbortOnDropHandle<Result<(), QueryFailure>>>,
    /// The end of a task that makes no pause at its deadline: its client is answered all the same.
    late: Pin<Box<Sleep>>,
    too_long: QueryFailure,
    _waits: Waits,
}

/// The parts of a task.
struct Run {
    frame: Frame,
    executor: Arc<Executor>,
    report: Report,
    deadline: Instant,
    batches: mpsc::Sender<RecordBatch>,
    _slot: Slot,
}

impl Rows {
    pub(super) async fn begin(
        frame: Frame,
        slot: Slot,
        report: Report,
        executor: Arc<Executor>,
    ) -> Result<Self, QueryFailure> {
        let (sender, batches) = mpsc::channel(BATCHES_WAITING);
        let (started, schema) = oneshot::channel();
        let deadline = executor.deadline();
        let waits = slot.waits();
        let run = Run { frame, executor: Arc::clone(&executor), report, deadline, batches: sender, _slot: slot };
        let late = deadline + GRACE;
        let mut task = executor.workers.run(run.drive(started));
        let Ok(schema) = timeout_at(late, schema).await.map_err(|_| executor.too_long())? else {
            // The task ends without a start only by a failure.
            return Err(ended((&mut task).await).err().unwrap_or_else(defect));
        };
        let (late, too_long) = (Box::pin(sleep_until(late)), executor.too_long());
        let mut rows = Self { schema, first: None, batches, task: Some(task), late, too_long, _waits: waits };
        rows.first = rows.next().await.transpose()?;
        Ok(rows)
    }

    /// The columns of every batch.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<RecordBatch, QueryFailure>>> {
        std::task::ready!(self.late.poll_unpin(context));
        // Aborted, it ends at its next pause.
        self.task = None;
        self.batches.close();
        Poll::Ready(Some(Err(self.too_long.clone())))
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch, QueryFailure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match self.batches.poll_recv(context) {
            Poll::Ready(Some(batch)) => return Poll::Ready(Some(Ok(batch))),
            Poll::Ready(None) => {}
            Poll::Pending => return self.poll_late(context),
        }
        let Some(task) = self.task.as_mut() else { return Poll::Ready(None) };
        let Poll::Ready(end) = task.poll_unpin(context) else { return self.poll_late(context) };
        self.task = None;
        Poll::Ready(ended(end).err().map(Err))
    }
}

fn ended(end: Result<Result<(), QueryFailure>, tokio::task::JoinError>) -> Result<(), QueryFailure> {
    end.unwrap_or_else(|_| Err(defect()))
}

fn defect() -> QueryFailure {
    QueryFailure::new(FailureKind::Internal, "the query failed by a defect")
}

impl Run {
    async fn drive(mut self, started: oneshot::Sender<SchemaRef>) -> Result<(), QueryFailure> {
        match timeout_at(self.deadline, self.rows(started)).await.unwrap_or_else(|_| Err(self.executor.too_long())) {
            Ok(true) => {
                self.report.done();
                Ok(())
            }
            // The client left: the report says so when it is dropped.
            Ok(false) => Ok(()),
            Err(failure) => Err(self.report.failed(failure)),
        }
    }

    /// Makes all rows; false if their client left before the end.
    async fn rows(&mut self, started: oneshot::Sender<SchemaRef>) -> Result<bool, QueryFailure> {
        let limits = self.executor.limits;
        let failed = |error| QueryFailure::running(&error, limits.memory_bytes);
        let mut stream = self.frame.as_ref().clone().execute_stream().await.map_err(failed)?;
        if started.send(stream.schema()).is_err() {
            return Ok(false);
        }
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(failed)?;
            if self.report.add(batch.num_rows()) > limits.rows {
                let text =
                    format!("the answer has more than QUERY_ROWS_MAX={} rows; a LIMIT makes it smaller", limits.rows);
                return Err(QueryFailure::new(FailureKind::Limit, text));
            }
            if batch.num_rows() > 0 && self.batches.send(batch).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
