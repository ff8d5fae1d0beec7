//! What a catalog can do, split by role: one file for each.
//!
//! Owns: what all roles share. One conformance suite runs against each
//! implementation.
//! Does not own: SQL, pools, migrations.

mod commits;
mod janitor;
mod ownership;
mod readers;
mod segments;
mod topics;

use std::fmt;

use async_trait::async_trait;
use common::diagnosis::Finding;

pub use self::commits::CommitStore;
pub use self::janitor::JanitorStore;
pub use self::ownership::OwnershipStore;
pub use self::readers::{ConsumerStore, ReplayStore};
pub use self::segments::SegmentStore;
pub use self::topics::TopicStore;
use crate::error::Result;

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
