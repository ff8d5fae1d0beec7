//! Reading one part of a tail.
//!
//! Owns: the order of its steps, their memory, and the errors when a bound is reached.
//! Does not own: the plan (`scan`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::metrics::Count;
use futures::StreamExt;
use tokio::time::{Instant, timeout};

use super::{TailPart, TailScan};
use crate::query::hot::HotTailError;
use crate::tail::{TailCursor, TailError, TailLimits, TailRows, TailStep, bytes_of};
use common::ErrorKind;
use common::backoff::Backoff;

/// Fewer bytes are not worth a request.
const PAGE_BYTES_MIN: usize = 64 * 1024;
const FIRST_WAIT: Duration = Duration::from_millis(50);

pub(super) struct PartReader {
    scan: Arc<TailScan>,
    lag: Arc<str>,
    part: TailPart,
    cursor: TailCursor,
    context: Arc<TaskContext>,
    /// Rows of the last page.
    ready: VecDeque<RecordBatch>,
    /// Rows that were committed meanwhile.
    committed: Option<SendableRecordBatchStream>,
    memory: MemoryReservation,
    waited: Duration,
    messages: Count,
}

impl PartReader {
    pub(super) fn new(
        scan: Arc<TailScan>,
        lag: Arc<str>,
        part: TailPart,
        context: &Arc<TaskContext>,
        messages: Count,
    ) -> Self {
        let cursor = TailCursor::new(Arc::clone(scan.tail.topic()), part.partition.clone(), part.end.clone());
        let cursor = cursor.within(part.from, part.to);
        let memory = MemoryConsumer::new("hot tail").register(context.memory_pool());
        let (ready, committed, waited) = (VecDeque::new(), None, Duration::ZERO);
        Self { scan, lag, part, cursor, context: Arc::clone(context), ready, committed, memory, waited, messages }
    }

    /// The next rows, if there are more.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if let Some(batches) = &mut self.committed {
                match batches.next().await {
                    Some(batch) => return Ok(Some(self.scan.projected(&batch?)?)),
                    None => self.committed = None,
                }
                continue;
            }
            match self.step().await? {
                TailStep::Rows(rows) => self.take(&rows)?,
                TailStep::Committed(range) => {
                    let TailScan { table, options, .. } = self.scan.as_ref();
                    let plan = table.committed(&self.part.partition, range, options).await?;
                    self.committed = Some(execute_stream(plan, Arc::clone(&self.context))?);
                }
                TailStep::Lost(range) => self.scan.tail.lost(&self.cursor.partition(), range)?,
                TailStep::End => {
                    self.memory.free();
                    return Ok(None);
                }
            }
        }
    }

    /// The rows of a page, in batches of the size that the plan has.
    fn take(&mut self, rows: &TailRows) -> Result<()> {
        self.messages.add(rows.message_count);
        let read = self.scan.read_bytes.fetch_add(rows.message_bytes, Ordering::Relaxed) + rows.message_bytes;
        let bytes_max = self.scan.tail.settings().bytes_max;
        if read > bytes_max {
            let text = self.too_much(
                &format!("has more than siltstone.hot_tail_bytes = {bytes_max} bytes of messages"),
                &format!("SET siltstone.hot_tail_bytes = {}", bytes_max.saturating_mul(4)),
            );
            return Err(HotTailError::Exceeded(text).into());
        }
        let batch_rows = self.context.session_config().batch_size().max(1);
        let mut bytes = 0;
        for batch in self.scan.table.of_kind(rows) {
            let batch = self.scan.in_table(batch)?;
            bytes += bytes_of(&batch);
            let parts = (0..batch.num_rows()).step_by(batch_rows);
            self.ready.extend(parts.map(|from| batch.slice(from, batch_rows.min(batch.num_rows() - from))));
        }
        self.memory.try_resize(bytes)
    }

    /// The next step, once there is memory for it.
    async fn step(&mut self) -> Result<TailStep> {
        let limits = self.limits()?;
        let settings = *self.scan.tail.settings();
        let source = Arc::clone(self.scan.tail.source()?);
        let catalog = Arc::clone(&self.scan.table.sources.catalog);
        let begun = Instant::now();
        let mut last: Option<TailError> = None;
        let cursor = &mut self.cursor;
        let stepping = async {
            let mut backoff = Backoff::starting_at(FIRST_WAIT);
            loop {
                match cursor.step(source.as_ref(), catalog.as_ref(), limits).await {
                    Err(error) if error.kind() == ErrorKind::Unavailable => last = Some(error),
                    done => return done,
                }
                backoff.wait().await;
            }
        };
        let done = timeout(settings.timeout.saturating_sub(self.waited), stepping).await;
        self.waited += begun.elapsed();
        let topic = &self.scan.tail.topic().name;
        match done {
            Ok(Ok(step)) => Ok(step),
            Ok(Err(error)) => Err(DataFusionError::Execution(format!(
                "the hot tail of topic {topic}: {error}; SET siltstone.hot_tail = off shows committed rows alone"
            ))),
            Err(_) => {
                let why = last.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
                let text = self.too_much(
                    &format!("was not read within siltstone.hot_tail_timeout = {:?}{why}", settings.timeout),
                    &format!("SET siltstone.hot_tail_timeout = '{}ms'", settings.timeout.as_millis().saturating_mul(4)),
                );
                Err(match last {
                    Some(_) => HotTailError::Unavailable(text).into(),
                    None => HotTailError::Exceeded(text).into(),
                })
            }
        }
    }

    /// The largest page for which there is memory: messages and their rows are there at once.
    fn limits(&mut self) -> Result<TailLimits> {
        let mut limits = TailLimits::default();
        loop {
            match self.memory.try_resize(2 * limits.bytes_max) {
                Ok(()) => return Ok(limits),
                Err(_) if limits.bytes_max > PAGE_BYTES_MIN => {
                    limits.bytes_max = (limits.bytes_max / 4).max(PAGE_BYTES_MIN)
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn too_much(&self, what: &str, remedy: &str) -> String {
        let (topic, lag) = (&self.scan.tail.topic().name, &self.lag);
        format!(
            "the hot tail of topic {topic} {what}: {lag}; see that a writer runs and keeps up (siltstone agents), ask for \
             fewer offsets (_partition_id, _offset), {remedy}, or SET siltstone.hot_tail = off for committed rows alone"
        )
    }
}
