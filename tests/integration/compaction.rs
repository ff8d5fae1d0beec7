//! Compaction as a user sees it: the same rows in fewer objects, for every reader, also in the middle of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use support::duckdb::query_with;

use crate::binary::Siltstone;

const FEEDS: u64 = 6;
const LINES: u64 = 40;

/// A topic with an order, whose rows came in several feeds, a bad one in each.
async fn lake() -> Siltstone {
    // No writer of the feeds merges.
    let siltstone = Siltstone::new().with("COMPACTION", "off").with("COMPACTION_MIN_OBJECTS", "6");
    let create =
        ["topic", "create", "orders", "--column", "id:int64!", "--column", "customer:string", "--partitions", "3"];
    siltstone.run(&[&create[..], &["--sort", "customer", "--bloom", "id"]].concat()).await.ok();
    for feed in 0..FEEDS {
        let line = |n: u64| format!("{{\"id\":{},\"customer\":\"c{}\",\"more\":{n}}}\n", feed * LINES + n, n % 7);
        let lines: String = (0..LINES).map(line).chain(["{\"id\":\"x\"}\n".to_owned()]).collect();
        siltstone.run_with_input(&["up", "--stdin", "orders", "--key-field", "id"], lines.as_bytes()).await.ok();
    }
    siltstone
}

async fn rows(siltstone: &Siltstone, sql: &str) -> Value {
    siltstone.run(&["query", sql, "--json"]).await.ok().json()
}

async fn health(siltstone: &Siltstone) -> Value {
    siltstone.run(&["segments", "orders", "--health", "--json"]).await.ok().json()[0].clone()
}

#[tokio::test]
async fn many_small_objects_become_a_few_sorted_ones_with_the_same_rows() {
    let siltstone = lake().await;
    let all = "SELECT count(*) AS n, sum(id) AS s, count(DISTINCT id) AS ids, sum(_offset) AS o FROM orders";
    let expected = rows(&siltstone, all).await;
    assert_eq!(expected["n"], FEEDS * LINES);
    let before = health(&siltstone).await;
    assert!(before["objects"].as_u64() >= Some(FEEDS) && before["due_jobs"].as_u64() > Some(0), "{before}");
    let told = siltstone.run(&["compact", "--once", "--topic", "orders"]).await.ok();
    told.says(&["orders: ", "orders (quarantine): ", "-> 1 object"]);
    assert!(told.err.contains("merged"), "{told:#?}");
    siltstone.run(&["compact", "--once"]).await.ok();
    let after = health(&siltstone).await;
    assert_eq!(
        (&after["due_jobs"], &after["by_level"]["0"], &after["write_amplification"]),
        (&json!(0), &Value::Null, &json!(2.0))
    );
    assert!(after["objects"].as_u64() <= before["objects"].as_u64().map(|objects| objects / 6), "{after}");
    siltstone.run(&["segments", "--health"]).await.ok().says(&["BY LEVEL", "1 "]);
    assert_eq!(rows(&siltstone, all).await, expected);
    assert_eq!(rows(&siltstone, "SELECT count(*) AS n FROM quarantine.orders").await, json!({"n": FEEDS}));
    // Every reader of files sees the order, and the catalog's readers the same rows.
    let attach = siltstone.run(&["duckdb-sql"]).await.ok().out;
    let duckdb = async |sql: &str| query_with(&["ducklake", "sqlite_scanner"], &[], sql).await.expect("DuckDB");
    let counted = duckdb(&format!("{attach}SELECT count(*), sum(id)::BIGINT FROM orders")).await;
    assert_eq!(counted, [[expected["n"].to_string(), expected["s"].to_string()]]);
    let segments = siltstone.run(&["segments", "orders", "--kind", "data", "--json"]).await.ok().json();
    let file = siltstone.data().join(segments[0]["key"].as_str().expect("a key"));
    let customers = format!("SELECT customer FROM read_parquet('{}')", file.display());
    let customers = duckdb(&customers).await.concat();
    assert!(customers.is_sorted() && customers.len() as u64 >= FEEDS * LINES / 3, "{customers:?}");
    siltstone.run(&["audit", "orders", "--deep"]).await.ok().says(&["audit: clean"]);
    siltstone.run(&["topic", "describe", "orders"]).await.ok().says(&["sorted by", "bloom filters"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_in_the_middle_of_it_see_every_row_once() {
    let siltstone = lake().await;
    let (is_done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let reading = async {
        while !is_done.load(Ordering::Relaxed) || reads.load(Ordering::Relaxed) < 3 {
            let counted = rows(&siltstone, "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM orders").await;
            assert_eq!(counted, json!({"n": FEEDS * LINES, "ids": FEEDS * LINES}));
            reads.fetch_add(1, Ordering::Relaxed);
        }
    };
    // Two processes that take each other's objects, and one that is killed.
    let compacting = async {
        let mut killed = siltstone.command(&["compact"]).spawn().expect("started");
        let one = siltstone.run(&["compact", "--once"]);
        let (one, other) = tokio::join!(one, siltstone.run(&["compact", "--once"]));
        killed.kill().and_then(|()| killed.wait()).expect("killed");
        let last = siltstone.run(&["compact", "--once"]).await;
        for ended in [one, other, last] {
            ended.ok();
        }
        is_done.store(true, Ordering::Relaxed);
    };
    tokio::join!(reading, compacting);
    assert_eq!(health(&siltstone).await["due_jobs"], 0);
    siltstone.run(&["audit", "orders", "--deep"]).await.ok().says(&["audit: clean"]);
}

#[tokio::test]
async fn wrong_columns_of_an_order_are_named() {
    let siltstone = Siltstone::new();
    let create = ["topic", "create", "t", "--column", "id:int64", "--column", "tags:list(string)"];
    for (argument, value, part) in [
        ("--sort", "idd", "sort names column \"idd\", which there is not; it takes id, _timestamp"),
        ("--sort", "id desc", "every column rises"),
        ("--sort", "tags", "only columns of one plain value"),
        ("--bloom", "id,id", "twice"),
    ] {
        siltstone.run(&[&create[..], &[argument, value]].concat()).await.fails(2, &[part]);
    }
    siltstone.run(&[&create[..], &["--sort", "id"]].concat()).await.ok();
    siltstone.run(&["topic", "update", "t", "--drop-column", "id"]).await.fails(2, &["one of --sort"]);
    siltstone.run(&["topic", "update", "t", "--rename-column", "id=number"]).await.ok();
    siltstone.run(&["topic", "describe", "t"]).await.ok().says(&["sorted by", "number"]);
    siltstone.run(&["topic", "update", "t", "--sort", ""]).await.ok();
    let described = siltstone.run(&["topic", "describe", "t", "--json"]).await.ok().json();
    assert_eq!(described["topic"]["config"].get("sort"), None, "{described}");
    siltstone.run(&["compact", "--once", "--topic", "absent"]).await.fails(1, &["absent"]);
}
