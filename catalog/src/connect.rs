//! Opening a catalog by its URL.
//!
//! Owns: the database for each scheme. Does not own: opening it (`sqlite`, `postgres`).

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use common::diagnosis::Finding;
use common::secret::SecretUrl;
use sqlx::postgres::PgConnectOptions;

use crate::error::{CatalogError, Result};
use crate::store::MetadataStore;
use crate::{PostgresMetadataStore, SqliteMetadataStore, sqlite};

/// The file that a URL of SQLite names; `None` for memory and for other databases.
pub fn file_of(url: &str) -> Option<PathBuf> {
    match scheme_of(url) {
        Ok(Scheme::Sqlite) => sqlite::file_of(url),
        _ => None,
    }
}

/// The databases that a URL may name.
enum Scheme {
    Sqlite,
    Postgres,
}

fn scheme_of(url: &str) -> Result<Scheme> {
    if url.starts_with("sqlite:") {
        return Ok(Scheme::Sqlite);
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Scheme::Postgres);
    }
    let shown = SecretUrl::from(url);
    Err(CatalogError::Refused(format!("{shown}: unknown scheme; allowed are sqlite:<path> and postgres://…")))
}

/// Opens the catalog that `url` names: `sqlite:<path>`, `sqlite::memory:`, `postgres://…`. Creates the schema or
/// migrates it.
///
/// # Errors
/// `Refused` names an unknown scheme, a database that is too old or read-only, or a schema newer than this program.
pub async fn connect(url: &str) -> Result<Arc<dyn MetadataStore>> {
    Ok(match scheme_of(url)? {
        Scheme::Sqlite => Arc::new(SqliteMetadataStore::connect(url).await?),
        Scheme::Postgres => Arc::new(PostgresMetadataStore::connect(url).await?),
    })
}

/// Opens the catalog that `url` names for reading alone: it makes and migrates nothing, and needs no right but to read.
/// Every operation that writes is refused.
///
/// # Errors
/// As [`connect`]; `Absent` if there is no catalog; `Refused` if its schema is an older one. A replica is no error.
pub async fn connect_to_read(url: &str) -> Result<Arc<dyn MetadataStore>> {
    Ok(match scheme_of(url)? {
        Scheme::Sqlite => Arc::new(SqliteMetadataStore::connect_to_read(url).await?),
        Scheme::Postgres => Arc::new(PostgresMetadataStore::connect_to_read(url).await?),
    })
}

/// The findings about the place that `url` names, in which there is no catalog yet.
///
/// # Errors
/// As [`connect_to_read`].
pub async fn diagnose_without_catalog(url: &str) -> Result<Vec<Finding>> {
    match scheme_of(url)? {
        Scheme::Sqlite => SqliteMetadataStore::diagnose_without_catalog(url),
        Scheme::Postgres => PostgresMetadataStore::diagnose_without_catalog(url).await,
    }
}

/// The words by which programs over libpq reach the database of a `postgres://` URL, without the password; `None` for
/// another URL.
pub fn libpq_words(url: &str) -> Option<Vec<(&'static str, String)>> {
    let Ok(Scheme::Postgres) = scheme_of(url) else { return None };
    let options = PgConnectOptions::from_str(url).ok()?;
    let socket = options.get_socket().map(|path| path.display().to_string());
    let host = socket.unwrap_or_else(|| options.get_host().to_owned());
    let mut words = vec![("host", host), ("port", options.get_port().to_string())];
    words.extend(options.get_database().map(|name| ("dbname", name.to_owned())));
    words.push(("user", options.get_username().to_owned()));
    Some(words)
}
