//! A login that loses its rights while the writer runs: readiness reports it, nothing is lost, and the writer
//! recovers.

use async_nats::jetstream;
use support::nats::{NatsClient, NatsOptions, NatsServer};
use tokio::time::{Instant, sleep};

use super::{Kind, Service, counted, create_orders, high_watermark};
use crate::binary::{DEADLINE, POLL, Siltstone};

/// A server on which `writer`, with this password, may publish to these subjects, and `admin` to all.
fn options(password: &str, subjects: &str) -> NatsOptions {
    let writer =
        format!("{{ user: writer, password: {password}, permissions: {{ publish: [{subjects}], subscribe: \">\" }} }}");
    let lines = vec![format!("authorization {{ users: [ {{ user: admin, password: adminpass }}, {writer} ] }}")];
    NatsOptions { lines, client: NatsClient::user("admin", "adminpass"), ..NatsOptions::default() }
}

async fn publish(nats: &NatsServer, numbers: std::ops::Range<u64>) {
    let client = NatsClient::user("admin", "adminpass").connect(&nats.url()).await.expect("connected");
    let context = jetstream::new(client);
    for n in numbers {
        let sent = context.publish("orders.0", format!("{{\"n\":{n}}}").into()).await;
        sent.expect("sent").await.expect("confirmed");
    }
}

async fn committed(siltstone: &Siltstone, target: u64) {
    let end = Instant::now() + DEADLINE;
    while high_watermark(siltstone).await < target {
        assert!(Instant::now() < end, "the watermark stays below {target}");
        sleep(POLL * 10).await;
    }
}

/// The writer commits 50 messages, loses its login by `changed`, and gets it back.
async fn lost_and_given_back(changed: NatsOptions, part: &str) {
    let good = options("pass", "\">\"");
    let mut nats = NatsServer::start_with(good.clone()).await.expect("a NATS server");
    let siltstone = Siltstone::new()
        .with("QUEUE_TYPE", "nats")
        .with("NATS_URL", &nats.url())
        .with("NATS_USER", "writer")
        .with("NATS_PASSWORD", "pass")
        .with("CATALOG_URL", "sqlite:catalog.db")
        .with("FLUSH_INTERVAL_SECS", "1")
        .with("LEASE_SECS", "2")
        .with("LOG_FORMAT", "json");
    create_orders(&siltstone).await;
    let mut writer = Service::start(Kind::Writer, &siltstone).await;
    publish(&nats, 0..50).await;
    committed(&siltstone, 51).await;

    nats.reconfigure(&changed).expect("written");
    nats.restart().await.expect("started");
    publish(&nats, 50..100).await;
    let end = Instant::now() + DEADLINE;
    loop {
        let unready = writer.readiness(503).await.to_string();
        if unready.contains(part) {
            break;
        }
        assert!(Instant::now() < end, "{part:?} is not in {unready}: {}", writer.log_text());
        sleep(POLL * 10).await;
    }
    assert!(!writer.log_text().contains("pass\""), "no secret is logged");

    nats.reconfigure(&good).expect("written");
    nats.restart().await.expect("started");
    writer.readiness(200).await;
    publish(&nats, 100..150).await;
    committed(&siltstone, 151).await;
    assert_eq!(counted(&siltstone).await, (150, 150, 149));
    writer.signal("TERM");
    assert_eq!(writer.ended().await, 0, "{}", writer.log_text());
}

#[tokio::test]
async fn a_password_changed_under_the_writer_shows_in_readiness_and_loses_nothing() {
    lost_and_given_back(options("other", "\">\""), "authorization violation").await;
}

#[tokio::test]
async fn a_permission_taken_from_the_writer_shows_in_readiness_and_loses_nothing() {
    lost_and_given_back(options("pass", "\"_INBOX.>\""), "lacks a permission").await;
}
