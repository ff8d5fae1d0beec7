//! Upload: turns a sealed batch into objects that are certainly stored.
//!
//! Owns: the names of a batch's segments, their intents, and reporting a failing upload. Only this module makes an
//! [`UploadedBatch`], so nothing else can be committed.
//! Does not own: the protocol of a put (`lake::put`), the order of commits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use catalog::{CatalogError, MetadataStore, NewSegment, Ownership, SegmentKind, UploadIntent};
use lake::Storage;
use lake::keys::SegmentName;
use lake::put::{Intents, Observer, PutStop, Retry, SegmentPut, StoredSegment};
use lake::segment::EncodedSegment;
use lake::segment::Pages;
use object_store::path::Path;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::pipeline::batch::SealedBatch;
use crate::pipeline::context::Stop;
use crate::pipeline::cpu::Cpu;
use crate::pipeline::group::Groups;
use crate::service::metrics;
use crate::service::status::Progress;

/// A batch whose own objects are stored; a commit needs it as the proof.
#[derive(Debug)]
pub(crate) struct UploadedBatch {
    batch: SealedBatch,
    segments: Vec<NewSegment>,
}

impl UploadedBatch {
    /// The batch, without its segments.
    pub(crate) fn batch(&self) -> &SealedBatch {
        &self.batch
    }

    /// The stored segments.
    pub(crate) fn segments(&self) -> &[NewSegment] {
        &self.segments
    }
}

/// Uploads for one partition.
#[derive(Clone)]
pub(crate) struct Uploader {
    pub(crate) held: Ownership,
    pub(crate) storage: Storage,
    /// Records intents.
    pub(crate) groups: Groups,
    /// Abandons intents.
    pub(crate) catalog: Arc<dyn MetadataStore>,
    /// Limits the uploads of the process.
    pub(crate) turns: Arc<Semaphore>,
    /// Failed attempts after which the partition counts as failing.
    pub(crate) retries: u32,
    pub(crate) progress: Arc<Progress>,
    /// Encodes small batches.
    pub(crate) cpu: Cpu,
    pub(crate) pages: Pages,
}

impl Uploader {
    /// Stores all segments of `batch` in objects of its own, however long it takes.
    pub(crate) async fn upload(self, mut batch: SealedBatch) -> Result<UploadedBatch, Stop> {
        let started = Instant::now();
        if batch.is_gathered() {
            let (held, pages) = (self.held.clone(), self.pages);
            batch = self.cpu.run(move || batch.alone(&held, pages)).await?;
        }
        let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
        let batch_objects = batch.take_objects();
        let mut segments = Vec::with_capacity(batch_objects.len());
        for (kind, encoded) in batch_objects {
            segments.push(self.store(&batch, kind, &encoded).await?);
        }
        ::metrics::histogram!(metrics::UPLOAD_SECONDS).record(started.elapsed().as_secs_f64());
        Ok(UploadedBatch { batch, segments })
    }

    async fn store(
        &self,
        batch: &SealedBatch,
        kind: SegmentKind,
        encoded: &EncodedSegment,
    ) -> Result<NewSegment, Stop> {
        let name = SegmentName {
            partition: &self.held.partition,
            range: batch.range,
            epoch: self.held.epoch,
            kind,
            first_timestamp_us: batch.first_timestamp_us,
        };
        let new_key = || name.new_key(&self.storage.prefix);
        let put = SegmentPut { storage: &self.storage, encoded, new_key: &new_key, intents: self, observer: self };
        let StoredSegment { name, retries } = put.run().await?;
        self.progress.failing.store(false, Ordering::Relaxed);
        tracing::debug!(key = %name.key, size_bytes = encoded.size_bytes, attempts = retries + 1, "segment uploaded");
        Ok(encoded.segment(kind, &self.storage.bucket, &name, batch.schema_version))
    }

    fn intent(&self, key: &Path) -> UploadIntent {
        UploadIntent {
            partition: self.held.partition.clone(),
            epoch: self.held.epoch,
            owner: self.held.owner,
            bucket: self.storage.bucket.clone(),
            key: key.to_string(),
        }
    }
}

#[async_trait]
impl Intents for Uploader {
    async fn record(&self, key: &Path) -> Option<Result<(), CatalogError>> {
        self.groups.record_intent(self.intent(key)).await
    }

    async fn abandon(&self, key: &Path) -> Result<(), CatalogError> {
        self.catalog.abandon_intents(&[self.intent(key)]).await
    }

    fn may_repeat(&self) -> bool {
        // Only a later epoch gives its intents up, and that refuses them.
        true
    }
}

impl Observer for Uploader {
    fn retrying(&self, retry: &Retry<'_>) {
        if report(retry, self.retries) {
            self.progress.failing.store(true, Ordering::Relaxed);
        }
    }
}

/// Reports a failed step; true if the upload counts as failing, after `retries` of them.
pub(crate) fn report(retry: &Retry<'_>, retries: u32) -> bool {
    let Retry { step, key, attempt, wait, error } = retry;
    ::metrics::counter!(metrics::UPLOAD_RETRIES).increment(1);
    let backoff_ms = wait.as_millis() as u64;
    let is_failing = *attempt >= retries;
    if is_failing {
        tracing::error!(%key, step, attempt, backoff_ms, %error, "upload keeps failing; its batch is kept and tried again");
    } else {
        tracing::warn!(%key, step, attempt, backoff_ms, %error, "upload failed, retrying");
    }
    is_failing
}

impl From<PutStop> for Stop {
    fn from(stop: PutStop) -> Self {
        match stop {
            PutStop::Fenced(error) => Self::Fenced(error.to_string()),
            PutStop::Poisoned(error) => Self::Exit(error.to_string()),
            PutStop::NeighbourGone => Self::Neighbour,
        }
    }
}
