//! Statements on a connection to PostgreSQL, and its transactions.
//!
//! Owns: parameters and columns in PostgreSQL's types, beginning and ending transactions. Does not own: the choice of a
//! connection, the text of statements (`sql`).

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Column as _, Connection as _, PgConnection, Postgres, Row as _, TypeInfo};

use super::warnings;
use crate::database::dialect::Placeholder;
use crate::database::value::Column;
use crate::database::{Access, Connection, Insert, Row, Session, Sql, Transaction, Value, sql};

#[async_trait]
impl Session for PgConnection {
    async fn fetch(&mut self, sql: &Sql, values: &[Value<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        sqlx::query_with(sql.postgres, arguments(values)?).try_map(|found: PgRow| row(&found)).fetch_all(self).await
    }

    async fn execute(&mut self, sql: &Sql, values: &[Value<'_>]) -> Result<u64, sqlx::Error> {
        Ok(sqlx::query_with(sql.postgres, arguments(values)?).execute(self).await?.rows_affected())
    }

    async fn insert(&mut self, insert: &Insert, values: &[Value<'_>]) -> Result<(), sqlx::Error> {
        let text = AssertSqlSafe(insert.text(values.len(), Placeholder::Numbered, sql!(now_ms).postgres));
        let query = sqlx::query_with(text, arguments(values)?).persistent(insert.is_single(values.len()));
        query.execute(self).await?;
        Ok(())
    }
}

#[async_trait]
impl Connection for PoolConnection<Postgres> {
    fn session(&mut self) -> &mut (dyn Session + 'static) {
        &mut **self
    }

    async fn begin<'c>(&'c mut self, access: Access) -> Result<Box<dyn Transaction + 'c>, sqlx::Error> {
        Ok(Box::new(self.begin_with(begin(access)).await?))
    }

    fn close_on_drop(&mut self) {
        Self::close_on_drop(self);
    }
}

#[async_trait]
impl Connection for PgConnection {
    fn session(&mut self) -> &mut (dyn Session + 'static) {
        self
    }

    async fn begin<'c>(&'c mut self, access: Access) -> Result<Box<dyn Transaction + 'c>, sqlx::Error> {
        Ok(Box::new(self.begin_with(begin(access)).await?))
    }

    fn close_on_drop(&mut self) {}
}

#[async_trait]
impl Transaction for sqlx::Transaction<'_, Postgres> {
    fn session(&mut self) -> &mut (dyn Session + 'static) {
        &mut **self
    }

    /// Waiting for a synchronous standby may take long; this program's time-outs must not end it.
    async fn prepare_commit(&mut self) -> Result<(), sqlx::Error> {
        self.session().execute(&Sql::only("SET LOCAL statement_timeout = 0"), &[]).await?;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), sqlx::Error> {
        (*self).commit().await
    }

    /// A success with a warning (01000) is an error: the wait for a synchronous standby was cancelled, and the commit
    /// would be lost with this server.
    async fn commit_segments(self: Box<Self>) -> Result<(), sqlx::Error> {
        let (committed, warnings) = warnings::hear((*self).commit()).await;
        committed?;
        match warnings.first() {
            None => Ok(()),
            Some(warning) => Err(sqlx::Error::Protocol(format!("COMMIT answered with a warning: {warning}"))),
        }
    }

    async fn rollback(self: Box<Self>) -> Result<(), sqlx::Error> {
        (*self).rollback().await
    }
}

/// READ COMMITTED is enough for writing: every decision is one compare in an UPDATE, or reads a locked row. Without
/// READ WRITE, so that a server which became read-only refuses the first write (25006), a passing error.
fn begin(access: Access) -> &'static str {
    match access {
        Access::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        Access::Write => "BEGIN ISOLATION LEVEL READ COMMITTED",
    }
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
