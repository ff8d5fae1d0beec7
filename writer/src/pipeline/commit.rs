//! Commit: records stored batches in the catalog, in order, until each is known to be done.
//!
//! Owns: concurrent uploads of a partition that finish in order, the retry of a commit, and reading an unknown outcome
//! back before anything else.
//! Does not own: the transaction (catalog) and its grouping (`group`), objects that many partitions share (`gather`), the
//! report of a commit (`report`).

mod report;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use catalog::{CatalogError, CommitOutcome, CommitRequest, MetadataStore, NewSegment};
use common::backoff::Backoff;
use common::{CommitReceipt, ErrorKind, failpoint};
use futures::StreamExt;
use futures::future::{self, FutureExt};
use futures::stream::FuturesOrdered;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::config::PARTITION_UPLOADS_MAX;
use crate::pipeline::assemble::Assembled;
use crate::pipeline::batch::SealedBatch;
use crate::pipeline::context::Stop;
use crate::pipeline::gather::{Committed, Gather, Members};
use crate::pipeline::group::Groups;
use crate::pipeline::upload::{UploadedBatch, Uploader};
use crate::service::metrics;
use crate::service::status::Progress;
use crate::service::summary::Totals;

/// Commits the batches of one partition.
pub(crate) struct Committer {
    pub(crate) uploader: Uploader,
    /// Sends commits.
    pub(crate) groups: Groups,
    /// Reads unknown outcomes back.
    pub(crate) catalog: Arc<dyn MetadataStore>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) totals: Arc<Totals>,
    /// Everything below is committed; the next batch begins here.
    pub(crate) high_watermark: u64,
    pub(crate) input: mpsc::Receiver<Assembled>,
    pub(crate) receipts: watch::Sender<Option<CommitReceipt>>,
    /// Takes small batches, if the topic has other partitions here.
    pub(crate) gather: Gather,
    pub(crate) members: Arc<Members>,
}

enum Ready {
    Batch(Box<UploadedBatch>),
    /// A small batch, to be committed with those of other partitions.
    Small(Box<SealedBatch>),
    Flush(oneshot::Sender<()>),
}

type Upload = Pin<Box<dyn Future<Output = Result<Ready, Stop>> + Send>>;

impl Committer {
    /// Runs until `assemble` has ended and all its batches are committed.
    pub(crate) async fn run(mut self) -> Result<(), Stop> {
        let mut uploads: FuturesOrdered<Upload> = FuturesOrdered::new();
        let mut open = true;
        while open || !uploads.is_empty() {
            tokio::select! {
                // Uploads start before an earlier one is committed, so that they overlap; their number is bounded.
                biased;
                assembled = self.input.recv(), if open && uploads.len() < PARTITION_UPLOADS_MAX => match assembled {
                    Some(assembled) => uploads.push_back(self.begin(assembled)),
                    None => open = false,
                },
                Some(ready) = uploads.next(), if !uploads.is_empty() => match ready? {
                    Ready::Batch(batch) => self.settle(*batch).await?,
                    Ready::Small(batch) => self.settle_together(*batch).await?,
                    Ready::Flush(answer) => {
                        // The caller may no longer wait.
                        answer.send(()).ok();
                    }
                },
            }
        }
        Ok(())
    }

    /// Starts an upload in a task of its own, so that it continues during the commit of another batch.
    fn begin(&self, assembled: Assembled) -> Upload {
        match assembled {
            Assembled::Flush(answer) => future::ready(Ok(Ready::Flush(answer))).boxed(),
            Assembled::Batch(batch) if batch.is_gathered() && !self.members.is_single() => {
                future::ready(Ok(Ready::Small(batch))).boxed()
            }
            Assembled::Batch(batch) => {
                let task = AbortOnDropHandle::new(tokio::spawn(self.uploader.clone().upload(*batch)));
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
        let request = uploaded.batch().request(&self.uploader.held, uploaded.segments().to_vec());
        // A hole or an overlap between batches would become one in the table.
        assert_eq!(request.range.base(), self.high_watermark, "a batch begins where the one before was committed");
        let receipt = self.commit(&request).await?;
        ::metrics::histogram!(metrics::COMMIT_SECONDS).record(started.elapsed().as_secs_f64());
        self.committed(uploaded.batch(), uploaded.segments(), receipt).await;
        Ok(())
    }

    /// Commits a small batch together with those of other partitions. Everything before it is committed.
    async fn settle_together(&mut self, batch: SealedBatch) -> Result<(), Stop> {
        assert_eq!(batch.range.base(), self.high_watermark, "a batch begins where the one before was committed");
        let (held, members, progress) =
            (self.uploader.held.clone(), Arc::clone(&self.members), Arc::clone(&self.progress));
        let committed = self.gather.commit(held, members, progress, batch).await.ok_or(Stop::Neighbour)?;
        let Committed { batch, segments, receipt } = committed?;
        self.committed(&batch, &segments, receipt).await;
        Ok(())
    }

    async fn committed(&mut self, batch: &SealedBatch, segments: &[NewSegment], receipt: CommitReceipt) {
        failpoint::hit("commit.done").await;
        let held = &self.uploader.held;
        // A receipt for anything else would ack messages that are not committed.
        assert_eq!(*receipt.partition(), held.partition, "a receipt of this partition");
        assert_eq!(receipt.epoch(), held.epoch, "a receipt of this ownership");
        assert_eq!(receipt.high_watermark(), batch.range.next(), "a receipt of the whole range and nothing more");
        self.high_watermark = receipt.high_watermark();
        self.progress.committed(self.high_watermark);
        self.progress.failing.store(false, Ordering::Relaxed);
        self.report(batch, segments);
        self.receipts.send_replace(Some(receipt));
    }

    /// Repeats the same request until it is known to be done or known to be impossible.
    async fn commit(&self, request: &CommitRequest) -> Result<CommitReceipt, Stop> {
        let mut backoff = Backoff::default();
        loop {
            let outcome = match self.attempt(request).await? {
                CommitOutcome::Unknown(error) if !is_poisoned(&error) => {
                    self.wait(&mut backoff, request, &error, "commit outcome unknown, reading it back").await;
                    self.resolve(request, &mut backoff).await
                }
                known => known,
            };
            let error = match outcome {
                CommitOutcome::Done(receipt) => return Ok(receipt),
                CommitOutcome::Refused(refusal) => return Err(Stop::Fenced(refusal.to_string())),
                CommitOutcome::NotDone(error) | CommitOutcome::Unknown(error) => error,
            };
            if is_poisoned(&error) {
                return Err(Stop::Exit(error.to_string()));
            }
            let text = match error.kind() {
                ErrorKind::Fatal => "commit refused by the database, trying again",
                _ => "commit failed, retrying",
            };
            self.wait(&mut backoff, request, &error, text).await;
        }
    }

    /// Sends the request once.
    async fn attempt(&self, request: &CommitRequest) -> Result<CommitOutcome, Stop> {
        failpoint::hit("commit.before").await;
        let outcome = self.groups.commit(request.clone()).await.ok_or(Stop::Neighbour)?;
        Ok(match outcome {
            CommitOutcome::Done(_) if failpoint::fails("commit.reply").await => {
                CommitOutcome::Unknown(CatalogError::NotCommitted(request.partition.clone()))
            }
            outcome => outcome,
        })
    }

    /// Reads the outcome of a commit back, until the catalog answers.
    async fn resolve(&self, request: &CommitRequest, backoff: &mut Backoff) -> CommitOutcome {
        loop {
            match self.catalog.resolve(request).await {
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
        let (partition, base_offset) = (&request.partition, request.range.base());
        if attempt >= self.uploader.retries {
            self.progress.failing.store(true, Ordering::Relaxed);
            tracing::error!(%partition, base_offset, attempt, backoff_ms, %error, what);
        } else {
            tracing::warn!(%partition, base_offset, attempt, backoff_ms, %error, what);
        }
        tokio::time::sleep(wait).await;
    }
}

/// True if this process can no longer use the catalog.
fn is_poisoned(error: &CatalogError) -> bool {
    matches!(error, CatalogError::Poisoned(_))
}
