//! What a catalog can do, split by role: one file for each.
//!
//! Owns: what all roles share, and opening a catalog by its URL. One conformance suite runs against each
//! implementation.
//! Does not own: SQL, pools, migrations.

mod commits;
mod janitor;
mod ownership;
mod readers;
mod segments;
mod topics;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use common::diagnosis::Finding;

pub use self::commits::CommitStore;
pub use self::janitor::JanitorStore;
pub use self::ownership::OwnershipStore;
pub use self::readers::{ConsumerStore, ReplayStore};
pub use self::segments::SegmentStore;
pub use self::topics::TopicStore;
use crate::error::{CatalogError, Result};
use crate::{PostgresMetadataStore, SqliteMetadataStore};

/// A whole catalog.
#[async_trait]
pub trait MetadataStore:
    TopicStore + SegmentStore + CommitStore + OwnershipStore + JanitorStore + ReplayStore + ConsumerStore + fmt::Debug
{
    /// Whether the database answers now; for readiness.
    async fn check(&self) -> Result<()>;

    /// What an operator should know about the database: whether a commit here outlives a crash. Changes nothing.
    async fn diagnose(&self) -> Vec<Finding> {
        Vec::new()
    }

    /// Looks for what a broken disk may have done to the database; a writer does so before it begins. Reads all of it:
    /// a second for about a million commits. Nothing to do where the database checks its own files.
    ///
    /// # Errors
    /// `Inconsistent` says what contradicts what.
    async fn verify(&self) -> Result<()> {
        Ok(())
    }

    /// Ends all connections in good order.
    async fn close(&self);
}

/// Opens the catalog that `url` names: `sqlite:<path>`, `sqlite::memory:`, `postgres://…`. Creates the schema or
/// migrates it.
///
/// # Errors
/// `Refused` names an unknown scheme, a database that is too old or read-only, or a schema newer than this program.
pub async fn connect(url: &str) -> Result<Arc<dyn MetadataStore>> {
    if url.starts_with("sqlite:") {
        return Ok(Arc::new(SqliteMetadataStore::connect(url).await?));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Arc::new(PostgresMetadataStore::connect(url).await?));
    }
    let scheme = url.split(':').next().unwrap_or_default();
    Err(CatalogError::Refused(format!("unknown scheme {scheme:?}; allowed are sqlite:<path> and postgres://…")))
}
