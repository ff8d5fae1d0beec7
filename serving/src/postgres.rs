//! The PostgreSQL protocol: statements from psql, drivers, and tools that know PostgreSQL.
//!
//! `startup` lets a client in by its token, `command` tells what a statement is, `simple` and `extended` are the two ways
//! to send one, `connection` reads messages, `planned` makes statements of its SQL, `rows` writes answers. What clients ask at
//! the start is in `tables`, `information` and `functions`.
//!
//! Owns: the service and one connection's life. Does not own: messages and their order (pgwire), addresses and
//! certificates (the crate `service`).

mod command;
mod connection;
mod extended;
mod failure;
mod functions;
mod hot_tail;
mod information;
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
use pgwire::api::{ConnectionManager, RandomPidSecretKeyGenerator};
use pgwire::messages::cancel::CancelRequest;
use pgwire::tokio::TlsAcceptor;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

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
        tokio::select! {
            ended = connection::serve(self, stream, tls) => {
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

/// Waits until the client has left, also behind bytes that nobody read, such as its goodbye.
async fn gone(watched: TcpStream) {
    loop {
        sleep(LOOK_INTERVAL).await;
        match futures::FutureExt::now_or_never(watched.ready(Interest::READABLE)) {
            Some(Ok(ready)) if !ready.is_read_closed() => {}
            Some(_) => return,
            None => {}
        }
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
