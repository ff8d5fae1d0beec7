//! Topics without a queue server: created, listed, described, deleted.

use serde_json::json;

use crate::binary::Siltstone;

#[tokio::test]
async fn a_topic_is_created_listed_described_and_deleted() {
    let siltstone = Siltstone::new();
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
    siltstone.run(&create).await.ok().says(&["created topic orders", "3 partitions", "id:int64!"]);
    siltstone.run(&["topic", "list"]).await.ok().says(&["orders", "json", "7d"]);
    let described = siltstone.run(&["topic", "describe", "orders"]).await.ok();
    described.says(&["amount:decimal(12,2)", "WATERMARK", "active", "not reachable: QUEUE_TYPE=memory"]);
    siltstone.run(&["topic", "delete", "orders", "--yes"]).await.ok().says(&["deleted topic orders"]);
    siltstone.run(&["topic", "describe", "orders"]).await.fails(1, &["topic not found: orders"]);
    siltstone.run(&["topic", "delete", "orders", "--yes"]).await.fails(1, &["topic not found: orders"]);
}

#[tokio::test]
async fn the_same_in_json() {
    let siltstone = Siltstone::new();
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
    refused.fails(2, &["QUEUE_TYPE=memory", "QUEUE_TYPE=nats", "up --stdin"]);
}
