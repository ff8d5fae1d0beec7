//! Statements with parameters: prepared, bound, described, and executed, also in parts.
//!
//! Owns: the execution of a portal. Rows are written as they come: an answer of any size fits in memory.
//! Does not own: preparing (`planned`), values (`parameters`), the order of messages (pgwire).

use std::fmt::Debug;
use std::ops::DerefMut;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{Sink, SinkExt};
use pgwire::api::portal::{Portal, PortalExecutionState};
use pgwire::api::query::{ExtendedQueryHandler, send_partial_query_response};
use pgwire::api::results::Response;
use pgwire::api::stmt::StoredStatement;
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, DEFAULT_NAME, PgWireConnectionState};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::extendedquery::{Bind, BindComplete, Execute, Parse, ParseComplete, Sync as SyncMessage};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus};

use super::command::Command;
use super::kept::Kept;
use super::planned::{Prepared, Preparer};
use super::session::cancellation;
use super::simple::answer_command;
use super::{Postgres, formats, transaction};

/// Answers prepared statements.
pub(super) struct Extended {
    pub(super) service: Arc<Postgres>,
}

#[async_trait]
impl ExtendedQueryHandler for Extended {
    type Statement = Prepared;
    type QueryParser = Preparer;

    fn query_parser(&self) -> Arc<Preparer> {
        Arc::new(Preparer(Arc::clone(&self.service)))
    }

    async fn on_parse<C>(&self, client: &mut C, message: Parse) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let statement = StoredStatement::parse(client, &message, self.query_parser()).await?;
        let bytes = statement.statement.bytes(statement.parameter_types.len());
        let store = client.portal_store();
        kept(client).statements.add(&statement.id, bytes, |name| store.get_statement(name).is_some())?;
        store.put_statement(Arc::new(statement));
        Ok(client.send(PgWireBackendMessage::ParseComplete(ParseComplete::new())).await?)
    }

    async fn on_bind<C>(&self, client: &mut C, message: Bind) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.statement_name.as_deref().unwrap_or(DEFAULT_NAME);
        let store = client.portal_store();
        let Some(statement) = store.get_statement(name) else {
            return Err(PgWireError::StatementNotFound(name.to_owned()));
        };
        let prepared = &statement.statement;
        transaction::check(client.transaction_status(), prepared.command.as_ref())?;
        formats::check(&message, prepared.columns())?;
        // A portal keeps its statement, also where that is closed before it.
        let values: usize = message.parameters.iter().flatten().map(bytes::Bytes::len).sum();
        let bytes = values + prepared.bytes(statement.parameter_types.len() + message.parameters.len());
        let portal = Portal::try_new(&message, Arc::clone(&statement))?;
        kept(client).portals.add(&portal.name, bytes, |name| store.get_portal(name).is_some())?;
        store.put_portal(Arc::new(portal));
        Ok(client.send(PgWireBackendMessage::BindComplete(BindComplete::new())).await?)
    }

    async fn on_execute<C>(&self, client: &mut C, message: Execute) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        let Some(portal) = client.portal_store().get_portal(name) else {
            return Err(PgWireError::PortalNotFound(name.to_owned()));
        };
        transaction::check(client.transaction_status(), portal.statement.statement.command.as_ref())?;
        client.set_state(PgWireConnectionState::QueryInProgress);
        let cancellation = cancellation(client).await;
        let rows_max = usize::try_from(message.max_rows).unwrap_or(0);
        if let Err(failure) = cancellation.or(self.execute(client, &portal, rows_max)).await {
            // Going on in one would leave out the rows that were on their way.
            client.portal_store().clear_portals();
            return Err(failure);
        }
        client.flush().await?;
        client.set_state(PgWireConnectionState::ReadyForQuery);
        Ok(())
    }

    /// Outside of what the client takes for a transaction, portals end here, as in PostgreSQL: one whose rows were not all
    /// taken would keep its slot.
    async fn on_sync<C>(&self, client: &mut C, _: SyncMessage) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let status = client.transaction_status();
        match status {
            TransactionStatus::Transaction => client.portal_store().rm_portal(DEFAULT_NAME),
            TransactionStatus::Idle | TransactionStatus::Error => client.portal_store().clear_portals(),
        }
        Ok(client.send(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(status))).await?)
    }

    async fn do_query<C>(&self, _: &mut C, _: &Portal<Prepared>, _: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        // `on_execute` answers itself, so that rows need not be gathered first.
        Ok(Response::EmptyQuery)
    }
}

fn kept(client: &impl ClientInfo) -> Arc<Kept> {
    client.session_extensions().get_or_insert_with(Kept::default)
}

impl Extended {
    async fn execute<C>(&self, client: &mut C, portal: &Portal<Prepared>, rows_max: usize) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match &portal.statement.statement.command {
            None => Ok(client.feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())).await?),
            Some(Command::Query(..)) => self.answer(client, portal, rows_max).await,
            Some(command) => answer_command(client, command, &portal.result_column_format, false).await,
        }
    }

    /// Sends up to `rows_max` rows of a query, all of them if it is 0; the rest waits in the portal.
    async fn answer<C>(&self, client: &mut C, portal: &Portal<Prepared>, rows_max: usize) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let state = portal.state();
        let mut state = state.lock().await;
        if matches!(*state, PortalExecutionState::Initial) {
            let caller = self.service.client(client).await?;
            *state = PortalExecutionState::Suspended(self.service.run_portal(&caller, portal).await?);
        }
        let is_suspended = match state.deref_mut() {
            PortalExecutionState::Suspended(response) => {
                let sent = send_partial_query_response(client, response, rows_max).await;
                if sent.is_err() {
                    *state = PortalExecutionState::Finished;
                }
                sent?
            }
            _ => {
                let complete = CommandComplete::new("SELECT 0".to_owned());
                client.feed(PgWireBackendMessage::CommandComplete(complete)).await?;
                false
            }
        };
        if !is_suspended {
            *state = PortalExecutionState::Finished;
        }
        Ok(())
    }
}
