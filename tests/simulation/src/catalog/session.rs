//! One writer process's way to the catalog.
//!
//! Owns: request, execution and reply of a call as three separate moments, each of which may go wrong.
//! Does not own: chance (`faults`), and the moment of the transaction itself (`server`).
//!
//! A request that was sent is served by a task of the server's: a caller that gives up, is dropped, or dies takes
//! nothing back. The server runs each request once or never; the writer alone repeats.

use std::io;
use std::time::Duration;

use ::catalog::CatalogError;
use tokio::sync::oneshot;

use super::client::{Call, Client, Door, Failure};
use super::faults::{Fate, Faults, Link, Plan};
use super::server::{ModelCatalog, Server};
use super::state::CatalogState;

/// `lock_timeout` of every session of the real catalog.
const LOCK_TIMEOUT: Duration = Duration::from_secs(20);

/// The catalog as one writer process sees it. Clones are the same process.
pub type Session = Client<Network>;

/// The way of one writer process to the server.
#[derive(Clone, Debug)]
pub struct Network {
    server: Server,
    faults: Faults,
    writer: u32,
}

/// A request on its way to the server.
struct Request {
    network: Network,
    call: Call,
    plan: Plan,
    connection: u64,
}

impl Session {
    /// The catalog of the writer process of this number. A new process start may use the number again: the link and the
    /// pause belong to the number, everything else to the owner's id.
    pub fn new(catalog: &ModelCatalog, faults: &Faults, writer: u32) -> Self {
        Self::through(Network { server: catalog.door.clone(), faults: faults.clone(), writer })
    }
}

impl Door for Network {
    async fn run<T, F>(&self, call: Call, transaction: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut CatalogState) -> T + Send + 'static,
    {
        self.faults.wait_while_paused(self.writer).await;
        let plan = self.faults.plan(call.name);
        let answer = self.exchange(call, plan, transaction).await;
        self.faults.wait_while_paused(self.writer).await;
        answer
    }
}

impl Network {
    async fn exchange<T, F>(&self, call: Call, plan: Plan, transaction: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut CatalogState) -> T + Send + 'static,
    {
        if self.faults.link(self.writer) == Link::Down || plan.fate == Fate::RequestLost {
            pass(plan.request).await;
            return Err(Failure::not_applied("the connection was lost before the request was complete"));
        }
        if plan.fate == Fate::CommitLost {
            pass(plan.request).await;
            return Err(Failure::unknown("the connection was lost after the request was sent"));
        }
        let (answer, answered) = oneshot::channel();
        let (patience, reply, fate) = (plan.patience, plan.reply, plan.fate);
        let request = Request { network: self.clone(), call, plan, connection: self.server.connect() };
        // Detached on purpose: it belongs to the server, not to the caller.
        tokio::spawn(async move {
            // The caller may have stopped waiting.
            let _ = answer.send(request.serve(transaction).await);
        });
        let answered = async { answered.await.expect("the server answers each request unless its observer panics") };
        let answer = match patience {
            None => answered.await?,
            Some(patience) => match tokio::time::timeout(patience, answered).await {
                Ok(answer) => answer?,
                Err(_) => return Err(Failure::unknown("no answer came in time")),
            },
        };
        pass(reply).await;
        if fate == Fate::ReplyLost || self.faults.link(self.writer) != Link::Up {
            return Err(Failure::unknown("the connection was lost before the answer came"));
        }
        Ok(answer)
    }
}

impl Request {
    /// Serves the request in the server.
    async fn serve<T>(self, transaction: impl FnOnce(&mut CatalogState) -> T) -> Result<T, Failure> {
        let Self { network: Network { server, faults, writer }, call, plan, connection } = self;
        let lost = || Failure::unknown("the connection was lost while the request was under way");
        pass(plan.request).await;
        if faults.link(writer) == Link::Down || !server.is_connected(connection) {
            return Err(lost());
        }
        let drawn = server.draw_snapshot();
        let Ok(_rows) = tokio::time::timeout(LOCK_TIMEOUT, server.lock_rows(&call.rows)).await else {
            return Err(Failure::not_applied("canceling statement due to lock timeout"));
        };
        pass(plan.execution).await;
        server.transaction_over(connection, writer, drawn, transaction).ok_or_else(lost)
    }
}

impl Failure {
    fn not_applied(reason: &str) -> Self {
        Self { maybe_applied: false, error: unavailable(reason) }
    }

    fn unknown(reason: &str) -> Self {
        Self { maybe_applied: true, error: unavailable(reason) }
    }
}

fn unavailable(reason: &str) -> CatalogError {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::ConnectionReset, reason)).into()
}

/// Lets virtual time pass. Zero returns at once: even a sleep of zero takes some.
async fn pass(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}
