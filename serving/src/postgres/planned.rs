//! Statements of a connection, planned, described and run.
//!
//! Owns: that a prepared statement is planned anew each time that it runs, so that it reads the state of that moment, and that
//! its answer then has the columns that its client was told. Does not own: planning (`executor`).

use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef};
use async_trait::async_trait;
use futures::StreamExt;
use pgwire::api::portal::{Format, Portal};
use pgwire::api::results::{FieldInfo, QueryResponse};
use pgwire::api::stmt::QueryParser;
use pgwire::api::{ClientInfo, Type};
use pgwire::error::{PgWireError, PgWireResult};

use super::command::Command;
use super::failure::error;
use super::session::session;
use super::{Postgres, formats, kept, names, parameters, rows, transaction};
use crate::error::QueryFailure;
use crate::executor::{Client, Planned, Rows};

/// A prepared statement.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// `None` for an empty text.
    pub(super) command: Option<Command>,
    /// A query as it was when the client prepared it.
    described: Option<Described>,
}

/// The columns and parameters of a query. Its plan is not kept: it would hold rows and lists of segments.
#[derive(Clone, Debug)]
struct Described {
    columns: SchemaRef,
    parameters: Vec<Option<DataType>>,
}

impl Prepared {
    /// The number of columns of its answer.
    pub(super) fn columns(&self) -> usize {
        match (&self.command, &self.described) {
            (_, Some(described)) => described.columns.fields().len(),
            (Some(Command::Show(..) | Command::ShowHotTail(_)), None) => 1,
            _ => 0,
        }
    }

    /// Its bytes in memory, about; `types` are those that its client declared.
    pub(super) fn bytes(&self, types: usize) -> usize {
        let text = match &self.command {
            Some(Command::Query(text, _)) => text.len(),
            _ => 0,
        };
        let parameters = self.described.as_ref().map_or(0, |described| described.parameters.len());
        kept::statement_bytes(text, self.columns() + parameters + types)
    }
}

/// Prepares statements.
pub(super) struct Preparer(pub(super) Arc<Postgres>);

impl Postgres {
    /// The client of a connection, if its token is still valid.
    pub(super) async fn client(&self, connection: &impl ClientInfo) -> PgWireResult<Client> {
        let session = session(connection)?;
        let caller = self.callers.caller(session.presented.clone()).await;
        let caller = caller.map_err(|refusal| PgWireError::from(QueryFailure::from(refusal)))?;
        Ok(Client { caller, ..session.client.clone() })
    }

    /// Plans a query.
    pub(super) async fn plan(&self, client: &Client, sql: &str, is_of_postgres: bool) -> PgWireResult<Planned> {
        if !is_of_postgres {
            return Ok(self.executor.plan(client, sql).await?);
        }
        let text = sql.to_owned();
        let sql = self.read(sql.len(), move || names::for_engine(&text)).await?;
        let planned = self.executor.plan(client, &sql).await;
        Ok(planned.map_err(|failure| QueryFailure { message: names::for_client(&failure.message), ..failure })?)
    }

    /// Runs a query that was prepared, with the values of a portal.
    pub(super) async fn run_portal(&self, client: &Client, portal: &Portal<Prepared>) -> PgWireResult<QueryResponse> {
        let prepared = &portal.statement.statement;
        let (Some(Command::Query(sql, is_of_postgres)), Some(described)) = (&prepared.command, &prepared.described)
        else {
            return Err(error("ERROR", "XX000", "the statement is no query"));
        };
        let planned = self.plan(client, sql, *is_of_postgres).await?;
        let told = rows::fields(&described.columns, &portal.result_column_format)?;
        let wanted = planned.parameters()?;
        let planned = planned.with_values(parameters::values(portal, &wanted)?)?;
        let answer = planned.run().await?;
        let fields = rows::fields(&answer.schema(), &portal.result_column_format)?;
        if told.iter().map(FieldInfo::datatype).ne(fields.iter().map(FieldInfo::datatype)) {
            return Err(error("ERROR", "0A000", "the columns of the answer changed; prepare the statement again"));
        }
        Ok(response(answer, fields))
    }
}

/// An answer that is written as its rows come.
pub(super) fn response(answer: Rows, fields: Vec<FieldInfo>) -> QueryResponse {
    let fields = Arc::new(fields);
    let rows = Arc::clone(&fields);
    let rows = answer.flat_map(move |batch| {
        let encoded = batch.map_err(PgWireError::from).and_then(|batch| rows::encoded(&batch, &rows));
        futures::stream::iter(match encoded {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(failure) => vec![Err(failure)],
        })
    });
    QueryResponse::new(fields, rows)
}

/// The type that a client is told of a parameter.
pub(super) fn told(wanted: Option<&DataType>) -> PgWireResult<Type> {
    match wanted {
        None => Ok(Type::TEXT),
        Some(wanted) => match (rows::pg_type(wanted)?, wanted) {
            // There are answers whose lists are JSON, but no parameters.
            (Type::JSON, DataType::List(_)) => arrow_pg::datatypes::into_pg_type(wanted),
            (known, _) => Ok(known),
        },
    }
}

impl Described {
    /// The description of a query whose parameters have the types that its client declared.
    async fn of(planned: Planned, declared: &[Option<Type>]) -> PgWireResult<Self> {
        let parameters = planned.parameters()?;
        // Where no null can stand for a value, the columns are those without it.
        let columns = match planned.clone().with_values(parameters::nulls(declared, &parameters)?) {
            Ok(filled) => filled.schema().await,
            Err(_) => planned.schema().await,
        };
        Ok(Self { columns, parameters })
    }
}

#[async_trait]
impl QueryParser for Preparer {
    type Statement = Prepared;

    async fn parse_sql<C>(&self, connection: &C, sql: &str, declared: &[Option<Type>]) -> PgWireResult<Prepared>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let mut commands = self.0.commands(sql).await?;
        if commands.len() > 1 {
            return Err(error("ERROR", "42601", "a prepared statement is one statement, not several"));
        }
        let command = commands.pop();
        transaction::check(connection.transaction_status(), command.as_ref())?;
        let described = match &command {
            Some(Command::Query(sql, is_of_postgres)) => {
                let client = self.0.client(connection).await?;
                let planned = self.0.plan(&client, sql, *is_of_postgres).await?;
                Some(Described::of(planned, declared).await?)
            }
            _ => None,
        };
        Ok(Prepared { command, described })
    }

    fn get_parameter_types(&self, prepared: &Prepared) -> PgWireResult<Vec<Type>> {
        let Some(described) = &prepared.described else { return Ok(Vec::new()) };
        described.parameters.iter().map(|wanted| told(wanted.as_ref())).collect()
    }

    fn get_result_schema(&self, prepared: &Prepared, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        let format = format.unwrap_or(&Format::UnifiedText);
        match (&prepared.command, &prepared.described) {
            (_, Some(described)) => rows::fields(&described.columns, format),
            (Some(Command::Show(name, _) | Command::ShowHotTail(name)), None) => Ok(vec![setting_field(name, format)]),
            _ => Ok(Vec::new()),
        }
    }
}

/// The one column of the value of a setting.
pub(super) fn setting_field(name: &str, format: &Format) -> FieldInfo {
    FieldInfo::new(name.to_owned(), None, None, Type::TEXT, formats::of(format, 0))
}

/// The one row of the value of a setting.
pub(super) fn setting_response(name: &str, value: &str, format: &Format) -> PgWireResult<QueryResponse> {
    let fields = Arc::new(vec![setting_field(name, format)]);
    let mut encoder = pgwire::api::results::DataRowEncoder::new(Arc::clone(&fields));
    encoder.encode_field(&value)?;
    let mut response = QueryResponse::new(fields, futures::stream::iter([Ok(encoder.take_row())]));
    response.set_command_tag("SHOW");
    Ok(response)
}
