//! The catalog in SQLite: one file, or memory.
//!
//! Owns: one connection for writing, many for reading. Does not own: statements (`sql`), opening a database
//! (`opening`), transactions (`session`).
//!
//! SQLite has one writer at a time anyway; one connection for all writing makes writers wait in the pool's queue
//! instead of SQLite's busy loop. Every writing transaction is `BEGIN IMMEDIATE`: it waits for its turn *before* it
//! reads.

mod damage;
mod diagnose;
mod opening;
mod session;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use async_trait::async_trait;
use common::diagnosis::Finding;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection, SqlitePool};

use crate::database::{self, Access, Database, Door, Session};
use crate::error::{CatalogError, Result};
use crate::sql::SqlMetadataStore;

/// A catalog in SQLite. Clones share it.
pub type SqliteMetadataStore = SqlMetadataStore<SqliteDatabase>;

/// An SQLite database with the catalog's schema.
pub struct SqliteDatabase {
    readers: SqlitePool,
    writer: SqlitePool,
    /// For fresh connections; `None` in memory, where a second connection would open another database.
    file: Option<SqliteConnectOptions>,
}

impl SqliteMetadataStore {
    /// Opens `sqlite:<path>` or `sqlite::memory:`, creating file, directory and schema where missing.
    ///
    /// # Errors
    /// `Refused` names the unfit part: the URL, the path, the version of SQLite, the schema.
    pub async fn connect(url: &str) -> Result<Self> {
        let invalid =
            |error| CatalogError::Refused(format!("{url:?} is not sqlite:<path> or sqlite::memory: ({error})"));
        let options = SqliteConnectOptions::from_str(url).map_err(invalid)?;
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Self::new_in_memory().await;
        }
        if url.contains("mode=ro") || url.contains("immutable=") {
            return Err(CatalogError::Refused(format!("{url:?} is read-only; the catalog must be writable")));
        }
        Self::open(options).await
    }

    /// Opens the file, creating it, its directory and the schema where missing.
    ///
    /// # Errors
    /// As [`SqliteMetadataStore::connect`].
    pub async fn new(path: impl AsRef<Path>) -> Result<Self> {
        Self::open(SqliteConnectOptions::new().filename(path)).await
    }

    /// A new catalog in memory, which ends with its last clone.
    ///
    /// # Errors
    /// `Refused` if SQLite is too old.
    pub async fn new_in_memory() -> Result<Self> {
        let pool = opening::in_memory().await?;
        Ok(Self::of(SqliteDatabase { readers: pool.clone(), writer: pool, file: None }))
    }

    async fn open(options: SqliteConnectOptions) -> Result<Self> {
        let (options, writer, readers) = opening::file(options).await?;
        Ok(Self::of(SqliteDatabase { readers, writer, file: Some(options) }))
    }

    /// Statements wait for locks only: no silence needs a limit.
    fn of(database: SqliteDatabase) -> Self {
        Self::new_behind(Door::new(database, None))
    }
}

#[async_trait]
impl Database for SqliteDatabase {
    async fn connection(&self, access: Access) -> Result<Box<dyn database::Connection>> {
        let pool = match access {
            Access::Read => &self.readers,
            Access::Write => &self.writer,
        };
        Ok(Box::new(pool.acquire().await?))
    }

    async fn fresh_connection(&self) -> Result<Box<dyn database::Connection>> {
        Ok(match &self.file {
            Some(options) => Box::new(SqliteConnection::connect_with(options).await?),
            None => Box::new(self.writer.acquire().await?),
        })
    }

    async fn diagnose(&self) -> Vec<Finding> {
        diagnose::diagnose(self).await
    }

    async fn verify(&self, session: &mut dyn Session) -> Result<()> {
        damage::verify(session).await
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map(SqliteConnectOptions::get_filename);
        f.debug_struct("SqliteDatabase").field("file", &file).finish_non_exhaustive()
    }
}
