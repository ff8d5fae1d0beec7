//! The binary `ingester`: it takes records for a writer elsewhere, shows its pages, and refuses a queue that nobody reads.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use catalog::TopicConfig;
use common::topic::TopicOptions;
use common::{Queue, TopicName, TopicPartition};
use nats::{NatsConfig, NatsQueue};
use serde_json::{Value, json};
use support::http;
use support::nats::NatsServer;
use support::process::{POLL_INTERVAL, Process, run};

const DEADLINE: Duration = Duration::from_secs(60);

fn command(folder: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingester"));
    command.env_clear().current_dir(folder).env("LOG_FORMAT", "json").env("STORAGE_PATH", folder.join("data"));
    command.envs(["HTTP_ADDR", "INGEST_ADDR"].map(|name| (name, "127.0.0.1:0"))).envs(settings.iter().copied());
    command
}

/// The value of this member in the first log line that has it.
async fn logged(log: &Path, process: &mut Process, member: &str) -> String {
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(found) = lines.into_iter().find_map(|line| Some(line.get(member)?.as_str()?.to_owned())) {
            return found;
        }
        assert!(process.exited().expect("its status").is_none(), "{text}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

#[tokio::test]
async fn records_for_a_writer_elsewhere_are_in_the_queue_when_they_are_confirmed() {
    let nats = NatsServer::start().await.expect("a NATS server");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("data")).expect("made");
    let catalog =
        catalog::connect(&format!("sqlite:{}/data/catalog.db", folder.path().display())).await.expect("opened");
    let queue =
        NatsQueue::connect(NatsConfig { url: nats.url().into(), ..NatsConfig::default() }).await.expect("connected");
    let name = TopicName::new("orders").expect("valid");
    let config =
        TopicConfig { name: name.clone(), partition_count: 1, retention_ms: None, config: TopicOptions::default() };
    catalog::create_topic(&queue, catalog.as_ref(), config).await.expect("created");

    let log = folder.path().join("log");
    let settings = [("QUEUE_TYPE", "nats"), ("NATS_URL", &nats.url())];
    let mut process = Process::spawn("ingester", command(folder.path(), &settings), &log).expect("it starts");
    let ingest = logged(&log, &mut process, "ingest").await;
    let pages = logged(&log, &mut process, "http").await;
    let ready = http::get(&format!("http://{pages}/readyz")).await.expect("an answer");
    let expected = json!({ "ready": true, "queue": "ok", "catalog": "ok" });
    assert_eq!((ready.status, serde_json::from_slice::<Value>(&ready.body).expect("JSON")), (200, expected));
    let url = format!("http://{ingest}/v1/topics/orders/records");
    let sent = http::post(&url, &[("Content-Type", "application/json")], br#"{"id":1}"#).await.expect("an answer");
    assert_eq!(sent.text(), r#"{"records":[{"partition":0,"offset":1,"duplicate":false}]}"#);
    let held = queue.read(&TopicPartition::new(name, 0), 1, 2).await.expect("read");
    assert_eq!(&held[0].payload[..], br#"{"id":1}"#);
    process.signal("TERM").expect("sent");
    assert_eq!(process.wait(DEADLINE).await.expect("it ends").code(), Some(0));
}

#[tokio::test]
async fn a_queue_that_no_writer_could_read_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = run("ingester", command(folder.path(), &[]), b"", DEADLINE).await.expect("it ends");
    assert_eq!(refused.status.code(), Some(1));
    for part in ["QUEUE_TYPE=memory", "`siltstone up` takes records and writes them", "QUEUE_TYPE=nats"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn without_a_token_an_address_that_others_reach_is_refused() {
    let nats = NatsServer::start().await.expect("a NATS server");
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [("QUEUE_TYPE", "nats"), ("NATS_URL", &nats.url()), ("INGEST_ADDR", "0.0.0.0:0")];
    let refused = run("ingester", command(folder.path(), &settings), b"", DEADLINE).await.expect("it ends");
    assert_eq!(refused.status.code(), Some(2));
    for part in ["INGEST_ADDR=0.0.0.0:0", "siltstone token create NAME"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}
