//! Opening a catalog by its URL.
//!
//! Owns: the database for each scheme. Does not own: opening it (`sqlite`, `postgres`).

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use common::diagnosis::Finding;
use common::secret::SecretUrl;
use sqlx::sqlite::SqliteConnectOptions;

use crate::error::{CatalogError, Result};
use crate::store::MetadataStore;
use crate::{PostgresMetadataStore, SqliteMetadataStore};

/// The file that a URL of SQLite names; `None` for memory and for other databases.
pub fn file_of(url: &str) -> Option<PathBuf> {
    let is_in_memory = url.contains(":memory:") || url.contains("mode=memory");
    let options = SqliteConnectOptions::from_str(url).ok().filter(|_| url.starts_with("sqlite:") && !is_in_memory)?;
    Some(options.get_filename().to_owned())
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
    Err(unknown_scheme(url))
}

/// Opens the catalog that `url` names for reading alone: it makes and migrates nothing, and needs no right but to read.
/// Every operation that writes is refused.
///
/// # Errors
/// As [`connect`]; `Absent` if there is no catalog; `Refused` if its schema is an older one. A replica is no error.
pub async fn connect_to_read(url: &str) -> Result<Arc<dyn MetadataStore>> {
    if url.starts_with("sqlite:") {
        return Ok(Arc::new(SqliteMetadataStore::connect_to_read(url).await?));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Arc::new(PostgresMetadataStore::connect_to_read(url).await?));
    }
    Err(unknown_scheme(url))
}

/// The findings about the place that `url` names, in which there is no catalog yet.
///
/// # Errors
/// As [`connect_to_read`].
pub async fn diagnose_without_catalog(url: &str) -> Result<Vec<Finding>> {
    if url.starts_with("sqlite:") {
        return SqliteMetadataStore::diagnose_without_catalog(url);
    }
    PostgresMetadataStore::diagnose_without_catalog(url).await
}

fn unknown_scheme(url: &str) -> CatalogError {
    let shown = SecretUrl::from(url);
    CatalogError::Refused(format!("{shown}: unknown scheme; allowed are sqlite:<path> and postgres://…"))
}
