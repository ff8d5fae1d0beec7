//! Packed messages from the producer to the table: in memory and on a NATS server, with bad records and damaged packs.

use std::process::Child;

use async_nats::HeaderMap;
use serde_json::{Value, json};
use support::nats::NatsServer;

use crate::binary::{POLL, Siltstone};

const RECORDS: u64 = 400;
/// The record without the column that the topic requires.
const BAD: u64 = 250;

/// Records with keys, one of them bad.
fn lines() -> String {
    let member = |n: u64| if n == BAD { "m" } else { "n" };
    (0..RECORDS).map(|n| format!("{{\"{}\":{n},\"customer\":\"c{}\"}}\n", member(n), n % 7)).collect()
}

async fn figures(siltstone: &Siltstone) -> (u64, u64, u64, u64) {
    let rows = "SELECT count(*) AS rows, coalesce(sum(n), 0) AS sum, count(DISTINCT _offset) AS messages FROM t";
    let rows = siltstone.run(&["query", "--json", rows]).await.ok().json();
    let held = siltstone.run(&["query", "--json", "SELECT count(*) AS held FROM quarantine.t"]).await.ok().json();
    let number = |object: &Value, name: &str| object[name].as_u64().unwrap_or_else(|| panic!("{name}: {object}"));
    (number(&rows, "rows"), number(&rows, "sum"), number(&rows, "messages"), number(&held, "held"))
}

/// Waits until the writer has `held` records in quarantine and `rows` in the table.
async fn until(siltstone: &Siltstone, rows: u64, held: u64) {
    loop {
        let found = figures(siltstone).await;
        if (found.0, found.3) == (rows, held) {
            return;
        }
        assert!(found.0 <= rows && found.3 <= held, "{found:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// A writer, which is killed at the end of the test.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("killed");
    }
}

const SUM: u64 = RECORDS * (RECORDS - 1) / 2 - BAD;

#[tokio::test]
async fn a_queue_in_memory_carries_packed_records_of_every_format() {
    let siltstone = Siltstone::new();
    siltstone
        .run(&["topic", "create", "t", "--column", "n:int64!", "--column", "customer:string", "--packed"])
        .await
        .ok();
    siltstone.run(&["topic", "describe", "t"]).await.ok().says(&["packing", "small records may travel packed"]);
    let fed = ["up", "--stdin", "t", "--key-field", "customer"];
    siltstone.run_with_input(&fed, lines().as_bytes()).await;
    let (rows, sum, messages, held) = figures(&siltstone).await;
    assert_eq!((rows, sum, held), (RECORDS - 1, SUM, 1));
    assert!(messages < 40, "{messages} messages");
    let keys = "SELECT count(*) AS n FROM t WHERE CAST(_key AS varchar) = customer";
    assert_eq!(siltstone.run(&["query", "--json", keys]).await.ok().json()["n"], RECORDS - 1);

    siltstone.run(&["topic", "create", "logs", "--format", "text", "--packed"]).await.ok();
    siltstone.run_with_input(&["up", "--stdin", "logs"], lines().as_bytes()).await.ok();
    let count = "SELECT count(*) AS rows, count(DISTINCT _offset) AS messages FROM logs";
    let counted = siltstone.run(&["query", "--json", count]).await.ok().json();
    assert_eq!(counted["rows"], RECORDS);
    assert!(counted["messages"].as_u64() < Some(40), "{counted}");

    let update = siltstone.run(&["topic", "update", "t", "--packed=false"]).await.ok();
    update.says(&["small records travel one in a message from now on"]);
    assert!(update.err.contains("running producers follow within 30 seconds"), "{update:?}");
    siltstone.run_with_input(&["up", "--stdin", "t"], b"{\"n\":0}\n{\"n\":0}\n").await.ok();
    let (rows, _, more, _) = figures(&siltstone).await;
    assert_eq!((rows, more), (RECORDS + 1, messages + 2), "each is a message of its own");
}

#[tokio::test]
async fn on_nats_a_bad_record_of_a_pack_is_reported_shown_and_replayed_alone() {
    let server = NatsServer::start().await.expect("a NATS server");
    let siltstone = Siltstone::new().with("QUEUE_TYPE", "nats").with("NATS_URL", &server.url());
    siltstone.run(&["topic", "create", "t", "--column", "n:int64!", "--packed"]).await.ok();
    std::fs::write(siltstone.path().join("t.ndjson"), lines()).expect("written");
    let _writer = Writer(siltstone.command(&["up"]).spawn().expect("starts"));
    let publish = ["publish", "t", "t.ndjson", "--acks", "committed", "--json"];
    let published = siltstone.run(&publish).await.ok().json();
    assert_eq!(
        (&published["published"]["messages"], &published["published"]["quarantined"]),
        (&json!(RECORDS), &json!(1)),
        "the other records of the pack are committed: {published}"
    );
    let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.expect("connected"));
    let stored = context.get_stream("t-0").await.expect("there").cached_info().state.messages;
    assert!(stored < 40, "{stored} messages");
    assert_eq!(figures(&siltstone).await, (RECORDS - 1, SUM, stored, 1));

    let shown = siltstone.run(&["quarantine", "show", "t", "--json"]).await.ok().json();
    let bad = format!("{{\"m\":{BAD},\"customer\":\"c{}\"}}", BAD % 7);
    assert_eq!(shown["payload"], json!(bad));
    let headers = shown["headers"].as_array().expect("a list");
    assert!(headers.iter().all(|header| header[0] == "Nats-Msg-Id"), "it is a record by itself: {headers:?}");
    siltstone.run(&["topic", "update", "t", "--column", "n:int64"]).await.ok();
    siltstone.run(&["quarantine", "replay", "t"]).await.ok().says(&["published 1 records"]);
    until(&siltstone, RECORDS, 1).await;
    assert_eq!(siltstone.run(&["audit", "t", "--deep", "--json"]).await.ok().json()["clean"], true);
}

#[tokio::test]
async fn on_nats_a_pack_that_cannot_be_opened_is_kept_whole_and_can_be_replayed() {
    let server = NatsServer::start().await.expect("a NATS server");
    let siltstone = Siltstone::new().with("QUEUE_TYPE", "nats").with("NATS_URL", &server.url());
    siltstone.run(&["topic", "create", "t", "--column", "n:int64"]).await.ok();
    let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.expect("connected"));
    let frames = b"\x07\0\0\0\0\0\0\0{\"n\":5}";
    for form in
        ["frames/1; compression=none; records=1; bytes=15", "frames/1; compression=lz4; records=1; bytes=4194305"]
    {
        let mut headers = HeaderMap::new();
        headers.insert("Siltstone-Packed", form);
        let sent = context.publish_with_headers("t.0", headers, frames.to_vec().into()).await.expect("sent");
        sent.await.expect("stored");
    }
    let _writer = Writer(siltstone.command(&["up"]).spawn().expect("starts"));
    until(&siltstone, 1, 1).await;
    let shown = siltstone.run(&["quarantine", "show", "t"]).await.ok();
    shown.says(&[
        "the packed records have 4194305 bytes; at most 4194304 are opened",
        "header   Siltstone-Packed: frames/1",
    ]);
    let refused = siltstone.run(&["quarantine", "replay", "t"]).await;
    refused.says(&["still cannot be decoded", "at most 4194304 are opened"]);
    siltstone.run(&["quarantine", "replay", "t", "--force"]).await.ok();
    until(&siltstone, 1, 2).await;
    assert_eq!(siltstone.run(&["audit", "t", "--deep", "--json"]).await.ok().json()["clean"], true);
}
