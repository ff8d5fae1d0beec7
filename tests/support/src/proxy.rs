//! A TCP proxy on loopback whose behaviour a test changes while it runs: the faulty network.
//!
//! Owns: its connections. Does not own: either end.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What happens to the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They pass.
    Pass,
    /// Nothing passes in either direction and no connection ends; what was held passes later.
    Stall,
    /// New connections are closed at once; the ones that are open go on.
    Refuse,
    /// What the client sends passes, what the server answers is lost.
    DropReplies,
}

#[derive(Clone, Copy, Debug)]
struct State {
    mode: Mode,
    /// Rises with each cut; a connection ends when it is no longer the one it started with.
    cuts: u64,
    /// Bytes of replies that were lost so far.
    lost: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

/// A proxy that listens until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free loopback port for connections to `target`, in mode [`Mode::Pass`].
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (state, receiver) = watch::channel(State { mode: Mode::Pass, cuts: 0, lost: 0 });
        let state = Arc::new(state);
        let accepting = tokio::spawn(accept(listener, target, Link { sender: state.clone(), receiver }));
        Ok(Self { address, state, accepting })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens to the bytes, in open connections too.
    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    /// Waits until at least this many bytes of replies were lost in [`Mode::DropReplies`] since the start.
    pub async fn lost_at_least(&self, bytes: u64) {
        let mut state = self.state.subscribe();
        state.wait_for(|state| state.lost >= bytes).await.expect("the proxy itself holds the sender");
    }

    /// Ends every open connection now; the mode stays.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections are in the task's JoinSet and end with it.
        self.accepting.abort();
    }
}

/// A connection's end of the state.
#[derive(Clone)]
struct Link {
    sender: Arc<watch::Sender<State>>,
    receiver: watch::Receiver<State>,
}

async fn accept(listener: TcpListener, target: SocketAddr, link: Link) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                if link.receiver.borrow().mode != Mode::Refuse {
                    connections.spawn(connection(client, target, link.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(client: TcpStream, target: SocketAddr, mut link: Link) {
    let cuts = link.receiver.borrow().cuts;
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let to_server = pump(client_read, server_write, Direction::ToServer, link.clone());
    let to_client = pump(server_read, client_write, Direction::ToClient, link.clone());
    tokio::select! {
        _ = async { tokio::join!(to_server, to_client) } => {}
        _ = link.receiver.wait_for(|state| state.cuts != cuts) => {}
    }
}

/// Copies until the reader ends; then the writer's side is closed too.
async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, direction: Direction, mut link: Link) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await.unwrap_or(0);
        let mode = match link.receiver.wait_for(|state| state.mode != Mode::Stall).await {
            Ok(state) => state.mode,
            Err(_) => return,
        };
        if length == 0 {
            let _ = to.shutdown().await;
            return;
        }
        if mode == Mode::DropReplies && direction == Direction::ToClient {
            link.sender.send_modify(|state| state.lost += length as u64);
        } else if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
