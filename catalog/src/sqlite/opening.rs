//! Opening an SQLite database: pools of sound connections, the version, WAL, `synchronous=FULL`, the schema.
//!
//! Owns: the setup of a database and of each new connection. Does not own: the use of connections (`sqlite`).

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection, SqlitePool};

use crate::error::{CatalogError, Result, is_sqlite_busy, is_sqlite_disk_full};
use crate::migrations;

/// Older ones can corrupt a WAL database when two connections commit and checkpoint at the same moment.
const VERSION_MIN: (u32, u32, u32) = (3, 51, 3);
/// How long a statement waits for another process to finish its transaction.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a transaction waits for the writing connection, or a read for one of the others.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const READERS_MAX: u32 = 10;

/// A new database in memory, with the schema; it ends with its one connection.
pub(super) async fn in_memory() -> Result<SqlitePool> {
    let pool = one_connection().connect_with(SqliteConnectOptions::new().in_memory(true)).await?;
    let mut connection = pool.acquire().await?;
    check_version(&mut connection).await?;
    migrations::SQLITE.run_direct(None, &mut *connection, false).await?;
    drop(connection);
    Ok(pool)
}

/// Opens a file, creating it, its directory and the schema where missing. Returns the options to open it again, the
/// pool of the one writing connection, and the pool of the reading ones.
pub(super) async fn file(options: SqliteConnectOptions) -> Result<(SqliteConnectOptions, SqlitePool, SqlitePool)> {
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
    // Guards against a write that bypasses the writing connection.
    let reader = options.clone().pragma("query_only", "ON");
    let readers = checked(pool_options()).max_connections(READERS_MAX).connect_with(reader).await?;
    Ok((options, writer, readers))
}

pub(super) fn pool_options() -> SqlitePoolOptions {
    SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).test_before_acquire(false)
}

/// A pool that replaces a connection which is stuck in a transaction.
///
/// When the disk is full or fails, SQLite takes the transaction back by itself. sqlx then counts one that is no more,
/// cannot roll it back, and lets no other begin on that connection, for ever.
pub(super) fn checked(options: SqlitePoolOptions) -> SqlitePoolOptions {
    options.before_acquire(|connection, _| {
        Box::pin(async move {
            if connection.is_in_transaction() {
                // A dropped transaction is rolled back in the background; the ping runs after the rollback.
                connection.ping().await?;
            }
            Ok(!connection.is_in_transaction())
        })
    })
}

/// A pool that never gives up its one connection.
fn one_connection() -> SqlitePoolOptions {
    pool_options().max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None)
}

/// Opens the writing connection and turns WAL on, which the file remembers.
///
/// While two processes do so to a new file, SQLite answers one of them with BUSY at once: its time-out does not cover
/// the change of the journal. Nothing signals when the other has finished, so this retries until that time-out.
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

pub(super) async fn check_version(connection: &mut SqliteConnection) -> Result<()> {
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

/// Migrates in one exclusive transaction: sqlx's own lock does nothing on SQLite, and two processes may start together.
/// The second waits, then finds the schema migrated.
async fn migrate(connection: &mut SqliteConnection) -> Result<()> {
    let mut transaction = connection.begin_with("BEGIN EXCLUSIVE").await?;
    migrations::SQLITE.run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(())
}

fn create_parent_directory(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(parent)
        .map_err(|error| CatalogError::Refused(format!("cannot create directory {}: {error}", parent.display())))
}

/// A file that cannot be opened or written stays so until somebody does something about it.
pub(super) fn refused_if_unusable(path: &Path, error: impl Into<std::sync::Arc<sqlx::Error>>) -> CatalogError {
    let error = error.into();
    if is_sqlite_busy(&error) || !matches!(*error, sqlx::Error::Database(_)) {
        return CatalogError::Database(error);
    }
    if is_sqlite_disk_full(&error) {
        return CatalogError::DiskFull(path.display().to_string());
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
