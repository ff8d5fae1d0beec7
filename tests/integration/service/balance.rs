//! Several writers on one catalog share the partitions, and take over those of a dead writer.

use async_nats::jetstream;
use support::nats::NatsServer;
use tokio::time::{Instant, sleep};

use super::{Kind, Service, counted, on_nats};
use crate::binary::{DEADLINE, POLL, Siltstone};

const PARTITIONS: u64 = 6;
const MESSAGES: u64 = 600;

/// Publishes numbers round robin over the partitions.
async fn publish_spread(nats: &NatsServer, numbers: std::ops::Range<u64>) {
    let client = async_nats::connect(nats.url()).await.expect("connected");
    let context = jetstream::new(client);
    for n in numbers {
        let subject = format!("orders.{}", n % PARTITIONS);
        let sent = context.publish(subject, format!("{{\"n\":{n}}}").into()).await.expect("sent");
        sent.await.expect("confirmed");
    }
}

async fn owned(writers: &[Service]) -> Vec<u64> {
    let mut owned = Vec::new();
    for writer in writers {
        owned.push(writer.metrics().await["siltstone_partitions_owned"] as u64);
    }
    owned
}

/// Waits until the writers own these numbers of partitions, in any order.
async fn shares(writers: &[Service], wanted: &[u64]) {
    let end = Instant::now() + DEADLINE;
    loop {
        let mut now = owned(writers).await;
        now.sort_unstable();
        if now == wanted {
            return;
        }
        assert!(Instant::now() < end, "shares are {now:?}, not {wanted:?}: {}", writers[0].log_text());
        sleep(POLL * 10).await;
    }
}

async fn partitions_are_shared(catalog_url: &str) {
    let (nats, siltstone) = on_nats().await;
    let siltstone: Siltstone = siltstone.with("CATALOG_URL", catalog_url).with("FLUSH_INTERVAL_SECS", "1");
    let partitions = PARTITIONS.to_string();
    siltstone.run(&["topic", "create", "orders", "--partitions", &partitions, "--column", "n:int64!"]).await.ok();
    let mut writers = vec![Service::start(Kind::Writer, &siltstone).await];
    shares(&writers, &[6]).await;
    publish_spread(&nats, 0..MESSAGES).await;
    writers.push(Service::start(Kind::Writer, &siltstone).await);
    writers.push(Service::start(Kind::Writer, &siltstone).await);
    shares(&writers, &[2, 2, 2]).await;
    publish_spread(&nats, MESSAGES..2 * MESSAGES).await;
    writers[0].process.kill().await.expect("killed");
    writers.remove(0);
    shares(&writers, &[3, 3]).await;
    publish_spread(&nats, 2 * MESSAGES..3 * MESSAGES).await;
    writers[0].signal("TERM");
    assert_eq!(writers[0].ended().await, 0, "{}", writers[0].log_text());
    writers.remove(0);
    shares(&writers, &[6]).await;
    let all = 3 * MESSAGES;
    let end = Instant::now() + DEADLINE;
    while counted(&siltstone).await.0 < all {
        assert!(Instant::now() < end, "not all is committed: {}", writers[0].log_text());
    }
    assert_eq!(counted(&siltstone).await, (all, all, all - 1));
    writers[0].signal("TERM");
    assert_eq!(writers[0].ended().await, 0, "{}", writers[0].log_text());
}

#[tokio::test]
async fn writers_share_partitions_on_sqlite() {
    partitions_are_shared("sqlite:catalog.db").await;
}

#[tokio::test]
async fn writers_share_partitions_on_postgres() {
    partitions_are_shared(&support::postgres::fresh_database().await.expect("a database")).await;
}
