//! A TCP proxy on loopback whose behaviour a test changes while it runs: the faulty network.
//!
//! Owns: its connections. Does not own: either end, the order of faults.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// The treatment of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They pass.
    Pass,
    /// They pass, each piece after this delay.
    Delay(Duration),
    /// Nothing passes in either direction and no connection ends; held bytes pass later.
    Stall,
    /// New connections are closed at once; open ones continue.
    Refuse,
    /// The client's bytes pass, the server's replies are lost.
    DropReplies,
}

/// The direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

/// The manner in which the proxy ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Closed at both ends, after all passed bytes.
    Closed,
    /// Reset at both ends at once; passed bytes may be lost.
    Reset,
    /// Neither end gets a signal, not even that the other has closed.
    Stranded,
}

#[derive(Clone, Copy, Debug)]
struct State {
    mode: Mode,
    /// The target of new connections.
    target: SocketAddr,
    /// Rises with each order to end connections; the order concerns older connections.
    ended: u64,
    /// The latest order.
    end: End,
    /// Bytes of replies lost so far.
    lost: u64,
}

/// An end that waits for its byte.
#[derive(Debug)]
struct Armed {
    direction: Direction,
    left: u64,
    end: End,
    done: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Shared {
    state: watch::Sender<State>,
    /// Number of accepted connections.
    connections: AtomicU64,
    /// Bytes that passed, by direction.
    passed: [AtomicU64; 2],
    // A std mutex: held for one subtraction, never across an await.
    armed: Mutex<Option<Armed>>,
}

/// A proxy that listens until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free loopback port for connections to `target`, in mode [`Mode::Pass`].
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (state, _) = watch::channel(State { mode: Mode::Pass, target, ended: 0, end: End::Closed, lost: 0 });
        let (connections, passed) = Default::default();
        let shared = Arc::new(Shared { state, connections, passed, armed: Mutex::default() });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// The address for clients.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the treatment of the bytes, in open connections too.
    pub fn set(&self, mode: Mode) {
        self.shared.state.send_modify(|state| state.mode = mode);
    }

    /// New connections go to another server, as after a failover.
    pub fn retarget(&self, target: SocketAddr) {
        self.shared.state.send_modify(|state| state.target = target);
    }

    /// Waits until at least this many bytes of replies were lost in [`Mode::DropReplies`] since the start.
    pub async fn lost_at_least(&self, bytes: u64) {
        let mut state = self.shared.state.subscribe();
        state.wait_for(|state| state.lost >= bytes).await.expect("the proxy itself holds the sender");
    }

    /// Number of connections that clients made since the start.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Bytes that passed in this direction since the start, in all connections together.
    pub fn passed(&self, direction: Direction) -> u64 {
        self.shared.passed[direction as usize].load(Ordering::Relaxed)
    }

    /// Ends every open connection now; both ends see it closed. The mode stays.
    pub fn cut(&self) {
        self.shared.end_all(End::Closed);
    }

    /// Resets every open connection now (RST); passed and unread bytes may be lost. The mode stays.
    pub fn reset(&self) {
        self.shared.end_all(End::Reset);
    }

    /// Leaves every open connection half open, as a lost route does: neither end receives anything from the other,
    /// not even its close, until the next [`Proxy::cut`] or [`Proxy::reset`]. New connections work.
    pub fn strand(&self) {
        self.shared.end_all(End::Stranded);
    }

    /// Cuts once, as soon as exactly this many more bytes have passed in this direction; only the connection of the
    /// last byte is ended. The receiver resolves after the cut. A later call replaces this one.
    pub fn cut_after(&self, direction: Direction, bytes: u64) -> oneshot::Receiver<()> {
        self.arm(direction, bytes, End::Closed)
    }

    /// Like [`Proxy::cut_after`], but the connection is stranded instead of cut.
    pub fn strand_after(&self, direction: Direction, bytes: u64) -> oneshot::Receiver<()> {
        self.arm(direction, bytes, End::Stranded)
    }

    fn arm(&self, direction: Direction, bytes: u64, end: End) -> oneshot::Receiver<()> {
        let (done, answer) = oneshot::channel();
        *self.shared.armed.lock().expect("no holder panics") = Some(Armed { direction, left: bytes, end, done });
        answer
    }

    /// Drops an armed end that has not happened yet.
    pub fn disarm(&self) {
        self.shared.armed.lock().expect("no holder panics").take();
    }

    /// Cuts every connection and refuses new ones for `down`, then lets them pass for `up`; repeats this `times`
    /// times.
    pub async fn flap(&self, times: u32, down: Duration, up: Duration) {
        for _ in 0..times {
            self.set(Mode::Refuse);
            self.cut();
            sleep(down).await;
            self.set(Mode::Pass);
            sleep(up).await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections are in the task's JoinSet and end with it.
        self.accepting.abort();
    }
}

impl Shared {
    fn end_all(&self, end: End) {
        self.state.send_modify(|state| {
            state.ended += 1;
            state.end = end;
        });
    }

    /// Number of bytes out of `length` that may pass, and the end of the connection after them.
    fn allow(&self, direction: Direction, length: usize) -> (usize, Option<Armed>) {
        let mut armed = self.armed.lock().expect("no holder panics");
        match armed.as_mut().filter(|armed| armed.direction == direction) {
            Some(cut) if cut.left <= length as u64 => {
                let passing = usize::try_from(cut.left).expect("not more than the length");
                (passing, armed.take())
            }
            Some(cut) => {
                cut.left -= length as u64;
                (length, None)
            }
            None => (length, None),
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                shared.connections.fetch_add(1, Ordering::Relaxed);
                if shared.state.borrow().mode != Mode::Refuse {
                    connections.spawn(connection(client, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(mut client: TcpStream, shared: Arc<Shared>) {
    let mut orders = shared.state.subscribe();
    let State { ended: begun, target, .. } = *orders.borrow();
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    // Without it a piece waits for the answer to the one before it.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut end = {
        let ((client_read, client_write), (server_read, server_write)) = (client.split(), server.split());
        let to_server = pump(client_read, server_write, Direction::ToServer, &shared);
        let to_client = pump(server_read, client_write, Direction::ToClient, &shared);
        tokio::select! {
            passed = async { tokio::try_join!(to_server, to_client) } => passed.err(),
            ordered = next_end(&mut orders, begun) => ordered,
        }
    };
    if end == Some(End::Stranded) {
        let stranded = orders.borrow().ended;
        end = tokio::select! {
            () = swallow(&mut client, &mut server) => None,
            ordered = next_end(&mut orders, stranded) => ordered,
        };
    }
    match end {
        // Both ends closed it, or the proxy was dropped.
        None | Some(End::Stranded) => {}
        Some(End::Closed) => {
            // Sockets that are dropped with unread bytes reset the connection, and passed bytes could be lost.
            let _ = (client.shutdown().await, server.shutdown().await);
            swallow(&mut client, &mut server).await;
        }
        Some(End::Reset) => {
            // Fails only on a connection that is already broken.
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
    }
}

/// The next order to end connections after `known`; `None` if the proxy was dropped.
async fn next_end(orders: &mut watch::Receiver<State>, known: u64) -> Option<End> {
    orders.wait_for(|state| state.ended != known).await.ok().map(|state| state.end)
}

/// Copies until the reader ends; then the writer's side is closed too.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, direction: Direction, shared: &Shared) -> Result<(), End> {
    let mut orders = shared.state.subscribe();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await.unwrap_or(0);
        let mode = match orders.wait_for(|state| state.mode != Mode::Stall).await {
            Ok(state) => state.mode,
            Err(_) => return Ok(()),
        };
        if let Mode::Delay(wait) = mode {
            sleep(wait).await;
        }
        if length == 0 {
            let _ = to.shutdown().await;
            return Ok(());
        }
        if mode == Mode::DropReplies && direction == Direction::ToClient {
            shared.state.send_modify(|state| state.lost += length as u64);
            continue;
        }
        let (passing, end) = shared.allow(direction, length);
        // Counted before they are written, so that a reader of these bytes finds them counted.
        shared.passed[direction as usize].fetch_add(passing as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..passing]).await.is_err() {
            return Ok(());
        }
        if let Some(armed) = end {
            // The caller that armed it may have dropped the receiver.
            let _ = armed.done.send(());
            return Err(armed.end);
        }
    }
}

/// Reads and discards the bytes of both ends, until both have closed.
async fn swallow(client: &mut TcpStream, server: &mut TcpStream) {
    let (mut lost, mut also_lost) = (tokio::io::sink(), tokio::io::sink());
    let _ = tokio::join!(tokio::io::copy(client, &mut lost), tokio::io::copy(server, &mut also_lost));
}
