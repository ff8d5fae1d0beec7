//! The PostgreSQL protocol: statements from psql, drivers, and tools that know PostgreSQL.
//!
//! `startup` lets a client in by its token, `command` tells what a statement is, `simple` and `extended` are the two ways
//! to send one, `planned` makes statements of its SQL, `rows` writes answers, `tables` has what clients ask at the start.
//!
//! Owns: the service and one connection's life. Does not own: messages and their order (pgwire), addresses and
//! certificates (the crate `service`).

mod command;
mod extended;
mod failure;
mod hot_tail;
mod names;
mod numeric;
mod parameters;
mod planned;
mod rows;
mod session;
mod settings;
mod simple;
mod startup;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use catalog::Callers;
use datafusion::error::DataFusionError;
use datafusion_pg_catalog::pg_catalog::PgCatalogStaticTables;
use pgwire::api::cancel::CancelHandler;
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::{ConnectionManager, PgWireServerHandlers, RandomPidSecretKeyGenerator, auth, cancel};
use pgwire::messages::cancel::CancelRequest;
use pgwire::tokio::{TlsAcceptor, process_socket};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use self::extended::Extended;
use self::simple::Simple;
use self::startup::Startup;
use crate::executor::Executor;

/// Time between two looks for a client that left while its query runs.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Serves connections of the PostgreSQL protocol.
pub struct Postgres {
    executor: Arc<Executor>,
    callers: Arc<Callers>,
    connections: Arc<ConnectionManager>,
    keys: RandomPidSecretKeyGenerator,
    tables: Arc<PgCatalogStaticTables>,
    /// Statements that are being answered.
    answering: TaskTracker,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("executor", &self.executor).finish_non_exhaustive()
    }
}

impl Postgres {
    /// A service of this executor.
    ///
    /// # Errors
    /// The tables of PostgreSQL's catalog, which are a part of the program, cannot be read.
    pub fn new(executor: Arc<Executor>, callers: Arc<Callers>) -> Result<Arc<Self>, DataFusionError> {
        Ok(Arc::new(Self {
            executor,
            callers,
            connections: Arc::new(ConnectionManager::new()),
            keys: RandomPidSecretKeyGenerator::default(),
            tables: Arc::new(PgCatalogStaticTables::try_new()?),
            answering: TaskTracker::new(),
        }))
    }

    /// Serves one client until it leaves. Its errors concern nobody else.
    pub async fn converse(self: Arc<Self>, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let (stream, watched) = match twice(stream) {
            Ok(streams) => streams,
            Err(error) => return tracing::debug!(%error, "a connection cannot be watched"),
        };
        let handlers = Handlers { service: self };
        tokio::select! {
            ended = process_socket(stream, tls, handlers) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection of the PostgreSQL protocol broke");
                }
            }
            () = gone(watched) => {}
        }
    }

    /// Waits until every statement that is being answered has its answer.
    pub async fn answered(&self) {
        self.answering.close();
        self.answering.wait().await;
    }
}

/// The stream twice: while a statement is answered, nobody reads from the first one.
fn twice(stream: TcpStream) -> std::io::Result<(TcpStream, TcpStream)> {
    let stream = stream.into_std()?;
    let watched = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, TcpStream::from_std(watched)?))
}

/// Waits until the client has left. Bytes that it sent and nobody read may hide that until they are read.
async fn gone(watched: TcpStream) {
    loop {
        sleep(LOOK_INTERVAL).await;
        let mut byte = [0];
        let looked = futures::FutureExt::now_or_never(watched.peek(&mut byte));
        if matches!(looked, Some(Ok(0) | Err(_))) {
            return;
        }
    }
}

/// The handlers of one connection.
struct Handlers {
    service: Arc<Postgres>,
}

impl PgWireServerHandlers for Handlers {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::new(Simple { service: Arc::clone(&self.service) })
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::new(Extended { service: Arc::clone(&self.service) })
    }

    fn startup_handler(&self) -> Arc<impl auth::StartupHandler> {
        Arc::new(Startup { service: Arc::clone(&self.service) })
    }

    fn cancel_handler(&self) -> Arc<impl cancel::CancelHandler> {
        Arc::new(Cancel { connections: Arc::clone(&self.service.connections) })
    }
}

/// Cancels the statement of another connection, which the client names by its key.
struct Cancel {
    connections: Arc<ConnectionManager>,
}

#[async_trait]
impl CancelHandler for Cancel {
    async fn on_cancel_request(&self, request: CancelRequest) {
        self.connections.cancel(request.pid, &request.secret_key).await;
    }
}
