//! A crash, and a lost reply, at every step boundary of the pipeline: each message is still in the table once.

use std::collections::BTreeSet;

use common::failpoint;
use tokio::time::{Instant, sleep};

use super::{Kind, Service, counted, create_orders, high_watermark, on_nats, publish};
use crate::binary::{DEADLINE, POLL, Siltstone};

const MESSAGES: u64 = 60;
const HALF: u64 = MESSAGES / 2;
/// A step crashes at its second time, after a first commit, except the steps that happen once.
const ONCE: [&str; 11] = [
    "takeover.done",
    "fetch.attached",
    "release.before",
    "release.done",
    "compact.merged",
    "compact.put",
    "compact.replaced",
    "publish.manifests",
    "publish.list",
    "publish.before",
    "publish.done",
];
/// Need objects to delete, or messages to find: tested elsewhere.
const ELSEWHERE: [&str; 3] = ["batch.decode", "janitor.before_delete", "janitor.deleted"];
const REPLIES: [&str; 3] = ["intent.reply", "put.reply", "commit.reply"];

/// Runs a writer that crashes at `point`, then one without failpoints, to the end.
async fn survives(points: String) {
    let (nats, siltstone) = on_nats().await;
    let siltstone = siltstone.with("FLUSH_INTERVAL_SECS", "1").with("COMPACTION_MIN_OBJECTS", "2");
    let interval = if points.starts_with("publish") { "1" } else { "0" };
    let siltstone = siltstone.with("ICEBERG_PUBLISH_INTERVAL_SECS", interval);
    create_orders(&siltstone).await;
    publish(&nats, 0..HALF).await;
    let mut first = Service::spawn(Kind::Writer, &siltstone.clone().with(failpoint::VARIABLE, &points));
    reached(&siltstone, &mut first, HALF + 1).await;
    publish(&nats, HALF..MESSAGES).await;
    reached(&siltstone, &mut first, MESSAGES + 1).await;
    if points.starts_with("release") {
        first.signal("TERM");
    }
    assert_eq!(first.ended().await, -1, "{points}: it crashes: {}", first.log_text());
    assert!(first.log_text().contains(": crash"), "{points}: {}", first.log_text());
    finish(&siltstone, &points).await;
}

/// Waits until every offset below `offset` is committed, or the writer has ended.
async fn reached(siltstone: &Siltstone, writer: &mut Service, offset: u64) {
    let end = Instant::now() + DEADLINE;
    while writer.process.exited().expect("its status").is_none() && high_watermark(siltstone).await < offset {
        assert!(Instant::now() < end, "no progress: {}", writer.log_text());
        sleep(POLL).await;
    }
}

async fn finish(siltstone: &Siltstone, points: &str) {
    let mut second = Service::start(Kind::Writer, siltstone).await;
    reached(siltstone, &mut second, MESSAGES + 1).await;
    assert_eq!(counted(siltstone).await, (MESSAGES, MESSAGES, MESSAGES - 1), "{points}");
    second.signal("TERM");
    assert_eq!(second.ended().await, 0, "{points}: {}", second.log_text());
    assert_eq!(counted(siltstone).await, (MESSAGES, MESSAGES, MESSAGES - 1), "{points}");
}

fn crashes(names: &BTreeSet<&str>) -> Vec<String> {
    let time = |name: &&str| if ONCE.contains(name) { 1 } else { 2 };
    names.iter().map(|name| format!("{name}=crash@{}", time(name))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_step_boundary_loses_and_doubles_nothing() {
    let all: BTreeSet<&str> = failpoint::NAMES.iter().copied().filter(|name| !ELSEWHERE.contains(name)).collect();
    for points in crashes(&all) {
        Box::pin(survives(points)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_at_every_step_loses_and_doubles_nothing() {
    for name in REPLIES {
        let (nats, siltstone) = on_nats().await;
        let points = format!("{name}=error@1");
        let siltstone = siltstone.with("FLUSH_INTERVAL_SECS", "1").with(failpoint::VARIABLE, &points);
        create_orders(&siltstone).await;
        publish(&nats, 0..MESSAGES).await;
        Box::pin(finish(&siltstone, &points)).await;
    }
}

#[tokio::test]
async fn a_failpoint_that_does_not_exist_is_refused() {
    let siltstone = Siltstone::new().with(failpoint::VARIABLE, "commit.befor=crash");
    super::run_to_end(Kind::Writer, &siltstone).await.fails(1, &[failpoint::VARIABLE, "commit.befor", "commit.before"]);
}
