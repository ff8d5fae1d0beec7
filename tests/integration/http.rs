//! Records over HTTP, with the built binary: every queue, kills, drains and refusals.
//!
//! Owns: starting a server, finding its address in its log, and sending records to it. Does not own: the expectations of
//! each test (the modules below), single answers (`ingester/src/http/tests.rs`).

mod administration;
mod auto_create;
mod drain;
mod examples;
mod kills;
mod memory_queue;
mod nats;
mod pressure;
mod properties;
mod secured;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use support::http::{self, Response};
use support::process::Process;
use tokio::time::{Instant, sleep};

use crate::binary::{DEADLINE, POLL, Siltstone};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

/// A running `siltstone up`; killed when dropped.
pub(crate) struct Server {
    pub(crate) process: Process,
    log: PathBuf,
    pub(crate) url: String,
}

/// Settings of a server whose batches stay open unless somebody waits for them; the log is JSON.
pub(crate) fn patient() -> Siltstone {
    Siltstone::new().with("FLUSH_INTERVAL_SECS", "3600").with("LEASE_SECS", "2").with("LOG_FORMAT", "json")
}

impl Server {
    pub(crate) async fn start(siltstone: &Siltstone) -> Self {
        let log = siltstone.path().join(format!("{}.log", support::unique_name()));
        let process = Process::spawn("up", siltstone.command(&["up"]), &log).expect("it starts");
        let mut server = Self { process, log, url: String::new() };
        let address = server.logged("ingest").await;
        server.url = format!("http://{}", address.as_str().expect("an address"));
        server
    }

    /// Waits for a log line with this member, and returns its value.
    async fn logged(&mut self, member: &str) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let text = self.log_text();
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(found) = lines.into_iter().find_map(|line| line.get(member).cloned()) {
                return found;
            }
            assert!(self.process.exited().expect("its status").is_none(), "it ended: {text}");
            assert!(Instant::now() < end, "no {member} in {text}");
            sleep(POLL).await;
        }
    }

    fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).expect("a log")).into_owned()
    }

    async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
        let answer = http::request(method, &format!("{}{path}", self.url), headers, body).await;
        answered(&answer.unwrap_or_else(|error| panic!("{error:#}: {}", self.log_text())))
    }

    /// Ends it as an operator does; it must end in good order.
    pub(crate) async fn stop(mut self) {
        self.process.signal("TERM").expect("sent");
        let status = self.process.wait(DEADLINE).await.unwrap_or_else(|error| panic!("{error}: {}", self.log_text()));
        assert_eq!(status.code(), Some(0), "{}", self.log_text());
    }
}

#[track_caller]
fn answered(response: &Response) -> (u16, Value) {
    let body = serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {response:?}"));
    (response.status, body)
}

/// The only row of a query with the column `c`.
async fn count(siltstone: &Siltstone, sql: &str) -> u64 {
    let row = siltstone.run(&["query", "--json", sql]).await.ok().json();
    row["c"].as_u64().unwrap_or_else(|| panic!("no count in {row}"))
}

#[tokio::test]
async fn what_a_server_with_a_memory_queue_confirmed_as_committed_is_in_sql_at_once() {
    let siltstone = patient();
    siltstone.run(&["topic", "create", "orders", "--column", "id:int64!"]).await.ok();
    let server = Server::start(&siltstone).await;
    let path = "/v1/topics/orders/records?acks=committed";
    let (status, body) = server.request("POST", path, &[JSON], br#"[{"id":1},{"id":"x"},{"id":3}]"#).await;
    assert_eq!(status, 422, "{body}");
    assert_eq!(body["records"][0], json!({ "partition": 0, "offset": 0, "duplicate": false }));
    let quarantined = &body["records"][1];
    assert_eq!((&quarantined["offset"], &quarantined["error"]["code"]), (&json!(1), &json!("quarantined")));
    assert!(quarantined["error"]["message"].as_str().expect("text").contains("int64"), "{quarantined}");
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders").await, 2);
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM quarantine.orders").await, 1);
    let lines: String = (10..5010).map(|n| format!("{{\"id\":{n}}}\n")).collect();
    let (status, body) = server.request("POST", path, &[NDJSON], lines.as_bytes()).await;
    assert_eq!((status, body["records"].as_array().map(Vec::len)), (200, Some(5000)));
    assert_eq!(count(&siltstone, "SELECT count(DISTINCT id) AS c FROM orders").await, 5002);
    let (status, _) = server.request("POST", "/v1/topics/orders/records", &[JSON], br#"{"id":6000}"#).await;
    assert_eq!(status, 200, "the queue has it");
    server.stop().await;
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders WHERE id = 6000").await, 1, "a stop drains");
}

#[tokio::test]
async fn an_address_that_others_use_is_refused() {
    let siltstone = patient();
    let server = Server::start(&siltstone).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let second = Siltstone::new().with("INGEST_ADDR", &address).run(&["up"]).await;
    second.fails(1, &[&format!("cannot listen on INGEST_ADDR={address}")]);
}

#[tokio::test]
async fn a_client_that_is_slow_is_given_up_and_the_others_are_served() {
    let siltstone = patient().with("INGEST_BODY_BYTES", "2048");
    siltstone.run(&["topic", "create", "orders"]).await.ok();
    let server = Server::start(&siltstone).await;
    let long = vec![b'x'; 2049];
    let bytes = [("Content-Type", "application/octet-stream")];
    let (status, body) = server.request("POST", "/v1/topics/orders/records", &bytes, &long).await;
    assert_eq!((status, &body["error"]["code"]), (413, &json!("too_large")));
    let silent = tokio::net::TcpStream::connect(server.url.trim_start_matches("http://")).await.expect("connected");
    let head = "POST /v1/topics/orders/records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n\
                Content-Length: 10\r\n\r\nhalf";
    let (mut from_server, mut to_server) = silent.into_split();
    tokio::io::AsyncWriteExt::write_all(&mut to_server, head.as_bytes()).await.expect("sent");
    let (status, _) = server.request("POST", "/v1/topics/orders/records", &bytes, b"whole").await;
    assert_eq!(status, 200);
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut from_server, &mut answer);
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("it is given up").expect("an answer");
    let answer = String::from_utf8(answer).expect("text");
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body_timeout"), "{answer}");
}
