//! Storing objects of metadata.
//!
//! Owns: the list of their intents, and giving them up. Does not own: the steps of a put and one intent (`lake::put`), consuming the intents (the
//! catalog's publication).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use catalog::{CatalogError, MetadataObject, MetadataStore};
use common::checksum::crc32c;
use common::{OwnerId, TopicName};
use lake::Storage;
use lake::keys::NewKey;
use lake::put::{Intents, Observer, Retry, SegmentPut, SharedIntents};
use lake::segment::EncodedSegment;
use object_store::path::Path;

use crate::error::{Error, Result};

/// Longest time for one object: another attempt begins with what the catalog has then.
const PUT_MAX: Duration = Duration::from_secs(120);

/// The objects of one publication.
#[derive(Debug)]
pub(crate) struct Objects<'a> {
    pub(crate) catalog: &'a Arc<dyn MetadataStore>,
    pub(crate) storage: &'a Storage,
    pub(crate) topic: &'a TopicName,
    pub(crate) owner: OwnerId,
    stored: Vec<MetadataObject>,
    /// Every key with a recorded intent.
    // A std mutex: held for a push, never across an await.
    intended: Mutex<Vec<Path>>,
}

impl<'a> Objects<'a> {
    pub(crate) fn new(
        catalog: &'a Arc<dyn MetadataStore>,
        storage: &'a Storage,
        topic: &'a TopicName,
        owner: OwnerId,
    ) -> Self {
        Self { catalog, storage, topic, owner, stored: Vec::new(), intended: Mutex::default() }
    }

    /// Stores an object, and returns its key.
    pub(crate) async fn put(&mut self, bytes: Vec<u8>, new_key: &(dyn Fn() -> NewKey + Send + Sync)) -> Result<String> {
        let (size_bytes, checksum) = (bytes.len() as u64, crc32c(&bytes));
        let encoded =
            EncodedSegment { payload: Bytes::from(bytes).into(), size_bytes, checksum, ..EncodedSegment::default() };
        let put = SegmentPut { storage: self.storage, encoded: &encoded, new_key, intents: &*self, observer: &Logged };
        let stored = tokio::time::timeout(PUT_MAX, put.run()).await;
        let stored = stored.map_err(|_| Error::Store(format!("the store took no object within {PUT_MAX:?}")))?;
        let key = stored.map_err(|stop| Error::Store(stop.to_string()))?.name.key.to_string();
        self.stored.push(MetadataObject { key: key.clone(), size_bytes, checksum });
        Ok(key)
    }

    /// The stored objects.
    pub(crate) fn stored(&self) -> Vec<MetadataObject> {
        self.stored.clone()
    }

    /// Gives up every intent that is still pending: the janitor deletes the objects.
    pub(crate) async fn abandon(&self) {
        let keys = self.intended.lock().expect("no holder of this lock panics").clone();
        for key in keys {
            // A process that ends leaves its intents pending, too: they are given up once it sends no heartbeat.
            if let Err(error) = Intents::abandon(self, &key).await {
                tracing::warn!(topic = %self.topic, %key, %error, "intent of metadata not given up; the janitor does so later");
            }
        }
    }

    fn intents(&self) -> SharedIntents<'_> {
        let Self { catalog, storage, topic, owner, .. } = *self;
        SharedIntents { catalog: catalog.as_ref(), storage, topic, owner }
    }
}

#[async_trait]
impl Intents for Objects<'_> {
    async fn record(&self, key: &Path) -> Option<Result<(), CatalogError>> {
        self.intended.lock().expect("no holder of this lock panics").push(key.clone());
        self.intents().record(key).await
    }

    async fn abandon(&self, key: &Path) -> Result<(), CatalogError> {
        self.intents().abandon(key).await
    }

    fn may_repeat(&self) -> bool {
        self.intents().may_repeat()
    }
}

/// Writes failed steps to the log.
struct Logged;

impl Observer for Logged {
    fn retrying(&self, retry: &Retry<'_>) {
        let Retry { step, key, attempt, wait, error } = retry;
        tracing::warn!(step, %key, attempt, ?wait, %error, "metadata for readers of Iceberg not stored yet");
    }
}
