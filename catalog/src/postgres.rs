//! The catalog in PostgreSQL.
//!
//! Owns: how connections to PostgreSQL are kept and given out. Does not own: opening a database (`opening`), statements
//! (`sql`), transactions (`session`), the limit to the server's silence (`database::door`).
//!
//! Transactions that touch many partitions lock them in order of topic and number, so that two of them cannot wait
//! for each other.

mod diagnose;
mod opening;
mod session;
mod warnings;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use common::diagnosis::Finding;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};

use self::session::{Link, Sessions};
use crate::database::{self, Access, Database, Door, Session, silent};
use crate::error::{CatalogError, Result};
use crate::sql::{SqlMetadataStore, tables};
use crate::store::MetadataStore;

const CONNECTIONS_MAX: u32 = 10;
/// Shorter than a lease: whoever waits for a database that is away must hear of it in time to say so.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Limit to the silence of the server before its connection is given up. Longer than any statement may take, so that a
/// slow server answers first. A lost route or a hanging server never answers, and nothing else would end the wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Limit to the test of a connection that returns to the pool.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// A catalog in PostgreSQL. Clones share it.
pub type PostgresMetadataStore = SqlMetadataStore<PostgresDatabase>;

/// A PostgreSQL server with the catalog's schema.
pub struct PostgresDatabase {
    pool: PgPool,
    options: PgConnectOptions,
    sessions: Sessions,
    /// The most that may be done through it.
    access: Access,
}

impl PostgresMetadataStore {
    /// Opens `postgres://…`, creating or migrating the schema.
    ///
    /// # Errors
    /// `Refused` names the unfit part: the URL, the login, a replica, an old server, the schema.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::open(url, Access::Write).await
    }

    /// Opens `postgres://…` for reading alone: on a replica too, and with no right but to read.
    ///
    /// # Errors
    /// As [`PostgresMetadataStore::connect`]; `Absent` if there is no catalog; `Refused` if its schema is an older one.
    pub async fn connect_to_read(url: &str) -> Result<Self> {
        Self::open(url, Access::Read).await
    }

    async fn open(url: &str, access: Access) -> Result<Self> {
        let (options, sessions) = opening::open(url, access).await?;
        let store = Self::of(options, sessions, access);
        if access == Access::Write {
            tables::complete(store.door()).await?;
        }
        Ok(store)
    }

    fn of(options: PgConnectOptions, sessions: Sessions, access: Access) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_release(|connection, _| Box::pin(is_answering(connection)))
            .connect_lazy_with(options.clone());
        let database = PostgresDatabase { pool, options, sessions, access };
        Self::new_behind(Door::new(database, Some(ANSWER_TIMEOUT)))
    }

    /// The findings about a server in which there is no catalog yet.
    pub(crate) async fn diagnose_without_catalog(url: &str) -> Result<Vec<Finding>> {
        let (options, sessions) = opening::open_as_it_is(url).await?;
        let store = Self::of(options, sessions, Access::Read);
        let findings = store.diagnose().await;
        store.close().await;
        Ok(findings)
    }

    /// The same catalog with another limit to the server's silence than two minutes.
    #[must_use]
    pub fn with_answer_timeout(self, answer_timeout: Duration) -> Self {
        self.map_door(|door| door.with_answer_timeout(answer_timeout))
    }
}

#[async_trait]
impl Database for PostgresDatabase {
    fn has_lent_sessions(&self) -> bool {
        self.sessions == Sessions::Lent
    }

    async fn connection(&self, access: Access) -> Result<Box<dyn database::Connection>> {
        if access == Access::Write && self.access == Access::Read {
            return Err(CatalogError::opened_to_read());
        }
        Ok(Box::new(Link { connection: self.pool.acquire().await?, sessions: self.sessions }))
    }

    async fn fresh_connection(&self) -> Result<Box<dyn database::Connection>> {
        Ok(Box::new(Link { connection: PgConnection::connect_with(&self.options).await?, sessions: self.sessions }))
    }

    /// The server gives one snapshot to a transaction.
    fn check_read(&self) -> Result<()> {
        Ok(())
    }

    /// The server keeps its own files.
    fn check_write(&self) -> Result<(), String> {
        Ok(())
    }

    async fn diagnose(&self) -> Vec<Finding> {
        diagnose::diagnose(&self.pool, self.sessions).await
    }

    /// PostgreSQL checks its own files.
    async fn verify(&self, _session: &mut dyn Session) -> Result<()> {
        Ok(())
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

impl fmt::Debug for PostgresDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresDatabase")
            .field("host", &self.options.get_host())
            .field("database", &self.options.get_database())
            .finish_non_exhaustive()
    }
}

/// True if the pool may keep a used connection. The pool's own test would wait without limit and keep the connection's
/// place in the pool.
async fn is_answering(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(RELEASE_TIMEOUT, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        // Returning `false` would close gracefully and wait for the server.
        Err(_) => Err(silent(RELEASE_TIMEOUT)),
    }
}
