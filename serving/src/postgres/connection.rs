//! One connection of the PostgreSQL protocol: messages are read, and each is answered before the next.
//!
//! Owns: how long a message may be, how long a client may take to log in, and which connections wait for an end at a drain.
//! pgwire's own loop would keep a gigabyte of one message, also of a client that never logs in. Does not own: reading a message,
//! TLS and the order of the protocol (pgwire), the answers (`startup`, `simple`, `extended`).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::StreamExt;
use pgwire::api::{ClientInfo, NoopHandler};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireFrontendMessage;
use pgwire::tokio::TlsAcceptor;
use pgwire::tokio::server::{MaybeTls, PgWireMessageServerCodec, negotiate_tls, process_error, process_message};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_util::codec::{Framed, FramedParts};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::extended::Extended;
use super::failure::{fatal, sendable};
use super::planned::Prepared;
use super::session::Session;
use super::simple::Simple;
use super::startup::Startup;
use super::{Cancel, Postgres};

/// Time for a client to log in.
const LOGIN_MAX: Duration = Duration::from_secs(60);

/// Longest message of a client that is not logged in: names and a token. One read more may be in memory.
const LOGIN_BYTES_MAX: usize = 16 << 10;

/// Longest message: a statement of the longest allowed text, or the values of its parameters. One read more may be in memory.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

type Socket = Framed<Bounded, PgWireMessageServerCodec<Prepared>>;

/// Serves a client until it leaves.
///
/// # Errors
/// The connection breaks.
pub(super) async fn serve(service: Arc<Postgres>, stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<()> {
    let login_end = Instant::now() + LOGIN_MAX;
    let Ok(negotiated) = timeout_at(login_end, negotiate_tls(stream, tls)).await else { return Ok(()) };
    // A client that begins TLS where there is none is not answered.
    let Some(socket) = negotiated? else { return Ok(()) };
    let parts = socket.into_parts();
    let mut bounded = FramedParts::new(Bounded { stream: parts.io, left: LOGIN_BYTES_MAX }, parts.codec);
    (bounded.read_buf, bounded.write_buf) = (parts.read_buf, parts.write_buf);
    Connection { service, socket: Framed::from_parts(bounded), answering: None }.run(login_end).await
}

struct Connection {
    service: Arc<Postgres>,
    socket: Socket,
    /// From the first message of a statement to the end of its answer.
    answering: Option<TaskTrackerToken>,
}

impl Connection {
    async fn run(mut self, login_end: Instant) -> io::Result<()> {
        loop {
            let message = match self.next(login_end).await {
                None | Some(Ok(PgWireFrontendMessage::Terminate(_))) => return Ok(()),
                Some(Ok(message)) => message,
                Some(Err(PgWireError::IoError(error))) if error.kind() != io::ErrorKind::FileTooLarge => {
                    return Err(error);
                }
                Some(Err(PgWireError::IoError(error))) => {
                    return self.tell(fatal("54000", error.to_string()), false).await;
                }
                Some(Err(error)) => {
                    return self.tell(fatal("08P01", error.to_string()), false).await;
                }
            };
            let (is_extended, ends) = (message.is_extended_query(), ends(&message));
            if self.is_logged_in() && self.answering.is_none() {
                self.answering = Some(self.service.answering.token());
            }
            if let Err(error) = Box::pin(self.answer(message)).await {
                self.tell(error, is_extended).await?;
                if !self.is_logged_in() {
                    return Ok(());
                }
            }
            if ends {
                self.answering = None;
            }
        }
    }

    /// The next message; `None` when the client left, or did not log in in time.
    async fn next(&mut self, login_end: Instant) -> Option<PgWireResult<PgWireFrontendMessage>> {
        if self.is_logged_in() {
            self.socket.get_mut().left = MESSAGE_BYTES_MAX;
            return self.socket.next().await;
        }
        self.socket.get_mut().left = LOGIN_BYTES_MAX;
        timeout_at(login_end, self.socket.next()).await.ok().flatten()
    }

    async fn tell(&mut self, error: PgWireError, is_extended: bool) -> io::Result<()> {
        process_error(&mut self.socket, sendable(error), is_extended).await
    }

    async fn answer(&mut self, message: PgWireFrontendMessage) -> PgWireResult<()> {
        let service = || Arc::clone(&self.service);
        let startup = Arc::new(Startup { service: service() });
        let (simple, extended) = (Arc::new(Simple { service: service() }), Arc::new(Extended { service: service() }));
        let cancel = Arc::new(Cancel { connections: Arc::clone(&self.service.connections) });
        let copy = Arc::new(NoopHandler);
        process_message(message, &mut self.socket, startup, simple, extended, copy, cancel).await
    }

    fn is_logged_in(&self) -> bool {
        self.socket.session_extensions().get::<Session>().is_some()
    }
}

/// True for the last message of a statement.
fn ends(message: &PgWireFrontendMessage) -> bool {
    !message.is_extended_query() || matches!(message, PgWireFrontendMessage::Sync(_))
}

/// A stream that fails when more is read from it than is left.
struct Bounded {
    stream: MaybeTls,
    /// Bytes that the current message may still have.
    left: usize,
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            let text = format!(
                "a message is too long: at most {LOGIN_BYTES_MAX} bytes before the login, {MESSAGE_BYTES_MAX} behind it"
            );
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, text)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.left = self.left.saturating_sub(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
