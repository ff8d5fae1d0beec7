//! The contract of a database: connections, transactions, and the two kinds of statements.
//!
//! Owns: these traits. Each database implements them in files of its own; roles know nothing else of a database.
//! Does not own: giving up a connection, rolling back a transaction, poisoning the process (`door`), statements
//! (`sql`).
//!
//! A new operation is a line of its role's `impl`, which gives the door one statement or a plain function of a
//! [`Session`]. A new table has its columns and their reader in `sql::rows`; a step of a commit is one more such
//! function.

pub(crate) mod dialect;
mod door;
pub(crate) mod value;

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use common::diagnosis::Finding;

pub(crate) use self::dialect::{Insert, Sql, sql};
pub(crate) use self::door::{Door, roll_back, silent};
pub(crate) use self::value::{Row, Value, values};
use crate::error::Result;

/// The future of some statements on a session.
pub(crate) type Work<'s, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 's>>;

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading; a transaction is one snapshot.
    Read,
    /// Writing; a transaction sees what others committed before each statement.
    Write,
}

/// A kind of database, opened.
#[async_trait]
pub(crate) trait Database: fmt::Debug + Send + Sync {
    /// True if each transaction may get another session, so that a statement needs a transaction around it.
    fn has_lent_sessions(&self) -> bool;

    /// A connection from the pool.
    ///
    /// # Errors
    /// `Refused` for writing in a catalog that was opened to be read.
    async fn connection(&self, access: Access) -> Result<Box<dyn Connection>>;

    /// A new connection outside the pool, for reading the database back after a failure on another connection.
    async fn fresh_connection(&self) -> Result<Box<dyn Connection>>;

    /// After a read: `Ok` if everything that was read belongs together.
    ///
    /// # Errors
    /// Of kind `Unavailable` if somebody may have written meanwhile without this one seeing it: reading again helps.
    fn check_read(&self) -> Result<()>;

    /// Before a transaction that writes and after its commit: `Ok` if the next process will find what this one writes.
    ///
    /// # Errors
    /// The reason why not: this process must write nothing more.
    fn check_write(&self) -> Result<(), String>;

    /// The findings of [`MetadataStore::diagnose`](crate::MetadataStore::diagnose).
    async fn diagnose(&self) -> Vec<Finding>;

    /// Checks the database for damage, in a reading transaction.
    ///
    /// # Errors
    /// `Inconsistent` names the contradiction.
    async fn verify(&self, session: &mut dyn Session) -> Result<()>;

    /// Ends all connections in good order.
    async fn close(&self);
}

/// A connection to a database.
#[async_trait]
pub(crate) trait Connection: Send {
    /// Statements without a transaction around them; each that writes commits by itself.
    fn session(&mut self) -> &mut (dyn Session + 'static);

    /// Begins a transaction. One that is dropped is rolled back before the connection is used again.
    async fn begin<'c>(&'c mut self, access: Access) -> Result<Box<dyn Transaction + 'c>, sqlx::Error>;

    /// Closes this connection when it is dropped, instead of returning it to the pool. No more statements may be sent
    /// through it.
    fn close_on_drop(&mut self);
}

/// An open transaction.
#[async_trait]
pub(crate) trait Transaction: Send {
    /// Statements in the transaction.
    fn session(&mut self) -> &mut (dyn Session + 'static);

    /// The last step before a commit of segments, which may take longer than a statement.
    async fn prepare_commit(&mut self) -> Result<(), sqlx::Error>;

    /// Sends COMMIT. A standby that lacks the transaction costs only work: an epoch is compared together with its
    /// owner, and the commit of a segment checks its intent again.
    async fn commit(self: Box<Self>) -> Result<(), sqlx::Error>;

    /// Sends COMMIT for segments: a success counts only when no failover can lose it.
    async fn commit_segments(self: Box<Self>) -> Result<(), sqlx::Error>;

    /// Rolls the transaction back.
    async fn rollback(self: Box<Self>) -> Result<(), sqlx::Error>;
}

/// Runs statements. They are prepared once per connection and kept.
#[async_trait]
pub(crate) trait Session: Send {
    /// All rows of the statement's result.
    async fn fetch(&mut self, sql: &Sql, values: &[Value<'_>]) -> Result<Vec<Row>, sqlx::Error>;

    /// The number of rows that the statement changed.
    async fn execute(&mut self, sql: &Sql, values: &[Value<'_>]) -> Result<u64, sqlx::Error>;

    /// Inserts rows in one statement: `values` are those of the first row, then those of the second, and so on.
    async fn insert(&mut self, insert: &Insert, values: &[Value<'_>]) -> Result<(), sqlx::Error>;
}
