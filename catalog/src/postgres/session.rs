//! Statements on a connection to PostgreSQL, and its transactions.
//!
//! Owns: parameters and columns in PostgreSQL's types, how transactions begin and end, settings of a session, the
//! difference between a session of our own and one that a pooler lends.
//! Does not own: which connection, the decision which kind of session it has (`opening`), what a statement says (`sql`).

use std::fmt::Write;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Column as _, PgConnection, Postgres, Row as _, TypeInfo};

use super::warnings;
use crate::database::dialect::Placeholder;
use crate::database::value::Column;
use crate::database::{Access, Connection, Insert, Row, Session, Sql, Transaction, Value, sql};

/// Of every session. A writer that was stopped in the middle of a transaction must not keep its locks: the server
/// ends the session.
/// Warnings are always sent: one of them says that a COMMIT may be lost.
pub(super) const SETTINGS: [(&str, &str); 4] = [
    ("lock_timeout", "20s"),
    ("statement_timeout", "60s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("client_min_messages", "warning"),
];

/// The sessions that connections have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sessions {
    /// Each connection has one of its own, which keeps settings and prepared statements.
    Own,
    /// A pooler between us and the server lends a session to each transaction: settings and prepared statements must
    /// end with it.
    Lent,
}

/// A connection, with the kind of session that it has.
pub(super) struct Link<C> {
    pub(super) connection: C,
    pub(super) sessions: Sessions,
}

impl<C> Link<C> {
    /// Statements of a session that is lent leave no name behind, under which others would find them.
    fn keeps_statements(&self) -> bool {
        self.sessions == Sessions::Own
    }
}

/// A connection of the pool or one of its own.
pub(super) trait Held: AsMut<PgConnection> + Send + 'static {
    /// Nothing more goes through it.
    fn close_on_drop(&mut self);
}

impl Held for PoolConnection<Postgres> {
    fn close_on_drop(&mut self) {
        PoolConnection::close_on_drop(self);
    }
}

impl Held for PgConnection {
    /// Its owner drops it.
    fn close_on_drop(&mut self) {}
}

#[async_trait]
impl<C: Held> Session for Link<C> {
    async fn fetch(&mut self, sql: &Sql, values: &[Value<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        let query = sqlx::query_with(sql.postgres, arguments(values)?).persistent(self.keeps_statements());
        query.try_map(|found: PgRow| row(&found)).fetch_all(self.connection.as_mut()).await
    }

    async fn execute(&mut self, sql: &Sql, values: &[Value<'_>]) -> Result<u64, sqlx::Error> {
        let query = sqlx::query_with(sql.postgres, arguments(values)?).persistent(self.keeps_statements());
        Ok(query.execute(self.connection.as_mut()).await?.rows_affected())
    }

    async fn insert(&mut self, insert: &Insert, values: &[Value<'_>]) -> Result<(), sqlx::Error> {
        let text = AssertSqlSafe(insert.text(values.len(), Placeholder::Numbered, sql!(now_ms).postgres));
        let is_kept = self.keeps_statements() && insert.is_single(values.len());
        sqlx::query_with(text, arguments(values)?).persistent(is_kept).execute(self.connection.as_mut()).await?;
        Ok(())
    }
}

#[async_trait]
impl<C: Held> Connection for Link<C> {
    fn session(&mut self) -> &mut (dyn Session + 'static) {
        self
    }

    async fn begin<'c>(&'c mut self, access: Access) -> Result<Box<dyn Transaction + 'c>, sqlx::Error> {
        let text = begin(self.sessions, access);
        let begun = Box::new(Begun { link: self, has_ended: false });
        sqlx::raw_sql(text).execute(begun.link.connection.as_mut()).await?;
        Ok(begun)
    }

    fn close_on_drop(&mut self) {
        self.connection.close_on_drop();
    }
}

/// A transaction on a connection, which is closed if the transaction is dropped before its end: the server then takes
/// it back.
struct Begun<'c, C: Held> {
    link: &'c mut Link<C>,
    has_ended: bool,
}

impl<C: Held> Begun<'_, C> {
    async fn end(mut self, text: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(text).execute(self.link.connection.as_mut()).await?;
        self.has_ended = true;
        Ok(())
    }
}

impl<C: Held> Drop for Begun<'_, C> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.link.connection.close_on_drop();
        }
    }
}

#[async_trait]
impl<C: Held> Transaction for Begun<'_, C> {
    fn session(&mut self) -> &mut (dyn Session + 'static) {
        self.link
    }

    /// Waiting for a synchronous standby may take long; this program's time-outs must not end it.
    async fn prepare_commit(&mut self) -> Result<(), sqlx::Error> {
        self.link.execute(&Sql::only("SET LOCAL statement_timeout = 0"), &[]).await?;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), sqlx::Error> {
        self.end("COMMIT").await
    }

    /// A success with a warning (01000) is an error: the wait for a synchronous standby was cancelled, and the commit
    /// would be lost with this server.
    async fn commit_segments(self: Box<Self>) -> Result<(), sqlx::Error> {
        let (committed, warnings) = warnings::hear(self.end("COMMIT")).await;
        committed?;
        match warnings.first() {
            None => Ok(()),
            Some(warning) => Err(sqlx::Error::Protocol(format!("COMMIT answered with a warning: {warning}"))),
        }
    }

    async fn rollback(self: Box<Self>) -> Result<(), sqlx::Error> {
        self.end("ROLLBACK").await
    }
}

/// READ COMMITTED is enough for writing: every decision is one compare in an UPDATE, or reads a locked row. Without
/// READ WRITE: a server that was made read-only shall say so when it is written to (25006), which passes.
pub(super) fn begin(sessions: Sessions, access: Access) -> AssertSqlSafe<String> {
    let mut text = match access {
        Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned(),
        Access::Write => "BEGIN ISOLATION LEVEL READ COMMITTED".to_owned(),
    };
    if sessions == Sessions::Lent {
        // In the same message, which costs no round trip.
        for (name, value) in SETTINGS {
            write!(text, "; SET LOCAL {name} = '{value}'").expect("a String takes everything");
        }
    }
    AssertSqlSafe(text)
}

fn arguments(values: &[Value<'_>]) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(*value),
            Value::Text(value) => arguments.add(value.as_deref()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn row(row: &PgRow) -> Result<Row, sqlx::Error> {
    let columns = row.columns().iter().enumerate().map(|(index, column)| {
        if column.type_info().name() == "INT8" {
            let value: Option<i64> = row.try_get_unchecked(index)?;
            return Ok(value.map_or(Column::Null, Column::Integer));
        }
        let value: Option<String> = row.try_get(index)?;
        Ok(value.map_or(Column::Null, Column::Text))
    });
    Ok(Row::new(columns.collect::<Result<_, sqlx::Error>>()?))
}
