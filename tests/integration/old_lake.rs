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
    holds_what_it_held(siltstone).await;
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
    audits_clean(siltstone).await;
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
