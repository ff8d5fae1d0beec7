//! An intake against real sockets.

mod tls;

use std::sync::Arc;

use axum::routing::{get, post};
use support::http;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// Holds the requests of `/slow`.
struct Gate {
    arrived: Semaphore,
    open: Semaphore,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self { arrived: Semaphore::new(0), open: Semaphore::new(0) })
    }

    /// Waits until a request is held.
    async fn holds_one(&self) {
        timeout(LONG, self.arrived.acquire()).await.expect("in time").expect("never closed").forget();
    }
}

/// `/slow` answers once `gate` is opened for it; `/fast` at once.
fn router(gate: &Arc<Gate>) -> Router {
    let gate = Arc::clone(gate);
    let slow = move || async move {
        gate.arrived.add_permits(1);
        gate.open.acquire().await.expect("never closed").forget();
        "slow"
    };
    Router::new().route("/slow", post(slow)).route("/fast", get(|| async { "fast" }))
}

async fn intake(gate: &Arc<Gate>, limits: IntakeLimits) -> Intake {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("any port");
    Intake::serve(Listener::of(listener).expect("bound"), router(gate), limits)
}

async fn connected(intake: &Intake) -> TcpStream {
    TcpStream::connect(intake.addr()).await.expect("connects")
}

/// Sends a request on a connection that stays open.
async fn ask(client: &mut TcpStream, line: &str) {
    client
        .write_all(format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").as_bytes())
        .await
        .expect("sent");
}

/// Reads one answer without its end.
async fn answered(client: &mut TcpStream, body: &str) {
    let mut seen = String::new();
    while !seen.ends_with(body) {
        let mut buffer = [0; 512];
        let read = timeout(LONG, client.read(&mut buffer)).await.expect("in time").expect("an answer");
        assert!(read > 0, "the connection ended after {seen:?}");
        seen.push_str(std::str::from_utf8(&buffer[..read]).expect("text"));
    }
    assert!(seen.starts_with("HTTP/1.1 200 OK"), "{seen}");
}

/// Waits until the server closes the connection.
async fn closed(client: &mut TcpStream) {
    let mut rest = Vec::new();
    timeout(LONG, client.read_to_end(&mut rest)).await.expect("the server ends the connection").ok();
    assert_eq!(rest, b"", "nothing more was sent");
}

#[tokio::test]
async fn a_drain_answers_what_began_and_takes_nothing_more() {
    let gate = Gate::new();
    let intake = intake(&gate, IntakeLimits::default()).await;
    let addr = intake.addr();
    let (mut busy, mut idle, mut silent) =
        (connected(&intake).await, connected(&intake).await, connected(&intake).await);
    ask(&mut idle, "GET /fast").await;
    answered(&mut idle, "fast").await;
    ask(&mut busy, "POST /slow").await;
    gate.holds_one().await;
    let draining = tokio::spawn(intake.drain(LONG));
    closed(&mut idle).await;
    closed(&mut silent).await;
    assert!(http::get(&format!("http://{addr}/fast")).await.is_err(), "nothing listens any more");
    gate.open.add_permits(1);
    answered(&mut busy, "slow").await;
    closed(&mut busy).await;
    assert!(draining.await.expect("no panic"), "nothing was cut off");
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline() {
    let gate = Gate::new();
    let intake = intake(&gate, IntakeLimits::default()).await;
    let mut busy = connected(&intake).await;
    ask(&mut busy, "POST /slow").await;
    gate.holds_one().await;
    assert!(!intake.drain(Duration::from_millis(50)).await, "a request was cut off");
    closed(&mut busy).await;
}

#[tokio::test]
async fn beyond_the_limit_the_oldest_end_after_their_request_and_new_ones_wait() {
    let gate = Gate::new();
    let intake = intake(&gate, IntakeLimits { connections: 2, ..IntakeLimits::default() }).await;
    let (mut busy, mut idle) = (connected(&intake).await, connected(&intake).await);
    ask(&mut busy, "POST /slow").await;
    gate.holds_one().await;
    ask(&mut idle, "GET /fast").await;
    answered(&mut idle, "fast").await;
    let mut third = connected(&intake).await;
    ask(&mut third, "GET /fast").await;
    answered(&mut third, "fast").await;
    closed(&mut idle).await;
    gate.open.add_permits(1);
    answered(&mut busy, "slow").await;
    closed(&mut busy).await;
}

#[tokio::test]
async fn a_connection_ends_with_its_age() {
    let gate = Gate::new();
    let limits = IntakeLimits { age: Duration::from_millis(100), ..IntakeLimits::default() };
    let intake = intake(&gate, limits).await;
    let mut client = connected(&intake).await;
    ask(&mut client, "POST /slow").await;
    gate.open.add_permits(1);
    answered(&mut client, "slow").await;
    closed(&mut client).await;
}
