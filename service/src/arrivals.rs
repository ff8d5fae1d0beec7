//! Connections that arrive at an address of a protocol other than HTTP.
//!
//! Owns: accepting them, a pause where that fails, and following the certificate's files. Does not own: the number of
//! connections and what is said on them (the protocol).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::shell::Listener;
use crate::tls::Tls;

/// Pause after a connection that could not be accepted, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The connections of one address.
#[derive(Debug)]
pub struct Arrivals {
    listener: TcpListener,
    addr: SocketAddr,
    certificate: Option<watch::Receiver<Arc<ServerConfig>>>,
    /// The task that follows the certificate's files; ends with this.
    _upkeep: JoinSet<()>,
}

impl Arrivals {
    /// Those of a listener.
    pub fn of(listener: Listener) -> Self {
        let addr = listener.addr();
        let (listener, tls) = listener.into_parts();
        let certificate = tls.as_ref().map(Tls::current);
        let mut upkeep = JoinSet::new();
        if let Some(tls) = tls {
            upkeep.spawn(tls.follow());
        }
        Self { listener, addr, certificate, _upkeep: upkeep }
    }

    /// The address in use.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next connection, with the certificate to use where there is one. Cancel-safe.
    pub async fn next(&self) -> (TcpStream, Option<TlsAcceptor>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    // Answers are written whole: waiting for more would only delay them.
                    stream.set_nodelay(true).ok();
                    let acceptor = self.certificate.as_ref().map(|current| Arc::clone(&current.borrow()).into());
                    return (stream, acceptor);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
