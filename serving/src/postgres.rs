//! The PostgreSQL protocol: statements from psql, drivers, and tools that know PostgreSQL.
//!
//! `startup` lets a client in by its token, `command` tells what a statement is, `simple` and `extended` are the two ways
//! to send one, `connection` reads messages, `planned` makes statements of its SQL, `rows` writes answers. What clients ask at
//! the start is in `tables`, `information` and `functions`.
//!
//! Owns: the service and one connection's life. Does not own: messages and their order (pgwire), addresses and
//! certificates (the crate `service`).

mod arrays;
mod command;
mod connection;
mod extended;
mod failure;
mod formats;
mod functions;
mod hot_tail;
mod information;
mod interval;
mod kept;
mod lists;
mod names;
mod numeric;
mod parameters;
mod plain;
mod planned;
mod relations;
mod rows;
mod session;
mod settings;
mod simple;
mod startup;
mod tables;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use catalog::Callers;
use datafusion::error::DataFusionError;
use datafusion_pg_catalog::pg_catalog::PgCatalogStaticTables;
use pgwire::api::cancel::CancelHandler;
use pgwire::api::{ConnectionManager, RandomPidSecretKeyGenerator};
use pgwire::error::PgWireResult;
use pgwire::messages::cancel::CancelRequest;
use pgwire::tokio::TlsAcceptor;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use self::command::Command;
use crate::error::{FailureKind, QueryFailure};
use crate::executor::Executor;

/// Time between two looks for a client that left while its query runs.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Texts up to this length are read at once.
const SHORT_BYTES: usize = 16 << 10;

/// Serves connections of the PostgreSQL protocol.
pub struct Postgres {
    executor: Arc<Executor>,
    callers: Arc<Callers>,
    connections: Arc<ConnectionManager>,
    keys: RandomPidSecretKeyGenerator,
    tables: Arc<PgCatalogStaticTables>,
    /// One long text is read at once: the words of a text take much memory.
    reading: Arc<Semaphore>,
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
            reading: Arc::new(Semaphore::new(1)),
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

    /// The statements of a text.
    async fn commands(&self, text: &str) -> PgWireResult<Vec<Command>> {
        let owned = text.to_owned();
        self.read(text.len(), move || command::commands(&owned)).await
    }

    /// Reads a text of this length: a long one outside of the threads that answer everybody.
    async fn read<T: Send + 'static>(
        &self,
        length: usize,
        work: impl FnOnce() -> PgWireResult<T> + Send + 'static,
    ) -> PgWireResult<T> {
        if length <= SHORT_BYTES {
            return work();
        }
        let turn = Arc::clone(&self.reading).acquire_owned().await.expect("it is never closed");
        let reading = AbortOnDropHandle::new(tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        }));
        let defect = || QueryFailure::new(FailureKind::Internal, "reading the statement failed by a defect");
        reading.await.unwrap_or_else(|_| Err(defect().into()))
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

#[cfg(test)]
mod tests;
