//! Statements as plain text, several in one message.
//!
//! Owns: their order: each begins when the one before it is answered, and none follows a failure. Does not own: the commands
//! (`command`), the queries (`planned`).

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{Sink, SinkExt};
use pgwire::api::portal::Format;
use pgwire::api::query::{SimpleQueryHandler, send_execution_response, send_query_response, send_ready_for_query};
use pgwire::api::results::{Response, Tag};
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, PgWireConnectionState};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{EmptyQueryResponse, TransactionStatus};
use pgwire::messages::simplequery::Query;

use super::command::Command;
use super::planned::{response, setting_response};
use super::session::{cancellation, session};
use super::{Postgres, hot_tail, rows, transaction};

/// Answers plain statements.
pub(super) struct Simple {
    pub(super) service: Arc<Postgres>,
}

#[async_trait]
impl SimpleQueryHandler for Simple {
    async fn on_query<C>(&self, client: &mut C, query: Query) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        client.set_state(PgWireConnectionState::QueryInProgress);
        if let Err(failure) = self.answer_all(client, &query.query).await {
            // Those of a transaction that failed would keep their slots.
            client.portal_store().clear_portals();
            return Err(failure);
        }
        client.set_state(PgWireConnectionState::ReadyForQuery);
        send_ready_for_query(client, client.transaction_status()).await
    }

    async fn do_query<C>(&self, _: &mut C, _: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        // `on_query` answers itself, statement by statement.
        Ok(Vec::new())
    }
}

impl Simple {
    async fn answer_all<C>(&self, client: &mut C, text: &str) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let commands = self.service.commands(text).await?;
        if commands.is_empty() {
            client.feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())).await?;
        }
        for command in commands {
            transaction::check(client.transaction_status(), Some(&command))?;
            let cancellation = cancellation(client).await;
            cancellation.or(self.answer(client, command)).await?;
        }
        Ok(())
    }

    async fn answer<C>(&self, client: &mut C, command: Command) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let Command::Query(sql, is_of_postgres) = command else {
            return answer_command(client, &command, &Format::UnifiedText, true).await;
        };
        let caller = self.service.client(client).await?;
        let rows = self.service.plan(&caller, &sql, is_of_postgres).await?.run().await?;
        let fields = rows::fields(&rows.schema(), &Format::UnifiedText)?;
        send_query_response(client, response(rows, fields), true).await
    }
}

/// Answers a command that is no query; `is_described` sends the columns of an answer before its rows.
pub(super) async fn answer_command<C>(
    client: &mut C,
    command: &Command,
    format: &Format,
    is_described: bool,
) -> PgWireResult<()>
where
    C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
    C::PortalStore: PortalStore,
    C::Error: Debug,
    PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
{
    let status = client.transaction_status();
    let done = match command {
        Command::Begin => {
            client.set_transaction_status(status.to_in_transaction_state());
            "BEGIN"
        }
        Command::End(done) => {
            client.set_transaction_status(status.to_idle_state());
            client.portal_store().clear_portals();
            // As PostgreSQL says it of one that failed.
            if matches!(status, TransactionStatus::Error) { "ROLLBACK" } else { done }
        }
        Command::RollbackTo => {
            if matches!(status, TransactionStatus::Error) {
                client.set_transaction_status(TransactionStatus::Transaction);
            }
            "ROLLBACK"
        }
        Command::Deallocate(name) => {
            // Those of the protocol have names of their own; all of them stay, and end with the connection.
            if let Some(name) = name {
                client.portal_store().rm_statement(name);
            }
            "DEALLOCATE"
        }
        Command::Nothing(done) => done,
        Command::Set { variable, value, done } => {
            hot_tail::apply(&session(client)?.client.settings, variable, value.as_deref())?;
            done
        }
        Command::ResetAll(done) => {
            session(client)?.client.settings.reset_all();
            done
        }
        Command::ShowHotTail(name) => {
            let value = hot_tail::shown(&session(client)?.client.settings, name)?;
            return send_query_response(client, setting_response(name, &value, format)?, is_described).await;
        }
        Command::Show(name, value) => {
            return send_query_response(client, setting_response(name, value, format)?, is_described).await;
        }
        Command::Query(..) => unreachable!("queries are answered by the engine"),
    };
    send_execution_response(client, Tag::new(done)).await
}
