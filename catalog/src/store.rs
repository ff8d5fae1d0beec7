//! The operations of a catalog, split by role: one file for each.
//!
//! Owns: the parts that all roles share. One conformance suite runs against each implementation.
//! Does not own: SQL, pools, migrations.

mod agents;
mod commits;
mod groups;
mod iceberg;
mod janitor;
mod ownership;
mod readers;
mod segments;
mod tables;
mod tokens;
mod topics;
mod view;

use std::fmt;

use async_trait::async_trait;
use common::diagnosis::Finding;

pub use self::agents::AgentStore;
pub use self::commits::CommitStore;
pub use self::groups::GroupStore;
pub use self::iceberg::IcebergStore;
pub use self::janitor::JanitorStore;
pub use self::ownership::OwnershipStore;
pub use self::readers::{ConsumerStore, ReplayStore};
pub use self::segments::SegmentStore;
pub use self::tables::TableStore;
pub use self::tokens::TokenStore;
pub use self::topics::TopicStore;
pub use self::view::ViewStore;
use crate::error::Result;

/// A whole catalog.
#[async_trait]
pub trait MetadataStore:
    TopicStore
    + SegmentStore
    + TableStore
    + IcebergStore
    + CommitStore
    + OwnershipStore
    + AgentStore
    + JanitorStore
    + ReplayStore
    + ConsumerStore
    + GroupStore
    + TokenStore
    + ViewStore
    + fmt::Debug
{
    /// Succeeds if the database answers now; for readiness.
    async fn check(&self) -> Result<()>;

    /// Findings for an operator about the database: the settings that decide if a commit here outlives a crash. Changes
    /// nothing.
    async fn diagnose(&self) -> Vec<Finding> {
        Vec::new()
    }

    /// Checks the database for damage by a broken disk; a writer does so before it begins. Reads all of it: a second
    /// for about a million commits. Does nothing where the database checks its own files.
    ///
    /// # Errors
    /// `Inconsistent` names the contradiction.
    async fn verify(&self) -> Result<()> {
        Ok(())
    }

    /// Ends all connections in good order.
    async fn close(&self);
}
