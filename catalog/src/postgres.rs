//! The catalog in PostgreSQL.
//!
//! Owns: connecting to PostgreSQL, the pool, refusing unfit servers, migration.
//! Does not own: statements (`sql`), transactions (`session`), the limit to the server's silence (`database::door`).
//!
//! Transactions that touch many partitions lock them in order of topic and number, so that two of them cannot wait
//! for each other.

mod diagnose;
mod session;
mod warnings;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use common::diagnosis::Finding;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};

use crate::database::{self, Access, Database, Door, Session, silent};
use crate::error::{CatalogError, Result};
use crate::migrations;
use crate::sql::SqlMetadataStore;

/// PostgreSQL 14; older versions are no longer maintained.
const VERSION_NUMBER_MIN: i32 = 140_000;
const CONNECTIONS_MAX: u32 = 10;
/// Limit to the first connection, so that a start fails soon if the server is silent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than a lease, so that a failed acquire is reported before the lease expires.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Limit to the silence of the server before its connection is given up. Longer than any statement may take, so that a
/// slow server answers first. A lost route or a hanging server never answers, and nothing else would end the wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Limit to the test of a connection that returns to the pool.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Settings of every session. The server ends the session of a writer that was stopped in the middle of a transaction,
/// so that its locks are released.
/// Warnings are always sent: one of them reports a COMMIT that may be lost.
const SESSION: [(&str, &str); 4] = [
    ("lock_timeout", "20s"),
    ("statement_timeout", "60s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("client_min_messages", "warning"),
];

/// A catalog in PostgreSQL. Clones share it.
pub type PostgresMetadataStore = SqlMetadataStore<PostgresDatabase>;

/// A PostgreSQL server with the catalog's schema.
pub struct PostgresDatabase {
    pool: PgPool,
    options: PgConnectOptions,
}

impl PostgresMetadataStore {
    /// Opens `postgres://…`, creating or migrating the schema.
    ///
    /// # Errors
    /// `Refused` names the unfit part: the URL, the login, a replica, an old server, the schema.
    pub async fn connect(url: &str) -> Result<Self> {
        // The URL is not part of the message: it may hold a password.
        let options = PgConnectOptions::from_str(url).map_err(|error| {
            CatalogError::Refused(format!("not a URL of the form postgres://user@host/database ({error})"))
        })?;
        let options = options.application_name("siltstone").options(SESSION);
        // Outside the pool, which would retry for a while before it reports a refused connection.
        let first = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await;
        let first = first.map_err(|_| silent(CONNECT_TIMEOUT)).flatten();
        let mut first = first.map_err(refused_if_unusable)?;
        check_server(&mut first).await?;
        check_warnings(&mut first).await?;
        migrations::POSTGRES.run_direct(None, &mut first, false).await?;
        first.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_release(|connection, _| Box::pin(is_answering(connection)))
            .connect_lazy_with(options.clone());
        Ok(Self::new_behind(Door::new(PostgresDatabase { pool, options }, Some(ANSWER_TIMEOUT))))
    }

    /// The same catalog with another limit to the server's silence than two minutes.
    #[must_use]
    pub fn with_answer_timeout(self, answer_timeout: Duration) -> Self {
        self.map_door(|door| door.with_answer_timeout(answer_timeout))
    }
}

#[async_trait]
impl Database for PostgresDatabase {
    async fn connection(&self, _access: Access) -> Result<Box<dyn database::Connection>> {
        Ok(Box::new(self.pool.acquire().await?))
    }

    async fn fresh_connection(&self) -> Result<Box<dyn database::Connection>> {
        Ok(Box::new(PgConnection::connect_with(&self.options).await?))
    }

    async fn diagnose(&self) -> Vec<Finding> {
        diagnose::diagnose(&self.pool).await
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

async fn check_server(connection: &mut PgConnection) -> Result<()> {
    let (replica, read_only, encoding, version): (bool, String, String, i32) = sqlx::query_as(
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only'), current_setting('server_encoding'),
                CAST(current_setting('server_version_num') AS INTEGER)",
    )
    .fetch_one(connection)
    .await?;
    if replica || read_only == "on" {
        let what = if replica { "a replica" } else { "read-only" };
        return Err(CatalogError::Refused(format!("the server is {what}; the catalog must be writable")));
    }
    if version < VERSION_NUMBER_MIN {
        return Err(CatalogError::Refused(format!(
            "PostgreSQL {} is too old; 14 or newer is needed",
            version / 10_000
        )));
    }
    if encoding != "UTF8" {
        return Err(CatalogError::Refused(format!("the database's encoding is {encoding}; UTF8 is needed")));
    }
    Ok(())
}

/// Proves that this program receives the server's warnings, by requesting one.
async fn check_warnings(connection: &mut PgConnection) -> Result<()> {
    let question = sqlx::raw_sql("DO $$ BEGIN RAISE WARNING 'siltstone asks whether warnings are heard'; END $$");
    let (asked, heard) = warnings::hear(question.execute(&mut *connection)).await;
    asked?;
    if !heard.is_empty() {
        return Ok(());
    }
    let standbys: String = sqlx::query_scalar("SHOW synchronous_standby_names").fetch_one(connection).await?;
    if standbys.is_empty() {
        return Ok(());
    }
    let reason = "the server replicates synchronously, and this program cannot hear its warnings: it could not tell a \
                  commit that the standby lacks; is `tracing` compiled with a limit on levels?";
    Err(CatalogError::Refused(reason.to_owned()))
}

/// A refusal of the login or the database is permanent until an operator mends it.
fn refused_if_unusable(error: sqlx::Error) -> CatalogError {
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
    if code.starts_with("28") || code.starts_with("3D") || matches!(error, sqlx::Error::Configuration(_)) {
        return CatalogError::Refused(format!("cannot connect to PostgreSQL: {error}"));
    }
    error.into()
}
