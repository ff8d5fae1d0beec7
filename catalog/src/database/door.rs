//! The one door to the database.
//!
//! Owns: the rules for every operation. A server that is silent for too long is given up; after a disk failure in a
//! commit no more statements are sent; a failed transaction is rolled back and its first error kept.
//! Does not own: statements (`sql`), pools and sessions (each database's files), the outcome of a commit of segments
//! (`sql::commit`), which opens its transaction here and judges the end itself.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::diagnosis::{Area, Finding};
use tokio::time::timeout;

use super::{Access, Connection, Database, Row, Session, Sql, Transaction, Value, Work};
use crate::error::{CatalogError, Result, is_sqlite_disk_failure};

/// Limit to the rollback of a failed transaction; the failure is reported anyway.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// A database, and the only way to it. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    database: Arc<dyn Database>,
    /// Limit to one operation; `None` for a database whose only waits are for locks.
    answer_timeout: Option<Duration>,
    /// The reason why this process may send no more statements.
    poison: Arc<OnceLock<String>>,
}

impl Door {
    pub(crate) fn new(database: impl Database + 'static, answer_timeout: Option<Duration>) -> Self {
        Self { database: Arc::new(database), answer_timeout, poison: Arc::default() }
    }

    /// The same door with another limit to the server's silence.
    pub(crate) fn with_answer_timeout(self, answer_timeout: Duration) -> Self {
        Self { answer_timeout: Some(answer_timeout), ..self }
    }

    /// The rows of one statement that reads.
    pub(crate) async fn fetch(&self, sql: &Sql, values: &[Value<'_>]) -> Result<Vec<Row>> {
        if self.database.has_lent_sessions() {
            return self.read(|session| Box::pin(async move { Ok(session.fetch(sql, values).await?) })).await;
        }
        self.bounded(async {
            let mut connection = self.connection(Access::Read).await?;
            let rows = connection.session().fetch(sql, values).await;
            self.database.check_read()?;
            Ok(rows?)
        })
        .await
    }

    /// Runs one statement that writes, and commits by itself; returns the number of changed rows.
    pub(crate) async fn execute(&self, sql: &Sql, values: &[Value<'_>]) -> Result<u64> {
        if self.database.has_lent_sessions() {
            return self.write(|session| Box::pin(async move { Ok(session.execute(sql, values).await?) })).await;
        }
        self.bounded(async {
            let mut connection = self.connection(Access::Write).await?;
            let changed = connection.session().execute(sql, values).await;
            let changed = changed.map_err(|error| self.commit_failed(error))?;
            self.placed()?;
            Ok(changed)
        })
        .await
    }

    /// Runs `work` on one snapshot, without changes.
    pub(crate) async fn read<'a, T, F>(&self, work: F) -> Result<T>
    where
        T: Send,
        F: for<'s> FnOnce(&'s mut (dyn Session + 'a)) -> Work<'s, T> + Send,
    {
        self.bounded(async {
            let mut connection = self.connection(Access::Read).await?;
            let mut transaction = connection.begin(Access::Read).await?;
            let outcome = work(transaction.session()).await;
            roll_back(transaction).await;
            self.database.check_read()?;
            outcome
        })
        .await
    }

    /// Runs `work` in a transaction, and commits it if `work` succeeds.
    pub(crate) async fn write<'a, T, F>(&self, work: F) -> Result<T>
    where
        T: Send,
        F: for<'s> FnOnce(&'s mut (dyn Session + 'a)) -> Work<'s, T> + Send,
    {
        self.bounded(async {
            let mut connection = self.connection(Access::Write).await?;
            let mut transaction = connection.begin(Access::Write).await?;
            match work(transaction.session()).await {
                Ok(value) => {
                    transaction.commit().await.map_err(|error| self.commit_failed(error))?;
                    self.placed()?;
                    Ok(value)
                }
                Err(error) => {
                    roll_back(transaction).await;
                    Err(error)
                }
            }
        })
        .await
    }

    /// The findings of the database, or the finding that it cannot be reached.
    pub(crate) async fn diagnose(&self) -> Vec<Finding> {
        let findings = self.bounded(async { Ok(self.database.diagnose().await) }).await;
        findings.unwrap_or_else(|error| {
            let advice = "is the server up and reachable, is the disk sound?";
            vec![Finding::fail(Area::Catalog, "answer", error.to_string(), advice)]
        })
    }

    /// Checks the database for damage by a broken disk.
    pub(crate) async fn verify(&self) -> Result<()> {
        self.read(|session| self.database.verify(session)).await
    }

    /// Ends all connections; those that do not answer are dropped.
    pub(crate) async fn close(&self) {
        let closing = async {
            self.database.close().await;
            Ok(())
        };
        // Connections that do not end in time are dropped.
        self.answered(closing).await.ok();
    }

    /// Runs `work` within the limit to one operation, unless this process is poisoned. Dropped work returns its
    /// connection to the pool, which gives up connections that do not answer.
    ///
    /// # Errors
    /// `Poisoned`; of kind `Unavailable` at the limit; the errors of `work`.
    pub(crate) async fn bounded<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.usable()?;
        self.answered(work).await
    }

    /// Runs `work`, a later step of an operation that has begun, within the limit.
    ///
    /// # Errors
    /// Of kind `Unavailable` at the limit; the errors of `work`.
    pub(crate) async fn answered<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(limit) = self.answer_timeout else { return work.await };
        timeout(limit, work).await.unwrap_or_else(|_| Err(silent(limit).into()))
    }

    /// A connection from the pool; the caller bounds the wait for it.
    pub(crate) async fn connection(&self, access: Access) -> Result<Box<dyn Connection>> {
        let connection = self.database.connection(access).await?;
        if access == Access::Write {
            self.placed()?;
        }
        // Another operation may have failed during the wait.
        self.usable()?;
        Ok(connection)
    }

    /// A connection outside the pool.
    pub(crate) async fn fresh_connection(&self) -> Result<Box<dyn Connection>> {
        self.database.fresh_connection().await
    }

    /// The error of a failed COMMIT. After a failed sync the kernel returns pages that the disk does not hold: later
    /// reads prove nothing, so the process is poisoned. PostgreSQL ends itself in such a case.
    pub(crate) fn commit_failed(&self, error: sqlx::Error) -> CatalogError {
        if !is_sqlite_disk_failure(&error) {
            return error.into();
        }
        self.poisoned(format!("the catalog's disk failed in a commit: {error}"))
    }

    /// Poisons the process if the database's files are no longer those that it opened.
    fn placed(&self) -> Result<()> {
        self.database.check_write().map_err(|reason| self.poisoned(reason))
    }

    fn poisoned(&self, reason: String) -> CatalogError {
        CatalogError::Poisoned(self.poison.get_or_init(|| reason).clone())
    }

    fn usable(&self) -> Result<()> {
        self.poison.get().map_or(Ok(()), |reason| Err(CatalogError::Poisoned(reason.clone())))
    }
}

/// Rolls a transaction back. An error of the rollback is secondary: a connection that cannot roll back is given up.
pub(crate) async fn roll_back(transaction: Box<dyn Transaction + '_>) {
    timeout(ROLLBACK_TIMEOUT, transaction.rollback()).await.ok();
}

/// The error of a server that did not answer within `limit`.
pub(crate) fn silent(limit: Duration) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?}")))
}
