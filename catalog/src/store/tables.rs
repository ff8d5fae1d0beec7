//! Topics as tables for readers of DuckLake.
//!
//! Owns: the contract of these operations. Does not own: SQL, the columns of a topic (`model`).

use async_trait::async_trait;
use common::TopicName;

use crate::error::Result;
use crate::model::{ObjectsPlace, OpenTables};

/// The tables that readers of DuckLake see.
#[async_trait]
pub trait TableStore: Send + Sync {
    /// Records the address that the keys of `bucket` follow: `s3://bucket/`, `/absolute/directory/`. A writer does so
    /// before it lists objects; the last call counts, so that a directory may move.
    async fn record_root(&self, bucket: &str, root: &str) -> Result<()>;

    /// Where the objects of the catalog are, as seen from `bucket`.
    async fn objects_place(&self, bucket: &str) -> Result<ObjectsPlace>;

    /// The tables of `topic`, or of all topics, as readers see them now: read through the same views, as of one
    /// transaction. Roots are those of all buckets.
    async fn open_tables(&self, topic: Option<&TopicName>) -> Result<OpenTables>;
}
