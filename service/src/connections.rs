//! The connections to the HTTP pages.
//!
//! Owns: their number, the time that each may take, and their end with the server. Does not own: the pages (`pages`).
//!
//! Every connection is a file descriptor of the service, and clients that send slowly or never read would keep them
//! all. A new client is always taken in; the oldest connection gives way, since a page takes milliseconds.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// Pause after a connection that could not be accepted, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections that are open at once.
    pub(crate) connections: usize,
    /// Time for the head of a request to arrive, counted from the connection or from the answer before it.
    pub(crate) head: Duration,
    /// Time that a connection may last in all.
    pub(crate) whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 64, head: Duration::from_secs(20), whole: Duration::from_secs(120) }
    }
}

/// Serves the pages of `router` until dropped, which closes every connection.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: Limits) {
    let mut open = Open::default();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if open.by_age.len() >= limits.connections {
                        open.close_oldest();
                    }
                    open.add(answer(stream, router.clone(), limits));
                }
                Err(error) => {
                    tracing::warn!(%error, "an HTTP connection cannot be accepted");
                    open.close_oldest();
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = open.tasks.join_next() => open.by_age.retain(|task| !task.is_finished()),
        }
    }
}

/// Answers the requests of one client. Its errors concern nobody else.
async fn answer(stream: TcpStream, router: Router, limits: Limits) {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head);
    let answering = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::time::timeout(limits.whole, answering).await.ok();
}

/// The connections that are open.
#[derive(Default)]
struct Open {
    tasks: JoinSet<()>,
    /// The oldest first.
    by_age: VecDeque<AbortHandle>,
}

impl Open {
    fn add(&mut self, answering: impl Future<Output = ()> + Send + 'static) {
        self.by_age.push_back(self.tasks.spawn(answering));
    }

    fn close_oldest(&mut self) {
        if let Some(oldest) = self.by_age.pop_front() {
            oldest.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use support::http;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// `/page` has `size` bytes.
    fn pages(size: usize) -> Router {
        Router::new().route("/page", get(move || async move { "x".repeat(size) }))
    }

    /// A server of [`pages`] of three bytes.
    async fn server(limits: Limits) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("any port");
        let address = listener.local_addr().expect("bound");
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, pages(3), limits));
        (address, tasks)
    }

    /// A client that begins a request and does not end it.
    async fn slow_client(address: SocketAddr) -> TcpStream {
        let mut client = TcpStream::connect(address).await.expect("connects");
        client.write_all(b"GET /page HTTP/1.1\r\nHost: x\r\nSlow: ").await.expect("sent");
        client
    }

    /// Waits until the server closes the connection.
    async fn closed(client: &mut TcpStream) {
        let mut rest = Vec::new();
        // A reset is an end as well.
        timeout(LONG, client.read_to_end(&mut rest)).await.expect("the server ends the connection").ok();
    }

    #[tokio::test]
    async fn slow_clients_beyond_the_limit_give_way_and_the_page_is_served() {
        let limits = Limits { connections: 8, head: LONG, whole: LONG };
        let (address, _tasks) = server(limits).await;
        let mut clients = Vec::new();
        for _ in 0..40 {
            clients.push(slow_client(address).await);
        }
        let page = timeout(LONG, http::get(&format!("http://{address}/page"))).await.expect("in time");
        assert_eq!(page.expect("an answer").text(), "xxx");
        for client in &mut clients[..33] {
            closed(client).await;
        }
        for client in &mut clients[33..] {
            client.write_all(b"y\r\nConnection: close\r\n\r\n").await.expect("still open");
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        }
    }

    /// A client of an `answer` that runs within `limits`, with a page of `size` bytes.
    async fn answering(limits: Limits, size: usize) -> (TcpStream, impl Future<Output = ()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("any port");
        let client = slow_client(listener.local_addr().expect("bound")).await;
        let (stream, _) = listener.accept().await.expect("the client");
        (client, answer(stream, pages(size), limits))
    }

    #[tokio::test]
    async fn a_request_whose_head_does_not_end_is_given_up() {
        let limits = Limits { head: Duration::from_millis(50), whole: LONG * 10, ..Limits::default() };
        let (mut client, answering) = answering(limits, 3).await;
        timeout(LONG, answering).await.expect("it is given up");
        closed(&mut client).await;
    }

    #[tokio::test]
    async fn an_answer_that_is_not_read_is_given_up() {
        let limits = Limits { head: LONG * 10, whole: Duration::from_millis(200), ..Limits::default() };
        let size = 64 << 20;
        let (mut client, answering) = answering(limits, size).await;
        client.write_all(b"y\r\n\r\n").await.expect("sent");
        timeout(LONG, answering).await.expect("it is given up");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.ok();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK") && answer.len() < size, "{} bytes arrived", answer.len());
    }

    #[tokio::test]
    async fn no_connection_outlives_the_server() {
        let (address, mut tasks) = server(Limits::default()).await;
        let mut client = slow_client(address).await;
        tasks.shutdown().await;
        closed(&mut client).await;
    }
}
