//! The connections of Flight SQL.
//!
//! Owns: their number, their TLS handshakes, and looking for clients that left without a word. Does not own: requests.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::{StreamExt, stream};
use service::Arrivals;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::Flight;

/// Connections that are open at once.
const CONNECTIONS_MAX: usize = 512;

/// Handshakes that are under way at once.
const HANDSHAKES_MAX: usize = 64;

const HANDSHAKE_WAIT: Duration = Duration::from_secs(20);

/// Time between two looks for a client that left without a word.
const LOOK_INTERVAL: Duration = Duration::from_secs(20);

/// Requests of one connection at once; queries among them wait for their slots.
const REQUESTS_MAX: usize = 128;

/// Answers requests until `stop`, then those that began.
pub(crate) async fn serve(arrivals: Arrivals, flight: Flight, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accepted = stream::unfold((arrivals, room), async |(arrivals, room)| {
        let permit = Arc::clone(&room).acquire_owned().await.expect("it is never closed");
        let (stream, tls) = arrivals.next().await;
        Some(((stream, tls, permit), (arrivals, room)))
    });
    let shaken = accepted.map(async |(stream, tls, permit)| {
        let stream: Pin<Box<dyn Duplex>> = match tls {
            None => Box::pin(stream),
            Some(tls) => match timeout(HANDSHAKE_WAIT, tls.accept(stream)).await {
                Ok(Ok(stream)) => Box::pin(stream),
                // One failed handshake concerns nobody else.
                Ok(Err(_)) | Err(_) => return None,
            },
        };
        Some(Ok::<_, io::Error>(Connection { stream, _permit: permit }))
    });
    let connections = shaken.buffer_unordered(HANDSHAKES_MAX).filter_map(std::future::ready);
    let served = Server::builder()
        .concurrency_limit_per_connection(REQUESTS_MAX)
        .http2_keepalive_interval(Some(LOOK_INTERVAL))
        .add_service(FlightServiceServer::new(flight))
        .serve_with_incoming_shutdown(connections, stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::warn!(%error, "Flight SQL is no longer served");
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// A connection, with its place among those that may be open.
struct Connection {
    stream: Pin<Box<dyn Duplex>>,
    _permit: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}
