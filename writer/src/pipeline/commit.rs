//! Commit: stored batches are recorded in the catalog, in order, whatever it takes.
//!
//! Owns: uploads of a partition that run at once but finish in order, the retry of a commit, and reading back an
//! unknown outcome before anything else is tried.
//! Does not own: the transaction (catalog) and its grouping (`group`).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use catalog::{CatalogError, CommitOutcome, CommitRequest, SegmentKind};
use common::backoff::Backoff;
#[cfg(debug_assertions)]
use common::mutation;
use common::{CommitReceipt, ErrorKind, failpoint};
use futures::StreamExt;
use futures::future::{self, FutureExt};
use futures::stream::FuturesOrdered;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::config::PARTITION_UPLOADS_MAX;
use crate::pipeline::assemble::Assembled;
use crate::pipeline::context::Stop;
use crate::pipeline::upload::{UploadedBatch, Uploader};
use crate::service::metrics;
use crate::service::summary::Totals;

/// Settles batches of one partition.
pub(crate) struct Committer {
    pub(crate) uploader: Uploader,
    pub(crate) input: mpsc::Receiver<Assembled>,
    pub(crate) receipts: watch::Sender<Option<CommitReceipt>>,
    pub(crate) totals: Arc<Totals>,
}

enum Ready {
    Batch(Box<UploadedBatch>),
    Flush(oneshot::Sender<()>),
}

type Upload = Pin<Box<dyn Future<Output = Result<Ready, Stop>> + Send>>;

impl Committer {
    /// Runs until the assembling ends and everything it handed on is committed.
    pub(crate) async fn run(mut self) -> Result<(), Stop> {
        let mut uploads: FuturesOrdered<Upload> = FuturesOrdered::new();
        let mut open = true;
        while open || !uploads.is_empty() {
            tokio::select! {
                // Uploads are begun before one is settled, so that they overlap; their number is bounded.
                biased;
                assembled = self.input.recv(), if open && uploads.len() < PARTITION_UPLOADS_MAX => match assembled {
                    Some(assembled) => uploads.push_back(self.begin(assembled)),
                    None => open = false,
                },
                Some(ready) = uploads.next(), if !uploads.is_empty() => match ready? {
                    Ready::Batch(batch) => self.settle(*batch).await?,
                    Ready::Flush(answer) => {
                        // Whoever asked may have given up waiting.
                        let _asker_gone = answer.send(());
                    }
                },
            }
        }
        Ok(())
    }

    /// Starts an upload in a task of its own, so that it goes on while another batch commits.
    fn begin(&self, assembled: Assembled) -> Upload {
        match assembled {
            Assembled::Flush(answer) => future::ready(Ok(Ready::Flush(answer))).boxed(),
            Assembled::Batch(batch) => {
                let task = AbortOnDropHandle::new(tokio::spawn(self.uploader.clone().upload(batch)));
                async move {
                    let uploaded = task.await.map_err(|error| Stop::Internal(format!("upload ended: {error}")))?;
                    Ok(Ready::Batch(Box::new(uploaded?)))
                }
                .boxed()
            }
        }
    }

    async fn settle(&mut self, uploaded: UploadedBatch) -> Result<(), Stop> {
        let started = Instant::now();
        #[cfg(debug_assertions)]
        if mutation::is_off("ack.after_commit") {
            let (held, end) = (&self.uploader.held, uploaded.batch().end_offset + 1);
            self.receipts.send_replace(Some(mutation::unproven_receipt(&held.partition, held.epoch, end)));
        }
        let receipt = self.commit(self.request(&uploaded)).await?;
        failpoint::hit("commit.done").await;
        ::metrics::histogram!(metrics::COMMIT_SECONDS).record(started.elapsed().as_secs_f64());
        self.uploader.gauges.committed(receipt.high_watermark());
        self.uploader.gauges.failing.store(false, Ordering::Relaxed);
        self.report(&uploaded);
        self.receipts.send_replace(Some(receipt));
        Ok(())
    }

    fn request(&self, uploaded: &UploadedBatch) -> CommitRequest {
        let (held, batch) = (&self.uploader.held, uploaded.batch());
        CommitRequest {
            partition: held.partition.clone(),
            incarnation: held.incarnation,
            epoch: held.epoch,
            owner: held.owner,
            base_offset: batch.base_offset,
            end_offset: batch.end_offset,
            anchor: batch.anchor,
            message_count: batch.message_count,
            segments: uploaded.segments().to_vec(),
            gaps: batch.gaps.clone(),
        }
    }

    /// Sends the same request until it is known to be done, or known to be impossible.
    async fn commit(&self, request: CommitRequest) -> Result<CommitReceipt, Stop> {
        let mut backoff = Backoff::default();
        loop {
            failpoint::hit("commit.before").await;
            let outcome = self.uploader.context.groups.commit(request.clone()).await.ok_or(Stop::Neighbour)?;
            let outcome = match outcome {
                CommitOutcome::Done(_) if failpoint::fails("commit.reply").await => {
                    CommitOutcome::Unknown(CatalogError::NotCommitted(request.partition.clone()))
                }
                outcome => outcome,
            };
            #[cfg(debug_assertions)]
            if matches!(outcome, CommitOutcome::Unknown(_)) && mutation::is_off("commit.read_back") {
                return Ok(mutation::unproven_receipt(&request.partition, request.epoch, request.end_offset + 1));
            }
            let outcome = match outcome {
                CommitOutcome::Unknown(error) | CommitOutcome::NotDone(error)
                    if matches!(error, CatalogError::Poisoned(_)) =>
                {
                    return Err(Stop::Exit(error.to_string()));
                }
                CommitOutcome::Unknown(error) => {
                    self.wait(&mut backoff, &request, &error, "commit outcome unknown, reading it back").await;
                    self.resolve(&request, &mut backoff).await
                }
                known => known,
            };
            match outcome {
                CommitOutcome::Done(receipt) => return Ok(receipt),
                CommitOutcome::Refused(refusal) => return Err(Stop::Fenced(refusal.to_string())),
                CommitOutcome::NotDone(error) if error.kind() == ErrorKind::Fatal => {
                    self.wait(&mut backoff, &request, &error, "commit refused by the database, trying again").await;
                }
                CommitOutcome::NotDone(error) | CommitOutcome::Unknown(error) => {
                    self.wait(&mut backoff, &request, &error, "commit failed, retrying").await;
                }
            }
        }
    }

    /// Asks the catalog what became of a commit until it answers.
    async fn resolve(&self, request: &CommitRequest, backoff: &mut Backoff) -> CommitOutcome {
        loop {
            match self.uploader.context.catalog.resolve(request).await {
                Ok(CommitOutcome::Unknown(error)) | Err(error) => {
                    self.wait(backoff, request, &error, "commit outcome still unknown, asking again").await;
                }
                Ok(known) => return known,
            }
        }
    }

    async fn wait(&self, backoff: &mut Backoff, request: &CommitRequest, error: &CatalogError, what: &'static str) {
        ::metrics::counter!(metrics::COMMIT_RETRIES).increment(1);
        let wait = backoff.next_wait();
        let (attempt, backoff_ms) = (backoff.attempts(), wait.as_millis() as u64);
        let (partition, base_offset) = (&request.partition, request.base_offset);
        if attempt >= self.uploader.context.config.upload_retries {
            self.uploader.gauges.failing.store(true, Ordering::Relaxed);
            tracing::error!(%partition, base_offset, attempt, backoff_ms, %error, what);
        } else {
            tracing::warn!(%partition, base_offset, attempt, backoff_ms, %error, what);
        }
        tokio::time::sleep(wait).await;
    }

    fn report(&self, uploaded: &UploadedBatch) {
        let batch = uploaded.batch();
        let of_kind = |kind| uploaded.segments().iter().find(move |segment| segment.kind == kind);
        let records = of_kind(SegmentKind::Data).map_or(0, |segment| segment.record_count);
        let quarantined = of_kind(SegmentKind::Quarantine).map_or(0, |segment| segment.record_count);
        let size_bytes: u64 = uploaded.segments().iter().map(|segment| segment.size_bytes).sum();
        let reason = batch.reason.as_str();
        ::metrics::counter!(metrics::SEGMENTS, "reason" => reason).increment(1);
        ::metrics::counter!(metrics::RECORDS).increment(records);
        ::metrics::counter!(metrics::QUARANTINED).increment(quarantined);
        ::metrics::counter!(metrics::SEGMENT_BYTES).increment(size_bytes);
        self.totals.committed(batch.message_count, records, quarantined, size_bytes, batch.reason);
        let partition = &self.uploader.held.partition;
        tracing::info!(
            topic = %partition.topic,
            partition = partition.partition_id,
            base_offset = batch.base_offset,
            end_offset = batch.end_offset,
            messages = batch.message_count,
            records,
            quarantined,
            size_bytes,
            reason,
            epoch = self.uploader.held.epoch.0,
            key = uploaded.segments().first().map_or("", |segment| segment.key.as_str()),
            "segment committed"
        );
        for gap in &batch.gaps {
            ::metrics::counter!(metrics::GAP_OFFSETS).increment(gap.end_offset - gap.base_offset + 1);
            tracing::warn!(%partition, base_offset = gap.base_offset, end_offset = gap.end_offset, reason = gap.reason, "gap recorded");
        }
    }
}
