//! A server whose queue is in its memory, beside other processes on the same catalog.
//!
//! Owns: commands that change its topics behind its back, a second writer, requests with many records. Does not own: the queue
//! itself.

use super::{JSON, NDJSON, Server, count, patient};

#[tokio::test]
async fn a_topic_that_a_command_deleted_and_made_again_has_none_of_its_records() {
    let siltstone = patient();
    let create = ["topic", "create", "orders", "--column", "id:int64"];
    siltstone.run(&create).await.ok();
    let server = Server::start(&siltstone).await;
    let (queued, committed) = ("/v1/topics/orders/records", "/v1/topics/orders/records?acks=committed");
    let three = br#"[{"id":1},{"id":2},{"id":3}]"#;
    assert_eq!(server.request("POST", committed, &[JSON], three).await.0, 200);
    assert_eq!(server.request("POST", queued, &[JSON], br#"{"id":4}"#).await.0, 200);
    siltstone.run(&["topic", "delete", "orders", "--yes"]).await.ok();
    server.request("POST", queued, &[JSON], br#"{"id":5}"#).await;
    siltstone.run(&[&create[..], &["--column", "name:string"]].concat()).await.ok();
    // Until the server has noticed, it refuses, or the record belongs to the deleted topic.
    let mut answers = Vec::new();
    while answers.last().is_none_or(|(status, _)| *status != 200) {
        assert!(answers.len() < 200, "{answers:?}");
        answers.push(server.request("POST", committed, &[JSON], br#"{"id":6,"name":"x"}"#).await);
    }
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders WHERE id = 6 AND name = 'x'").await, 1);
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders WHERE id <> 6").await, 0);
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM siltstone.gaps").await, 0);
    server.stop().await;
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders").await, 1, "nothing came with the drain");
}

#[tokio::test]
async fn a_second_server_on_the_catalog_ends_and_the_first_goes_on() {
    let siltstone = patient();
    siltstone.run(&["topic", "create", "orders", "--partitions", "2"]).await.ok();
    let server = Server::start(&siltstone).await;
    let second = siltstone.run(&["up"]).await;
    second.fails(1, &["works on the same catalog, and QUEUE_TYPE=memory is a queue of one process"]);
    for n in 0..4 {
        let path = format!("/v1/topics/orders/records?acks=committed&partition={}", n % 2);
        let (status, body) = server.request("POST", &path, &[JSON], format!("{{\"id\":{n}}}").as_bytes()).await;
        assert_eq!(status, 200, "{body}");
    }
    // A server that was killed has a successor at once: its row is no sign of life.
    drop(server);
    let server = Server::start(&siltstone).await;
    let path = "/v1/topics/orders/records?acks=committed";
    assert_eq!(server.request("POST", path, &[JSON], br#"{"id":9}"#).await.0, 200);
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders").await, 5);
    server.stop().await;
}

#[tokio::test]
async fn a_request_with_thousands_of_records_is_answered_when_all_of_them_are_committed() {
    let siltstone = patient();
    siltstone.run(&["topic", "create", "orders", "--column", "id:int64"]).await.ok();
    let server = Server::start(&siltstone).await;
    let lines: String = (0..12_000).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let path = "/v1/topics/orders/records?acks=committed";
    let (status, body) = server.request("POST", path, &[NDJSON], lines.as_bytes()).await;
    let failed =
        body["records"].as_array().map_or(0, |records| records.iter().filter(|one| one["error"].is_object()).count());
    assert_eq!((status, failed), (200, 0));
    assert_eq!(count(&siltstone, "SELECT count(DISTINCT id) AS c FROM orders").await, 12_000);
    server.stop().await;
}
