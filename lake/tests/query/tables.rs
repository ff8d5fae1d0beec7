//! The catalog's own tables, unknown names, and refused statements.

use serde_json::json;

use crate::lake::{Lake, by_name};

#[tokio::test]
async fn the_catalog_itself_can_be_queried() {
    let lake = Lake::in_memory().await;
    lake.create("events", 2, "{}").await;
    let key = lake.settle("events", 1, 0..=9).await;
    lake.quarantine("events", 0, 0..=0).await;
    let rows = lake.json("SELECT topic, format, partition_count FROM siltstone.topics").await;
    assert_eq!(rows, [json!({"topic": "events", "format": "raw", "partition_count": 2})]);
    let rows = lake.json("SELECT partition, state FROM siltstone.partitions ORDER BY partition").await;
    assert_eq!(rows, [json!({"partition": 0, "state": "active"}), json!({"partition": 1, "state": "active"})]);
    let sql = "SELECT partition, base_offset, end_offset, record_count, min_timestamp, key FROM siltstone.segments \
               WHERE kind = 'data'";
    let expected = json!({"partition": 1, "base_offset": 0, "end_offset": 9, "record_count": 10,
                          "min_timestamp": "2026-01-01T00:00:00Z", "key": key});
    assert_eq!(lake.json(sql).await, [expected]);
    let rows = lake.json("SELECT table_schema, table_name FROM information_schema.tables").await;
    assert_eq!(by_name(&rows, "table_name")["events"], 2, "the table and its quarantine");
}

#[tokio::test]
async fn an_unknown_table_is_an_error_that_lists_the_topics() {
    let lake = Lake::in_memory().await;
    assert_eq!(lake.error("SELECT * FROM nothing").await, "no table \"nothing\"; there are no topics yet");
    lake.create("Upper", 1, "{}").await;
    lake.create("orders", 1, "{}").await;
    for sql in ["SELECT * FROM \"upper\"", "SELECT * FROM orders, quarantine.\"upper\""] {
        let error = lake.error(sql).await;
        assert!(error.contains(r#"topics are "Upper", "orders""#), "{error}");
    }
    assert_eq!(lake.number("WITH mine AS (SELECT 1 AS n) SELECT n FROM mine").await, 1);
}

#[tokio::test]
async fn an_unknown_table_of_another_schema_is_named_as_it_was_typed() {
    let lake = Lake::in_memory().await;
    lake.create("orders", 1, "{}").await;
    let system = "agents, commits, consumer_groups, consumer_offsets, gaps, partitions, segments, topics, uploads";
    let schemas = "schemas are public, quarantine, siltstone, information_schema";
    for (table, expected) in [
        ("siltstone.segment", format!("no table siltstone.segment; tables of siltstone are {system}")),
        ("SILTSTONE.siltstone.\"Topics\"", format!("no table siltstone.\"Topics\"; tables of siltstone are {system}")),
        ("quarantine.nothing", "no table quarantine.nothing; topics are \"orders\"".to_owned()),
        ("public.nothing", "no table \"nothing\"; topics are \"orders\"".to_owned()),
        ("information_schema.cols", "no table information_schema.cols; tables of information_schema are".to_owned()),
        ("lake.orders", format!("no schema lake; {schemas}")),
        ("other.public.orders", format!("no schema other.public; {schemas}")),
    ] {
        let error = lake.error(&format!("SELECT * FROM {table}")).await;
        assert!(error.starts_with(&expected), "{table}: {error}");
    }
    assert_eq!(lake.number("SELECT count(*) AS n FROM siltstone.siltstone.topics").await, 1);
}

#[tokio::test]
async fn a_statement_that_does_not_read_is_refused_before_anything_of_it_is_looked_at() {
    let lake = Lake::in_memory().await;
    lake.create("orders", 1, "{}").await;
    for (sql, word) in [
        ("INSERT INTO orders VALUES (1)", "INSERT"),
        ("EXPLAIN INSERT INTO orders VALUES (1)", "INSERT"),
        ("insert into nothing values (1, 2)", "INSERT"),
        ("UPDATE orders SET nothing = 1", "UPDATE"),
        ("DELETE FROM nothing", "DELETE"),
        ("WITH r AS (SELECT 1) INSERT INTO orders SELECT * FROM r", "INSERT"),
        ("SELECT * INTO copied FROM orders", "SELECT INTO"),
        ("DROP TABLE nothing", "DROP"),
        ("TRUNCATE orders", "TRUNCATE"),
        ("CREATE VIEW v AS SELECT nothing", "CREATE"),
        ("CREATE EXTERNAL TABLE passwords STORED AS CSV LOCATION '/etc/passwd'", "CREATE"),
        ("COPY nothing TO '/tmp/siltstone-must-not-exist.parquet'", "COPY"),
        ("PREPARE p AS SELECT nothing", "PREPARE"),
        ("START TRANSACTION", "START"),
    ] {
        let expected = format!("only SELECT, SHOW, DESCRIBE and EXPLAIN are allowed here, not {word}");
        assert_eq!(lake.error(sql).await, expected, "{sql}");
    }
    for sql in ["SHOW TABLES", "DESCRIBE orders", "EXPLAIN SELECT 1", "SHOW siltstone.hot_tail", "VALUES (1)"] {
        lake.json(sql).await;
    }
}

#[tokio::test]
async fn a_query_cannot_write_or_read_files() {
    let lake = Lake::in_memory().await;
    lake.create("orders", 1, "{}").await;
    for sql in [
        "CREATE TABLE t AS SELECT 1",
        "DROP TABLE orders",
        "INSERT INTO orders SELECT * FROM orders",
        "COPY (SELECT 1) TO '/tmp/siltstone-must-not-exist.parquet'",
        "CREATE EXTERNAL TABLE passwords STORED AS CSV LOCATION '/etc/passwd'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"/etc/passwd\"",
        "SELECT * FROM read_csv('/etc/passwd')",
        "EXPLAIN COPY (SELECT 1) TO '/tmp/siltstone-must-not-exist.parquet'",
        "PREPARE p AS SELECT 1",
        "SELECT 1;; DROP TABLE orders",
        "RESET datafusion.execution.batch_size",
        "SELECT",
        "",
        "SELECT 1; SELECT 2",
    ] {
        let error = lake.error(sql).await;
        assert!(!error.is_empty(), "{sql}");
    }
    assert!(!std::path::Path::new("/tmp/siltstone-must-not-exist.parquet").exists());
}
