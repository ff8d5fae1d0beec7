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
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, DEFAULT_NAME, PgWireConnectionState};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::extendedquery::{Execute, Sync as SyncMessage};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus};

use super::Postgres;
use super::command::Command;
use super::planned::{Prepared, Preparer};
use super::session::cancellation;
use super::simple::answer_command;

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
        client.set_state(PgWireConnectionState::QueryInProgress);
        let cancellation = cancellation(client).await;
        let rows_max = usize::try_from(message.max_rows).unwrap_or(0);
        cancellation.or(self.execute(client, &portal, rows_max)).await?;
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
            TransactionStatus::Idle => client.portal_store().clear_portals(),
            _ => client.portal_store().rm_portal(DEFAULT_NAME),
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
