//! The operation that reads many parts of the catalog at one moment.
//!
//! Owns: its contract. Does not own: SQL, single parts (`segments`, `topics`, `agents`).

use async_trait::async_trait;

use crate::error::Result;
use crate::model::{View, ViewRequest};

/// One moment of the whole catalog.
#[async_trait]
pub trait ViewStore: Send + Sync {
    /// The parts that the request names, all as of one transaction: two topics are of the same lake snapshot.
    ///
    /// The answer does not depend on the snapshots that the request knows, if they are of this catalog; they only save
    /// work. A topic whose lists did not change since its known snapshot costs one look at them, whatever their length.
    async fn view(&self, request: &ViewRequest) -> Result<View>;
}
