//! Statements on a connection to SQLite, and its transactions.
//!
//! Owns: parameters and columns in SQLite's types. Does not own: the choice of a connection, the text of statements
//! (`sql`).

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Connection as _, Row as _, Sqlite, SqliteConnection, Type, ValueRef};

use crate::database::dialect::Placeholder;
use crate::database::value::Column;
use crate::database::{Access, Connection, Insert, Row, Session, Sql, Transaction, Value, sql};

#[async_trait]
impl Session for SqliteConnection {
    async fn fetch(&mut self, sql: &Sql, values: &[Value<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        // Each row is decoded while the next one is fetched.
        sqlx::query_with(sql.sqlite, arguments(values)?).try_map(|found: SqliteRow| row(&found)).fetch_all(self).await
    }

    async fn execute(&mut self, sql: &Sql, values: &[Value<'_>]) -> Result<u64, sqlx::Error> {
        Ok(sqlx::query_with(sql.sqlite, arguments(values)?).execute(self).await?.rows_affected())
    }

    async fn insert(&mut self, insert: &Insert, values: &[Value<'_>]) -> Result<(), sqlx::Error> {
        let text = AssertSqlSafe(insert.text(values.len(), Placeholder::Anonymous, sql!(now_ms).sqlite));
        let query = sqlx::query_with(text, arguments(values)?).persistent(insert.is_single(values.len()));
        query.execute(self).await?;
        Ok(())
    }
}

#[async_trait]
impl Connection for PoolConnection<Sqlite> {
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
impl Connection for SqliteConnection {
    fn session(&mut self) -> &mut (dyn Session + 'static) {
        self
    }

    async fn begin<'c>(&'c mut self, access: Access) -> Result<Box<dyn Transaction + 'c>, sqlx::Error> {
        Ok(Box::new(self.begin_with(begin(access)).await?))
    }

    fn close_on_drop(&mut self) {}
}

#[async_trait]
impl Transaction for sqlx::Transaction<'_, Sqlite> {
    fn session(&mut self) -> &mut (dyn Session + 'static) {
        &mut **self
    }

    /// SQLite needs no step before a COMMIT.
    async fn prepare_commit(&mut self) -> Result<(), sqlx::Error> {
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), sqlx::Error> {
        (*self).commit().await
    }

    async fn commit_segments(self: Box<Self>) -> Result<(), sqlx::Error> {
        (*self).commit().await
    }

    async fn rollback(self: Box<Self>) -> Result<(), sqlx::Error> {
        (*self).rollback().await
    }
}

/// A transaction that writes waits for its turn *before* it reads.
fn begin(access: Access) -> &'static str {
    match access {
        Access::Read => "BEGIN",
        Access::Write => "BEGIN IMMEDIATE",
    }
}

fn arguments(values: &[Value<'_>]) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        match value {
            Value::Integer(value) => Arguments::add(&mut arguments, *value),
            Value::Text(value) => Arguments::add(&mut arguments, value.as_deref()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let column = |index| {
        let value = row.try_get_raw(index)?;
        // The type of the value, which may differ from that of the column.
        if value.is_null() {
            Ok(Column::Null)
        } else if *value.type_info() == <i64 as Type<Sqlite>>::type_info() {
            row.try_get_unchecked(index).map(Column::Integer)
        } else {
            row.try_get(index).map(Column::Text)
        }
    };
    Ok(Row::new((0..row.len()).map(column).collect::<Result<_, sqlx::Error>>()?))
}
