//! Agents as real processes: the list of them, producers that find them, publishing to an address.
//!
//! Owns: kills between real processes, and the texts of `agents` and `publish --url`. Does not own: faults of single
//! requests (`ingester/src/remote/tests.rs`).

use common::{OutgoingMessage, TopicName};
use ingester::Producer;
use serde_json::Value;
use support::nats::NatsServer;
use tokio::time::{Instant, sleep};

use crate::binary::{DEADLINE, POLL, Siltstone};
use crate::http::{Server, patient};

/// Role and address of each agent, in order.
async fn listed(siltstone: &Siltstone) -> Vec<(String, String)> {
    let agents = siltstone.run(&["agents", "--json"]).await.ok().json();
    let text = |agent: &Value, member: &str| agent[member].as_str().expect(member).to_owned();
    agents.as_array().expect("a list").iter().map(|agent| (text(agent, "role"), text(agent, "address"))).collect()
}

/// Waits until so many agents of both roles together are listed.
async fn until_listed(siltstone: &Siltstone, count: usize) -> Vec<(String, String)> {
    let end = Instant::now() + DEADLINE;
    loop {
        let agents = listed(siltstone).await;
        if agents.len() == count {
            return agents;
        }
        assert!(Instant::now() < end, "{count} agents are expected: {agents:?}");
        sleep(POLL).await;
    }
}

async fn number(siltstone: &Siltstone, sql: &str) -> u64 {
    let row = siltstone.run(&["query", "--json", sql]).await.ok().json();
    row["c"].as_u64().unwrap_or_else(|| panic!("no count in {row}"))
}

#[tokio::test]
async fn a_producer_finds_real_agents_and_the_kill_of_one_loses_doubles_and_reorders_nothing() {
    let nats = NatsServer::start().await.expect("a NATS server");
    let siltstone = patient().with("QUEUE_TYPE", "nats").with("NATS_URL", &nats.url());
    let siltstone = siltstone.with("AGENT_GROUP", "eu").with("FLUSH_INTERVAL_SECS", "1");
    siltstone.run(&["topic", "create", "orders", "--partitions", "12", "--column", "n:int64!"]).await.ok();
    let (mut killed, lasting) = (Server::start(&siltstone).await, Server::start(&siltstone).await);
    let agents = until_listed(&siltstone, 4).await;
    for url in [&killed.url, &lasting.url] {
        assert!(agents.contains(&("ingester".to_owned(), url.clone())), "{url} is not in {agents:?}");
    }

    let url = format!("sqlite:{}", siltstone.data().join("catalog.db").display());
    let catalog = catalog::connect(&url).await.expect("the catalog");
    let builder = Producer::builder().catalog(catalog).agent_group("eu");
    let producer = builder.batch_size(10).build().await.expect("agents are there");
    let orders = TopicName::new("orders").expect("valid");
    let mut handles = Vec::new();
    for n in 0..6_000 {
        let message = OutgoingMessage::new(format!("{{\"n\":{n}}}"));
        handles.push(producer.enqueue(&orders, Some(n % 12), message).await.expect("buffered"));
        if n == 2_000 {
            killed.process.kill().await.expect("killed");
        }
    }
    for handle in handles {
        let sent = handle.await.expect("the other agent takes over");
        assert!(!sent.duplicate);
    }
    producer.close().await.expect("nothing failed");

    until_listed(&siltstone, 2).await;
    siltstone.run(&["agents"]).await.ok().says(&["ROLE", "ADDRESS", "ingester  eu", &lasting.url, "writer"]);
    siltstone.run(&["agents", "--group", "other"]).await.ok();
    let counts = "SELECT count(*) * 1000000 + count(DISTINCT n) AS c FROM orders";
    let end = Instant::now() + DEADLINE;
    while number(&siltstone, counts).await != 6_000_006_000 {
        assert!(Instant::now() < end, "rows are missing or doubled");
        sleep(POLL).await;
    }
    lasting.stop().await;
    assert!(listed(&siltstone).await.is_empty(), "an orderly stop removes both");
    let disorder = "SELECT count(*) AS c FROM (SELECT n, lag(n) OVER (PARTITION BY _partition_id ORDER BY _offset) AS p FROM orders) WHERE n < p";
    assert_eq!(number(&siltstone, disorder).await, 0);
}

#[tokio::test]
async fn lines_are_published_to_an_address_with_everything_that_publish_offers() {
    let server_side = patient();
    server_side
        .run(&["topic", "create", "orders", "--partitions", "3", "--column", "n:int64", "--column", "k:string"])
        .await
        .ok();
    server_side.run(&["topic", "create", "log", "--format", "text"]).await.ok();
    let server = Server::start(&server_side).await;
    // It has no settings and no catalog, as on another machine.
    let client = Siltstone::new();
    let lines: String = (0..50).map(|n| format!("{{\"n\":{n},\"k\":\"{}\"}}\n", n % 5)).collect();
    std::fs::write(client.path().join("orders.ndjson"), &lines).expect("written");
    let publish = ["publish", "orders", "orders.ndjson", "--url", &server.url];
    let with = |more: &[&'static str]| [&publish[..], more].concat();
    let all = with(&["--acks", "committed", "--key-field", "k", "--resume-id", "import-1"]);
    client.run(&all).await.ok().says(&["published 50 messages to orders\n", "PARTITION"]);
    assert_eq!(number(&server_side, "SELECT count(*) AS c FROM orders").await, 50, "they are in SQL at once");
    client.run(&all).await.ok().says(&["published 50 messages to orders; 50 were stored before"]);
    let later = [&all[..], &["--from-line", "49"][..]].concat();
    client.run(&later).await.ok().says(&["published 2 messages to orders; 2 were stored before"]);
    let published = client.run(&with(&["--partition", "1", "--json"])).await.ok().json();
    assert_eq!(published["published"]["partitions"]["1"]["messages"], 50);
    let text = ["publish", "log", "--url", &server.url];
    client.run_with_input(&text, b"a line\n\nanother\n").await.ok().says(&["published 3 messages to log"]);
    let quarantined = ["publish", "orders", "--url", &server.url, "--acks", "committed"];
    let quarantined = client.run_with_input(&quarantined, b"{\"n\":\"x\"}\n").await.ok();
    quarantined.says(&["1 are in quarantine"]);
    client.run_with_input(&publish[..2], b"{}\n").await.fails(2, &["QUEUE_TYPE=memory", "--url http://"]);
    server.stop().await;
}

#[tokio::test]
async fn errors_of_an_address_say_what_to_do() {
    let server_side = patient();
    server_side.run(&["topic", "create", "orders"]).await.ok();
    let server = Server::start(&server_side).await;
    let client = Siltstone::new();
    let publish = |topic: &'static str, url: &str, more: &'static [&'static str]| {
        let (client, url) = (client.clone(), url.to_owned());
        async move { client.run_with_input(&[&["publish", topic, "--url", &url][..], more].concat(), b"{}\n").await }
    };
    let absent = publish("absent", &server.url, &[]).await;
    absent.fails(1, &["(standard input):1 was not sent", "topic absent does not exist; create it first"]);
    let beyond = publish("orders", &server.url, &["--partition", "7"]).await;
    beyond.fails(2, &["--partition 7: topic orders has partitions 0 to 0"]);
    let nothing = client.run(&["publish", "absent", "--url", &server.url]).await;
    nothing.fails(1, &["topic absent does not exist"]);
    let unsendable =
        client.clone().with("SILTSTONE_TOKEN", "a b").run(&["publish", "orders", "--url", &server.url]).await;
    unsendable.fails(2, &["SILTSTONE_TOKEN: a token is printable ASCII"]);
    let wrong_path = publish("orders", &format!("{}/v1", server.url), &[]).await;
    wrong_path.fails(1, &["answered 404", "without the /v1 of its paths"]);
    let port = server.url.rsplit(':').next().expect("a port").to_owned();
    let foreign = publish("orders", &format!("http://127.0.0.1.nip.invalid:{port}"), &[]).await;
    foreign.fails(1, &["gave no answer", "can this machine reach it?"]);
    publish("orders", "127.0.0.1:1", &[]).await.fails(2, &["--url", "does not begin with http:// or https://"]);
    let no_file = publish("orders", &server.url, &["--token-file", "absent"]).await;
    no_file.fails(2, &["--token-file absent", "No such file"]);
    std::fs::write(client.path().join("empty"), "\n").expect("written");
    let empty = publish("orders", &server.url, &["--token-file", "empty"]).await;
    empty.fails(2, &["--token-file empty is empty"]);
    std::fs::write(client.path().join("broken"), "hush hush\n").expect("written");
    let broken = publish("orders", &server.url, &["--token-file", "broken"]).await;
    let broken = broken.fails(2, &["--token-file broken: a token is printable ASCII"]);
    assert!(!broken.err.contains("hush"), "{broken:?}");
    let alone = client.run(&["publish", "orders", "--token-file", "broken"]).await;
    alone.fails(2, &["--url"]);
    server.stop().await;
    let gone = publish("orders", &format!("http://127.0.0.1:{port}"), &[]).await;
    gone.fails(
        1,
        &["gave no answer: Connection refused", "does `siltstone up` or an ingester run there?", "INGEST_ADDR"],
    );
}

/// A service that answers everything but the probe with this status.
async fn refusing(status: u16, code: &'static str) -> (String, tokio::task::JoinHandle<()>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("any port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut head = vec![0; 64 * 1024];
            let read = stream.read(&mut head).await.expect("a request");
            let is_probe = head[..read].starts_with(b"GET /v1/openapi.json");
            let body = format!(r#"{{"error":{{"code":"{code}","message":"why"}}}}"#);
            let status = if is_probe { 200 } else { status };
            let answer =
                format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.expect("sent");
        }
    });
    (url, serving)
}

#[tokio::test]
async fn a_refusal_for_want_of_a_token_names_the_place_for_it() {
    for (status, code, without, with) in [
        (
            401,
            "unauthorized",
            "set SILTSTONE_TOKEN, or give --token-file",
            "does not know the token of SILTSTONE_TOKEN",
        ),
        (403, "forbidden", "a token may allow it", "the token of SILTSTONE_TOKEN may not do this"),
        (403, "host_not_allowed", "for its own machine alone", "for its own machine alone"),
    ] {
        let (url, serving) = refusing(status, code).await;
        let publish = ["publish", "orders", "--url", &url];
        let answered = format!("answered {status} ({code}): why");
        Siltstone::new().run_with_input(&publish, b"{}\n").await.fails(1, &[&answered, without]);
        let client = Siltstone::new().with("SILTSTONE_TOKEN", "hush-hush");
        let refused = client.run_with_input(&publish, b"{}\n").await.fails(1, &[&answered, with]);
        assert!(!refused.err.contains("hush"), "{refused:?}");
        serving.abort();
    }
}
