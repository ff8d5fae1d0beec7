//! Signals: fetched messages are committed before the end, and an unreachable end is cut short safely.

use std::path::PathBuf;

use support::nats::NatsServer;
use tokio::time::{Instant, sleep};

use super::{Kind, Service, counted, create_orders, high_watermark, on_nats, publish};
use crate::binary::{DEADLINE, POLL, Siltstone};

const MESSAGES: u64 = 2000;

#[tokio::test]
async fn a_signal_commits_everything_fetched() {
    for (kind, signal) in [(Kind::Writer, "TERM"), (Kind::Up, "INT"), (Kind::Up, "HUP")] {
        let (nats, siltstone) = on_nats().await;
        create_orders(&siltstone).await;
        let mut service = Service::start(kind, &siltstone).await;
        publish(&nats, 0..MESSAGES).await;
        service.fetched(MESSAGES).await;
        assert_eq!(high_watermark(&siltstone).await, 0, "the batch is open");
        service.signal(signal);
        assert_eq!(service.ended().await, 0, "{}", service.log_text());
        // JetStream counts from 1, and the watermark is exclusive.
        assert_eq!(high_watermark(&siltstone).await, MESSAGES + 1);
        assert_eq!(counted(&siltstone).await, (MESSAGES, MESSAGES, MESSAGES - 1));
        assert_eq!(service.logged_at_end("stopping: draining what was fetched")["signal"], format!("SIG{signal}"));
        assert_eq!(service.logged_at_end("writer stopped")["messages"], MESSAGES);
    }
}

/// A service that fetched all messages, with its store gone: a file replaces its directory.
async fn stuck(settings: &[(&str, &str)]) -> (NatsServer, Siltstone, Service, PathBuf) {
    let (nats, mut siltstone) = on_nats().await;
    for (name, value) in settings {
        siltstone = siltstone.with(name, value);
    }
    let siltstone = siltstone.with("CATALOG_URL", "sqlite:catalog.db");
    create_orders(&siltstone).await;
    let service = Service::start(Kind::Writer, &siltstone).await;
    publish(&nats, 0..MESSAGES).await;
    service.fetched(MESSAGES).await;
    let data = siltstone.path().join("data");
    std::fs::remove_dir_all(&data).expect("removed");
    std::fs::write(&data, "in the way").expect("written");
    (nats, siltstone, service, data)
}

/// With its store restored, a restart commits every message once.
async fn settled_after_restart(siltstone: &Siltstone, data: PathBuf) {
    assert_eq!(high_watermark(siltstone).await, 0);
    std::fs::remove_file(data).expect("removed");
    let mut service = Service::start(Kind::Writer, siltstone).await;
    service.fetched(MESSAGES).await;
    service.signal("TERM");
    assert_eq!(service.ended().await, 0, "{}", service.log_text());
    assert_eq!(counted(siltstone).await, (MESSAGES, MESSAGES, MESSAGES - 1));
}

#[tokio::test]
async fn a_second_signal_ends_a_drain_that_cannot_finish() {
    for second in ["TERM", "INT"] {
        let (_nats, siltstone, mut service, data) = stuck(&[("SHUTDOWN_TIMEOUT_SECS", "3600")]).await;
        service.signal("TERM");
        service.logged("stopping: draining what was fetched").await;
        service.metric("siltstone_upload_retries_total", |retries| retries > 0.0).await;
        service.signal(second);
        assert_eq!(service.ended().await, 1, "{}", service.log_text());
        let failed = service.logged_at_end("failed");
        assert!(failed["error"].as_str().is_some_and(|text| text.contains("uncommitted messages stay")), "{failed}");
        settled_after_restart(&siltstone, data).await;
    }
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_cut_short() {
    let (_nats, siltstone, mut service, data) = stuck(&[("SHUTDOWN_TIMEOUT_SECS", "1")]).await;
    service.signal("TERM");
    assert_eq!(service.ended().await, 1, "{}", service.log_text());
    let failed = service.logged_at_end("failed");
    assert!(failed["error"].as_str().is_some_and(|text| text.contains("longer than 1 s")), "{failed}");
    settled_after_restart(&siltstone, data).await;
}

#[tokio::test]
async fn a_second_signal_ends_a_drain_without_queue_and_catalog() {
    let (mut nats, siltstone) = on_nats().await;
    let mut postgres = support::postgres::PostgresServer::start().await.expect("a Postgres server");
    let siltstone = siltstone.with("CATALOG_URL", &postgres.url()).with("SHUTDOWN_TIMEOUT_SECS", "3600");
    create_orders(&siltstone).await;
    let mut service = Service::start(Kind::Up, &siltstone).await;
    publish(&nats, 0..MESSAGES).await;
    service.fetched(MESSAGES).await;
    postgres.kill().await.expect("killed");
    nats.kill().await.expect("killed");
    service.signal("INT");
    service.logged("stopping: draining what was fetched").await;
    service.signal("INT");
    assert_eq!(service.ended().await, 1, "{}", service.log_text());
}

#[tokio::test]
async fn a_signal_ends_a_start_that_waits_for_an_answer() {
    // It accepts connections, but no process serves them.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("postgres://postgres@{}/db", silent.local_addr().expect("bound"));
    let siltstone = Siltstone::new().with("LOG_FORMAT", "json").with("CATALOG_URL", &url);
    let mut service = Service::spawn(Kind::Writer, &siltstone);
    // The store is opened after the signal handlers and before the catalog.
    let (end, data) = (Instant::now() + DEADLINE, siltstone.path().join("data"));
    while !data.exists() {
        assert!(Instant::now() < end, "{}", service.log_text());
        sleep(POLL).await;
    }
    service.signal("TERM");
    assert_eq!(service.ended().await, 1, "{}", service.log_text());
    let failed = service.logged_at_end("failed");
    assert!(failed["error"].as_str().is_some_and(|text| text.contains("SIGTERM during the start")), "{failed}");
}
