//! Intents of objects that belong to a topic and a process instead of one partition.
//!
//! Owns: recording them and giving them up, for objects that partitions share, merged ones, and metadata for readers.
//! Does not own: consuming them, which the catalog does with the change that lists the object.

use async_trait::async_trait;
use catalog::{CatalogError, MetadataStore, ReplacementIntent};
use common::{OwnerId, TopicName};
use object_store::path::Path;

use super::Intents;
use crate::storage::Storage;

/// Records the intents of one process for one topic.
#[derive(Clone, Copy, Debug)]
pub struct SharedIntents<'a> {
    /// Catalog that records them.
    pub catalog: &'a dyn MetadataStore,
    /// Storage that the objects go to.
    pub storage: &'a Storage,
    /// The topic.
    pub topic: &'a TopicName,
    /// The process, which sends heartbeats: without them its intents are given up.
    pub owner: OwnerId,
}

impl SharedIntents<'_> {
    fn intent(&self, key: &Path) -> ReplacementIntent {
        let (topic, bucket) = (self.topic.clone(), self.storage.bucket.clone());
        ReplacementIntent { topic, owner: self.owner, bucket, key: key.to_string() }
    }
}

#[async_trait]
impl Intents for SharedIntents<'_> {
    async fn record(&self, key: &Path) -> Option<Result<(), CatalogError>> {
        Some(self.catalog.record_replacement_intent(&self.intent(key)).await)
    }

    async fn abandon(&self, key: &Path) -> Result<(), CatalogError> {
        self.catalog.abandon_replacement(&self.intent(key)).await
    }

    fn may_repeat(&self) -> bool {
        // A process whose intents were given up goes on, and its next heartbeat makes it alive again.
        false
    }
}
