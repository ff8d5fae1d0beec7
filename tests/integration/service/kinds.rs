//! Work queues and interest streams through the real writer, with kills of the writer and of its server at any time.

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, RetentionPolicy};
use support::nats::NatsServer;
use tokio::time::{Instant, sleep};

use super::{Kind, Service, counted, on_nats};
use crate::binary::{DEADLINE, POLL};

const MESSAGES: u64 = 6_000;

/// Publishes numbers with ids, repeating until each is confirmed.
async fn publish(nats: &NatsServer, numbers: std::ops::Range<u64>) {
    let client = async_nats::connect(nats.url()).await.expect("connected");
    let context = jetstream::new(client);
    for n in numbers {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", n.to_string());
        let sent = context.publish_with_headers("jobs", headers, format!("{{\"n\":{n}}}").into()).await;
        sent.expect("sent").await.expect("confirmed");
    }
}

async fn killed_writers_and_servers(retention: RetentionPolicy) {
    let (mut nats, siltstone) = on_nats().await;
    let siltstone = siltstone.with("FLUSH_INTERVAL_SECS", "1").with("MAX_SEGMENT_RECORDS", "400");
    let config = Config { name: "JOBS".to_owned(), subjects: vec!["jobs".to_owned()], retention, ..Config::default() };
    let client = async_nats::connect(nats.url()).await.expect("connected");
    let jetstream = jetstream::new(client);
    jetstream.create_stream(config).await.expect("made");
    siltstone.run(&["topic", "create", "orders", "--stream", "JOBS", "--column", "n:int64!"]).await.ok();
    let mut writer = Service::start(Kind::Writer, &siltstone).await;
    // An interest stream stores nothing before its first reader has attached.
    writer.metric("siltstone_attaches_total", |count| count >= 1.0).await;
    let held = async || jetstream.get_stream("JOBS").await.ok().map(|stream| stream.cached_info().state.clone());
    let end = Instant::now() + DEADLINE;
    while held().await.is_none_or(|state| state.consumer_count == 0) {
        assert!(Instant::now() < end, "no consumer");
        sleep(POLL).await;
    }
    for round in 0..4 {
        let numbers = round * MESSAGES / 4..(round + 1) * MESSAGES / 4;
        publish(&nats, numbers).await;
        writer.metric("siltstone_records_committed_total", |records| records >= 400.0).await;
        if round % 2 == 0 {
            writer.process.kill().await.expect("killed");
            writer = Service::start(Kind::Writer, &siltstone).await;
        } else {
            nats.kill().await.expect("killed");
            nats.restart().await.expect("started");
        }
    }
    let all = (MESSAGES, MESSAGES, MESSAGES - 1);
    let end = Instant::now() + DEADLINE;
    while counted(&siltstone).await.0 < MESSAGES {
        assert!(Instant::now() < end, "{:?}: {}", counted(&siltstone).await, writer.log_text());
        sleep(POLL * 20).await;
    }
    assert_eq!(counted(&siltstone).await, all);
    // One more commit acks the remaining messages.
    publish(&nats, MESSAGES..MESSAGES + 1).await;
    let end = Instant::now() + DEADLINE;
    while held().await.is_none_or(|state| state.messages > 0) {
        assert!(Instant::now() < end, "not freed: {:?}", held().await);
        sleep(POLL).await;
    }
    writer.signal("TERM");
    assert_eq!(writer.ended().await, 0, "{}", writer.log_text());
    assert_eq!(counted(&siltstone).await, (MESSAGES + 1, MESSAGES + 1, MESSAGES));
}

#[tokio::test]
async fn a_work_queue_is_in_sql_once_and_empty_after_killed_writers_and_servers() {
    killed_writers_and_servers(RetentionPolicy::WorkQueue).await;
}

#[tokio::test]
async fn an_interest_stream_is_in_sql_once_and_empty_after_killed_writers_and_servers() {
    killed_writers_and_servers(RetentionPolicy::Interest).await;
}
