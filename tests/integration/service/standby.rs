//! Two writers on one catalog: one owns a partition, the other is its standby and takes over.

use super::{Kind, Service, counted, create_orders, on_nats, publish};
use crate::binary::{DEADLINE, POLL};
use tokio::time::{Instant, sleep};

const MESSAGES: u64 = 2000;

async fn one_takes_over_from_the_other(catalog_url: &str) {
    let (nats, siltstone) = on_nats().await;
    let siltstone = siltstone.with("CATALOG_URL", catalog_url).with("MAX_SEGMENT_RECORDS", "300");
    create_orders(&siltstone).await;
    let mut owner = Service::start(Kind::Writer, &siltstone).await;
    owner.metric("siltstone_partitions_owned", |count| count == 1.0).await;
    let mut other = Service::start(Kind::Writer, &siltstone).await;
    let line = other.logged("partitions shared out").await;
    assert_eq!((&line["own"], &line["all"], &line["writers"]), (&0.into(), &1.into(), &2.into()), "{line}");
    publish(&nats, 0..MESSAGES).await;
    owner.metric("siltstone_records_committed_total", |records| records >= 300.0).await;
    assert_eq!(other.metrics().await["siltstone_partitions_owned"], 0.0);
    assert_eq!(other.metrics().await["siltstone_messages_fetched_total"], 0.0);

    owner.process.kill().await.expect("killed");
    publish(&nats, MESSAGES..2 * MESSAGES).await;
    other.metric("siltstone_partitions_owned", |count| count == 1.0).await;
    let end = Instant::now() + DEADLINE;
    loop {
        let metrics = other.metrics().await;
        let lag = metrics.get(r#"siltstone_partition_lag_messages{topic="orders",partition="0"}"#).copied();
        if lag.is_some_and(|lag| lag < 300.0) && metrics["siltstone_records_committed_total"] > 0.0 {
            break;
        }
        assert!(Instant::now() < end, "lag {lag:?}: {}", other.log_text());
        sleep(POLL).await;
    }
    other.signal("TERM");
    assert_eq!(other.ended().await, 0, "{}", other.log_text());
    let all = 2 * MESSAGES;
    assert_eq!(counted(&siltstone).await, (all, all, all - 1));
}

#[tokio::test]
async fn a_standby_takes_over_on_sqlite() {
    one_takes_over_from_the_other("sqlite:catalog.db").await;
}

#[tokio::test]
async fn a_standby_takes_over_on_postgres() {
    one_takes_over_from_the_other(&support::postgres::fresh_database().await.expect("a database")).await;
}
