//! Readers see exactly the objects that the catalog lists.

use catalog::{SegmentKind, TopicStore};
use lake::query::format_table;
use serde_json::json;

use crate::lake::{Lake, name};

const ORDERS: &str = r#"{"format":"json","columns":[{"name":"id","type":"int64"}]}"#;
const ORDERS_MORE: &str = r#"{"format":"json","columns":[{"name":"id","type":"int64"},
    {"name":"note","type":"string","nullable":false},{"name":"tags","type":{"list":"string"}}]}"#;

#[tokio::test]
async fn an_object_that_is_not_listed_is_not_read() {
    let lake = Lake::in_memory().await;
    lake.create("events", 1, "{}").await;
    lake.settle("events", 0, 0..=9).await;
    let stray = lake.key("events", 0, &(10..=19), SegmentKind::Data);
    lake.put("events", 0, &(10..=19), SegmentKind::Data, &stray).await;
    assert_eq!(lake.number("SELECT max(_offset) AS n FROM events").await, 9);
    assert_eq!(lake.number("SELECT count(DISTINCT _offset) AS n FROM events").await, 10);
    assert!(!lake.store.take_opened().contains(&stray));
}

#[tokio::test]
async fn rows_come_back_as_written_with_key_headers_and_time() {
    let lake = Lake::in_memory().await;
    lake.create("events", 1, "{}").await;
    lake.settle("events", 0, 7..=7).await;
    let sql = "SELECT _partition_id, _offset, _row, _timestamp, CAST(_key AS VARCHAR) AS k, _headers, _subject, \
               CAST(value AS VARCHAR) AS v FROM events";
    let row = json!({"_partition_id": 0, "_offset": 7, "_row": 0, "_timestamp": "2026-01-01T00:00:07Z", "k": "k7",
                     "_headers": {"name": "h7"}, "_subject": "s7", "v": "v7"});
    assert_eq!(lake.json(sql).await, [row]);
}

#[tokio::test]
async fn each_query_sees_what_is_committed_when_it_is_planned() {
    let lake = Lake::in_memory().await;
    lake.create("events", 1, "{}").await;
    assert_eq!(lake.number("SELECT count(*) AS n FROM events").await, 0);
    lake.settle("events", 0, 0..=9).await;
    assert_eq!(lake.number("SELECT count(*) AS n FROM events").await, 10);
    let planned = lake.session.sql("SELECT _offset FROM events").await.expect("plans");
    lake.settle("events", 0, 10..=19).await;
    let seen: usize = planned.collect().await.expect("runs").iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(seen, 10, "a planned query keeps its snapshot");
    assert_eq!(lake.number("SELECT count(*) AS n FROM events").await, 20);
    lake.create("later", 1, "{}").await;
    assert_eq!(lake.number("SELECT count(*) AS n FROM later").await, 0);
}

#[tokio::test]
async fn an_empty_topic_has_its_columns_and_no_rows() {
    let lake = Lake::in_memory().await;
    lake.create("orders", 4, ORDERS).await;
    assert_eq!(lake.number("SELECT count(*) AS n FROM orders WHERE id > 5").await, 0);
    assert_eq!(lake.number("SELECT count(DISTINCT _offset) AS n FROM orders").await, 0);
    let batches = lake.rows("SELECT id, _offset, _extra FROM orders ORDER BY id").await;
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 0);
}

#[tokio::test]
async fn a_column_added_later_is_null_in_older_segments() {
    let lake = Lake::in_memory().await;
    lake.create("orders", 1, ORDERS).await;
    lake.settle("orders", 0, 0..=1).await;
    let more = serde_json::from_str(ORDERS_MORE).expect("options");
    lake.catalog.update_topic_config(&name("orders"), 1, None, more).await.expect("updated");
    lake.settle("orders", 0, 2..=3).await;
    let rows = lake.json("SELECT id, note, tags FROM orders ORDER BY _offset").await;
    let row = |id: i64, note: Option<&str>| json!({"id": id, "note": note, "tags": null});
    let expected = [row(0, None), row(1, None), row(2, Some("s2")), row(3, Some("s3"))];
    assert_eq!(rows, expected);
    assert_eq!(lake.number("SELECT count(*) AS n FROM orders WHERE note IS NULL").await, 2);
    assert_eq!(lake.number("SELECT count(note) AS n FROM orders").await, 2);
}

#[tokio::test]
async fn quarantined_records_have_a_schema_of_their_own() {
    let lake = Lake::in_memory().await;
    lake.create("orders", 1, ORDERS).await;
    lake.settle("orders", 0, 0..=4).await;
    lake.quarantine("orders", 0, 5..=6).await;
    assert_eq!(lake.number("SELECT count(*) AS n FROM orders").await, 5);
    let rows = lake.json("SELECT _offset, reason, CAST(payload AS VARCHAR) AS p FROM quarantine.orders").await;
    let expected = [json!({"_offset": 5, "reason": "s5", "p": "v5"}), json!({"_offset": 6, "reason": "s6", "p": "v6"})];
    assert_eq!(rows, expected);
    let sql = "SELECT count(*) AS n FROM (SELECT _offset FROM orders UNION ALL SELECT _offset FROM quarantine.orders)";
    assert_eq!(lake.number(sql).await, 7);
}

#[tokio::test]
async fn topics_of_any_name_are_tables() {
    let lake = Lake::in_memory().await;
    for topic in ["a/b", "日志", "it's \"quoted\"", "Upper", "a.b", "100%", "select", "..", " "] {
        lake.create(topic, 1, "{}").await;
        lake.settle(topic, 0, 3..=5).await;
        lake.quarantine(topic, 0, 6..=6).await;
        let quoted = topic.replace('"', "\"\"");
        assert_eq!(lake.number(&format!("SELECT max(_offset) AS n FROM \"{quoted}\"")).await, 5, "{topic}");
        let sql = format!("SELECT max(_offset) AS n FROM quarantine.\"{quoted}\"");
        assert_eq!(lake.number(&sql).await, 6, "{topic}");
    }
}

#[tokio::test]
async fn binary_columns_are_shown_as_text_where_they_are_text() {
    let lake = Lake::in_memory().await;
    lake.create("events", 1, "{}").await;
    lake.settle("events", 0, 0..=1).await;
    let batches = lake.rows("SELECT value FROM events ORDER BY _offset").await;
    let table = "+-------+\n| value |\n+-------+\n| v0    |\n| v1    |\n+-------+";
    assert_eq!(format_table(&batches).expect("formats"), table);
    let batches = lake.rows("SELECT arrow_cast(X'ff00', 'Binary') AS b").await;
    assert!(format_table(&batches).expect("formats").contains("ff00"));
}
