//! Encoding and closing of the open batch, and the change to another version of the topic's table.
//!
//! Owns: the work off the async threads, and the look at the topic before records are refused for good.
//! Does not own: the moments of both (`assemble`), the work itself (`batch`), how often one looks (`tables`).

use std::sync::Arc;

use common::backoff::Backoff;
use common::failpoint;
use parquet::errors::ParquetError;
use tokio::time::Instant;

use super::{Assembled, Assembler};
use crate::pipeline::batch::{Encoded, Encoding, Form, OpenBatch, SealedBatch};
use crate::pipeline::context::Stop;
use crate::pipeline::decode::{PartitionDecoder, Source};
use crate::pipeline::roll::RollReason;
use crate::pipeline::tables::Doubt;
use crate::service::metrics;

/// The batch after a piece of work.
#[allow(clippy::large_enum_variant, reason = "it is moved once and never kept")]
enum Worked {
    Closed(SealedBatch),
    Open(Encoded),
}

impl Assembler {
    /// Encodes what waits.
    pub(super) async fn encode(&mut self) -> Result<(), Stop> {
        Box::pin(self.encode_and_close(None)).await.map(|_| ())
    }

    /// Encodes what waits, and with a reason closes the batch, if there is one. The columns may have changed since the
    /// writer last looked, perhaps for these very records: the topic is looked at before they are refused, or lose members to
    /// `_extra`.
    ///
    /// In a box where it is called: its state is large, and thousands of partitions would keep room for it while they wait.
    /// Both are one piece of work: an encoder takes a megabyte and more, which thousands of batches that are due at the same
    /// time would hold between the two.
    async fn encode_and_close(&mut self, reason: Option<RollReason>) -> Result<Option<SealedBatch>, Stop> {
        let is_known = self.versions.has_changed().unwrap_or(false);
        let mut doubt = if is_known { Doubt::All } else { self.tables.doubt() };
        while let Some(batch) = self.batch.take() {
            let is_gathered = batch.is_small() && reason.is_some_and(RollReason::is_gathered);
            let form = if is_gathered { Form::Rows } else { Form::Encoded };
            let (next_offset, held) = (batch.next_offset, self.held.clone());
            let bytes = if is_gathered { batch.pending_bytes() } else { usize::MAX };
            let worked = self.on_cpu(bytes, move |encoding| {
                Ok(match (batch.encode(encoding, doubt, form)?, reason) {
                    (Encoded::Whole(batch), Some(reason)) => Worked::Closed(batch.seal(encoding, &held, reason)?),
                    (encoded, _) => Worked::Open(encoded),
                })
            });
            match worked.await? {
                Worked::Closed(sealed) => {
                    if let Some(size) = sealed.data_size() {
                        self.tables.size_ratio.learn(size, sealed.payload_bytes, self.policy.bytes_max());
                    }
                    self.next_offset = next_offset;
                    self.closed().await;
                    return Ok(Some(sealed));
                }
                Worked::Open(Encoded::Whole(batch)) => {
                    self.batch = Some(batch);
                    break;
                }
                Worked::Open(Encoded::Doubtful(batch)) => {
                    self.batch = Some(batch);
                    // In a box, because it is rare and large.
                    Box::pin(self.follow_topic()).await?;
                    doubt = Doubt::None;
                }
            }
        }
        Ok(None)
    }

    /// Looks at the topic, and goes on with its table as it is now.
    async fn follow_topic(&mut self) -> Result<(), Stop> {
        self.look().await;
        match self.versions.has_changed() {
            Ok(true) => self.change_table().await,
            _ => Ok(()),
        }
    }

    /// Looks at the topic, however long it takes: a refusal can be committed no earlier than the catalog answers.
    async fn look(&mut self) {
        let (mut backoff, since) = (Backoff::default(), Instant::now());
        while let Err(error) = self.tables.look(self.catalog.as_ref(), since).await {
            let partition = &self.held.partition;
            tracing::warn!(%partition, %error, "topic not looked at before records are refused, trying again");
            backoff.wait().await;
        }
    }

    /// Closes the batch, after which the topic's table as it is now is used.
    pub(super) async fn close_version(&mut self) -> Result<(), Stop> {
        // What waits came before the change: only what the old version refuses is decoded by the new one.
        self.versions.mark_changed();
        self.roll(RollReason::Schema).await?;
        Box::pin(self.change_table()).await
    }

    /// Goes on with the topic's table as it is now: closes what is encoded, and leaves what waits for the new version.
    async fn change_table(&mut self) -> Result<(), Stop> {
        if let Some(batch) = self.batch.take() {
            let (encoded, waiting) = batch.part();
            if let Some(encoded) = encoded {
                let sealed = self.finish(encoded, RollReason::Schema).await?;
                self.hand_on(Assembled::Batch(Box::new(sealed))).await?;
            }
            if let Some(waiting) = &waiting {
                self.progress.batch_opened(waiting.base_offset, waiting.first_timestamp_us);
            }
            self.batch = waiting;
        }
        let table = Arc::clone(&self.versions.borrow_and_update());
        let source = Source::of(&self.held);
        self.encoding().decoder = PartitionDecoder::new(table, source);
        Ok(())
    }

    pub(super) async fn roll(&mut self, reason: RollReason) -> Result<(), Stop> {
        let started = Instant::now();
        if reason.calls_others() && self.batch.as_ref().is_some_and(OpenBatch::is_small) {
            self.member.call_others();
        }
        let Some(sealed) = Box::pin(self.encode_and_close(Some(reason))).await? else { return Ok(()) };
        ::metrics::histogram!(metrics::ROLL_SECONDS).record(started.elapsed().as_secs_f64());
        self.hand_on(Assembled::Batch(Box::new(sealed))).await
    }

    /// Closes a batch of which all messages are encoded.
    async fn finish(&mut self, batch: OpenBatch, reason: RollReason) -> Result<SealedBatch, Stop> {
        self.next_offset = batch.next_offset;
        let held = self.held.clone();
        let sealed = self.on_cpu(usize::MAX, move |encoding| batch.seal(encoding, &held, reason)).await?;
        self.closed().await;
        Ok(sealed)
    }

    async fn closed(&mut self) {
        self.show_memory();
        failpoint::hit("batch.sealed").await;
    }

    /// Runs `work` off the async threads. A failure ends the loop.
    async fn on_cpu<T: Send + 'static>(
        &mut self,
        bytes: usize,
        work: impl FnOnce(&mut Encoding) -> Result<T, ParquetError> + Send + 'static,
    ) -> Result<T, Stop> {
        let mut encoding = self.encoding.take().expect("the last work gave it back");
        let (done, encoding) = self.cpu.run_on(bytes, move || Ok((work(&mut encoding)?, encoding))).await?;
        self.encoding = Some(encoding);
        Ok(done)
    }

    pub(super) fn encoding(&mut self) -> &mut Encoding {
        self.encoding.as_mut().expect("the last work gave it back")
    }
}
