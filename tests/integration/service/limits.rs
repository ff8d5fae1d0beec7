//! A writer with scarce resources (memory, file descriptors), and messages larger than its whole budget.

use async_nats::jetstream;
use support::nats::{NatsOptions, NatsServer};

use super::{Kind, Service, on_nats};
use crate::binary::{DEADLINE, POLL, Siltstone};
use tokio::time::{Instant, sleep};

/// A topic of many partitions, and one message in each.
async fn one_message_each(partitions: u64) -> (NatsServer, Siltstone) {
    let (nats, siltstone) = on_nats().await;
    let siltstone =
        siltstone.with("FLUSH_INTERVAL_SECS", "1").with("LEASE_SECS", "30").with("MEMORY_BUDGET_BYTES", "16777216");
    let count = partitions.to_string();
    siltstone.run(&["topic", "create", "wide", "--partitions", &count, "--column", "n:int64!"]).await.ok();
    let context = jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    for id in 0..partitions {
        let sent = context.publish(format!("wide.{id}"), format!("{{\"n\":{id}}}").into()).await.expect("sent");
        sent.await.expect("confirmed");
    }
    (nats, siltstone)
}

/// The peak memory of the process, in bytes.
fn memory_peak(service: &Service) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.process.pid())).expect("read");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("told");
    let kib = line.trim().strip_suffix(" kB").expect("in KiB");
    kib.parse::<u64>().expect("a number") * 1024
}

/// Every message is committed once; then the writer ends well. Returns its peak of memory in bytes.
async fn all_once(siltstone: &Siltstone, service: &mut Service, partitions: u64) -> u64 {
    let sql = "SELECT count(*) AS r, count(DISTINCT n) AS d FROM wide";
    let end = Instant::now() + DEADLINE;
    loop {
        let row = siltstone.run(&["query", "--json", sql]).await.ok().json();
        let numbers = (row["r"].as_u64().expect("a number"), row["d"].as_u64().expect("a number"));
        assert_eq!(numbers.0, numbers.1, "none twice");
        if numbers.0 == partitions {
            break;
        }
        assert!(Instant::now() < end, "{numbers:?} of {partitions}: {}", service.log_text());
        sleep(POLL).await;
    }
    let peak = memory_peak(service);
    service.signal("TERM");
    assert_eq!(service.ended().await, 0, "{}", service.log_text());
    peak
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_each_of_a_thousand_partitions_needs_no_more_memory_than_a_few_large_ones() {
    const PARTITIONS: u64 = 1_000;
    let (_nats, siltstone) = one_message_each(PARTITIONS).await;
    let mut service = Service::spawn(Kind::Writer, &siltstone).started().await;
    let peak = all_once(&siltstone, &mut service, PARTITIONS).await;
    println!("{} MiB at most", peak >> 20);
    assert!(peak < 512 << 20, "{} MiB", peak >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_and_fifty_six_file_descriptors_are_enough_for_hundreds_of_partitions() {
    const PARTITIONS: u64 = 400;
    let (_nats, siltstone) = one_message_each(PARTITIONS).await;
    let mut service = Service::start_under("-n 256", &siltstone).await;
    all_once(&siltstone, &mut service, PARTITIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_the_largest_size_that_nats_takes_are_rows_under_a_smaller_budget() {
    // A record of JetStream's file store ends at 32 MiB, independent of `max_payload`.
    const LARGE: usize = 31 * 1024 * 1024;
    let lines = vec!["max_pending: 268435456".to_owned()];
    let options = NatsOptions { max_payload: Some(64 * 1024 * 1024), lines, ..NatsOptions::default() };
    let nats = NatsServer::start_with(options).await.expect("a NATS server");
    let siltstone = Siltstone::new()
        .with("QUEUE_TYPE", "nats")
        .with("NATS_URL", &nats.url())
        .with("FLUSH_INTERVAL_SECS", "1")
        .with("MEMORY_BUDGET_BYTES", "16777216")
        .with("LOG_FORMAT", "json");
    siltstone.run(&["topic", "create", "blobs"]).await.ok();
    let context = jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    for size in [1, LARGE, 0, LARGE, 2] {
        let sent = context.publish("blobs.0", vec![7; size].into()).await.expect("sent");
        sent.await.expect("confirmed");
    }
    let mut service = Service::spawn(Kind::Writer, &siltstone).started().await;
    service.metric("siltstone_records_committed_total", |records| records >= 5.0).await;
    service.signal("TERM");
    assert_eq!(service.ended().await, 0, "{}", service.log_text());
    let sql =
        "SELECT count(*) AS r, count(DISTINCT _offset) AS d, sum(octet_length(CAST(value AS VARCHAR))) AS b FROM blobs";
    let row = siltstone.run(&["query", "--json", sql]).await.ok().json();
    assert_eq!((&row["r"], &row["d"]), (&5.into(), &5.into()), "{row}");
    assert_eq!(row["b"], (2 * LARGE + 3) as u64, "{row}");
}
