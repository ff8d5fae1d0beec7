//! Records in quarantine: counted, shown, and published again once the columns fit.

use serde_json::{Value, json};

use super::{Json, orders, publish, settle, sql};
use crate::binary::Siltstone;

async fn counted(lake: &Siltstone) -> (u64, u64) {
    let sql = r#"SELECT (SELECT count(*) FROM orders) AS rows, (SELECT count(*) FROM quarantine."orders") AS held"#;
    let row = lake.run(&["query", "--json", sql]).await.ok().json();
    (row["rows"].as_u64().expect("a number"), row["held"].as_u64().expect("a number"))
}

async fn replayed(lake: &Siltstone, arguments: &[&str]) -> Value {
    let arguments = [&["quarantine", "replay", "orders", "--json"], arguments].concat();
    lake.run(&arguments).await.reported()["replay"].take()
}

#[tokio::test]
async fn records_are_shown_mended_and_replayed_once() {
    let (nats, lake) = orders().await;
    let lines =
        ["{\"n\":1}\n{\"n\":\"two\"}\n{\"n\":3}", "{\"n\":\"four\"}", "{\"n\":\"\\u0000\", \"x\":[1,2}", "{\"n\":6}"];
    publish(&nats, 1, lines.map(str::to_owned)).await;
    settle(&lake).await;
    assert_eq!(counted(&lake).await, (3, 3));

    let groups = lake.run(&["quarantine", "list", "orders", "--json"]).await.ok().json();
    let groups = groups.as_array().expect("a list");
    assert_eq!(groups.iter().map(|group| group["records"].as_u64().expect("a number")).sum::<u64>(), 3);
    lake.run(&["quarantine", "list", "orders"]).await.ok().says(&["REASON", "RECORDS"]);
    let shown = lake.run(&["quarantine", "show", "orders", "--json", "--offset", "1"]).await.ok().json();
    assert_eq!((&shown["row"], &shown["payload"]), (&json!(1), &json!("{\"n\":\"two\"}")), "{shown}");
    assert_eq!((&shown["partition_id"], &shown["replayed_to"]), (&json!(1), &Value::Null));
    let text = lake.run(&["quarantine", "show", "orders", "--limit", "2"]).await.ok();
    text.says(&["orders/1 offset 1 row 1", "payload  {\"n\":\"four\"}", "reason"]);
    assert!(text.err.contains("--limit"), "{text:?}");

    // With the same columns they would only return to quarantine.
    let refused = replayed(&lake, &[]).await;
    assert_eq!((&refused["published"], &refused["refused"]), (&json!(0), &json!(3)), "{refused:#}");
    lake.run(&["quarantine", "replay", "orders"]).await.says(&["not published: 0/1/1/1", "still cannot be decoded"]);
    sql(&lake, r#"UPDATE topics SET config = replace(config, 'int64', 'string'), schema_version = 2"#).await;
    sql(&lake, "UPDATE lake_columns SET type = 'varchar' WHERE type = 'int64' AND column_id >= 100").await;
    let dry = lake.run(&["quarantine", "replay", "orders", "--dry-run"]).await;
    assert_eq!(dry.code, 1, "one cannot be mended");
    dry.says(&[
        "would publish orders/1 offset 1 row 1",
        "would publish orders/1 offset 2 row 0",
        "would publish 2 records",
    ]);
    let first = replayed(&lake, &["--offset", "2"]).await;
    assert_eq!((&first["published"], &first["duplicates"]), (&json!(1), &json!(0)), "{first:#}");
    let rest = replayed(&lake, &[]).await;
    assert_eq!((&rest["published"], &rest["skipped"], &rest["refused"]), (&json!(1), &json!(1), &json!(1)));
    settle(&lake).await;
    // The rows written before the columns changed are numbers; 1, 3 and 6 are not rewritten.
    assert_eq!(counted(&lake).await.1, 3, "what is replayed stays in quarantine");

    let marked = lake.run(&["quarantine", "show", "orders", "--json", "--offset", "2"]).await.ok().json();
    assert_eq!(marked["replayed_to"]["offset"], 5, "{marked}");
    let header =
        "SELECT _offset AS at, _headers['Siltstone-Replay-Of'] AS origin FROM orders WHERE _offset >= 5 ORDER BY 1";
    let origins = lake.run(&["query", "--json", header]).await.ok();
    origins.says(&["0/1/2/0", "0/1/1/1"]);

    // The mark is lost, as in a crash before it: the message is still in the queue's duplicate window.
    sql(&lake, "DELETE FROM replays").await;
    let repeated = replayed(&lake, &["--reason", "string"]).await;
    assert_eq!(repeated["published"], repeated["duplicates"], "{repeated:#}");
    let again = replayed(&lake, &["--again", "--offset", "2", "--to-partition", "0"]).await;
    assert_eq!(
        (&again["published"], &again["duplicates"]),
        (&json!(1), &json!(0)),
        "wanted again, it is another message"
    );
    let forced = replayed(&lake, &["--force", "--offset", "3"]).await;
    assert_eq!(forced["published"], 1);
    settle(&lake).await;
    assert_eq!(counted(&lake).await.1, 4, "what cannot be decoded comes back");
    assert_eq!(lake.run(&["audit", "orders", "--deep", "--json"]).await.reported()["clean"], true);
}

#[tokio::test]
async fn what_cannot_be_replayed_says_why() {
    let (_nats, lake) = orders().await;
    lake.run(&["quarantine", "list", "orders"]).await.ok();
    lake.run(&["quarantine", "show", "absent"]).await.fails(1, &["topic not found: absent"]);
    let beyond = lake.run(&["quarantine", "replay", "orders", "--to-partition", "2"]).await;
    beyond.fails(2, &["--to-partition 2", "partitions 0 to 1"]);
    lake.run(&["quarantine", "list", "orders", "--partition", "2"]).await.fails(2, &["partitions 0 to 1"]);
    let memory = lake.with("QUEUE_TYPE", "memory");
    memory.run(&["quarantine", "replay", "orders"]).await.fails(2, &["QUEUE_TYPE=memory", "QUEUE_TYPE=nats"]);
}
