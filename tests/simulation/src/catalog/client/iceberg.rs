//! Calls on tables of Iceberg.
//!
//! Owns: the transaction of each of them. Does not own: their effect (`iceberg`).

use ::catalog::{
    IcebergStore, MetadataObject, Publication, PublishOutcome, PublishScope, PublishedHead, PublishedTable, Result,
    SegmentKind, TableState,
};
use async_trait::async_trait;
use common::TopicName;

use super::{Client, Door, Rows};

#[async_trait]
impl<D: Door> IcebergStore for Client<D> {
    async fn list_published(&self) -> Result<Vec<PublishedTable>> {
        self.read("list_published", |state| Ok(state.list_published())).await
    }

    async fn find_published(&self, topic: &TopicName, kind: SegmentKind) -> Result<Option<PublishedHead>> {
        let topic = topic.clone();
        self.read("find_published", move |state| Ok(state.find_published(&topic, kind))).await
    }

    async fn table_state(
        &self,
        topic: &TopicName,
        kind: SegmentKind,
        scope: PublishScope,
    ) -> Result<Option<TableState>> {
        let topic = topic.clone();
        self.read("table_state", move |state| Ok(state.table_state(&topic, kind, scope))).await
    }

    async fn metadata_objects(&self, topic: &TopicName, kind: SegmentKind) -> Result<Vec<MetadataObject>> {
        let topic = topic.clone();
        self.read("metadata_objects", move |state| Ok(state.metadata_objects(&topic, kind))).await
    }

    /// Locks the row of a topic and rows of objects, which nothing waits for here: they are locked for one moment.
    async fn publish(&self, publication: &Publication) -> Result<PublishOutcome> {
        let publication = publication.clone();
        self.write("publish", Rows::None, move |state| state.publish(&publication)).await
    }

    async fn unpublish(&self, topic: &TopicName) -> Result<u64> {
        let topic = topic.clone();
        self.write("unpublish", Rows::None, move |state| state.unpublish(&topic)).await
    }
}
