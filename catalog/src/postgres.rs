//! The catalog in PostgreSQL.
//!
//! Owns: how connections to PostgreSQL are made and kept, what kind of server is refused, migration.
//! Does not own: statements (`sql`).
//!
//! Transactions that touch many partitions lock them in order of topic and number, so that two of them cannot wait
//! for each other. READ COMMITTED is enough: every decision is one compare in an UPDATE, or reads a locked row.

mod diagnose;
mod warnings;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use common::diagnosis::Finding;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};

use crate::error::{CatalogError, Result};
use crate::store::MetadataStore;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// PostgreSQL 14; older ones are no longer maintained.
const VERSION_NUMBER_MIN: i32 = 140_000;
const CONNECTIONS_MAX: u32 = 10;
/// How long the first connection may take, so that a start against a server that is silent fails soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than a lease: whoever waits for a database that is away must hear of it in time to say so.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server may be silent before its connection is given up. Longer than any statement may take, so that a
/// server that is only slow answers first; a route that is lost, or a server that hangs, never answers, and nothing
/// else would end the wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a connection may take to show that it is usable when it is given back.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Of every session. A writer that was stopped in the middle of a transaction must not keep its locks: the server
/// ends the session.
/// Warnings are always sent: one of them says that a COMMIT may be lost.
const SESSION: [(&str, &str); 4] = [
    ("lock_timeout", "20s"),
    ("statement_timeout", "60s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("client_min_messages", "warning"),
];

/// A catalog in PostgreSQL. Clones share it.
#[derive(Clone)]
pub struct PostgresMetadataStore {
    pool: PgPool,
    options: PgConnectOptions,
    answer_timeout: Duration,
}

/// A connection of its own, to look at the database with, independent of what went wrong on another.
pub(crate) struct FreshConnection(PgConnection);

impl PostgresMetadataStore {
    /// Opens `postgres://…`, creating or migrating the schema.
    ///
    /// # Errors
    /// `Refused` says what cannot be used: the URL, the login, a replica, an old server, the schema.
    pub async fn connect(url: &str) -> Result<Self> {
        // The text of the URL stays out of the message: it may hold a password.
        let options = PgConnectOptions::from_str(url).map_err(|error| {
            CatalogError::Refused(format!("not a URL of the form postgres://user@host/database ({error})"))
        })?;
        let options = options.application_name("siltstone").options(SESSION);
        // Not through the pool, which would go on trying for a while before it said that nobody listens.
        let first = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await;
        let silent = |_| timed_out(format!("no answer within {CONNECT_TIMEOUT:?}"));
        let mut first = first.map_err(silent).flatten().map_err(refused_if_unusable)?;
        check_server(&mut first).await?;
        check_warnings(&mut first).await?;
        MIGRATIONS.run_direct(None, &mut first, false).await?;
        first.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_release(|connection, _| Box::pin(is_answering(connection)))
            .connect_lazy_with(options.clone());
        Ok(Self { pool, options, answer_timeout: ANSWER_TIMEOUT })
    }

    /// The same with another limit to the server's silence than two minutes.
    #[must_use]
    pub fn with_answer_timeout(mut self, answer_timeout: Duration) -> Self {
        self.answer_timeout = answer_timeout;
        self
    }

    /// What `work` gives, or that the server was silent for too long. Dropped work leaves its connection to the pool,
    /// which gives up those that do not answer.
    pub(crate) async fn answered<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T>
    where
        CatalogError: From<E>,
    {
        match tokio::time::timeout(self.answer_timeout, work).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(timed_out(format!("no answer within {:?}", self.answer_timeout)).into()),
        }
    }

    pub(crate) fn reader(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) fn writer(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) async fn begin_read(&self) -> Result<Transaction<'static, Postgres>> {
        Ok(self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
    }

    pub(crate) async fn begin_write(&self) -> Result<Transaction<'static, Postgres>> {
        Ok(self.pool.begin_with(Self::BEGIN_WRITE).await?)
    }

    /// A server that fails is asked again; nothing poisons this process.
    pub(crate) fn usable(&self) -> Result<()> {
        Ok(())
    }

    /// The error of a COMMIT whose outcome is unknown.
    pub(crate) fn unknown_commit(&self, error: sqlx::Error) -> CatalogError {
        error.into()
    }

    /// Without READ WRITE: a server that was made read-only shall say so when it is written to (25006), which passes.
    pub(crate) const BEGIN_WRITE: &'static str = "BEGIN ISOLATION LEVEL READ COMMITTED";

    pub(crate) async fn fresh_connection(&self) -> Result<FreshConnection> {
        Ok(FreshConnection(PgConnection::connect_with(&self.options).await?))
    }

    /// Waiting for a synchronous standby may take long; no time-out of ours shall end it.
    pub(crate) async fn before_commit(connection: &mut PgConnection) -> Result<()> {
        sqlx::query("SET LOCAL statement_timeout = 0").execute(connection).await?;
        Ok(())
    }

    /// Sends COMMIT. A success with a warning (01000) is an error: the wait for a synchronous standby was cancelled,
    /// and what is committed here would be lost with this server.
    pub(crate) async fn finish(transaction: Transaction<'_, Postgres>) -> Result<(), sqlx::Error> {
        let (committed, warnings) = warnings::hear(transaction.commit()).await;
        committed?;
        match warnings.first() {
            None => Ok(()),
            Some(warning) => Err(sqlx::Error::Protocol(format!("COMMIT answered with a warning: {warning}"))),
        }
    }

    /// Ends a transaction that is no commit of segments. What a standby may lack of it costs work and nothing else: an
    /// epoch is compared together with its owner, an intent is looked for again by the commit.
    pub(crate) async fn end(&self, transaction: Transaction<'_, Postgres>) -> Result<()> {
        Ok(transaction.commit().await?)
    }

    /// Whether a failed COMMIT certainly did not happen. Nothing proves that here.
    pub(crate) fn commit_certainly_failed(_error: &sqlx::Error) -> bool {
        false
    }
}

impl FreshConnection {
    pub(crate) fn get(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

#[async_trait]
impl MetadataStore for PostgresMetadataStore {
    async fn check(&self) -> Result<()> {
        sqlx::query("SELECT count(*) FROM agents").execute(&self.pool).await?;
        Ok(())
    }

    async fn diagnose(&self) -> Vec<Finding> {
        diagnose::diagnose(self).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

impl fmt::Debug for PostgresMetadataStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresMetadataStore")
            .field("host", &self.options.get_host())
            .field("database", &self.options.get_database())
            .finish_non_exhaustive()
    }
}

/// Whether the pool may keep a connection that was used. Its own test would wait for ever, and the connection's place
/// in the pool with it.
async fn is_answering(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(RELEASE_TIMEOUT, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        // An error ends it at once; `false` would take leave of the server first.
        Err(_) => Err(timed_out(format!("no answer within {RELEASE_TIMEOUT:?}"))),
    }
}

fn timed_out(text: String) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text))
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

/// Proves that a warning of this server reaches us, by asking for one.
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

/// A login or database that the server refuses stays so until somebody does something about it.
fn refused_if_unusable(error: sqlx::Error) -> CatalogError {
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
    if code.starts_with("28") || code.starts_with("3D") || matches!(error, sqlx::Error::Configuration(_)) {
        return CatalogError::Refused(format!("cannot connect to PostgreSQL: {error}"));
    }
    error.into()
}
