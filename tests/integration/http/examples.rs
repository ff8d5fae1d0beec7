//! The examples in other languages, each against a running server: they do what they say, and a repetition stores nothing.
//!
//! The script of the page runs in Node. Node asks for no permission before a request as a browser does, so the request that
//! a browser would send first is made here.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use support::nats::NatsServer;
use support::process::run_well;
use support::{http, python, tools};

use super::{Server, count, patient};
use crate::binary::{DEADLINE, Siltstone};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// The program with the server's URL; its output.
async fn output(mut command: Command, server: &Server) -> String {
    command.env("SILTSTONE_URL", &server.url);
    run_well("example", command, b"", DEADLINE).await.expect("the example succeeds")
}

async fn with_topic(siltstone: &Siltstone) -> Server {
    siltstone.run(&["topic", "create", "orders", "--column", "id:int64", "--column", "amount:float64"]).await.ok();
    Server::start(siltstone).await
}

const ROWS: &str = "SELECT count(*) AS c FROM orders";

#[tokio::test]
async fn the_example_with_curl_creates_a_topic_and_its_repetition_stores_nothing() {
    let siltstone = patient();
    let server = Server::start(&siltstone).await;
    let curl = || Command::new(example("curl.sh"));
    assert!(output(curl(), &server).await.contains(r#"{"partition":0,"offset":1,"duplicate":false}"#));
    assert_eq!(count(&siltstone, ROWS).await, 2);
    assert!(output(curl(), &server).await.contains(r#"{"partition":0,"offset":1,"duplicate":true}"#));
    assert_eq!(count(&siltstone, ROWS).await, 2);
    let gone = Command::new(example("curl.sh")).env("SILTSTONE_URL", "http://127.0.0.1:1").output().expect("it ran");
    assert!(!gone.status.success(), "a server that is not there is an error");
    server.stop().await;
}

#[tokio::test]
async fn the_example_in_python_over_http_waits_until_its_records_are_in_sql() {
    let siltstone = patient();
    let server = with_topic(&siltstone).await;
    let mut command = Command::new(tools::python().expect("Python"));
    command.arg(example("publish_http.py"));
    assert_eq!(output(command, &server).await, "1000 records are in SQL, the last at offset 999\n");
    assert_eq!(count(&siltstone, "SELECT count(DISTINCT id) AS c FROM orders WHERE amount = id / 4.0").await, 1000);
    server.stop().await;
}

#[tokio::test]
async fn the_member_in_python_over_http_reads_what_the_group_has_not_committed() {
    let siltstone = patient();
    let server = with_topic(&siltstone).await;
    let run = async |name: &str| {
        let mut command = Command::new(tools::python().expect("Python"));
        command.arg(example(name));
        output(command, &server).await
    };
    run("publish_http.py").await;
    assert_eq!(run("consume_http.py").await, "1000 records, 1000 different ids\n");
    assert_eq!(run("consume_http.py").await, "0 records, 0 different ids\n");
    run("publish_http.py").await;
    assert_eq!(run("consume_http.py").await, "1000 records, 1000 different ids\n");
    let described = siltstone.run(&["--json", "groups", "describe", "example"]).await.ok().json();
    assert_eq!((described["partitions"][0]["lag"].clone(), described["members"].clone()), (0.into(), json!([])));
    server.stop().await;
}

#[tokio::test]
async fn the_example_in_python_over_nats_is_in_sql_once() {
    let nats = NatsServer::start().await.expect("a NATS server");
    let siltstone = patient().with("QUEUE_TYPE", "nats").with("NATS_URL", &nats.url());
    let server = with_topic(&siltstone).await;
    for _ in 0..2 {
        let script = format!(
            "import os, runpy\nos.environ['NATS_URL'] = '{}'\nrunpy.run_path({:?}, run_name='__main__')",
            nats.url(),
            example("publish_nats.py")
        );
        let said = python::run(script.as_str(), &[]).await.expect("it publishes");
        assert_eq!(said, "100 records are in stream orders-0, the last at offset 100\n");
    }
    server.stop().await;
    assert_eq!(count(&siltstone, "SELECT count(DISTINCT id) AS c FROM orders").await, 100);
    assert_eq!(count(&siltstone, ROWS).await, 100);
}

#[tokio::test]
async fn the_script_of_the_page_sends_what_is_typed_and_shows_the_answer() {
    let siltstone = patient();
    let server = with_topic(&siltstone).await;
    let page = async |record: &str| {
        let mut node = Command::new(tools::node().expect("Node"));
        node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/http/examples.js"));
        node.args([example("browser.html").to_str().expect("UTF-8"), &server.url, record]);
        output(node, &server).await
    };
    assert_eq!(page(r#"{"id": 3, "amount": 1.25}"#).await, "in SQL at offset 0 of partition 0\n");
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders WHERE id = 3 AND amount = 1.25").await, 1);
    let refused = page(r#"{"id": "x"}"#).await;
    assert!(refused.starts_with("not sent: ") && refused.contains("quarantined"), "{refused}");

    let url = format!("{}/v1/topics/orders/records?acks=committed", server.url);
    let origin = ("Origin", "http://localhost:3000");
    let asked = [
        origin,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type,idempotency-key"),
    ];
    let allowed = http::request("OPTIONS", &url, &asked, b"").await.expect("an answer");
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, Some(origin.1)), "{allowed:?}");
    let methods = allowed.header("access-control-allow-methods").unwrap_or_default();
    let headers = allowed.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
    assert!(methods.contains("POST"), "{allowed:?}");
    assert!(headers.contains("content-type") && headers.contains("idempotency-key"), "{allowed:?}");
    let sent = [origin, ("Content-Type", "application/json"), ("Idempotency-Key", "page-1")];
    let answer = http::post(&url, &sent, br#"[{"id":4}]"#).await.expect("an answer");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(origin.1)), "{answer:?}");
    server.stop().await;
}
