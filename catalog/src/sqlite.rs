//! The catalog in SQLite: one file, or memory.
//!
//! Owns: one connection for writing, many for reading. Does not own: statements (`sql`), how a database is opened
//! (`opening`, `reading`), transactions (`session`).
//!
//! SQLite has one writer at a time anyway; one connection for all writing makes writers wait in the pool's queue
//! instead of SQLite's busy loop. Every writing transaction is `BEGIN IMMEDIATE`: it waits for its turn *before* it
//! reads.

mod damage;
mod diagnose;
mod opening;
mod place;
mod reading;
mod session;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use async_trait::async_trait;
use common::diagnosis::{Area, Finding, filesystem};
use common::secret::SecretUrl;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection, SqlitePool};

use self::place::Place;
use self::reading::Stamp;
use crate::database::{self, Access, Database, Door, Session};
use crate::error::{CatalogError, Result};
use crate::sql::{SqlMetadataStore, tables};

/// A catalog in SQLite. Clones share it.
pub type SqliteMetadataStore = SqlMetadataStore<SqliteDatabase>;

/// An SQLite database with the catalog's schema.
pub struct SqliteDatabase {
    readers: SqlitePool,
    /// `None` in one that was opened to be read.
    writer: Option<SqlitePool>,
    /// The state of a file that is read as if nobody wrote it, when it was opened.
    stamp: Option<Stamp>,
    /// The files of one that was opened to be written.
    place: Option<Place>,
    /// For fresh connections; `None` in memory, where a second connection would see another database.
    file: Option<SqliteConnectOptions>,
}

impl SqliteMetadataStore {
    /// Opens `sqlite:<path>` or `sqlite::memory:`, creating file, directory and schema where missing.
    ///
    /// # Errors
    /// `Refused` names the unfit part: the URL, the path, the version of SQLite, the schema.
    pub async fn connect(url: &str) -> Result<Self> {
        let options = options_of(url)?;
        if is_in_memory(url) {
            return Self::new_in_memory().await;
        }
        if url.contains("mode=ro") || url.contains("immutable=") {
            let shown = SecretUrl::from(url);
            return Err(CatalogError::Refused(format!("{shown} is read-only; the catalog must be writable")));
        }
        Self::open(options).await
    }

    /// The findings about the place of a file that does not exist yet.
    pub(crate) fn diagnose_without_catalog(url: &str) -> Result<Vec<Finding>> {
        Ok(vec![filesystem::finding(Area::Catalog, "the catalog", options_of(url)?.get_filename())])
    }

    /// Opens `sqlite:<path>` for reading alone: also where this user may write neither the file nor its directory. Makes
    /// and changes no file, unless this user may write both.
    ///
    /// # Errors
    /// As [`SqliteMetadataStore::connect`]; `Absent` if there is no such file; `Refused` if its schema is an older one, or
    /// if a write-ahead log cannot be read with the rights of this user.
    pub async fn connect_to_read(url: &str) -> Result<Self> {
        let options = options_of(url)?;
        if is_in_memory(url) {
            return Self::new_in_memory().await;
        }
        Self::open_to_read(options).await
    }

    /// As [`SqliteMetadataStore::connect_to_read`], for the path of a file.
    ///
    /// # Errors
    /// As there.
    pub async fn new_to_read(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_to_read(SqliteConnectOptions::new().filename(path)).await
    }

    async fn open_to_read(options: SqliteConnectOptions) -> Result<Self> {
        let opened = reading::file(options).await?;
        Ok(Self::of(SqliteDatabase {
            readers: opened.readers,
            writer: None,
            stamp: opened.stamp,
            place: None,
            file: Some(opened.options),
        }))
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
        Ok(Self::of(SqliteDatabase { readers: pool.clone(), writer: Some(pool), stamp: None, place: None, file: None }))
    }

    async fn open(options: SqliteConnectOptions) -> Result<Self> {
        let (options, writer, readers) = opening::file(options).await?;
        let place = Some(Place::of(options.get_filename()));
        let store = Self::of(SqliteDatabase { readers, writer: Some(writer), stamp: None, place, file: Some(options) });
        tables::complete(store.door()).await?;
        Ok(store)
    }

    /// Statements wait for locks only: no silence needs a limit.
    fn of(database: SqliteDatabase) -> Self {
        Self::new_behind(Door::new(database, None))
    }
}

fn options_of(url: &str) -> Result<SqliteConnectOptions> {
    let shown = SecretUrl::from(url);
    SqliteConnectOptions::from_str(url)
        .map_err(|error| CatalogError::Refused(format!("{shown} is not sqlite:<path> or sqlite::memory: ({error})")))
}

/// The file that a URL names; `None` for memory and for a URL that is invalid.
pub(crate) fn file_of(url: &str) -> Option<PathBuf> {
    let options = options_of(url).ok().filter(|_| !is_in_memory(url))?;
    Some(options.get_filename().to_owned())
}

/// True for a URL of a database in memory.
fn is_in_memory(url: &str) -> bool {
    url.contains(":memory:") || url.contains("mode=memory")
}

impl SqliteDatabase {
    fn writer(&self) -> Result<&SqlitePool> {
        self.writer.as_ref().ok_or_else(CatalogError::opened_to_read)
    }
}

#[async_trait]
impl Database for SqliteDatabase {
    fn has_lent_sessions(&self) -> bool {
        false
    }

    fn check_read(&self) -> Result<()> {
        self.stamp.as_ref().map_or(Ok(()), Stamp::check)
    }

    fn check_write(&self) -> Result<(), String> {
        self.place.as_ref().map_or(Ok(()), Place::check)
    }

    async fn connection(&self, access: Access) -> Result<Box<dyn database::Connection>> {
        let pool = match access {
            Access::Read => &self.readers,
            Access::Write => self.writer()?,
        };
        Ok(Box::new(pool.acquire().await?))
    }

    async fn fresh_connection(&self) -> Result<Box<dyn database::Connection>> {
        Ok(match &self.file {
            Some(options) => Box::new(SqliteConnection::connect_with(options).await?),
            None => Box::new(self.writer()?.acquire().await?),
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
        if let Some(writer) = &self.writer {
            writer.close().await;
        }
    }
}

impl fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map(SqliteConnectOptions::get_filename);
        f.debug_struct("SqliteDatabase").field("file", &file).finish_non_exhaustive()
    }
}
