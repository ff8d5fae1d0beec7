//! Opening a catalog by its URL.
//!
//! Owns: the database for each scheme. Does not own: opening it (`sqlite`, `postgres`).

use std::sync::Arc;

use crate::error::{CatalogError, Result};
use crate::store::MetadataStore;
use crate::{PostgresMetadataStore, SqliteMetadataStore};

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
