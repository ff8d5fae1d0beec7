//! The connections of a service that takes requests: each request that began is answered before the end.
//!
//! Owns: the number of these connections, the time that each may last, their TLS handshake, and their end in good order.
//! Does not own: the requests (the router of the service), certificates (`tls`), the connections to the pages (`connections`).
//!
//! A connection is reused for many requests. When there are too many, the oldest ones end after the request that they are
//! at, and new ones wait in the system's queue meanwhile: no request is cut off for the sake of another.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::shell::Listener;
use crate::tls::Tls;

/// Pause after a connection that could not be accepted, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Time between two connections that are told to end because there are too many.
const RELIEF_INTERVAL: Duration = Duration::from_millis(50);

/// The limits of an [`Intake`].
#[derive(Clone, Copy, Debug)]
pub struct IntakeLimits {
    /// Connections that are open at once.
    pub connections: usize,
    /// Time for the head of a request to arrive, counted from the connection or from the answer before it; and for the TLS
    /// handshake before the first one.
    pub head: Duration,
    /// Time after which a connection ends with the request that it is at.
    pub age: Duration,
    /// Time for that last request.
    pub last: Duration,
}

impl IntakeLimits {
    /// The defaults, with this time for the last request of a connection if that is longer.
    pub fn for_answers(longest: Duration) -> Self {
        let limits = Self::default();
        Self { last: limits.last.max(longest), ..limits }
    }
}

impl Default for IntakeLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head: Duration::from_secs(20),
            age: Duration::from_secs(600),
            last: Duration::from_secs(120),
        }
    }
}

/// An address on which a service takes requests. Dropping it cuts off the requests that are not answered.
#[derive(Debug)]
pub struct Intake {
    addr: SocketAddr,
    stop: CancellationToken,
    /// The task that accepts, which holds those of the connections.
    tasks: JoinSet<()>,
    /// The task that follows the certificate's files; ends with this.
    _upkeep: JoinSet<()>,
}

/// In the extensions of each request: says that the service is about to end, so that an answer which waits for more comes now.
#[derive(Clone, Debug)]
pub struct Ending(CancellationToken);

impl Ending {
    /// Returns when the service is about to end.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Served {
    router: Router,
    limits: IntakeLimits,
    certificate: Option<watch::Receiver<Arc<ServerConfig>>>,
}

impl Intake {
    /// Takes requests for `router`.
    pub fn serve(listener: Listener, router: Router, limits: IntakeLimits) -> Self {
        let (addr, stop) = (listener.addr(), CancellationToken::new());
        let (mut tasks, mut upkeep) = (JoinSet::new(), JoinSet::new());
        let (listener, tls) = listener.into_parts();
        let router = router.layer(Extension(Ending(stop.clone())));
        let served = Served { router, limits, certificate: tls.as_ref().map(Tls::current) };
        if let Some(tls) = tls {
            upkeep.spawn(tls.follow());
        }
        tasks.spawn(accept(listener, served, stop.clone()));
        Self { addr, stop, tasks, _upkeep: upkeep }
    }

    /// The address in use.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts no connection any more, answers the requests that began, and ends. Returns false if some were cut off at the
    /// `deadline`.
    pub async fn drain(mut self, deadline: Duration) -> bool {
        self.stop.cancel();
        let is_whole = timeout(deadline, self.tasks.join_next()).await.is_ok();
        self.tasks.shutdown().await;
        is_whole
    }
}

/// Accepts until `stop`, then waits for the connections.
async fn accept(listener: TcpListener, served: Served, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    // The oldest first, without those that were told to end.
    let mut by_age: VecDeque<CancellationToken> = VecDeque::new();
    loop {
        let has_room = tasks.len() < served.limits.connections;
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => {
                    let end = stop.child_token();
                    by_age.push_back(end.clone());
                    // Dropped with its connection, so that it is no longer in the list.
                    tasks.spawn(answer(stream, served.clone(), end));
                }
                Err(error) => {
                    tracing::warn!(%error, "an HTTP connection cannot be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            () = sleep(RELIEF_INTERVAL), if !has_room => {
                if let Some(oldest) = by_age.pop_front() {
                    oldest.cancel();
                }
            }
            Some(_) = tasks.join_next() => by_age.retain(|end| !end.is_cancelled()),
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// Answers the requests of one client until it leaves or `end` comes. Its errors concern nobody else.
async fn answer(stream: TcpStream, served: Served, end: CancellationToken) {
    // Marks the connection as ended in the list of them, however it ends.
    let _ended = end.clone().drop_guard();
    // Answers are small and written whole: waiting for more would only delay them.
    stream.set_nodelay(true).ok();
    let Some(certificate) = &served.certificate else {
        return converse(stream, served.router, served.limits, end).await;
    };
    let acceptor = TlsAcceptor::from(Arc::clone(&certificate.borrow()));
    let shaken = tokio::select! {
        shaken = timeout(served.limits.head, acceptor.accept(stream)) => shaken,
        () = end.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => converse(stream, served.router, served.limits, end).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// Answers requests on a connection that is open.
async fn converse<S>(stream: S, router: Router, limits: IntakeLimits, end: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = end.cancelled() => {}
        () = sleep(limits.age) => {}
    }
    connection.as_mut().graceful_shutdown();
    timeout(limits.last, connection).await.ok();
}

#[cfg(test)]
mod tests;
