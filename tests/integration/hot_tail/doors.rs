//! The hot tail at the doors for other people's tools: PostgreSQL protocol, Flight SQL and HTTP.
//!
//! Owns: the processes and what is published. Does not own: the clients (`serving/hot_tail.py`).

use serde_json::{Value, json};
use support::nats::NatsServer;

use crate::binary::Siltstone;
use crate::serving::Server;

/// Batches stay open: nothing is committed while a test looks.
fn patient() -> Siltstone {
    Siltstone::new().with("FLUSH_INTERVAL_SECS", "3600").with("LEASE_SECS", "2").with("HOT_TAIL", "auto")
}

fn on_nats(nats: &NatsServer) -> Siltstone {
    patient().with("QUEUE_TYPE", "nats").with("NATS_URL", &nats.url())
}

async fn with_topic(siltstone: &Siltstone, name: &str) {
    siltstone.run(&["topic", "create", name, "--partitions", "2", "--column", "id:int64"]).await.ok();
}

async fn publish(siltstone: &Siltstone, topic: &str, count: usize) {
    let lines: String = (0..count).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    siltstone.run_with_input(&["publish", topic], lines.as_bytes()).await.ok();
}

/// The status and the body of an answer.
fn answered(answer: anyhow::Result<support::http::Response>) -> (u16, Value) {
    let answer = answer.expect("an answer");
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}")))
}

/// The text of an error.
fn said(body: &Value) -> &str {
    body["error"]["message"].as_str().unwrap_or_default()
}

/// Publishes over HTTP and counts at once, in every client.
async fn counts_at_once(siltstone: Siltstone) {
    with_topic(&siltstone, "orders").await;
    let server = Server::run(siltstone, "up").await;
    let wanted = json!({ "publish": 3, "count": 0, "hidden": false });
    server.clients("hot_tail.py", "", &wanted.to_string()).await;
    server.stop().await;
}

#[tokio::test]
async fn what_was_published_to_the_memory_of_a_server_is_counted_at_every_door() {
    counts_at_once(patient()).await;
}

#[tokio::test]
async fn what_was_published_by_a_server_to_nats_is_counted_at_every_door() {
    let nats = NatsServer::start().await.expect("a NATS server");
    counts_at_once(on_nats(&nats)).await;
}

#[tokio::test]
async fn a_server_that_only_reads_shows_what_nobody_has_committed() {
    let mut nats = NatsServer::start().await.expect("a NATS server");
    let siltstone = on_nats(&nats);
    with_topic(&siltstone, "orders").await;
    publish(&siltstone, "orders", 25).await;
    let server = Server::run(siltstone.clone(), "serve").await;
    let wanted = |is_hidden: bool| json!({ "publish": 0, "count": 25, "hidden": is_hidden }).to_string();
    server.clients("hot_tail.py", "", &wanted(false)).await;

    with_topic(&siltstone, "secret").await;
    publish(&siltstone, "secret", 5).await;
    let made = siltstone.run(&["token", "create", "reader", "--allow", "read:orders", "--json"]).await.ok().json();
    let token = made["secret"].as_str().expect("a token").to_owned();
    server.clients("hot_tail.py", &token, &wanted(true)).await;

    // Without the queue committed rows are shown, unless the tail is demanded.
    nats.kill().await.expect("killed");
    let count = async |mode: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str()), ("Siltstone-Hot-Tail", mode)];
        let url = format!("http://{}/v1/query", server.addresses[0]);
        answered(support::http::post(&url, &headers, b"SELECT count(*) AS n FROM orders").await)
    };
    assert_eq!(count("auto").await, (200, json!([{ "n": 0 }])));
    let (status, body) = count("on").await;
    assert!(status == 503 && said(&body).contains("topic orders has no hot tail here: "), "{status} {body}");
    let log = server.log_text();
    assert!(log.contains("topic orders: committed rows only, without the hot tail: "), "{log}");
    server.stop().await;
}

#[tokio::test]
async fn a_server_beside_a_queue_in_memory_shows_what_is_committed_and_says_so() {
    let siltstone = patient();
    with_topic(&siltstone, "t").await;
    siltstone.settle("t", &["{\"id\":1}"]).await;
    let server = Server::run(siltstone, "serve").await;
    let url = format!("http://{}/v1/query", server.addresses[0]);
    let count = async |mode: &str| {
        answered(support::http::post(&url, &[("Siltstone-Hot-Tail", mode)], b"SELECT count(*) AS n FROM t").await)
    };
    assert_eq!(count("auto").await, (200, json!([{ "n": 1 }])));
    let (status, body) = count("on").await;
    assert!(status == 400 && said(&body).contains("QUEUE_TYPE=memory"), "{status} {body}");
    assert!(server.log_text().contains("queries show committed records alone: QUEUE_TYPE=memory"));
    server.stop().await;
}
