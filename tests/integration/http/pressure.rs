//! More requests than memory: some are sent away, all are taken in the end, and nothing hangs.

use futures::future::join_all;
use serde_json::json;

use super::*;

const CLIENTS: u64 = 24;
const RECORDS: u64 = 2_000;

/// One client: repeats its request until it is taken. Returns how often it was sent away.
async fn publish(url: &str, client: u64) -> u32 {
    let filler = "x".repeat(200);
    let first = client * RECORDS;
    let lines: String = (first..first + RECORDS).map(|id| format!("{{\"id\":{id},\"f\":\"{filler}\"}}\n")).collect();
    let key = format!("client-{client}");
    let headers = [NDJSON, ("Idempotency-Key", &*key)];
    let mut sent_away = 0;
    loop {
        // A server that refuses before it has read the body may close the connection under the client.
        if let Ok(answer) = http::post(url, &headers, lines.as_bytes()).await {
            match answer.status {
                200 => return sent_away,
                503 => assert_eq!(answer.header("retry-after"), Some("1"), "{}", answer.text()),
                _ => panic!("{}", answer.text()),
            }
        }
        sent_away += 1;
        sleep(POLL).await;
    }
}

#[tokio::test]
async fn requests_beyond_the_memory_are_sent_away_and_all_are_taken_in_the_end() {
    let siltstone = patient()
        .with("FLUSH_INTERVAL_SECS", "1")
        .with("QUEUE_MEMORY_BYTES", "2097152")
        .with("INGEST_MEMORY_BYTES", "8388608");
    siltstone.run(&["topic", "create", "orders", "--partitions", "2", "--column", "id:int64!"]).await.ok();
    let server = Server::start(&siltstone).await;
    let url = format!("{}/v1/topics/orders/records", server.url);
    let all = join_all((0..CLIENTS).map(|client| publish(&url, client)));
    let sent_away = tokio::time::timeout(DEADLINE, all).await.expect("every request is taken in the end");
    assert!(sent_away.iter().sum::<u32>() > 0, "{CLIENTS} requests that take a megabyte each do not fit in eight");
    server.stop().await;
    assert_eq!(count(&siltstone, "SELECT count(DISTINCT id) AS c FROM orders").await, CLIENTS * RECORDS);
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders").await, CLIENTS * RECORDS);
}

#[tokio::test]
async fn a_body_that_can_never_fit_is_refused_with_the_setting() {
    let siltstone = patient().with("INGEST_MEMORY_BYTES", "8388608");
    siltstone.run(&["topic", "create", "orders"]).await.ok();
    let server = Server::start(&siltstone).await;
    let element = format!("{{\"f\":\"{}\"}}", "x".repeat(1000));
    let array = format!("[{}]", vec![element.as_str(); 10_000].join(","));
    let (status, body) = server.request("POST", "/v1/topics/orders/records", &[JSON], array.as_bytes()).await;
    assert_eq!((status, &body["error"]["code"]), (413, &json!("too_large")), "{body}");
    let text = body["error"]["message"].as_str().expect("text");
    assert!(text.contains("INGEST_MEMORY_BYTES") && text.contains("application/x-ndjson"), "{text}");
    let lines = format!("{element}\n").repeat(10_000);
    let (status, body) = server.request("POST", "/v1/topics/orders/records", &[NDJSON], lines.as_bytes()).await;
    assert_eq!((status, body["records"].as_array().map(Vec::len)), (200, Some(10_000)), "as lines it is taken");
    server.stop().await;
}
