//! The fate of rows when the stream's history changes under the writer: purged, deleted, recreated, restored from an
//! older copy, discarded by its limits. The real writer, a real server, SQLite and local files.

use std::sync::Arc;

use async_nats::jetstream::stream::{Config, DiscardPolicy, Stream};
use catalog::{Gap, MetadataStore};
use common::{TopicName, TopicPartition};
use serde_json::Value;
use support::nats::{NatsOptions, NatsServer, recreate_stream};
use support::power_disk::PowerDisk;
use tokio::time::{Instant, sleep};

use super::{Kind, Service, counted, create_orders, high_watermark, on, on_nats, publish};
use crate::binary::{DEADLINE, POLL, Siltstone};

/// A writer that commits soon, with a topic of one partition.
async fn with_orders() -> (NatsServer, Siltstone) {
    let (nats, siltstone) = on_nats().await;
    let siltstone = siltstone.with("FLUSH_INTERVAL_SECS", "1").with("CATALOG_URL", "sqlite:catalog.db");
    create_orders(&siltstone).await;
    (nats, siltstone)
}

async fn stream(nats: &NatsServer) -> Stream {
    let client = async_nats::connect(nats.url()).await.expect("connected");
    async_nats::jetstream::new(client).get_stream("orders-0").await.expect("the stream")
}

async fn committed(siltstone: &Siltstone, target: u64) {
    let end = Instant::now() + DEADLINE;
    loop {
        let found = high_watermark(siltstone).await;
        if found >= target {
            return;
        }
        assert!(Instant::now() < end, "the watermark stays at {found}, below {target}");
        sleep(POLL * 10).await;
    }
}

/// Starts a writer, waits until every offset below `target` is committed, and stops it.
async fn settle(siltstone: &Siltstone, target: u64) {
    let mut writer = Service::start(Kind::Writer, siltstone).await;
    committed(siltstone, target).await;
    writer.signal("TERM");
    assert_eq!(writer.ended().await, 0, "{}", writer.log_text());
}

async fn gaps(siltstone: &Siltstone) -> Vec<(u64, u64, String)> {
    let path = siltstone.path().join("catalog.db");
    let store: Arc<dyn MetadataStore> = catalog::connect(&format!("sqlite:{}", path.display())).await.expect("opens");
    let orders = TopicPartition::new(TopicName::new("orders").expect("valid"), 0);
    let recorded = store.list_gaps(&orders).await.expect("lists").into_iter();
    recorded.map(|recorded| recorded.gap).map(|Gap { range, reason, .. }| (range.base(), range.end(), reason)).collect()
}

/// Waits until the partition of a running writer is halted, and returns the reason, which must be the same everywhere
/// and understandable without prior knowledge.
async fn halted(service: &mut Service, siltstone: &Siltstone) -> String {
    service.logged("partition halted; it needs an operator").await;
    let unready = service.readiness(503).await;
    let described: Value = siltstone.run(&["topic", "describe", "orders", "--json"]).await.ok().json();
    let partition = &described["partitions"][0];
    assert_eq!(partition["state"], "halted", "{described}");
    let reason = partition["halt_reason"].as_str().expect("a reason").to_owned();
    assert!(unready.to_string().contains(&serde_json::to_string(&reason).expect("text")), "{unready}");
    siltstone.run(&["topic", "describe", "orders"]).await.ok().says(&["halted: stream_regressed"]);
    for part in [
        "stream_regressed: ",
        "stream orders-0 created",
        "deleted and made again, or restored from an older copy",
        "All committed rows stay as they are",
        "siltstone topic resume orders --partition 0",
    ] {
        assert!(reason.contains(part), "{part:?} is not in {reason}");
    }
    reason
}

#[tokio::test]
async fn a_purge_beyond_the_watermark_is_a_gap_with_its_reason_and_reading_goes_on() {
    let (nats, siltstone) = with_orders().await;
    publish(&nats, 0..100).await;
    settle(&siltstone, 101).await;
    publish(&nats, 100..200).await;
    stream(&nats).await.purge().sequence(151).await.expect("purged");
    let mut writer = Service::start(Kind::Writer, &siltstone).await;
    let warned = writer.logged("gap recorded").await;
    assert_eq!((&warned["base_offset"], &warned["end_offset"]), (&101.into(), &150.into()), "{warned}");
    assert!(warned["reason"].as_str().is_some_and(|reason| reason.contains("purged")), "{warned}");
    committed(&siltstone, 201).await;
    assert_eq!(writer.metrics().await["siltstone_gap_offsets_total"], 50.0);
    publish(&nats, 200..210).await;
    committed(&siltstone, 211).await;
    assert_eq!(counted(&siltstone).await, (160, 160, 209));
    let [(base_offset, end_offset, reason)] = &gaps(&siltstone).await[..] else { panic!("one gap") };
    assert!((*base_offset, *end_offset) == (101, 150) && reason.contains("purged"), "{reason}");
}

#[tokio::test]
async fn single_messages_deleted_before_they_are_read_are_gaps_of_their_size() {
    let (nats, siltstone) = with_orders().await;
    publish(&nats, 0..50).await;
    let held = stream(&nats).await;
    for sequence in [20, 21, 35] {
        held.delete_message(sequence).await.expect("deleted");
    }
    settle(&siltstone, 51).await;
    assert_eq!(counted(&siltstone).await, (47, 47, 49));
    let ranges: Vec<_> = gaps(&siltstone).await.into_iter().map(|(base, end, _)| (base, end)).collect();
    assert_eq!(ranges, [(20, 21), (35, 35)]);
}

/// Deletes the stream under a writer that has committed 100 messages, and recreates it with `count` others.
async fn made_again(count: u64) -> String {
    let (nats, siltstone) = with_orders().await;
    let mut writer = Service::start(Kind::Writer, &siltstone).await;
    publish(&nats, 0..100).await;
    committed(&siltstone, 101).await;
    let before = counted(&siltstone).await;
    let jetstream = async_nats::jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    // While no writer runs, because it might read in between.
    writer.process.kill().await.expect("killed");
    recreate_stream(&jetstream, "orders-0").await.expect("created again");
    publish(&nats, 1_000..1_000 + count).await;
    let mut writer = Service::start(Kind::Writer, &siltstone).await;
    let reason = halted(&mut writer, &siltstone).await;
    assert_eq!(counted(&siltstone).await, before, "nothing of the other history got in");
    assert!(gaps(&siltstone).await.is_empty());
    reason
}

#[tokio::test]
async fn a_stream_made_again_with_fewer_messages_halts_with_the_way_out() {
    let reason = made_again(30).await;
    assert!(reason.contains("the queue now ends at offset 30, but offset 100 was read before"), "{reason}");
    let reason = made_again(0).await;
    assert!(reason.contains("is now empty") && reason.contains("offset 100 was read before"), "{reason}");
}

#[tokio::test]
async fn a_stream_made_again_with_more_messages_halts_with_the_way_out() {
    let reason = made_again(250).await;
    assert!(reason.contains("the message at offset 100 is not the one that was read before"), "{reason}");
}

#[tokio::test]
async fn a_stream_deleted_and_made_again_under_a_running_writer_halts_it() {
    let (nats, siltstone) = with_orders().await;
    let mut writer = Service::start(Kind::Writer, &siltstone).await;
    publish(&nats, 0..100).await;
    committed(&siltstone, 101).await;
    let jetstream = async_nats::jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    recreate_stream(&jetstream, "orders-0").await.expect("created again");
    publish(&nats, 1_000..1_200).await;
    halted(&mut writer, &siltstone).await;
    assert_eq!(counted(&siltstone).await, (100, 100, 99));
}

/// A server whose store is restored to its state at 60 of 100 committed messages; then `count` others arrive.
async fn rolled_back(count: u64) -> String {
    let (mut nats, siltstone) = with_orders().await;
    let mut writer = Service::start(Kind::Writer, &siltstone).await;
    publish(&nats, 0..60).await;
    committed(&siltstone, 61).await;
    nats.stop_gracefully().await.expect("stopped");
    let copy = nats.copy_store().expect("copied");
    nats.restart().await.expect("started");
    publish(&nats, 60..100).await;
    committed(&siltstone, 101).await;
    let created = stream(&nats).await.cached_info().created;
    nats.kill().await.expect("killed");
    writer.process.kill().await.expect("killed");
    nats.replace_store(&copy).expect("replaced");
    nats.restart().await.expect("started");
    publish(&nats, 1_000..1_000 + count).await;
    assert_eq!(stream(&nats).await.cached_info().created, created, "it cannot be told by its creation");
    let mut writer = Service::start(Kind::Writer, &siltstone).await;
    let reason = halted(&mut writer, &siltstone).await;
    assert_eq!(counted(&siltstone).await, (100, 100, 99), "what was committed is safe");
    reason
}

#[tokio::test]
async fn a_stream_rolled_back_with_its_sequences_used_again_halts_with_the_way_out() {
    let reason = rolled_back(60).await;
    assert!(reason.contains("the message at offset 100 is not the one that was read before"), "{reason}");
}

#[tokio::test]
async fn a_stream_rolled_back_behind_what_was_committed_halts_with_the_way_out() {
    let reason = rolled_back(0).await;
    assert!(reason.contains("the queue now ends at offset 60, but offset 100 was read before"), "{reason}");
}

/// The server syncs at intervals, as is its default; here not during the test.
#[tokio::test]
async fn a_power_cut_that_costs_the_server_unread_messages_is_told_and_what_is_committed_is_safe() {
    let mut disk = PowerDisk::mount(256).expect("a disk");
    let options = NatsOptions {
        jetstream_lines: vec!["sync_interval: \"1h\"".to_owned()],
        store_dir: Some(disk.path().join("jetstream")),
        ..NatsOptions::default()
    };
    let mut nats = NatsServer::start_with(options).await.expect("a NATS server");
    let siltstone = on(&nats).with("CATALOG_URL", "sqlite:catalog.db");
    create_orders(&siltstone).await;
    let mut writer = Service::start(Kind::Writer, &siltstone).await;
    // Read and not committed: 100 messages. The disk holds 40 of them.
    publish(&nats, 0..40).await;
    writer.fetched(40).await;
    disk.sync().expect("synced");
    publish(&nats, 40..100).await;
    writer.fetched(100).await;
    nats.kill().await.expect("killed");
    disk.cut_power().expect("cut");
    disk.restore_power().expect("mounted again");
    nats.restart().await.expect("started");
    // The writer had read the lost messages: it detects the loss at once, and commits the messages that it holds.
    let halted = writer.logged("partition halted; it needs an operator").await;
    let reason = halted["reason"].as_str().expect("told").to_owned();
    assert!(reason.contains("now ends at offset 40, but offset 100 was read before"), "{reason}");
    assert_eq!(counted(&siltstone).await, (100, 100, 99), "no other copy of them is left");
}

#[tokio::test]
async fn limits_that_discard_unread_messages_are_warned_of_before_and_recorded_as_a_gap_after() {
    let (nats, siltstone) = on_nats().await;
    let jetstream = async_nats::jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    let events = Config {
        name: "orders-0".to_owned(),
        subjects: vec!["orders.0".to_owned()],
        max_messages: 1_000,
        discard: DiscardPolicy::Old,
        ..Config::default()
    };
    jetstream.create_stream(events).await.expect("made");
    let siltstone = siltstone.with("CATALOG_URL", "sqlite:catalog.db");
    siltstone.run(&["topic", "create", "orders", "--stream", "orders-0", "--column", "n:int64!"]).await.ok();
    // A writer that does not commit: its lag grows.
    let mut writer = Service::start(Kind::Writer, &siltstone).await;
    let margin = r#"siltstone_discard_margin_messages{topic="orders",partition="0"}"#;
    publish(&nats, 0..500).await;
    writer.metric(margin, |left| left == 500.0).await;
    assert!(!writer.log_text().contains("about to discard"), "half of the room is left");
    publish(&nats, 500..950).await;
    let warned = writer.logged("the queue is about to discard messages that are not committed").await;
    assert_eq!((&warned["level"], &warned["margin_messages"]), (&"WARN".into(), &50.into()), "{warned}");
    assert!(warned["reason"].as_str().is_some_and(|reason| reason.contains("max_msgs 1000")), "{warned}");
    writer.metric(margin, |left| left == 50.0).await;
    writer.process.kill().await.expect("killed");
    // No operator acted on the warning.
    publish(&nats, 950..1_450).await;
    let siltstone = siltstone.with("FLUSH_INTERVAL_SECS", "1");
    settle(&siltstone, 1_451).await;
    assert_eq!(counted(&siltstone).await, (1_000, 1_000, 1_449));
    let [(base_offset, end_offset, reason)] = &gaps(&siltstone).await[..] else { panic!("one gap") };
    assert!((*base_offset, *end_offset) == (1, 450) && reason.contains("limits"), "{reason}");
}
