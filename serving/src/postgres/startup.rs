//! The start of a connection: the password is a token, the user's name is free.
//!
//! Owns: asking for the password, and what a client is told about the server. Does not own: tokens (`catalog::Callers`).
//!
//! The password comes as it is: a hash by the server's salt could only be compared with the token itself, which the catalog
//! does not have. Other machines therefore need TLS, or a network that is trusted.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use catalog::{NotServed, Presented, Right};
use futures::{Sink, SinkExt};
use pgwire::api::auth::{
    DefaultServerParameterProvider, ServerParameterProvider, StartupHandler, finish_authentication,
    protocol_negotiation, save_startup_parameters_to_metadata,
};
use pgwire::api::{ClientInfo, ConnectionGuard, ConnectionHandle, PgWireConnectionState, PidSecretKeyGenerator};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::startup::Authentication;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use super::Postgres;
use super::failure::fatal;
use super::hot_tail;
use super::session::Session;
use super::settings::SERVER_VERSION;
use super::tables::PostgresTables;
use crate::executor::{Client, Door};

/// Lets clients in.
pub(super) struct Startup {
    pub(super) service: Arc<Postgres>,
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match message {
            PgWireFrontendMessage::Startup(startup) => {
                protocol_negotiation(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                // Where no token is asked for, no password is either.
                match self.service.callers.caller(Presented::Nothing).await {
                    Ok(_) => self.admit(client, Presented::Nothing).await,
                    Err(NotServed::NoToken) => {
                        let ask = PgWireBackendMessage::Authentication(Authentication::CleartextPassword);
                        Ok(client.send(ask).await?)
                    }
                    Err(error) => Err(fatal("57P03", error.to_string())),
                }
            }
            PgWireFrontendMessage::PasswordMessageFamily(password) => {
                let password = password.into_password()?;
                self.admit(client, Presented::text(&password.password)).await
            }
            _ => Err(fatal("08P01", "a start or a password is expected here")),
        }
    }
}

impl Startup {
    async fn admit<C>(&self, client: &mut C, presented: Presented) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let service = &self.service;
        let caller = match service.callers.caller(presented.clone()).await {
            Ok(caller) => caller,
            Err(error @ (NotServed::Catalog(_) | NotServed::Silent)) => return Err(fatal("57P03", error.to_string())),
            Err(error) => {
                return Err(fatal(
                    "28P01",
                    format!("the password is a token of this service, and any user will do: {error}"),
                ));
            }
        };
        caller.ensure_somewhere(Right::Read).map_err(|error| fatal("42501", error.to_string()))?;
        let (pid, key) = service.keys.generate(client);
        client.set_pid_and_secret_key(pid, key.clone());
        let (handle, guard) = service.connections.register(pid, key);
        client.session_extensions().insert::<Arc<ConnectionHandle>>(handle);
        client.session_extensions().insert::<ConnectionGuard>(guard);
        let tables = PostgresTables::new(&service.executor, caller.clone(), Arc::clone(&service.tables));
        let tables = Arc::new(tables.map_err(|error| fatal("XX000", error.to_string()))?);
        let settings = service.executor.settings();
        hot_tail::start(&settings, client.metadata().get("options").map_or("", String::as_str))?;
        let sender = Client { door: Door::Postgres, caller, additions: Some(tables), settings };
        client.session_extensions().insert(Session { presented, client: sender });
        finish_authentication(client, &Parameters).await
    }
}

/// What a client is told about the server.
struct Parameters;

impl ServerParameterProvider for Parameters {
    fn server_parameters<C>(&self, client: &C) -> Option<HashMap<String, String>>
    where
        C: ClientInfo,
    {
        let mut provider = DefaultServerParameterProvider::default();
        provider.server_version = SERVER_VERSION.to_owned();
        provider.is_superuser = false;
        provider.default_transaction_read_only = true;
        provider.time_zone = "UTC".to_owned();
        provider.server_parameters(client)
    }
}
