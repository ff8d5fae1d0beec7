//! A lake made by version 0.1.0 is opened by this version, audits clean, and continues.
//!
//! Owns: the contents of that lake, and that all of them stay. The released binary made `fixtures/lake-0.1.0`:
//! `orders` with two partitions, two schema versions and a quarantine, `clicks` of raw payloads, and `events`, whose
//! stream was recreated and resumed into incarnation 1. Does not own: the migration of single tables (`catalog`).

use std::path::{Path, PathBuf};

use serde_json::json;
use support::folder::copy_folder;

use crate::binary::Siltstone;

fn fixture(database: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/fixtures/lake-0.1.0").join(database)
}

#[tokio::test]
async fn a_lake_of_version_0_1_0_in_sqlite_goes_on() {
    let siltstone = Siltstone::new();
    copy_folder(&fixture("sqlite"), siltstone.path()).expect("copied");
    let url = format!("sqlite:{}", siltstone.path().join("catalog.db").display());
    goes_on(&siltstone.with("CATALOG_URL", &url)).await;
}

#[tokio::test]
async fn a_lake_of_version_0_1_0_in_postgres_goes_on() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    let siltstone = Siltstone::new();
    copy_folder(&fixture("postgres").join("data"), &siltstone.data()).expect("copied");
    let dump = std::fs::read_to_string(fixture("postgres").join("catalog.sql")).expect("text");
    support::postgres::execute(&url, &dump).await.expect("the dump is loaded");
    goes_on(&siltstone.with("CATALOG_URL", &url)).await;
}

async fn goes_on(siltstone: &Siltstone) {
    let count = ["query", "SELECT count(*) FROM orders"];
    siltstone.run(&count).await.fails(1, &["has version 4, this program needs", "siltstone migrate"]);
    siltstone.run(&["migrate"]).await.ok().says(&["has the schema of this version"]);
    holds_what_it_held(siltstone).await;
    has_the_columns_of_now(siltstone, 735).await;
    leaves_out_what_filters_exclude(siltstone).await;
    audits_clean(siltstone).await;
    // More of the same: offsets, epochs and schema versions continue at the end of the old lake.
    let lines: String = (1000..1100).map(|id| format!("{{\"id\":{id},\"place\":\"new\"}}\n")).collect();
    let fed = siltstone.run_with_input(&["up", "--stdin", "orders", "--key-field", "id"], lines.as_bytes()).await.ok();
    fed.says(&["published 100 messages", "committed 100 records and 0 quarantined"]);
    siltstone.run(&["topic", "update", "orders", "--column", "note:string"]).await.ok();
    let fed =
        siltstone.run_with_input(&["up", "--stdin", "orders"], b"{\"id\":2000,\"note\":\"n\"}\n{\"id\":\"x\"}\n").await;
    fed.ok().says(&["committed 1 records and 1 quarantined"]);
    for (sql, expected) in [
        ("SELECT count(*) AS n, sum(id) AS s FROM orders", json!({"n": 836, "s": 275_625 + 104_950 + 2000})),
        ("SELECT count(*) AS n FROM orders WHERE place = 'new' OR note = 'n'", json!({"n": 101})),
        ("SELECT count(*) AS n FROM quarantine.orders", json!({"n": 16})),
    ] {
        assert_eq!(rows(siltstone, sql).await, expected, "{sql}");
    }
    has_the_columns_of_now(siltstone, 836).await;
    audits_clean(siltstone).await;
    is_compacted(siltstone).await;
}

/// Old and new objects become one of today's columns, with the same rows.
async fn is_compacted(siltstone: &Siltstone) {
    let siltstone = siltstone.clone().with("COMPACTION_MIN_OBJECTS", "2");
    siltstone.run(&["compact", "--once"]).await.ok().says(&["orders: ", "events: "]);
    let listed = siltstone.run(&["segments", "--json"]).await.ok().json();
    let is_merged = |segment: &serde_json::Value| segment["level"].as_u64() > Some(0);
    assert!(listed.as_array().expect("a list").iter().any(is_merged), "{listed}");
    has_the_columns_of_now(&siltstone, 836).await;
    for (sql, expected) in [
        ("SELECT count(*) AS n, sum(id) AS s FROM orders", json!({"n": 836, "s": 275_625 + 104_950 + 2000})),
        ("SELECT count(*) AS n FROM orders WHERE place = 'new' OR note = 'n'", json!({"n": 101})),
        ("SELECT count(*) AS n FROM quarantine.orders", json!({"n": 16})),
        ("SELECT count(*) AS n, sum(n) AS s, max(_offset) AS o FROM events", json!({"n": 140, "s": 45_870, "o": 100})),
    ] {
        assert_eq!(rows(&siltstone, sql).await, expected, "{sql}");
    }
    audits_clean(&siltstone).await;
}

/// Old objects say neither `_partition_id` nor `_incarnation`; both readers show them all the same, also among new ones.
async fn has_the_columns_of_now(siltstone: &Siltstone, orders: u64) {
    let by_partition = "SELECT sum(_partition_id) AS p, count(*) AS n, sum(_incarnation) AS i FROM orders";
    let [zero, one] = [0, 1].map(|number| format!("(SELECT count(*) FROM orders WHERE _partition_id = {number})"));
    let both = format!("SELECT {zero} > 0 AND {one} > 0 AS some, {zero} + {one} AS n, {one} AS p");
    let both = rows(siltstone, &both).await;
    assert_eq!((&both["some"], &both["n"]), (&json!(true), &json!(orders)));
    assert_eq!(rows(siltstone, by_partition).await, json!({"p": both["p"], "n": orders, "i": 0}));
    for (sql, expected) in [
        ("SELECT count(*) AS n, sum(_incarnation) AS i FROM events", json!({"n": 140, "i": 40})),
        ("SELECT count(*) AS n, max(_offset) AS o FROM events WHERE _incarnation = 1", json!({"n": 40, "o": 40})),
        ("SELECT count(*) AS n FROM events WHERE _incarnation = 0 AND _partition_id = 0", json!({"n": 100})),
        ("SELECT count(*) AS n FROM events WHERE _incarnation > 1 OR _partition_id > 0", json!({"n": 0})),
        ("SELECT min(_incarnation) AS i, max(_partition_id) AS p FROM quarantine.orders", json!({"i": 0, "p": 1})),
    ] {
        assert_eq!(rows(siltstone, sql).await, expected, "{sql}");
    }
    siltstone.run(&["query", "SELECT _partition FROM orders"]).await.fails(2, &["_partition"]);
    let views = siltstone.run(&["duckdb-sql", "--views"]).await.ok().out.clone();
    let duckdb = async |sql: &str| support::duckdb::query(&format!("{views}{sql}")).await.expect("DuckDB");
    let events = "SELECT _incarnation, count(*), max(_offset), max(_partition_id) FROM events GROUP BY 1 ORDER BY 1";
    assert_eq!(duckdb(events).await, [["0", "100", "100", "0"], ["1", "40", "40", "0"]]);
    let counted = duckdb("SELECT count(*), sum(_partition_id), sum(_incarnation) FROM orders").await;
    assert_eq!(counted, [[orders.to_string(), both["p"].to_string(), "0".to_owned()]]);
    let reasons = duckdb("SELECT count(reason) > 0, max(_partition_id) FROM quarantine_orders").await;
    assert_eq!(reasons, [["True", "1"]]);
    let columns = duckdb("SELECT column_name FROM (DESCRIBE orders) LIMIT 9").await.concat();
    let system =
        ["_partition_id", "_offset", "_row", "_timestamp", "_key", "_headers", "_subject", "_incarnation", "id"];
    assert_eq!(columns, system);
}

async fn leaves_out_what_filters_exclude(siltstone: &Siltstone) {
    for (sql, scanned, pruned) in [
        ("SELECT * FROM orders WHERE _partition_id = 0", 3, 3),
        ("SELECT * FROM events WHERE _incarnation = 1", 1, 1),
        ("SELECT * FROM events WHERE _incarnation IN (0, 1)", 2, 0),
    ] {
        let plan = siltstone.run(&["query", &format!("EXPLAIN ANALYZE {sql}")]).await;
        let sum = |name: &str| -> usize {
            let counts = plan.out.split(name).skip(1);
            counts.map(|rest| rest.split([',', ']']).next().and_then(|n| n.parse().ok()).unwrap_or(0)).sum()
        };
        assert_eq!((sum("segments_scanned="), sum("segments_pruned=")), (scanned, pruned), "{sql}: {plan:#?}");
    }
}

async fn holds_what_it_held(siltstone: &Siltstone) {
    for (sql, expected) in [
        ("SELECT count(*) AS n, sum(id) AS s FROM orders", json!({"n": 735, "s": 275_625})),
        (
            "SELECT count(*) AS n, count(DISTINCT place) AS p FROM orders WHERE place IS NOT NULL",
            json!({"n": 229, "p": 5}),
        ),
        ("SELECT count(*) AS n FROM quarantine.orders", json!({"n": 15})),
        ("SELECT count(*) AS n FROM clicks", json!({"n": 250})),
        ("SELECT count(*) AS n, sum(n) AS s, max(_offset) AS o FROM events", json!({"n": 140, "s": 45_870, "o": 100})),
        ("SELECT count(*) AS n FROM events WHERE _offset BETWEEN 1 AND 40", json!({"n": 80})),
    ] {
        assert_eq!(rows(siltstone, sql).await, expected, "{sql}");
    }
    let gaps = siltstone.run(&["gaps", "events"]).await.ok();
    assert!(gaps.err.contains("0 gaps, 0 offsets"), "{gaps:#?}");
}

async fn audits_clean(siltstone: &Siltstone) {
    for topic in ["orders", "clicks", "events"] {
        siltstone.run(&["audit", topic, "--deep"]).await.ok().says(&["audit: clean"]);
    }
}

async fn rows(siltstone: &Siltstone, sql: &str) -> serde_json::Value {
    siltstone.run(&["query", sql, "--json"]).await.ok().json()
}
