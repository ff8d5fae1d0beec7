//! A stream with another history halts the partition with an explanation, and one command resumes it.

use async_nats::jetstream;
use serde_json::json;
use support::nats::{NatsServer, recreate_stream};

use super::{Json, Writer, numbers, orders, publish, settle, sql};
use crate::binary::Siltstone;

/// Deletes the stream and recreates it, empty.
async fn made_again(nats: &NatsServer, name: &str) {
    let context = jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    recreate_stream(&context, name).await.expect("created again");
}

/// A writer that halted partition 0.
async fn halted(lake: &Siltstone) -> Writer {
    let writer = Writer::start(lake);
    let is_halted = |partition: &serde_json::Value| partition["partition_id"] != 0 || partition["state"] == "halted";
    writer.until(lake, is_halted).await;
    writer
}

/// Waits until the writer has committed every message, those of the resumed partition included; stops it; audits.
async fn goes_on(lake: &Siltstone, writer: Writer) {
    writer.until(lake, |partition| partition["lag"] == 0 && partition["state"] == "active").await;
    writer.stop().await;
    let report = lake.run(&["audit", "orders", "--deep", "--json"]).await.reported();
    assert_eq!(report["clean"], true, "{report:#}");
}

async fn rows(lake: &Siltstone) -> u64 {
    let row = lake.run(&["query", "--json", "SELECT count(*) AS count FROM orders"]).await.ok().json();
    row["count"].as_u64().expect("a number")
}

#[tokio::test]
async fn a_partition_that_was_halted_over_a_queue_in_memory_begins_anew() {
    let lake = Siltstone::new();
    lake.run(&["topic", "create", "t", "--column", "n:int64"]).await.ok();
    lake.settle("t", &["{\"n\":1}", "{\"n\":2}"]).await;
    let none = lake.run(&["--json", "topic", "resume", "t"]).await.ok().json();
    assert_eq!(none, json!({ "resumed": [], "plans": [] }));
    let none = lake.run(&["--json", "topic", "resume", "t", "--dry-run"]).await.ok().json();
    assert_eq!(none, json!({ "dry_run": true, "plans": [] }));
    // Halted over a stream: a forgotten QUEUE_TYPE=nats does not read it again.
    sql(&lake, "UPDATE partitions SET state = 'halted', halt_reason = 'stream_regressed: x (stream t-0 created then)'")
        .await;
    lake.run(&["topic", "resume", "t", "--yes"]).await.fails(2, &["set QUEUE_TYPE=nats"]);
    sql(&lake, "UPDATE partitions SET halt_reason = 'stream_regressed: x (memory 01a2)'").await;
    lake.run(&["topic", "resume", "t", "--from", "end", "--yes"]).await.fails(2, &["allowed is --from first"]);
    let plan = lake.run(&["--json", "topic", "resume", "t", "--dry-run"]).await.ok().json();
    assert_eq!(
        (&plan["plans"][0]["queue_read"], &plan["plans"][0]["start_offset"]),
        (&json!(false), &json!(0)),
        "{plan}"
    );
    let resumed = lake.run(&["topic", "resume", "t", "--yes"]).await.ok();
    resumed.says(&["in the memory of its process", "resumed t/0 at offset 0 as incarnation 1"]);
    lake.settle("t", &["{\"n\":3}"]).await;
    let row = lake.run(&["query", "--json", "SELECT count(*) AS count, sum(n) AS sum FROM t"]).await.ok().json();
    assert_eq!(row, json!({ "count": 3, "sum": 6 }));
    lake.run(&["audit", "t"]).await.ok().says(&["audit: clean"]);
}

#[tokio::test]
async fn a_stream_made_again_halts_and_goes_on_from_its_beginning() {
    let (nats, lake) = orders().await;
    lake.run(&["topic", "resume", "orders"]).await.ok().says(&["nothing to resume"]);
    publish(&nats, 0, numbers(0..100)).await;
    settle(&lake).await;
    made_again(&nats, "orders-0").await;
    publish(&nats, 0, numbers(100..130)).await;
    let writer = halted(&lake).await;
    lake.run(&["topic", "describe", "orders"]).await.ok().says(&["halted: stream_regressed", "topic resume orders"]);
    // The audit reports a halt, and does not count it as damage.
    lake.run(&["audit", "orders"]).await.ok().says(&["orders/0 is halted", "siltstone topic resume", "audit: clean"]);

    lake.run(&["topic", "resume", "orders", "--partition", "1"]).await.ok().says(&["orders/1 is active"]);
    let unasked = lake.run(&["topic", "resume", "orders"]).await;
    assert!(unasked.code == 2 && unasked.err.contains("--yes") && unasked.err.contains("--dry-run"), "{unasked:?}");
    let dry = lake.run(&["topic", "resume", "orders", "--dry-run"]).await.ok();
    dry.says(&[
        "orders/0 is halted",
        "stream_regressed",
        "every message below offset 101",
        "holds offsets 1 to 30 now",
        "none of the messages it holds is known to be a committed one",
        "at offset 1, as incarnation 1",
        "nothing was changed",
    ]);
    let beyond = lake.run(&["topic", "resume", "orders", "--dry-run", "--from", "50"]).await;
    beyond.fails(1, &["offset 50 is not in 1..=31"]);
    let resumed = lake.run(&["topic", "resume", "orders", "--yes"]).await.ok();
    resumed.says(&["resumed orders/0 at offset 1 as incarnation 1"]);
    goes_on(&lake, writer).await;
    assert_eq!(rows(&lake).await, 130, "old rows stay, new ones are written");
}

#[tokio::test]
async fn an_older_copy_of_the_store_halts_and_goes_on_behind_what_is_shared() {
    let (mut nats, lake) = orders().await;
    publish(&nats, 0, numbers(0..120)).await;
    settle(&lake).await;
    nats.stop_gracefully().await.expect("stopped");
    let copy = nats.copy_store().expect("copied");
    nats.restart().await.expect("started");
    publish(&nats, 0, numbers(120..200)).await;
    settle(&lake).await;
    assert_eq!(rows(&lake).await, 200);
    nats.stop_gracefully().await.expect("stopped");
    nats.replace_store(&copy).expect("replaced");
    nats.restart().await.expect("started");
    publish(&nats, 0, numbers(200..250)).await;
    let writer = halted(&lake).await;
    let plan = lake.run(&["topic", "resume", "orders", "--dry-run", "--json"]).await.ok().json()["plans"][0].take();
    assert_eq!((&plan["proven_end"], &plan["start_offset"]), (&json!(121), &json!(121)), "{plan:#}");
    // The stream holds 170 messages; 50 of them got offsets that had been committed before.
    assert_eq!((&plan["rewritten_max"], &plan["skipped_max"]), (&json!(50), &json!(0)), "{plan:#}");
    let resumed = lake.run(&["topic", "resume", "orders", "--yes", "--json"]).await.ok().json();
    assert_eq!(
        (&resumed["resumed"][0]["high_watermark"], &resumed["resumed"][0]["state"]),
        (&json!(121), &json!("active"))
    );
    goes_on(&lake, writer).await;
    assert_eq!(rows(&lake).await, 250, "none of the shared messages is written again");
    let report = lake.run(&["audit", "orders", "--deep", "--json"]).await.reported();
    // No message of the old incarnation is compared with the stream.
    assert_eq!(report["topics"][0]["objects"]["stream_messages"], 50, "{report:#}");
}

#[tokio::test]
async fn messages_purged_before_they_were_written_are_a_gap_with_no_halt() {
    let (nats, lake) = orders().await;
    publish(&nats, 0, numbers(0..100)).await;
    settle(&lake).await;
    publish(&nats, 0, numbers(100..150)).await;
    let context = jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    let stream = context.get_stream("orders-0").await.expect("there");
    stream.purge().sequence(131).await.expect("purged");
    settle(&lake).await;
    let gaps = lake.run(&["gaps", "orders", "--json"]).await.ok().json();
    assert_eq!((&gaps[0]["base_offset"], &gaps[0]["end_offset"]), (&json!(101), &json!(130)), "{gaps:#}");
    assert_eq!(rows(&lake).await, 120);
    lake.run(&["audit", "orders", "--deep"]).await.ok().says(&["30 in 1 gaps", "audit: clean"]);
}

#[tokio::test]
async fn from_the_end_nothing_held_is_written() {
    let (nats, lake) = orders().await;
    publish(&nats, 0, numbers(0..60)).await;
    settle(&lake).await;
    made_again(&nats, "orders-0").await;
    publish(&nats, 0, numbers(0..20)).await;
    let writer = halted(&lake).await;
    let resumed = lake.run(&["topic", "resume", "orders", "--from", "end", "--yes"]).await.ok();
    resumed.says(&["will NOT be written", "at offset 21"]);
    publish(&nats, 0, numbers(60..65)).await;
    goes_on(&lake, writer).await;
    assert_eq!(rows(&lake).await, 65);
}
