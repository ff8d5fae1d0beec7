//! Topics without a queue server: created, listed, described, deleted.

use serde_json::json;

use crate::binary::Siltstone;

#[tokio::test]
async fn a_topic_is_created_listed_described_and_deleted() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "list"]).await.fails(1, &["no catalog at"]);
    siltstone.run(&["topic", "create", "first"]).await.ok();
    siltstone.run(&["topic", "delete", "first", "--yes"]).await.ok();
    siltstone.run(&["topic", "list"]).await.ok().says(&["no topics yet"]);
    let create = [
        "topic",
        "create",
        "orders",
        "--partitions",
        "3",
        "--column",
        "id:int64!",
        "--column",
        "amount:decimal(12,2)",
        "--retention",
        "7d",
    ];
    let created = siltstone.run(&create).await.ok();
    created.says(&["created topic orders", "3 partitions", "id:int64!", "/v1/topics/orders/records"]);
    assert!(!created.out.contains("mappings"), "a queue in memory has no subjects: {}", created.out);
    siltstone.run(&["topic", "list"]).await.ok().says(&["orders", "json", "7d"]);
    let described = siltstone.run(&["topic", "describe", "orders"]).await.ok();
    described.says(&["amount:decimal(12,2)", "WATERMARK", "active", "not reachable: QUEUE_TYPE=memory"]);
    siltstone.run(&["topic", "delete", "orders", "--yes"]).await.ok().says(&["deleted topic orders"]);
    siltstone.run(&["topic", "list"]).await.ok().says(&["no topics yet"]);
    siltstone.run(&["topic", "describe", "orders"]).await.fails(1, &["topic not found: orders"]);
    siltstone.run(&["topic", "delete", "orders", "--yes"]).await.fails(1, &["topic not found: orders"]);
}

#[tokio::test]
async fn the_same_in_json() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "first"]).await.ok();
    siltstone.run(&["topic", "delete", "first", "--yes"]).await.ok();
    assert_eq!(siltstone.run(&["topic", "list", "--json"]).await.ok().json(), json!([]));
    let schema = r#"[{"name":"id","type":"int64"},{"name":"tags","type":{"list":"string"}}]"#;
    std::fs::write(siltstone.path().join("schema.json"), schema).expect("written");
    let create = ["--json", "topic", "create", "events", "--schema", "schema.json"];
    let created = siltstone.run(&create).await.ok().json();
    assert_eq!((&created["name"], &created["partition_count"]), (&json!("events"), &json!(1)));
    assert_eq!(created["config"]["columns"][1]["type"], json!({"list": "string"}));
    let described = siltstone.run(&["topic", "describe", "events", "--json"]).await.ok().json();
    assert_eq!(described["topic"], created);
    assert_eq!(described["partitions"][0]["high_watermark"], 0);
    assert_eq!(described["partitions"][0]["lag"], json!(null));
    let deleted = siltstone.run(&["topic", "delete", "events", "--yes", "--json"]).await.ok().json();
    assert_eq!(deleted, json!({"deleted": "events"}));
    assert_eq!(siltstone.run(&["topic", "list", "--json"]).await.ok().json(), json!([]));
}

#[tokio::test]
async fn creating_a_topic_twice_says_so() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "raw-events"]).await.ok().says(&["1 partition, raw payloads"]);
    let again = siltstone.run(&["topic", "create", "raw-events"]).await;
    again.fails(1, &["topic raw-events exists already", "topic describe raw-events"]);
}

#[tokio::test]
async fn deleting_without_a_terminal_needs_yes() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "t"]).await.ok();
    siltstone.run_with_input(&["topic", "delete", "t"], b"t\n").await.fails(2, &["--yes"]);
    siltstone.run(&["topic", "list"]).await.ok().says(&["t  "]);
}

#[tokio::test]
async fn publishing_into_a_memory_queue_is_refused_with_the_way_out() {
    let siltstone = Siltstone::new();
    let refused = siltstone.run(&["publish", "orders"]).await;
    refused.fails(2, &["QUEUE_TYPE=memory", "QUEUE_TYPE=nats", "/v1/topics/orders/records", "up --stdin"]);
}

#[tokio::test]
async fn a_text_topic_has_a_row_for_each_line_and_keeps_what_is_no_text() {
    let siltstone = Siltstone::new();
    let created = siltstone.run(&["topic", "create", "logs", "--format", "text"]).await.ok();
    created.says(&["created topic logs", "1 partition, text payloads"]);
    let columns = ["topic", "create", "t", "--format", "text", "--column", "a:string"];
    siltstone.run(&columns).await.fails(2, &["format text takes no columns", "line of the payload"]);
    siltstone
        .run(&["topic", "update", "logs", "--column", "a:string"])
        .await
        .fails(2, &["only a json topic has columns"]);
    let input = b"first\nno t\xffxt\nl\xc3\xa4st, without a line end";
    let fed = siltstone.run_with_input(&["up", "--stdin", "logs", "--no-check"], input).await.ok();
    fed.says(&["published 3 messages", "committed 2 records and 1 quarantined"]);
    let rows = siltstone.run(&["query", "SELECT _offset, _row, value FROM logs ORDER BY _offset", "--json"]).await.ok();
    rows.says(&["\"value\":\"first\"", "\"value\":\"l\u{e4}st, without a line end\""]);
    siltstone.run(&["quarantine", "list", "logs"]).await.ok().says(&["not UTF-8"]);
    let listed = siltstone.run(&["query", "SELECT format FROM siltstone.topics WHERE topic = 'logs'"]).await.ok();
    listed.says(&["text"]);
    siltstone.run(&["audit", "--deep"]).await.ok();
}
