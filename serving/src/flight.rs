//! Flight SQL: statements from ADBC, JDBC and Arrow Flight clients, and what these ask about tables.
//!
//! Owns: the service. It keeps nothing between requests: a prepared statement is its handle (`handle`), so that any number of
//! clients costs no memory. Does not own: connections (`server`), tokens (`login`), lists of tables (`listing`).

mod failure;
mod handle;
mod info;
mod listing;
mod login;
mod server;

use std::pin::Pin;
use std::sync::Arc;

use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery,
    CommandStatementUpdate, DoPutPreparedStatementResult, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, Ticket};
use arrow_schema::{Field, Schema};
use catalog::Callers;
use futures::{Stream, StreamExt, TryStreamExt};
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::SystemRandom;
use tonic::{Request, Response, Status, Streaming};

use self::handle::Handle;
use self::info::{as_message, info, read_only};
use crate::executor::{Executor, Planned, conformed};

pub(crate) use server::serve;

type Rows = <Flight as FlightService>::DoGetStream;

/// Answers requests of Flight SQL.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    executor: Arc<Executor>,
    callers: Arc<Callers>,
    /// Seals the values in handles, for as long as the process lives.
    key: Arc<hmac::Key>,
}

impl Flight {
    /// A service of this executor.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn new(executor: Arc<Executor>, callers: Arc<Callers>) -> Result<Self, Unspecified> {
        let key = Arc::new(hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?);
        Ok(Self { executor, callers, key })
    }

    async fn planned<T>(&self, request: &Request<T>, handle: &Handle) -> Result<Planned, Status> {
        let client = self.client(request).await?;
        Ok(self.executor.plan(&client, &handle.sql).await?)
    }

    /// The statement of a handle that a client brings, which is looked at only if the client may read.
    async fn brought<T>(&self, request: &Request<T>, handle: &[u8]) -> Result<(Handle, Planned), Status> {
        let client = self.client(request).await?;
        let handle = Handle::decoded(handle, &self.key)?;
        let planned = self.executor.plan(&client, &handle.sql).await?;
        Ok((handle, planned))
    }

    /// The rows of a statement with the values of its handle.
    async fn rows(&self, request: Request<Ticket>, handle: &[u8]) -> Result<Response<Rows>, Status> {
        let (handle, planned) = self.brought(&request, handle).await?;
        let values = handle.values(&planned)?;
        let planned = planned.with_values(values)?;
        let schema = planned.schema().await;
        let announced = Arc::clone(&schema);
        let rows = planned.run().await?.map(move |rows| rows.and_then(|rows| conformed(&rows, &announced)));
        let rows = rows.map_err(|failure| FlightError::Tonic(Box::new(failure.into())));
        let data = FlightDataEncoderBuilder::new().with_schema(schema).build(rows);
        Ok(Response::new(Box::pin(data.map_err(Status::from))))
    }
}

#[tonic::async_trait]
impl FlightSqlService for Flight {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>, Status> {
        self.handshake(&request).await
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let handle = Handle::of(query.query);
        let schema = self.planned(&request, &handle).await?.schema().await;
        info(&TicketStatementQuery { statement_handle: handle.encoded(&self.key)? }, &schema, request)
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.rows(request, &ticket.statement_handle).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let handle = Handle::of(query.query);
        let planned = self.planned(&request, &handle).await?;
        let known = planned.parameters()?.into_iter().enumerate();
        let field = |(index, known): (usize, Option<_>)| {
            Field::new(format!("${}", index + 1), known.unwrap_or(arrow_schema::DataType::Utf8), true)
        };
        let parameters = Schema::new(known.map(field).collect::<Vec<_>>());
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.encoded(&self.key)?,
            dataset_schema: as_message(planned.schema().await.as_ref())?,
            parameter_schema: as_message(&parameters)?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.client(&request).await.map(drop)
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        self.client(&request).await?;
        let handle = Handle::decoded(&query.prepared_statement_handle, &self.key)?;
        let handle = handle.with_values(request.into_inner()).await?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle.encoded(&self.key)?) })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let (handle, planned) = self.brought(&request, &query.prepared_statement_handle).await?;
        let filled = handle.values(&planned).ok().and_then(|values| planned.clone().with_values(values).ok());
        info(&query, filled.unwrap_or(planned).schema().await.as_ref(), request)
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.rows(request, &query.prepared_statement_handle).await
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.client(&request).await?;
        info(&query, &query.into_builder().schema(), request)
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.client(&request).await?;
        listing::catalogs(query)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.client(&request).await?;
        info(&query, &query.clone().into_builder().schema(), request)
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.client(&request).await?;
        listing::schemas(query)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.client(&request).await?;
        info(&query, &query.clone().into_builder().schema(), request)
    }

    async fn do_get_tables(&self, query: CommandGetTables, request: Request<Ticket>) -> Result<Response<Rows>, Status> {
        let client = self.client(&request).await?;
        listing::tables(query, &self.executor.tables(&client).await?)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.client(&request).await?;
        info(&query, &query.into_builder().schema(), request)
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.client(&request).await?;
        listing::table_types(query)
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.client(&request).await?;
        let schema = listing::sql_info_schema();
        info(&query, &schema, request)
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<Ticket>,
    ) -> Result<Response<Rows>, Status> {
        self.client(&request).await?;
        listing::sql_info(query)
    }

    async fn do_put_statement_update(
        &self,
        _: CommandStatementUpdate,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(read_only("an update"))
    }

    async fn do_put_statement_ingest(
        &self,
        _: CommandStatementIngest,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(read_only("writing rows"))
    }

    async fn do_put_prepared_statement_update(
        &self,
        _: CommandPreparedStatementUpdate,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(read_only("an update"))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

#[cfg(test)]
mod tests;
