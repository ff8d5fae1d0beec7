//! The audit finds damage, and none in a sound lake.

use serde_json::{Value, json};
use support::nats::NatsServer;

use super::{Json, Writer, copy_of, numbers, object, orders, publish, settle, sql};
use crate::binary::Siltstone;

/// Two partitions with several commits each; one message in ten is quarantined, some are deleted before the writer
/// starts.
async fn settled() -> (NatsServer, Siltstone) {
    let (nats, lake) = orders().await;
    let mixed = |range: std::ops::Range<u64>| {
        range.map(|n| if n % 10 == 9 { "not json".to_owned() } else { format!("{{\"n\":{n}}}") })
    };
    publish(&nats, 0, mixed(0..200)).await;
    publish(&nats, 1, mixed(0..40)).await;
    let context = async_nats::jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    let stream = context.get_stream("orders-1").await.expect("there");
    stream.purge().sequence(11).await.expect("purged");
    settle(&lake).await;
    publish(&nats, 0, mixed(200..260)).await;
    settle(&lake).await;
    (nats, lake)
}

async fn audited(lake: &Siltstone, arguments: &[&str]) -> Value {
    let arguments = [&["audit", "--json"], arguments].concat();
    lake.run(&arguments).await.reported()
}

#[tokio::test]
async fn a_lake_is_proved_from_catalog_objects_and_stream() {
    let (_nats, lake) = settled().await;
    for arguments in [&["orders"][..], &["orders", "--deep"], &["--deep"], &[]] {
        let report = audited(&lake, arguments).await;
        assert_eq!((&report["clean"], &report["problems"]), (&json!(true), &json!(0)), "{report:#}");
        let topic = &report["topics"][0];
        // JetStream counts from 1: offset 0 is in the range and has no message.
        assert_eq!(topic["catalog"]["messages"], 260 + 30, "{topic:#}");
        assert_eq!(topic["catalog"]["offsets"], 261 + 41, "{topic:#}");
        assert_eq!((&topic["catalog"]["gaps"], &topic["catalog"]["gap_offsets"]), (&json!(1), &json!(10)));
        // Segments that were written at the same time share an object.
        let objects = topic["objects"]["objects"].as_u64();
        assert!(objects > Some(0) && objects <= topic["catalog"]["segments"].as_u64(), "{topic:#}");
        assert!(topic["objects"]["stream_messages"].as_u64() > Some(0), "{topic:#}");
        if arguments.contains(&"--deep") {
            assert_eq!((&topic["objects"]["rows"], &topic["objects"]["stream_messages"]), (&json!(290), &json!(290)));
        }
    }
    let text = lake.run(&["audit", "orders", "--deep"]).await.ok();
    text.says(&["topic orders, 2 partitions", "VERDICT", "290 messages held", "audit: clean, 302 offsets"]);
    let one = audited(&lake, &["orders", "--partition", "1"]).await;
    assert_eq!((&one["topics"][0]["partitions"], &one["topics"][0]["catalog"]["messages"]), (&json!(1), &json!(30)));
    lake.run(&["audit", "orders", "--partition", "2"]).await.fails(2, &["partitions 0 to 1"]);
    lake.run(&["audit", "absent"]).await.fails(1, &["topic not found: absent"]);
    let gaps = lake.run(&["gaps", "orders", "--json"]).await.ok().json();
    assert_eq!(
        (&gaps[0]["base_offset"], &gaps[0]["count"], gaps.as_array().map(Vec::len)),
        (&json!(1), &json!(10), Some(1))
    );
    lake.run(&["gaps"]).await.ok().says(&["OFFSETS", "1-10", "discarded by the queue"]);
}

#[tokio::test]
async fn without_its_stream_a_lake_is_proved_from_catalog_and_objects() {
    let (mut nats, lake) = settled().await;
    nats.kill().await.expect("killed");
    lake.run(&["audit", "orders"]).await.fails(1, &["--no-stream"]);
    lake.run(&["audit", "orders", "--no-stream"]).await.ok().says(&["audit: clean", "note: not compared"]);
    let memory = copy_of(&lake, &nats).with("QUEUE_TYPE", "memory");
    memory.run(&["audit", "orders", "--deep"]).await.ok().says(&["audit: clean", "QUEUE_TYPE=memory"]);
}

/// Damages to the catalog by hand, disk or defect, each with the name of the check that finds it.
const DAMAGES: &[(&str, &str)] = &[
    ("segments", "DELETE FROM segments WHERE rowid = (SELECT max(rowid) FROM segments WHERE kind = 'data')"),
    ("segments", "DELETE FROM segments WHERE partition_id = 0 AND base_offset = 0 AND kind = 'data'"),
    ("segments", "DELETE FROM segments WHERE partition_id = 0 AND base_offset = 0"),
    ("segments", "DELETE FROM segments WHERE kind = 'quarantine'"),
    (
        "segments",
        "INSERT INTO segments SELECT id || 'x', topic, partition_id, incarnation, kind, base_offset + 1, end_offset,
             record_count, min_timestamp_us, max_timestamp_us, schema_version, file_id, created_at FROM segments WHERE partition_id = 0 AND base_offset = 0 AND kind = 'data'",
    ),
    ("segments", "UPDATE segments SET end_offset = end_offset + 1 WHERE partition_id = 1"),
    ("objects", "UPDATE objects SET checksum = checksum + 1 WHERE min_partition = 1"),
    ("objects", "UPDATE objects SET size_bytes = size_bytes - 1 WHERE min_partition = 1"),
    ("objects", "UPDATE objects SET key = 'elsewhere' || file_id WHERE min_partition = 1"),
    ("rows", "UPDATE objects SET record_count = record_count + 1 WHERE min_partition = 1"),
    ("rows", "UPDATE objects SET schema_version = 7 WHERE min_partition = 1"),
    ("rows", "UPDATE commits SET record_count = record_count + 1 WHERE partition_id = 1"),
    ("rows", "UPDATE segments SET record_count = record_count + 1 WHERE partition_id = 1 AND kind = 'data'"),
    ("rows", "UPDATE segments SET schema_version = 7 WHERE partition_id = 1 AND kind = 'data'"),
    ("rows", "UPDATE segments SET min_timestamp_us = min_timestamp_us - 1 WHERE partition_id = 1 AND kind = 'data'"),
    ("rows", "UPDATE segment_stats SET null_count = null_count + 1, value_count = value_count - 1"),
    ("rows", "UPDATE segment_stats SET min_value = '2001-01-01 00:00:00+00'"),
    ("segments", "UPDATE segment_stats SET max_value = '2001-01-01 00:00:00+00'"),
    ("segments", "UPDATE objects SET min_offset = min_offset + 1 WHERE min_partition = 1"),
    ("segments", "UPDATE objects SET max_timestamp_us = max_timestamp_us - 1 WHERE min_partition = 1"),
    ("commits", "DELETE FROM commits WHERE partition_id = 0 AND base_offset = 0"),
    ("commits", "UPDATE commits SET base_offset = base_offset + 1 WHERE partition_id = 1"),
    ("commits", "UPDATE commits SET commit_no = 1000 WHERE partition_id = 0 AND commit_no = 2"),
    ("commits", "UPDATE commits SET epoch = 0 WHERE partition_id = 0 AND commit_no > 1"),
    ("commits", "UPDATE commits SET anchor_hash = anchor_hash + 1 WHERE partition_id = 1"),
    ("commits", "UPDATE partitions SET high_watermark = high_watermark + 5"),
    ("commits", "UPDATE partitions SET high_watermark = high_watermark - 5"),
    ("commits", "UPDATE partitions SET commit_no = commit_no + 1"),
    ("offsets", "UPDATE commits SET message_count = message_count - 1 WHERE partition_id = 1"),
    ("offsets", "DELETE FROM gaps"),
    ("rows", "UPDATE gaps SET end_offset = end_offset + 1"),
    ("offsets", "UPDATE gaps SET base_offset = base_offset + 1, end_offset = end_offset + 100"),
    (
        "uploads",
        "INSERT INTO uploads (bucket, key, topic, partition_id, state, created_at, doomed_at)
             SELECT bucket, key, topic, partition_id, 'doomed', 0, 0 FROM segments JOIN objects USING (file_id) LIMIT 1",
    ),
    (
        "uploads",
        "INSERT INTO uploads (bucket, key, topic, partition_id, epoch, owner, state, created_at)
             SELECT '', 'old', topic, partition_id, 0, owner, 'pending', 0 FROM commits LIMIT 1",
    ),
];

#[tokio::test]
async fn every_damage_by_hand_is_found_and_said() {
    let (nats, lake) = settled().await;
    for (check, statement) in DAMAGES {
        let damaged = copy_of(&lake, &nats);
        sql(&damaged, statement).await;
        let report = audited(&damaged, &["orders", "--deep"]).await;
        let found = &report["topics"][0]["problem_counts"];
        assert!(report["clean"] == false && found[check].as_u64() > Some(0), "{statement}: {report:#}");
        let problem = &report["topics"][0]["problems"][0];
        assert!(problem["topic"] == "orders" && problem["advice"].as_str().is_some_and(|text| text.len() > 20));
    }
}

#[tokio::test]
async fn objects_that_are_gone_or_altered_are_found_and_said() {
    let (nats, lake) = settled().await;
    for kind in ["data", "quarantine"] {
        let gone = copy_of(&lake, &nats);
        let path = object(&gone, kind, 1).await;
        std::fs::remove_file(&path).expect("removed");
        let answer = gone.run(&["audit", "orders"]).await;
        assert_eq!(answer.code, 1);
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        answer.says(&["problem: objects orders/", name, "does not exist", "backup", "audit: 1 problem\n"]);
        assert_eq!(answer.err, "", "the answer says it all");

        let flipped = copy_of(&lake, &nats);
        let path = object(&flipped, kind, 1).await;
        let mut bytes = std::fs::read(&path).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("written");
        let answer = flipped.run(&["audit", "orders"]).await;
        answer.says(&["problem: objects orders/", "CRC-32C", "audit: 1 problem\n"]);

        let cut = copy_of(&lake, &nats);
        let path = object(&cut, kind, 1).await;
        std::fs::File::options().write(true).open(&path).expect("opened").set_len(100).expect("cut");
        cut.run(&["audit", "orders"]).await.says(&["it has 100 bytes instead of", "audit: 1 problem\n"]);
    }
}

#[tokio::test]
async fn an_audit_beside_a_working_writer_is_clean() {
    let (nats, lake) = orders().await;
    let writer = Writer::start(&lake);
    let publishing = async {
        for round in 0..20 {
            publish(&nats, round % 2, numbers(0..200)).await;
        }
    };
    let auditing = async {
        let mut commits = Vec::new();
        for _ in 0..5 {
            let report = audited(&lake, &["orders", "--deep"]).await;
            assert_eq!(report["clean"], true, "{report:#}");
            commits.push(report["topics"][0]["catalog"]["commits"].as_u64().expect("a number"));
        }
        commits
    };
    let ((), commits) = tokio::join!(publishing, auditing);
    assert!(commits.is_sorted(), "{commits:?}");
    writer.until(&lake, |partition| partition["lag"] == 0).await;
    writer.stop().await;
    let report = audited(&lake, &["orders", "--deep"]).await;
    assert_eq!((&report["clean"], &report["topics"][0]["objects"]["rows"]), (&json!(true), &json!(4_000)));
}
