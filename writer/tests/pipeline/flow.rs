//! Published messages are committed: by size, age, rows, flush, memory, schema and shutdown.

use std::sync::Arc;
use std::time::Duration;

use catalog::SegmentKind;
use common::TopicPartition;
use writer::{RollReason, Storage, Writer};

use crate::world::{World, expected};

const JSON: &str = r#"{"format":"json","columns":[{"name":"n","type":"int64"},{"name":"s","type":"string"}]}"#;

fn numbered(n: u64) -> String {
    format!(r#"{{"n":{n},"s":"text number {n}"}}"#)
}

fn rolls(summary: &writer::Summary, reason: RollReason) -> u64 {
    summary.rolls.iter().find(|(r, _)| *r == reason).map_or(0, |(_, count)| *count)
}

#[tokio::test(flavor = "multi_thread")]
async fn published_messages_are_committed_once_in_every_partition() {
    let world = World::new().await;
    let topic = world.topic("orders", 3, JSON).await;
    let mut writer = world.start().await;
    let mut targets = Vec::new();
    for partition_id in 0..3 {
        let partition = TopicPartition::new(topic.clone(), partition_id);
        let end = world.publish(&partition, (0..5_000).map(numbered)).await;
        targets.push((partition, end));
    }
    writer.wait_committed(&targets).await.expect("committed");
    assert_eq!(world.rows(&topic, SegmentKind::Data).await, expected(3, 5_000));
    world.audit(&topic).await;
    let summary = writer.shutdown().await.expect("drains");
    assert_eq!((summary.messages, summary.records, summary.quarantined), (15_000, 15_000, 0));
    assert_eq!(writer.budget().used_bytes(), 0, "all memory was given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_rolls_by_age_without_being_asked() {
    let world = World::new().await;
    let topic = world.topic("t", 1, "{}").await;
    let mut writer = world.start().await;
    world.publish(&TopicPartition::new(topic.clone(), 0), ["lonely".to_owned()]).await;
    while world.segments(&topic).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let summary = writer.shutdown().await.expect("drains");
    assert_eq!(rolls(&summary, RollReason::Age), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_rolls_by_size_and_by_rows() {
    let mut world = World::new().await;
    world.config.batch_age_max = Duration::from_secs(3600);
    world.config.segment_bytes_max = 256 * 1024;
    let topic = world.topic("test", 1, "{}").await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut writer = world.start().await;
    let incompressible = |seed: u64| -> String {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..1024).map(|_| random.alphanumeric()).collect()
    };
    let end = world.publish(&partition, (0..20_000).map(incompressible)).await;
    writer.wait_committed(&[(partition.clone(), end)]).await.expect("committed");
    let by_size = writer.shutdown().await.expect("drains");
    assert!(rolls(&by_size, RollReason::Size) >= 2, "{by_size:?}");

    world.config.segment_bytes_max = 1 << 30;
    world.config.segment_records_max = 10_000;
    let mut writer = world.start().await;
    let end = world.publish(&partition, (0..50_000).map(numbered)).await;
    writer.wait_committed(&[(partition, end)]).await.expect("committed");
    let by_rows = writer.shutdown().await.expect("drains");
    assert!(rolls(&by_rows, RollReason::Rows) >= 2, "{by_rows:?}");
    assert_eq!(world.rows(&topic, SegmentKind::Data).await, expected(1, 70_000));
    world.audit(&topic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_loses_nothing_that_was_fetched_and_a_restart_goes_on() {
    let mut world = World::new().await;
    world.config.batch_age_max = Duration::from_secs(3600);
    let topic = world.topic("t", 2, JSON).await;
    for round in 1..=4_u64 {
        let mut writer = world.start().await;
        for partition_id in 0..2 {
            world.publish(&TopicPartition::new(topic.clone(), partition_id), (0..1_000).map(numbered)).await;
        }
        // Some rounds stop with everything fetched, some in the middle of fetching.
        while round % 2 == 0 && writer.status().iter().any(|status| status.position < round * 1_000) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        writer.shutdown().await.expect("drains");
        world.audit(&topic).await;
    }
    let mut writer = world.start().await;
    let targets: Vec<_> = (0..2).map(|p| (TopicPartition::new(topic.clone(), p), 4_000)).collect();
    writer.wait_committed(&targets).await.expect("committed");
    assert_eq!(world.rows(&topic, SegmentKind::Data).await, expected(2, 4_000));
    writer.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_go_to_quarantine_and_the_rest_goes_on() {
    let world = World::new().await;
    let topic = world.topic("t", 1, JSON).await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut writer = world.start().await;
    let payloads = ["{\"n\":1}\nbroken\n{\"n\":2,\"new\":true}", "", "{\"n\":\"x\"}", "{\"n\":3}"];
    let end = world.publish(&partition, payloads.map(str::to_owned)).await;
    writer.wait_committed(&[(partition.clone(), end)]).await.expect("committed");
    assert_eq!(world.rows(&topic, SegmentKind::Data).await, [(0, 0, 0), (0, 0, 2), (0, 3, 0)]);
    assert_eq!(world.rows(&topic, SegmentKind::Quarantine).await, [(0, 0, 1), (0, 1, 0), (0, 2, 0)]);
    let end = world.publish(&partition, ["only bad".to_owned()]).await;
    writer.wait_committed(&[(partition, end)]).await.expect("a batch of quarantine alone is committed too");
    world.audit(&topic).await;
    assert_eq!(writer.shutdown().await.expect("drains").quarantined, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_schema_closes_the_batch_and_applies_to_what_follows() {
    let mut world = World::new().await;
    world.config.batch_age_max = Duration::from_secs(3600);
    let topic = world.topic("t", 1, JSON).await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut writer = world.start().await;
    world.publish(&partition, [numbered(1)]).await;
    while writer.status()[0].position < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let wider = JSON.replace("]}", r#",{"name":"later","type":"bool"}]}"#);
    let options = serde_json::from_str(&wider).expect("valid");
    world.catalog.update_topic_config(&topic, 1, None, options).await.expect("updated");
    writer.refresh_topics();
    while world.segments(&topic).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let end = world.publish(&partition, [r#"{"n":2,"later":true}"#.to_owned()]).await;
    writer.wait_committed(&[(partition, end)]).await.expect("committed");
    let segments = world.segments(&topic).await;
    let versions: Vec<u32> = segments.iter().map(|segment| segment.schema_version).collect();
    assert_eq!(versions, [1, 2]);
    assert!(world.read(&segments[1]).await[0].column_by_name("later").is_some());
    assert_eq!(rolls(&writer.shutdown().await.expect("drains"), RollReason::Schema), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_within_the_budget_and_pressure_rolls() {
    let mut world = World::new().await;
    world.config.batch_age_max = Duration::from_secs(3600);
    world.config.memory_budget_bytes = 16 * 1024 * 1024;
    let topic = world.topic("t", 4, "{}").await;
    let mut writer = world.start().await;
    let mut targets = Vec::new();
    for partition_id in 0..4 {
        let partition = TopicPartition::new(topic.clone(), partition_id);
        let payload = |seed: u64| -> String {
            let mut random = fastrand::Rng::with_seed(seed);
            (0..2_000).map(|_| random.alphanumeric()).collect()
        };
        let end = world.publish(&partition, (0..10_000).map(payload)).await;
        targets.push((partition, end));
    }
    while writer.summary().messages < 20_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(rolls(&writer.summary(), RollReason::Memory) > 0, "{:?}", writer.summary());
    writer.wait_committed(&targets).await.expect("committed");
    assert_eq!(world.rows(&topic, SegmentKind::Data).await.len(), 40_000);
    let budget = writer.budget();
    let slack = 4 * 2 * writer_chunk_bytes();
    assert!(budget.used_bytes_peak() <= budget.capacity_bytes() + slack, "{budget:?} {}", budget.used_bytes_peak());
    writer.shutdown().await.expect("drains");
}

/// Memory that an encoder may hold beyond its raw messages before the accounting is corrected, in bytes.
fn writer_chunk_bytes() -> usize {
    4 * 1024 * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn local_segments_are_files_below_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::with_storage(Storage::local(dir.path().join("lake")).expect("created")).await;
    world.storage.probe().await.expect("usable");
    let topic = world.topic("a/../b", 1, "{}").await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut writer = world.start().await;
    let end = world.publish(&partition, (0..10).map(numbered)).await;
    writer.wait_committed(&[(partition, end)]).await.expect("committed");
    let segment = &world.segments(&topic).await[0];
    let path = dir.path().join("lake").join(&segment.object.key);
    assert_eq!(std::fs::metadata(path).expect("it is there").len(), segment.object.size_bytes);
    world.audit(&topic).await;
    writer.shutdown().await.expect("drains");
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_refused_with_the_reason() {
    let error = Storage::local("/proc/nothing".into()).expect_err("not writable");
    assert!(error.to_string().contains("/proc/nothing"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_quarantine_alone_rolls_by_size_too() {
    let mut world = World::new().await;
    world.config.batch_age_max = Duration::from_secs(3600);
    world.config.segment_bytes_max = 256 * 1024;
    let topic = world.topic("t", 1, JSON).await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut writer = world.start().await;
    let bad = |seed: u64| -> String {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..1024).map(|_| random.alphanumeric()).collect()
    };
    world.publish(&partition, (0..20_000).map(bad)).await;
    while writer.status()[0].position < 20_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let summary = writer.shutdown().await.expect("drains");
    assert_eq!(summary.quarantined, 20_000);
    assert!(rolls(&summary, RollReason::Size) >= 2, "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_commits_closes_each_batch_once_and_only_those_that_it_waits_for() {
    let mut world = World::new().await;
    world.config.batch_age_max = Duration::from_secs(3600);
    let topic = world.topic("t", 3, "{}").await;
    let mut writer = world.start().await;
    let mut targets = Vec::new();
    for partition_id in 0..3 {
        let partition = TopicPartition::new(topic.clone(), partition_id);
        let end = world.publish(&partition, (0..100).map(|n| n.to_string())).await;
        targets.push((partition, end));
    }
    writer.wait_committed(&targets[..2]).await.expect("committed");
    assert_eq!((writer.summary().messages, rolls(&writer.summary(), RollReason::Flush)), (200, 2));
    writer.wait_committed(&targets[..2]).await.expect("committed before");
    let summary = writer.shutdown().await.expect("drains");
    assert_eq!((summary.segments, rolls(&summary, RollReason::Flush)), (3, 2), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_commits_sees_those_of_other_writers() {
    let world = World::new().await;
    let topic = world.topic("t", 1, "{}").await;
    let builder = Writer::builder(Arc::clone(&world.queue), world.storage.clone(), Arc::clone(&world.catalog));
    let idle = builder.topics(vec![world.topic("other", 1, "{}").await]).build().start().await.expect("starts");
    let partition = TopicPartition::new(topic, 0);
    let targets = [(partition.clone(), world.publish(&partition, ["x".to_owned()]).await)];
    let commit = async {
        let mut other = world.start().await;
        other.wait_committed(&targets).await.expect("committed");
        other.shutdown().await.expect("drains");
    };
    let (waited, ()) = tokio::join!(idle.wait_committed(&targets), commit);
    waited.expect("seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_closed_at_the_same_time_are_encoded_one_after_the_other() {
    let mut world = World::new().await;
    world.config.batch_age_max = Duration::from_secs(3600);
    let topic = world.topic("slow", 400, JSON).await;
    let mut writer = world.start().await;
    for partition_id in 0..400 {
        world.publish(&TopicPartition::new(topic.clone(), partition_id), [numbered(0)]).await;
    }
    let fetched = || writer.status().iter().filter(|partition| partition.position == 1).count();
    while fetched() < 400 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    writer.flush().await.expect("committed");
    // An encoder of these columns takes more than a megabyte.
    let peak = writer.budget().used_bytes_peak();
    assert!(peak < 100 << 20, "{} MiB at once", peak >> 20);
    assert_eq!(writer.shutdown().await.expect("drains").records, 400);
}
