//! The catalog in SQLite: one file, or memory.
//!
//! Owns: one connection for writing, many for reading, and the end of transactions. Does not own: statements (`sql`), how
//! a database is opened (`opening`).
//!
//! SQLite has one writer at a time anyway; one connection for all writing makes them wait in our queue instead of
//! in its busy loop. Every writing transaction is `BEGIN IMMEDIATE`: it waits for its turn *before* it reads.

mod damage;
mod diagnose;
mod opening;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use common::diagnosis::Finding;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::error::{CatalogError, Result, is_sqlite_busy, is_sqlite_disk_failure};
use crate::store::MetadataStore;

/// A catalog in SQLite. Clones share it.
#[derive(Clone)]
pub struct SqliteMetadataStore {
    readers: SqlitePool,
    writer: SqlitePool,
    /// For fresh connections; `None` in memory, where a second connection would see another database.
    file: Option<SqliteConnectOptions>,
    /// Why nothing more may be written by this process.
    poison: Arc<OnceLock<String>>,
}

/// A connection of its own, to look at the database with, independent of what went wrong on another.
pub(crate) enum FreshConnection {
    /// Newly opened.
    Own(Box<SqliteConnection>),
    /// The only one there is.
    Only(Box<sqlx::pool::PoolConnection<Sqlite>>),
}

impl SqliteMetadataStore {
    /// Opens `sqlite:<path>` or `sqlite::memory:`, creating file, directory and schema where missing.
    ///
    /// # Errors
    /// `Refused` says what cannot be used: the URL, the path, the version of SQLite, the schema.
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

    /// A new catalog in memory; it is gone with its last clone.
    ///
    /// # Errors
    /// `Refused` when SQLite is too old.
    pub async fn new_in_memory() -> Result<Self> {
        let pool = opening::in_memory().await?;
        Ok(Self { readers: pool.clone(), writer: pool, file: None, poison: Arc::default() })
    }

    async fn open(options: SqliteConnectOptions) -> Result<Self> {
        let (options, writer, readers) = opening::file(options).await?;
        Ok(Self { readers, writer, file: Some(options), poison: Arc::default() })
    }

    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.readers
    }

    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// What `work` gives: its statements wait for locks, and for nothing else.
    pub(crate) async fn answered<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T>
    where
        CatalogError: From<E>,
    {
        Ok(work.await?)
    }

    pub(crate) async fn begin_read(&self) -> Result<Transaction<'static, Sqlite>> {
        self.usable()?;
        Ok(self.readers.begin().await?)
    }

    pub(crate) async fn begin_write(&self) -> Result<Transaction<'static, Sqlite>> {
        self.usable()?;
        Ok(self.writer.begin_with(Self::BEGIN_WRITE).await?)
    }

    /// # Errors
    /// `Poisoned` once the disk has failed in a commit.
    pub(crate) fn usable(&self) -> Result<()> {
        self.poison.get().map_or(Ok(()), |reason| Err(CatalogError::Poisoned(reason.clone())))
    }

    /// The error of a COMMIT whose outcome is unknown. After a failed sync the kernel shows pages that the disk does
    /// not hold: nothing read from now on proves anything, so nothing more is written.
    pub(crate) fn unknown_commit(&self, error: sqlx::Error) -> CatalogError {
        if !is_sqlite_disk_failure(&error) {
            return error.into();
        }
        CatalogError::Poisoned(self.poison.get_or_init(|| error.to_string()).clone())
    }

    pub(crate) const BEGIN_WRITE: &'static str = "BEGIN IMMEDIATE";

    pub(crate) async fn fresh_connection(&self) -> Result<FreshConnection> {
        Ok(match &self.file {
            Some(options) => FreshConnection::Own(Box::new(SqliteConnection::connect_with(options).await?)),
            None => FreshConnection::Only(Box::new(self.writer.acquire().await?)),
        })
    }

    /// Nothing is left to do before a COMMIT here.
    pub(crate) async fn before_commit(_connection: &mut SqliteConnection) -> Result<()> {
        Ok(())
    }

    /// Sends COMMIT.
    pub(crate) async fn finish(transaction: Transaction<'_, Sqlite>) -> Result<(), sqlx::Error> {
        transaction.commit().await
    }

    /// Ends a transaction that is no commit of segments; a disk that fails in it poisons all the same.
    pub(crate) async fn end(&self, transaction: Transaction<'_, Sqlite>) -> Result<()> {
        transaction.commit().await.map_err(|error| self.unknown_commit(error))
    }

    /// Whether a failed COMMIT certainly did not happen: it could not even get its lock.
    pub(crate) fn commit_certainly_failed(error: &sqlx::Error) -> bool {
        is_sqlite_busy(error)
    }
}

impl FreshConnection {
    pub(crate) fn get(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Own(connection) => connection,
            Self::Only(connection) => connection,
        }
    }
}

#[async_trait]
impl MetadataStore for SqliteMetadataStore {
    async fn check(&self) -> Result<()> {
        self.usable()?;
        sqlx::query("SELECT count(*) FROM agents").execute(&self.readers).await?;
        Ok(())
    }

    async fn diagnose(&self) -> Vec<Finding> {
        diagnose::diagnose(self).await
    }

    async fn verify(&self) -> Result<()> {
        let mut transaction = self.begin_read().await?;
        damage::verify(&mut transaction).await
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl fmt::Debug for SqliteMetadataStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map(SqliteConnectOptions::get_filename);
        f.debug_struct("SqliteMetadataStore").field("file", &file).finish_non_exhaustive()
    }
}
