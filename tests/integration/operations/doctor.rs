//! The promise of a deployment, according to the doctor.

use common::diagnosis::filesystem::{self, Kind};
use serde_json::{Value, json};
use support::nats::{NatsOptions, NatsServer};
use support::port;
use support::s3::S3;

use super::{Json, lake_on, orders};
use crate::binary::Siltstone;

fn finding<'a>(report: &'a Value, area: &str, check: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("a list");
    let found = findings.iter().find(|finding| finding["area"] == area && finding["check"] == check);
    found.unwrap_or_else(|| panic!("no {area} {check} in {report:#}"))
}

#[tokio::test]
async fn a_server_that_syncs_and_a_local_disk_are_a_strong_promise() {
    let monitor = port::free().expect("a port");
    let options = NatsOptions {
        jetstream_lines: vec!["sync_interval: always".to_owned()],
        lines: vec![format!("http: \"127.0.0.1:{monitor}\"")],
        ..NatsOptions::default()
    };
    let nats = NatsServer::start_with(options).await.expect("a NATS server");
    let lake = lake_on(&nats).with("NATS_MONITOR_URL", &format!("http://127.0.0.1:{monitor}"));
    lake.run(&["topic", "create", "orders", "--column", "n:int64"]).await.ok();
    let report = lake.run(&["doctor", "--json"]).await.ok().json();
    // If the tests run in a container's own layer, that reduces the promise.
    let kind = filesystem::kind_of(&filesystem::name_of(lake.path()).expect("a table of mounts"));
    let expected = if kind == Kind::Local { "strong" } else { "reduced" };
    assert_eq!(report["promise"], expected, "{report:#}");
    assert_eq!(finding(&report, "queue", "sync_interval")["verdict"], "ok", "{report:#}");
    for (area, check) in [
        ("queue", "orders permissions"),
        ("catalog", "settings"),
        ("catalog", "integrity"),
        ("store", "put, find, delete"),
        ("store", "create-only put"),
        ("clock", "catalog"),
        ("clock", "queue"),
    ] {
        assert_eq!(finding(&report, area, check)["verdict"], "ok", "{check}: {report:#}");
    }
    assert_eq!(finding(&report, "queue", "orders copies")["reduces"], json!(false), "no cluster, no second copy");
    lake.run(&["doctor"]).await.ok().says(&["FOUND", &format!("promise: {expected}\n")]);
}

#[tokio::test]
async fn each_weakness_is_named_with_what_to_change() {
    let (nats, lake) = orders().await;
    let context = async_nats::jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    let config = async_nats::jetstream::stream::Config {
        name: "events".to_owned(),
        storage: async_nats::jetstream::stream::StorageType::Memory,
        max_messages: 10,
        ..Default::default()
    };
    context.create_stream(config).await.expect("made");
    lake.run(&["topic", "create", "events", "--stream", "events"]).await.ok();
    let lake = lake.with("QUEUE_ACK", "none");
    let report = lake.run(&["doctor", "--json"]).await.ok().json();
    assert_eq!(report["promise"], "reduced");
    let sync = finding(&report, "queue", "sync_interval");
    assert!(sync["reduces"] == true && sync["found"].as_str().is_some_and(|text| text.contains("unknown")), "{sync}");
    assert_eq!(finding(&report, "queue", "events storage")["reduces"], true);
    assert_eq!(finding(&report, "queue", "events limits")["reduces"], false);
    assert_eq!(finding(&report, "queue", "acks")["verdict"], "warn");
    let text = lake.run(&["doctor"]).await.ok();
    text.says(&["promise: reduced\n  queue events storage", "sync_interval: always"]);
    context.delete_stream("events").await.expect("deleted");
    let broken = lake.run(&["doctor"]).await;
    assert_eq!((broken.code, broken.err.as_str()), (1, ""), "{broken:?}");
    broken.says(&["fail  queue", "stream events does not exist", "promise: none until this works"]);
}

#[tokio::test]
async fn what_does_not_answer_hides_nothing_of_the_rest() {
    let lake = Siltstone::new();
    lake.run(&["topic", "create", "orders"]).await.ok();
    let lake = lake.with("QUEUE_TYPE", "nats").with("NATS_URL", "nats://127.0.0.1:1");
    let report = lake.run(&["doctor", "--json"]).await.reported();
    assert_eq!(report["promise"], "unknown", "{report:#}");
    assert_eq!(finding(&report, "queue", "connection")["verdict"], "fail");
    assert_eq!(finding(&report, "store", "put, find, delete")["verdict"], "ok");
    let memory = Siltstone::new().with("STORAGE_TYPE", "memory").with("CATALOG_URL", "sqlite::memory:");
    let report = memory.run(&["doctor", "--json"]).await.ok().json();
    for (area, check) in [("queue", "durability"), ("store", "durability"), ("catalog", "durability")] {
        assert_eq!(finding(&report, area, check)["reduces"], true, "{report:#}");
    }
}

#[tokio::test]
async fn postgres_and_s3_are_looked_at() {
    let s3 = S3::shared().expect("an S3 server");
    let lake = Siltstone::new()
        .with("CATALOG_URL", &support::postgres::fresh_database().await.expect("a database"))
        .on_s3(&s3);
    let report = lake.run(&["doctor", "--json"]).await.ok().json();
    for (area, check) in [
        ("catalog", "role"),
        ("catalog", "synchronous_commit"),
        ("catalog", "standbys"),
        ("store", "put, find, delete"),
        ("store", "create-only put"),
        ("clock", "catalog"),
        ("clock", "store"),
    ] {
        assert_eq!(finding(&report, area, check)["verdict"], "ok", "{check}: {report:#}");
    }
    let wrong = lake.with("AWS_SECRET_ACCESS_KEY", "not-the-secret");
    let report = wrong.run(&["doctor", "--json"]).await.reported();
    assert_eq!(finding(&report, "store", "put, find, delete")["verdict"], "fail", "{report:#}");
}

#[tokio::test]
async fn a_stream_whose_messages_go_with_their_consumers_is_left_alone() {
    use async_nats::jetstream::consumer::pull::Config as Consumer;
    use async_nats::jetstream::stream::{Config, RetentionPolicy};

    let (nats, lake) = orders().await;
    let context = async_nats::jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    let config = Config { name: "jobs".to_owned(), retention: RetentionPolicy::WorkQueue, ..Default::default() };
    let stream = context.create_stream(config).await.expect("made");
    // The one consumer that the server allows.
    let consumer = Consumer { durable_name: Some("worker".to_owned()), ..Default::default() };
    stream.create_consumer(consumer).await.expect("made");
    lake.run(&["topic", "create", "jobs", "--stream", "jobs"]).await.ok();
    let report = lake.run(&["doctor", "--json"]).await.ok().json();
    assert_eq!(finding(&report, "queue", "jobs retention")["reduces"], true, "{report:#}");
    let findings = report["findings"].as_array().expect("a list");
    assert!(!findings.iter().any(|finding| finding["check"] == "jobs permissions"), "{report:#}");
    assert_eq!(finding(&report, "queue", "orders permissions")["verdict"], "ok", "{report:#}");
}
