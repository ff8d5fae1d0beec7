//! The catalog in SQLite: one file, or memory.
//!
//! Owns: how connections to SQLite are made and kept: WAL, `synchronous=FULL`, one writer, many readers, migration.
//! Does not own: statements (`sql`).
//!
//! SQLite has one writer at a time anyway; one connection for all writing makes them wait in our queue instead of
//! in its busy loop. Every writing transaction is `BEGIN IMMEDIATE`: it waits for its turn *before* it reads.

mod damage;
mod diagnose;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use common::diagnosis::Finding;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::error::{CatalogError, Result, is_sqlite_busy, is_sqlite_disk_failure};
use crate::store::MetadataStore;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Older ones can corrupt a WAL database when two connections commit and checkpoint at the same moment.
const VERSION_MIN: (u32, u32, u32) = (3, 51, 3);
/// How long a statement waits for another process to finish its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a transaction waits for the writing connection, or a read for one of the others.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(60);
const READERS_MAX: u32 = 10;

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
        let pool = one_connection().connect_with(SqliteConnectOptions::new().in_memory(true)).await?;
        let mut connection = pool.acquire().await?;
        check_version(&mut connection).await?;
        MIGRATIONS.run_direct(None, &mut *connection, false).await?;
        drop(connection);
        Ok(Self { readers: pool.clone(), writer: pool, file: None, poison: Arc::default() })
    }

    async fn open(options: SqliteConnectOptions) -> Result<Self> {
        create_parent_directory(options.get_filename())?;
        let options = options
            .create_if_missing(true)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let unusable = |error| refused_if_unusable(options.get_filename(), error);
        let writer = open_writer(&options).await.map_err(unusable)?;
        let mut connection = writer.acquire().await?;
        check_version(&mut connection).await?;
        migrate(&mut connection).await.map_err(|error| match error {
            CatalogError::Database(error) => refused_if_unusable(options.get_filename(), error),
            other => other,
        })?;
        drop(connection);
        // The guard against a write that bypasses the writing connection.
        let reader = options.clone().pragma("query_only", "ON");
        let readers = checked(pool_options()).max_connections(READERS_MAX).connect_with(reader).await?;
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

fn pool_options() -> SqlitePoolOptions {
    SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).test_before_acquire(false)
}

/// A pool that replaces a connection which is stuck in a transaction.
///
/// When the disk is full or fails, SQLite takes the transaction back by itself. sqlx then counts one that is no more,
/// cannot roll it back, and lets no other begin on that connection, for ever.
fn checked(options: SqlitePoolOptions) -> SqlitePoolOptions {
    options.before_acquire(|connection, _| {
        Box::pin(async move {
            if connection.is_in_transaction() {
                // Whoever dropped a transaction did not wait for its end; this comes after it.
                connection.ping().await?;
            }
            Ok(!connection.is_in_transaction())
        })
    })
}

/// A pool that keeps its one connection for ever.
fn one_connection() -> SqlitePoolOptions {
    pool_options().max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None)
}

/// Opens the writing connection and turns WAL on, which the file remembers.
///
/// While two processes do so to a new file, SQLite answers one of them with BUSY at once: its time-out does not cover
/// the change of the journal. Nothing tells when the other is through, so this asks again until that time is over.
async fn open_writer(options: &SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);
    let options = options.clone().journal_mode(SqliteJournalMode::Wal);
    let deadline = tokio::time::Instant::now() + BUSY_TIMEOUT;
    loop {
        match checked(one_connection()).connect_with(options.clone()).await {
            Err(error) if is_sqlite_busy(&error) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(ASK_AGAIN_AFTER).await;
            }
            opened => return opened,
        }
    }
}

async fn check_version(connection: &mut SqliteConnection) -> Result<()> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(connection).await?;
    if parse_version(&version).is_none_or(|version| version < VERSION_MIN) {
        let (major, minor, patch) = VERSION_MIN;
        return Err(CatalogError::Refused(format!(
            "SQLite {version} can corrupt its WAL; {major}.{minor}.{patch} or newer is needed"
        )));
    }
    Ok(())
}

fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('.').map(str::parse::<u32>);
    Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Migrates in one exclusive transaction: sqlx's own lock does nothing on SQLite, and two processes may start
/// together. The second waits, then finds the work done.
async fn migrate(connection: &mut SqliteConnection) -> Result<()> {
    let mut transaction = connection.begin_with("BEGIN EXCLUSIVE").await?;
    MIGRATIONS.run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(())
}

fn create_parent_directory(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(parent)
        .map_err(|error| CatalogError::Refused(format!("cannot create directory {}: {error}", parent.display())))
}

/// A file that cannot be opened or written stays so until somebody does something about it.
fn refused_if_unusable(path: &Path, error: impl Into<std::sync::Arc<sqlx::Error>>) -> CatalogError {
    let error = error.into();
    if is_sqlite_busy(&error) || !matches!(*error, sqlx::Error::Database(_)) {
        return CatalogError::Database(error);
    }
    CatalogError::Refused(format!("cannot use {} as the catalog: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(parse_version("3.51.3").expect("version") >= VERSION_MIN);
        assert!(parse_version("3.100.0").expect("version") > VERSION_MIN);
        assert!(parse_version("3.51.2").expect("version") < VERSION_MIN);
        assert_eq!(parse_version("3.51"), None);
    }
}
