//! Topics as tables for readers of Iceberg, published after the commits.
//!
//! Owns: the contract of these operations. Does not own: SQL, the metadata itself (crate `open_tables`), the intents of its
//! objects, which are those of replacements (`commits`).

use async_trait::async_trait;
use common::TopicName;

use crate::error::Result;
use crate::model::{
    MetadataObject, Publication, PublishOutcome, PublishScope, PublishedHead, PublishedTable, SegmentKind, TableState,
};

/// The tables that readers of Iceberg see.
#[async_trait]
pub trait IcebergStore: Send + Sync {
    /// Both tables of each topic, by topic and kind, with what their publication lacks. Found by index, for any number of
    /// objects.
    async fn list_published(&self) -> Result<Vec<PublishedTable>>;

    /// The newest metadata of a table; `None` if it was never published.
    async fn find_published(&self, topic: &TopicName, kind: SegmentKind) -> Result<Option<PublishedHead>>;

    /// The table as it is now, and its last publication; `None` if there is no such topic.
    async fn table_state(
        &self,
        topic: &TopicName,
        kind: SegmentKind,
        scope: PublishScope,
    ) -> Result<Option<TableState>>;

    /// The objects of metadata that the newest version of a table needs, by key.
    async fn metadata_objects(&self, topic: &TopicName, kind: SegmentKind) -> Result<Vec<MetadataObject>>;

    /// Makes a new version of a table's metadata the newest, in one transaction: its lake snapshot is of this catalog's
    /// history, the last version is compared and replaced, the intents of the objects are consumed, and every added object is
    /// live. From then on no object is due
    /// for the janitor that a kept snapshot has; objects of metadata that no kept snapshot needs are handed to the
    /// janitor.
    ///
    /// An error proves neither success nor failure. Giving the intents up afterwards is harmless: of a publication that
    /// was done they are consumed.
    async fn publish(&self, publication: &Publication) -> Result<PublishOutcome>;

    /// Takes the tables of a topic from the readers of Iceberg: hands their metadata to the janitor, and keeps no object
    /// for them any more. Returns the number of tables that were published.
    async fn unpublish(&self, topic: &TopicName) -> Result<u64>;
}
