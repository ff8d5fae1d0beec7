//! Retention and garbage: old rows leave every reader, their objects leave the disk.
//!
//! Owns: the commands, the readers afterwards, the files of a directory. Does not own: the choice of objects (the
//! catalog's own tests), writers that are killed meanwhile (`crash`).

mod world;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use self::world::{Aged, DAY, HOUR};
use crate::binary::Siltstone;

/// Rows, smallest and largest number as the three readers see them.
async fn answers(lake: &Siltstone) -> [[u64; 3]; 3] {
    let sql = "SELECT count(*) AS r, coalesce(min(n), 0) AS a, coalesce(max(n), 0) AS z FROM orders";
    let here = lake.run(&["query", "--json", sql]).await.ok().json();
    let here = ["r", "a", "z"].map(|name| here[name].as_u64().expect("a number"));
    [here, in_duckdb(lake, &["--views"], sql).await, in_duckdb(lake, &[], sql).await]
}

async fn in_duckdb(lake: &Siltstone, arguments: &[&str], sql: &str) -> [u64; 3] {
    let rows = world::duckdb(lake, arguments, sql).await.expect("DuckDB answers");
    [0, 1, 2].map(|column| rows[0][column].parse().expect("a number"))
}

async fn listed(lake: &Siltstone, arguments: &[&str]) -> Value {
    let answer = lake.run(&[&["retention", "--json"], arguments].concat()).await.ok().json();
    answer["topics"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_rows_leave_every_reader_and_objects_go_after_the_hold() {
    let world = Aged::start().await;
    let lake = &world.lake;
    for (age, numbers) in [(9 * DAY, 0..100), (8 * DAY, 100..150), (DAY, 150..200)] {
        world.publish(age, numbers).await;
    }
    lake.run(&["retention", "orders"]).await.ok().says(&["keeps everything", "topic update orders --retention 7d"]);
    let updated = lake.run(&["topic", "update", "orders", "--retention", "7d"]).await.ok();
    updated.says(&["segments are kept for 7d"]);
    lake.run(&["topic", "describe", "orders"]).await.ok().says(&["retention    7d"]);
    // Two days of data, and the one broken message of each.
    let due = listed(lake, &["orders", "--dry-run"]).await;
    let counts = ["objects", "segments", "records", "quarantined", "held_back"].map(|name| due[name].as_u64());
    assert_eq!(counts, [4, 4, 150, 2, 0].map(Some), "{due:#}");
    assert_eq!(answers(lake).await, [[200, 0, 199]; 3], "a dry run changes nothing");
    let text = lake.run(&["retention", "--dry-run"]).await.ok();
    text.says(&["OLDER THAN", "OFFSETS BELOW", "orders", "7d"]);
    assert!(text.err.contains("nothing was changed"), "{text:?}");
    let before = world::duckdb(lake, &[], "SELECT max(snapshot_id) FROM lake.snapshots()").await.expect("read");
    let expired = listed(lake, &["orders"]).await;
    let timeless = |mut answer: Value| {
        answer["before_us"] = json!(null);
        answer
    };
    assert_eq!(timeless(expired), timeless(due));
    assert_eq!(answers(lake).await, [[50, 150, 199]; 3]);
    let quarantined = lake.run(&["query", "--json", "SELECT count(*) AS r FROM quarantine.orders"]).await.ok().json();
    assert_eq!(quarantined["r"], 1);
    let earlier = format!("SELECT count(*), min(n), max(n) FROM orders AT (VERSION => {})", before[0][0]);
    assert_eq!(in_duckdb(lake, &[], &earlier).await, [200, 0, 199], "a kept snapshot has them");
    let audit = lake.run(&["audit", "--deep"]).await.ok();
    audit.says(&["audit: clean", "4 more in earlier snapshots", "152 expired"]);
    assert_eq!(world.objects().len(), 6, "objects wait for the hold");
    lake.run(&["retention", "orders"]).await.ok();
    assert_eq!(answers(lake).await, [[50, 150, 199]; 3], "there was no more");

    world.sweep_until(|objects| objects.len() == 2).await;
    assert_eq!(answers(lake).await, [[50, 150, 199]; 3]);
    lake.run(&["audit", "--deep"]).await.ok().says(&["audit: clean"]);
    let error = world::duckdb(lake, &[], &earlier).await.expect_err("its snapshot was thinned out");
    assert!(format!("{error:#}").contains("snapshot"), "{error:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_topic_leaves_an_empty_directory_after_the_hold() {
    let world = Aged::start().await;
    let lake = &world.lake;
    world.publish(9 * DAY, 0..100).await;
    world.publish(HOUR, 100..150).await;
    lake.run(&["topic", "update", "orders", "--retention", "7d"]).await.ok();
    lake.run(&["retention", "orders"]).await.ok();
    assert_eq!(world.objects().len(), 4, "two of each kind, one of each retired");
    lake.run(&["topic", "delete", "orders", "--yes"]).await.ok();
    assert_eq!(world.objects().len(), 4, "they wait for the hold");
    world.sweep_until(<[String]>::is_empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_a_whole_end_while_rows_come_and_go() {
    let world = Aged::start().await;
    let lake = &world.lake;
    world.publish(3 * DAY, 0..20).await;
    let is_over = AtomicBool::new(false);
    let coming_and_going = async {
        // Three days in steps of two hours; retention follows 21 hours behind.
        for step in 1..36 {
            let age = 3 * DAY - step * 2 * HOUR;
            world.publish(age, u64::from(step) * 20..u64::from(step) * 20 + 20).await;
            world.expire(age + 21 * HOUR).await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let reading = async {
        let mut seen = [0; 3];
        let mut reads = 0;
        while !is_over.load(Ordering::Relaxed) {
            for (first, [rows, least, most]) in seen.iter_mut().zip(answers(lake).await) {
                assert!(rows > 0 && most - least + 1 == rows, "a hole among {least} to {most}: {rows}");
                assert!(*first <= least, "{least} was there after {first} had gone");
                *first = least;
            }
            reads += 1;
        }
        (reads, seen)
    };
    let auditing = async {
        while !is_over.load(Ordering::Relaxed) {
            lake.run(&["audit", "--deep"]).await.ok().says(&["audit: clean"]);
        }
    };
    let ((), (reads, seen), ()) = tokio::join!(coming_and_going, reading, auditing);
    assert!(reads > 1 && seen.iter().any(|first| *first > 0), "{reads} reads, {seen:?}");
    let [rows, least, most] = answers(lake).await[0];
    assert_eq!((most, rows), (719, 720 - least));
    assert_eq!(rows, 11 * 20, "those of the last 23 hours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_enforces_the_retention_by_itself_and_says_so() {
    let world = Aged::start().await;
    world.publish(9 * DAY, 0..100).await;
    world.publish(HOUR, 100..150).await;
    world.lake.run(&["topic", "update", "orders", "--retention", "7d"]).await.ok();
    let writer = world.writer(Duration::from_secs(10)).await;
    world.until(async || answers(&world.lake).await == [[50, 100, 149]; 3]).await;
    world::stop(writer).await;
    world.lake.run(&["audit", "--deep"]).await.ok().says(&["audit: clean"]);
}

#[tokio::test]
async fn a_wrong_retention_says_what_is_allowed() {
    let lake = Siltstone::new();
    lake.run(&["topic", "create", "t", "--retention", "0d"]).await.fails(2, &["would keep nothing", "none"]);
    lake.run(&["topic", "create", "t", "--retention", "7d"]).await.ok();
    lake.run(&["topic", "update", "t", "--retention", "soon"]).await.fails(2, &["not a duration", "none"]);
    lake.run(&["topic", "update", "t"]).await.fails(2, &["--retention"]);
    lake.run(&["topic", "update", "t", "--retention", "none"]).await.ok().says(&["segments are kept without limit"]);
    let described = lake.run(&["topic", "describe", "t", "--json"]).await.ok().json();
    assert_eq!(described["topic"]["retention_ms"], json!(null));
    lake.run(&["retention", "absent"]).await.fails(1, &["topic not found: absent"]);
    let none = lake.run(&["retention"]).await.ok();
    assert!(none.err.contains("no topic has a retention"), "{none:?}");
}
