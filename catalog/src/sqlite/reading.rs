//! Opening a file of SQLite for reading alone, with whatever rights this user has.
//!
//! Owns: which way of opening is sound, and noticing that it no longer is. Does not own: opening for writing (`opening`).
//!
//! A database in WAL mode is read together with its log, through an index in shared memory that readers change too. A
//! user who may write file and directory opens it as a writer does. Another one reads beside the files of those who
//! write now, if there are any. Without a log the file alone is the whole database: it is opened as one that nobody
//! changes, and compared after each read with what it was. Such a user never makes a file, which might be in the way of
//! those who write.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Connection, SqliteConnection, SqlitePool};

use super::opening::{BUSY_TIMEOUT, READERS_MAX, check_version, checked, pool_options, refused_if_unusable};
use crate::error::{CatalogError, Result, is_sqlite_disk_full};
use crate::migrations::SQLITE;
use crate::schema::{self, Applied};

/// A file that was opened to be read.
pub(super) struct Opened {
    pub(super) options: SqliteConnectOptions,
    pub(super) readers: SqlitePool,
    pub(super) stamp: Option<Stamp>,
}

/// The state of a file without a log.
#[derive(Debug)]
pub(super) struct Stamp {
    path: PathBuf,
    found: State,
}

/// Device, number, length and time of the last change of a file.
type State = (u64, u64, u64, i64, i64);

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), found: state(path)? })
    }

    /// `Ok` if nobody has begun to write since.
    ///
    /// # Errors
    /// Of kind `Unavailable`: whoever opens it again reads beside the writer.
    pub(super) fn check(&self) -> Result<()> {
        let is_same = state(&self.path).is_ok_and(|now| now == self.found) && !has_log(&self.path);
        if is_same {
            return Ok(());
        }
        let text = "a writer of the catalog began meanwhile; run the command again";
        Err(sqlx::Error::Io(std::io::Error::new(ErrorKind::ResourceBusy, text)).into())
    }
}

fn state(path: &Path) -> std::io::Result<State> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

/// Opens the file for reading.
pub(super) async fn file(options: SqliteConnectOptions) -> Result<Opened> {
    let path = options.get_filename().to_owned();
    check_readable(&path)?;
    let options = options.create_if_missing(false).busy_timeout(BUSY_TIMEOUT).foreign_keys(true);
    let options = options.pragma("query_only", "ON");
    let is_writable = OpenOptions::new().read(true).write(true).open(&path).is_ok();
    let mut is_full = false;
    if is_writable {
        match open(options.clone(), None).await {
            Ok(opened) => return ready(opened).await,
            Err(error) => is_full = is_sqlite_disk_full(&error),
        }
    }
    // The last of those who write takes log and index away when it ends, perhaps in between.
    for _ in 0..2 {
        if with_suffix(&path, "-shm").exists() {
            if let Ok(opened) = open(options.clone().read_only(true), None).await {
                return ready(opened).await;
            }
        } else if !has_log(&path) {
            let stamp = Stamp::of(&path).map_err(|error| unreadable(&path, &error))?;
            let alone = options.clone().read_only(true).immutable(true);
            let opened = open(alone, Some(stamp)).await.map_err(|error| refused_if_unusable(&path, error))?;
            return ready(opened).await;
        }
    }
    let error = open(options.read_only(true), None).await.err();
    Err(if is_full { CatalogError::DiskFull(path.display().to_string()) } else { log_unusable(&path, error) })
}

/// One connection is always there: while it is, nobody takes the log away.
async fn open(options: SqliteConnectOptions, stamp: Option<Stamp>) -> Result<Opened, sqlx::Error> {
    let pool: SqlitePoolOptions = checked(pool_options()).min_connections(1).max_connections(READERS_MAX);
    // The first read tells if the log can be used.
    let mut first = SqliteConnection::connect_with(&options).await?;
    sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&mut first).await?;
    let readers = pool.idle_timeout(None).max_lifetime(None).connect_with(options.clone()).await?;
    sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&readers).await?;
    first.close().await?;
    Ok(Opened { options, readers, stamp })
}

/// Compares versions, of SQLite and of the schema.
async fn ready(opened: Opened) -> Result<Opened> {
    let mut connection = opened.readers.acquire().await?;
    check_version(&mut connection).await?;
    let has_schema: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
        .fetch_one(&mut *connection)
        .await?;
    let path = opened.options.get_filename();
    if has_schema == 0 {
        return Err(CatalogError::Absent(path.display().to_string()));
    }
    let applied: Vec<Applied> = sqlx::query_as(schema::APPLIED).fetch_all(&mut *connection).await?;
    if !schema::is_current(&SQLITE, &applied)? {
        return Err(schema::older(&SQLITE, &applied));
    }
    drop(connection);
    Ok(opened)
}

fn check_readable(path: &Path) -> Result<()> {
    match File::open(path) {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(CatalogError::Absent(path.display().to_string()))
        }
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> CatalogError {
    CatalogError::Refused(format!("cannot read {}: {error}", path.display()))
}

/// True if there is a log with anything in it, or nobody knows.
fn has_log(path: &Path) -> bool {
    match fs::metadata(with_suffix(path, "-wal")) {
        Ok(found) => found.len() > 0,
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

fn log_unusable(path: &Path, error: Option<sqlx::Error>) -> CatalogError {
    let error = error.map_or_else(String::new, |error| format!(" ({error})"));
    CatalogError::Refused(format!(
        "{} holds commits that are not yet in the file, and this user may neither use nor make {}{error}; run any command \
         of siltstone once as a user who may write there, or give this one the right to read both files",
        with_suffix(path, "-wal").display(),
        with_suffix(path, "-shm").display(),
    ))
}

/// The path of a file that SQLite keeps next to its database.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
