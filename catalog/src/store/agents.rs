//! Operations on registered agents: the ingesters, and the list of all.
//!
//! Owns: the contract of these operations. Does not own: SQL, the registration of a writer (`ownership`: its heartbeat
//! is also the lease of its partitions). Ingesters have a table of their own, so that none counts as a writer.

use std::time::Duration;

use async_trait::async_trait;
use common::OwnerId;

use crate::error::Result;
use crate::model::{Ingester, RegisteredAgent};

/// Registered agents.
#[async_trait]
pub trait AgentStore: Send + Sync {
    /// Registers the ingester or renews its lease, by the database's clock; forgets ingesters that were silent for a day.
    ///
    /// # Errors
    /// `Refused` if the address holds a NUL.
    async fn announce(&self, ingester: &Ingester) -> Result<()>;

    /// Removes the ingester. An absent one is no error.
    async fn withdraw(&self, id: OwnerId) -> Result<()>;

    /// Ingesters that sent a heartbeat within their own lease, and writers that sent one within `writer_lease`; by role, name
    /// and id.
    async fn list_registered(&self, writer_lease: Duration) -> Result<Vec<RegisteredAgent>>;
}
