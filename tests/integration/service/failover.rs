//! The catalog's PostgreSQL server is permanently lost, and a standby replaces it under a running writer.

use support::nats::NatsServer;
use support::postgres::PostgresServer;
use support::proxy::{Mode, Proxy};

use super::{Kind, Service, committed, counted, create_orders, files_below, on_nats, publish};
use crate::binary::Siltstone;

const BATCH: u64 = 200;

/// Two servers, and the writer's address for the current primary.
struct Pair {
    primary: PostgresServer,
    standby: PostgresServer,
    /// Between the two: the standby lacks the bytes that are stalled here.
    replication: Proxy,
    front: Proxy,
}

impl Pair {
    async fn start() -> Self {
        let primary = PostgresServer::start().await.expect("a server");
        let replication = Proxy::start(primary.address()).await.expect("a proxy");
        let standby = PostgresServer::standby_of(replication.address()).await.expect("a standby");
        let front = Proxy::start(primary.address()).await.expect("a proxy");
        Self { primary, standby, replication, front }
    }

    fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.front.address())
    }

    /// Kills the primary and promotes the standby.
    async fn fail_over(&mut self) {
        self.primary.kill().await.expect("killed");
        self.standby.promote().await.expect("promoted");
        self.front.retarget(self.standby.address());
        self.front.cut();
    }
}

async fn on_pair(pair: &Pair) -> (NatsServer, Siltstone, Service) {
    let (nats, siltstone) = on_nats().await;
    let siltstone = siltstone.with("CATALOG_URL", &pair.url()).with("FLUSH_INTERVAL_SECS", "1");
    create_orders(&siltstone).await;
    let service = Service::start(Kind::Writer, &siltstone).await;
    (nats, siltstone, service)
}

async fn all_once(siltstone: &Siltstone, mut service: Service, messages: u64) {
    committed(siltstone, messages + 1).await;
    assert_eq!(counted(siltstone).await, (messages, messages, messages - 1));
    service.signal("TERM");
    assert_eq!(service.ended().await, 0, "{}", service.log_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_a_synchronous_standby_loses_no_commit_and_no_message() {
    let mut pair = Pair::start().await;
    pair.primary.configure(&[("synchronous_standby_names", "*")]).await.expect("configured");
    let (nats, siltstone, service) = on_pair(&pair).await;
    let mut sent = 0;
    while sent < 5 * BATCH {
        publish(&nats, sent..sent + BATCH).await;
        sent += BATCH;
        committed(&siltstone, sent + 1).await;
    }
    // A part of it is on its way to a commit when the server fails.
    publish(&nats, sent..sent + BATCH).await;
    pair.fail_over().await;
    let kept = pair.standby.execute("select high_watermark from partitions").await.expect("read");
    assert!(kept.trim_end().parse::<u64>().expect("a number") > sent, "what was confirmed is there: {kept}");
    publish(&nats, sent + BATCH..sent + 2 * BATCH).await;
    all_once(&siltstone, service, sent + 2 * BATCH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_a_standby_that_lagged_reads_again_what_it_lacks() {
    let mut pair = Pair::start().await;
    let (nats, siltstone, service) = on_pair(&pair).await;
    publish(&nats, 0..BATCH).await;
    committed(&siltstone, BATCH + 1).await;
    let all_replayed = "select pg_last_wal_replay_lsn() is not null and (select count(*) from segments) = 1";
    pair.standby.wait_for(all_replayed, "t").await.expect("replicated");
    pair.replication.set(Mode::Stall);
    let mut sent = BATCH;
    while sent < 5 * BATCH {
        publish(&nats, sent..sent + BATCH).await;
        sent += BATCH;
        committed(&siltstone, sent + 1).await;
    }
    pair.fail_over().await;
    let kept = pair.standby.execute("select high_watermark from partitions").await.expect("read");
    assert_eq!(kept.trim_end(), (BATCH + 1).to_string(), "the standby lacks the rest");
    publish(&nats, sent..sent + BATCH).await;
    all_once(&siltstone, service, sent + BATCH).await;
    let objects = files_below(&siltstone.path().join("data")).len();
    let listed = siltstone.run(&["segments", "orders", "--json"]).await.ok().json();
    let listed = listed.as_array().expect("a list").len();
    assert!(objects - listed >= 4, "what only the lost server listed stays, unlisted");
}
