//! Upload: a sealed batch becomes objects that are certainly stored.
//!
//! Owns: the intent before the put, what an ambiguous answer means, and that a failed upload is repeated until it
//! succeeds. An [`UploadedBatch`] can only come from here, so nothing else can be committed.
//! Does not own: the order of commits.
//!
//! Intent first: an object without an intent would be invisible to the janitor. A put whose answer is lost, or that
//! says the object exists, proves nothing either way; the object itself is read and compared.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use catalog::{CatalogError, NewSegment, Ownership, SegmentKind, UploadIntent};
use common::backoff::Backoff;
use common::checksum::crc32c;
use common::{ErrorKind, failpoint, mutation};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::time::Instant;

use crate::pipeline::batch::SealedBatch;
use crate::pipeline::context::{Context, Stop};
use crate::service::metrics;
use crate::service::status::Gauges;
use lake::keys::{NewKey, SegmentName};
use lake::segment::EncodedSegment;
use lake::storage::PutError;

/// A batch whose objects are stored; the proof that a commit needs.
#[derive(Debug)]
pub(crate) struct UploadedBatch {
    batch: SealedBatch,
    segments: Vec<NewSegment>,
}

impl UploadedBatch {
    /// The batch, its segments being stored.
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
    pub(crate) context: Arc<Context>,
    pub(crate) held: Ownership,
    pub(crate) gauges: Arc<Gauges>,
}

impl Uploader {
    /// Stores all segments of `batch`, however long it takes.
    pub(crate) async fn upload(self, mut batch: SealedBatch) -> Result<UploadedBatch, Stop> {
        let started = Instant::now();
        let _turn = self.context.uploads.acquire().await.expect("the semaphore is never closed");
        let mut segments = Vec::with_capacity(batch.segments.len());
        for (kind, encoded) in std::mem::take(&mut batch.segments) {
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
            base_offset: batch.base_offset,
            end_offset: batch.end_offset,
            epoch: self.held.epoch,
            kind,
            first_timestamp_us: batch.first_timestamp_us,
        };
        let mut tries = Tries::new(self);
        let NewKey { id, key } = loop {
            let new = name.new_key(&self.context.storage.prefix);
            self.record_intent(&new.key, &mut tries).await?;
            if self.put(&new.key, encoded, &mut tries).await {
                break new;
            }
            // The object under this key is not ours or not durable: leave it to the janitor.
            self.abandon(&new.key, &mut tries).await;
        };
        tries.succeeded();
        tracing::debug!(%key, size_bytes = encoded.size_bytes, attempts = tries.backoff.attempts() + 1, "segment uploaded");
        Ok(NewSegment {
            id,
            kind,
            record_count: encoded.record_count,
            size_bytes: encoded.size_bytes,
            bucket: self.context.storage.bucket.clone(),
            key: key.to_string(),
            min_timestamp_us: encoded.min_timestamp_us,
            max_timestamp_us: encoded.max_timestamp_us,
            checksum: encoded.checksum,
            schema_version: batch.schema_version,
        })
    }

    async fn record_intent(&self, key: &Path, tries: &mut Tries<'_>) -> Result<(), Stop> {
        failpoint::hit("intent.before").await;
        if mutation::is_off("upload.intent") {
            return Ok(());
        }
        loop {
            let recorded = self.context.groups.record_intent(self.intent(key)).await;
            let is_reply_lost = failpoint::fails("intent.reply").await;
            match recorded {
                None => return Err(Stop::Neighbour),
                Some(Ok(())) if is_reply_lost => tries.wait("intent", key, &lost_reply()).await,
                Some(Ok(())) => {
                    failpoint::hit("intent.done").await;
                    return Ok(());
                }
                Some(Err(error @ CatalogError::Poisoned(_))) => return Err(Stop::Exit(error.to_string())),
                Some(Err(error)) if error.kind() == ErrorKind::Conflict => return Err(Stop::Fenced(error.to_string())),
                Some(Err(error)) => tries.wait("intent", key, &error).await,
            }
        }
    }

    /// Puts the object and is sure of it (`true`), or sure that this key must not be used (`false`).
    async fn put(&self, key: &Path, encoded: &EncodedSegment, tries: &mut Tries<'_>) -> bool {
        failpoint::hit("put.before").await;
        loop {
            let put = self.context.storage.put_new(key, encoded.payload.clone()).await;
            let put =
                if failpoint::fails("put.reply").await { put.and(Err(PutError::Ambiguous(lost_reply()))) } else { put };
            match put {
                Ok(()) => match self.check_size(key, encoded).await {
                    Ok(()) => {
                        failpoint::hit("put.done").await;
                        return true;
                    }
                    Err(error) => tries.wait("check", key, &error).await,
                },
                Err(PutError::NotDurable(error)) => {
                    tries.wait("sync", key, &error).await;
                    return false;
                }
                Err(PutError::Ambiguous(_)) if mutation::is_off("upload.read_back") => return true,
                Err(PutError::Ambiguous(error)) => tries.wait("put", key, &error).await,
            }
            match self.find(key, encoded, tries).await {
                Found::Same => match self.context.storage.sync(key).await {
                    Ok(()) => return true,
                    Err(error) => {
                        tries.wait("sync", key, &error).await;
                        return false;
                    }
                },
                Found::Absent => {}
                Found::Other => return false,
            }
        }
    }

    /// A success alone proves little: whatever stands between here and the disk may have dropped the object or cut
    /// it. What it costs to ask is small beside the put.
    async fn check_size(&self, key: &Path, encoded: &EncodedSegment) -> object_store::Result<()> {
        let found = self.context.storage.store.head(key).await?;
        if found.size == encoded.size_bytes {
            return Ok(());
        }
        let text = format!("the store took {} bytes with success and holds {}", encoded.size_bytes, found.size);
        Err(object_store::Error::Generic { store: "check", source: text.into() })
    }

    /// Reads back what is stored under `key`.
    async fn find(&self, key: &Path, encoded: &EncodedSegment, tries: &mut Tries<'_>) -> Found {
        loop {
            let read = async { self.context.storage.store.get(key).await?.bytes().await };
            match read.await {
                Ok(bytes) => {
                    let same = (bytes.len() as u64, crc32c(&bytes)) == (encoded.size_bytes, encoded.checksum);
                    return if same { Found::Same } else { Found::Other };
                }
                Err(object_store::Error::NotFound { .. }) => return Found::Absent,
                Err(error) => tries.wait("read back", key, &error).await,
            }
        }
    }

    async fn abandon(&self, key: &Path, tries: &mut Tries<'_>) {
        // An intent that stays pending is doomed by the next takeover: giving up here loses nothing.
        if let Err(error) = self.context.catalog.abandon_intents(&[self.intent(key)]).await {
            tries.wait("abandon", key, &error).await;
        }
    }

    fn intent(&self, key: &Path) -> UploadIntent {
        UploadIntent {
            partition: self.held.partition.clone(),
            epoch: self.held.epoch,
            owner: self.held.owner,
            bucket: self.context.storage.bucket.clone(),
            key: key.to_string(),
        }
    }
}

/// What a failpoint makes of a reply.
fn lost_reply() -> object_store::Error {
    object_store::Error::Generic { store: "failpoint", source: "the reply was lost".into() }
}

enum Found {
    Same,
    Absent,
    Other,
}

/// Counts and spaces the attempts of one upload.
struct Tries<'u> {
    uploader: &'u Uploader,
    backoff: Backoff,
}

impl<'u> Tries<'u> {
    fn new(uploader: &'u Uploader) -> Self {
        Self { uploader, backoff: Backoff::default() }
    }

    async fn wait(&mut self, step: &'static str, key: &Path, error: &(dyn std::error::Error + Sync)) {
        ::metrics::counter!(metrics::UPLOAD_RETRIES).increment(1);
        let wait = self.backoff.next_wait();
        let (attempt, backoff_ms) = (self.backoff.attempts(), wait.as_millis() as u64);
        if attempt >= self.uploader.context.config.upload_retries {
            self.uploader.gauges.failing.store(true, Ordering::Relaxed);
            tracing::error!(%key, step, attempt, backoff_ms, %error, "upload keeps failing; its batch is kept and tried again");
        } else {
            tracing::warn!(%key, step, attempt, backoff_ms, %error, "upload failed, retrying");
        }
        tokio::time::sleep(wait).await;
    }

    fn succeeded(&self) {
        self.uploader.gauges.failing.store(false, Ordering::Relaxed);
    }
}
