//! What tests of the doors begin with.
//!
//! Owns: an executor over an empty catalog in memory. Does not own: clients.

use std::sync::Arc;
use std::time::Duration;

use catalog::MetadataStore;
use lake::Storage;
use lake::query::QueryStore;

use crate::executor::{Executor, Limits, STATEMENT_BYTES_MAX};

/// Limits that no test reaches by accident.
pub(crate) fn limits() -> Limits {
    let long = Duration::from_secs(120);
    Limits { concurrency: 4, queue: 4, queue_wait: long, memory_bytes: 64 << 20, timeout: long, rows: u64::MAX }
}

/// An executor, and its catalog.
pub(crate) async fn executor(limits: Limits) -> (Arc<Executor>, Arc<dyn MetadataStore>) {
    let catalog = catalog::connect("sqlite::memory:").await.expect("a catalog in memory");
    let storage = Storage::memory();
    let store = QueryStore { url: storage.url, store: storage.store };
    let executor = Executor::open(Arc::clone(&catalog), store, limits).expect("a session");
    (executor, catalog)
}

/// A statement of allowed length whose tree would be half a million levels deep.
pub(crate) fn too_large() -> String {
    format!("SELECT 1{}", "+1".repeat((STATEMENT_BYTES_MAX - 8) / 2))
}
