//! Queries of other people's tools, with the built binary: psql, psycopg, ADBC, Arrow Flight and plain HTTP.
//!
//! Owns: starting `serve` over the demo's lake, and finding its addresses. Does not own: the clients
//! (`serving/clients.py`), single answers (the crate `serving`).

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout};

use serde_json::{Value, json};
use support::keys::Authority;
use support::process::Process;
use support::{python, tools};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::binary::{DEADLINE, POLL, Siltstone};

/// Most memory of a server whose queries may have 32 MiB each, on any machine.
const MEMORY_KIB_MAX: u64 = 1_500_000;

/// A running `siltstone serve` or `up` with all doors; killed when dropped.
pub(crate) struct Server {
    siltstone: Siltstone,
    process: Process,
    log: PathBuf,
    /// The addresses over HTTP, of the PostgreSQL protocol and of Flight SQL.
    pub(crate) addresses: [String; 3],
}

impl Server {
    /// Serves the lake of a demo.
    async fn start(siltstone: Siltstone) -> Self {
        Self::start_as("serve", siltstone).await
    }

    /// Starts another command that has the doors.
    async fn start_as(command: &str, siltstone: Siltstone) -> Self {
        let demo = siltstone.run(&["demo", "--records", "2000", "--json"]).await.ok().json();
        let directory = demo["directory"].as_str().expect("a path").to_owned();
        Self::run(siltstone.with("STORAGE_PATH", &directory), command).await
    }

    /// Runs one of the two commands that serve.
    pub(crate) async fn run(siltstone: Siltstone, command: &str) -> Self {
        let siltstone = siltstone
            .with("POSTGRES_ADDR", "127.0.0.1:0")
            .with("FLIGHT_ADDR", "127.0.0.1:0")
            .with("LOG_FORMAT", "json");
        let log = siltstone.path().join(format!("{command}.log"));
        let process = Process::spawn(command, siltstone.command(&[command]), &log).expect("it starts");
        let mut server = Self { siltstone, process, log, addresses: Default::default() };
        for (index, setting) in ["INGEST_ADDR", "POSTGRES_ADDR", "FLIGHT_ADDR"].into_iter().enumerate() {
            server.addresses[index] = server.address(setting).await;
        }
        server
    }

    /// Waits for the log line of an address.
    async fn address(&mut self, setting: &str) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            let text = self.log_text();
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            // The log line of `up` names its address otherwise.
            let found = lines.into_iter().find_map(|line| match setting {
                "INGEST_ADDR" if line["ingest"].is_string() => Some(line["ingest"].clone()),
                _ => (line["setting"] == setting).then(|| line["addr"].clone()),
            });
            if let Some(address) = found {
                return address.as_str().expect("an address").to_owned();
            }
            assert!(self.process.exited().expect("its status").is_none(), "it ended: {text}");
            assert!(Instant::now() < end, "no {setting} in {text}");
            sleep(POLL).await;
        }
    }

    pub(crate) fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).expect("a log")).into_owned()
    }

    /// Runs a program of clients with the addresses and a token, and returns its output.
    pub(crate) async fn clients(&self, script: &str, token: &str, argument: &str) -> String {
        let mut arguments = self.arguments(token);
        arguments.extend((!argument.is_empty()).then(|| argument.to_owned()));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let done = python::run(script_of(script).as_path(), &arguments).await;
        done.unwrap_or_else(|error| panic!("{error:#}\n{}", self.log_text()))
    }

    /// Starts a program of clients that is talked to.
    fn talk(&self, script: &str) -> (Process, ChildStdin, ChildStdout) {
        let arguments = self.arguments("");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        python::talk(script_of(script).as_path(), &arguments).expect("it starts")
    }

    fn arguments(&self, token: &str) -> Vec<String> {
        let psql = tools::postgres("psql").expect("PostgreSQL's client").display().to_string();
        let [http, postgres, flight] = self.addresses.clone();
        vec![psql, http, postgres, flight, token.to_owned()]
    }

    /// Ends it as an operator does; it must end in good order.
    pub(crate) async fn stop(mut self) {
        self.process.signal("TERM").expect("sent");
        let status = self.process.wait(DEADLINE).await.unwrap_or_else(|error| panic!("{error}: {}", self.log_text()));
        assert_eq!(status.code(), Some(0), "{}", self.log_text());
    }
}

fn script_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/serving").join(name)
}

#[tokio::test]
async fn the_demos_queries_have_equal_answers_in_every_client() {
    let server = Server::start(Siltstone::new()).await;
    let statements = json!([
        "SELECT status, count(*) AS orders, sum(amount) AS amount, min(created_at) AS first, max(created_at) AS last \
         FROM orders GROUP BY status ORDER BY orders DESC",
        "SELECT count(*) FROM orders",
        "SELECT _partition_id, _offset, reason FROM quarantine.orders ORDER BY 1, 2 LIMIT 5",
        "SELECT order_id, _extra FROM orders WHERE _extra IS NOT NULL ORDER BY order_id LIMIT 5",
    ]);
    let printed = server.clients("demo.py", "", &statements.to_string()).await;
    let found: serde_json::Map<String, Value> = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(found.len(), 5);
    let expected = &found["http"];
    assert_eq!(expected[1], json!([["1997"]]));
    assert_eq!(expected[0].as_array().map(Vec::len), Some(5), "{expected}");
    for (client, answers) in &found {
        assert_eq!(answers, expected, "{client}");
    }
    server.stop().await;
}

#[tokio::test]
async fn clients_find_what_they_ask_for_at_each_door() {
    let server = Server::start(Siltstone::new()).await;
    server.clients("details.py", "", "").await;
    server.clients("values.py", "", "").await;
    server.clients("tools.py", "", "").await;
    server.stop().await;
}

#[tokio::test]
async fn the_doors_of_up_are_those_of_serve() {
    let server = Server::start_as("up", Siltstone::new()).await;
    let statements = json!(["SELECT count(*) FROM orders", "SELECT count(*) FROM quarantine.orders"]);
    let printed = server.clients("demo.py", "", &statements.to_string()).await;
    let found: serde_json::Map<String, Value> = serde_json::from_str(&printed).expect("JSON");
    for (client, answers) in &found {
        assert_eq!(answers, &json!([[["1997"]], [["3"]]]), "{client}");
    }
    assert_eq!(found.len(), 5);
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_or_abandoned_query_frees_its_slot_and_portals_give_rows_in_parts() {
    let siltstone = Siltstone::new().with("QUERY_CONCURRENCY", "1").with("QUERY_QUEUE", "0");
    let server = Server::start(siltstone.with("QUERY_TIMEOUT_SECS", "600")).await;
    server.clients("connections.py", "", "").await;
    server.stop().await;
}

#[tokio::test]
async fn every_door_has_tls_with_the_certificate_of_the_http_service() {
    let (authority, other) = (Authority::new().expect("openssl"), Authority::new().expect("openssl"));
    let (certificate, key) = authority.sign("server", 2).expect("signed");
    let siltstone = Siltstone::new()
        .with("INGEST_TLS_CERT", &certificate.display().to_string())
        .with("INGEST_TLS_KEY", &key.display().to_string());
    let server = Server::start(siltstone).await;
    let authorities = format!("{},{}", authority.ca_file().display(), other.ca_file().display());
    server.clients("tls.py", "", &authorities).await;
    server.stop().await;
}

#[tokio::test]
async fn a_drain_lets_the_answer_that_began_end() {
    let mut server = Server::start(Siltstone::new()).await;
    let (mut client, mut input, output) = server.talk("drain.py");
    let mut lines = std::io::BufReader::new(output).lines();
    let mut line = || lines.next().expect("a line").expect("text");
    assert_eq!(line(), "running");
    server.process.signal("TERM").expect("sent");
    // Nobody else is let in any more.
    let end = Instant::now() + DEADLINE;
    while TcpStream::connect(&server.addresses[1]).await.is_ok() {
        assert!(Instant::now() < end, "{}", server.log_text());
        sleep(POLL).await;
    }
    assert!(server.process.exited().expect("its status").is_none(), "{}", server.log_text());
    input.write_all(b"go\n").expect("written");
    assert_eq!(line(), "200000");
    assert!(client.wait(DEADLINE).await.expect("it ends").success());
    let status = server.process.wait(DEADLINE).await.expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", server.log_text());
}

#[tokio::test]
async fn hostile_statements_are_refused_or_bounded_and_the_server_lives() {
    let siltstone = Siltstone::new()
        .with("QUERY_MEMORY_BYTES", "33554432")
        .with("QUERY_TIMEOUT_SECS", "2")
        .with("QUERY_ROWS_MAX", "10000");
    let server = Server::start(siltstone).await;
    server.clients("hostile.py", "", "").await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.pid())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its most memory");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");
    assert!(!server.log_text().contains("panicked"), "{}", server.log_text());
    server.stop().await;
}

#[tokio::test]
async fn a_token_sees_its_topics_alone_at_every_door() {
    let server = Server::start(Siltstone::new()).await;
    let create = ["topic", "create", "secret", "--column", "id:int64"];
    server.siltstone.run(&create).await.ok();
    let made = async |name: &str, grant: &str| {
        let made = server.siltstone.run(&["token", "create", name, "--allow", grant, "--json"]).await.ok().json();
        made["secret"].as_str().unwrap_or_else(|| panic!("no secret in {made}")).to_owned()
    };
    let token = made("reader", "read:orders").await;
    let producer = made("producer", "produce:orders").await;
    server.clients("tokens.py", &token, &producer).await;
    let log = server.log_text();
    assert!(!log.contains(&token) && log.contains(token.split('_').nth(1).expect("its id")), "{log}");
    server.stop().await;
}
