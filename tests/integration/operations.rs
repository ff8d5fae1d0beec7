//! An operator's commands: audit, gaps, quarantine, replay, resume, doctor.
//!
//! Owns: a topic on a real NATS server whose messages the real writer commits, and damaging copies of its lake.
//! Does not own: the pure parts of the checks, which the crates' own tests cover.

mod audit;
mod doctor;
mod quarantine;
mod readers;
mod resume;

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream;
use serde_json::Value;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use support::folder::copy_folder;
use support::nats::NatsServer;
use support::process::Process;
use tokio::time::{Instant, sleep};

use crate::binary::{Answer, DEADLINE, Siltstone};

const POLL: Duration = Duration::from_millis(100);

/// Settings of a lake on this server: local store, with SQLite in the same directory.
pub(crate) fn lake_on(nats: &NatsServer) -> Siltstone {
    Siltstone::new()
        .with("QUEUE_TYPE", "nats")
        .with("NATS_URL", &nats.url())
        .with("FLUSH_INTERVAL_SECS", "1")
        .with("MAX_SEGMENT_RECORDS", "50")
        .with("LEASE_SECS", "2")
}

/// A server, and a lake with the topic `orders` of two partitions, whose column `n` holds integers.
async fn orders() -> (NatsServer, Siltstone) {
    let nats = NatsServer::start().await.expect("a NATS server");
    let lake = lake_on(&nats);
    lake.run(&["topic", "create", "orders", "--partitions", "2", "--column", "n:int64!"]).await.ok();
    (nats, lake)
}

/// Publishes `payloads` to a partition of `orders`, each confirmed.
async fn publish(nats: &NatsServer, partition: u32, payloads: impl IntoIterator<Item = String>) {
    let context = jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    let mut confirmations = Vec::new();
    for payload in payloads {
        let sent = context.publish(format!("orders.{partition}"), payload.into()).await;
        confirmations.push(sent.expect("sent").into_future());
    }
    for confirmed in confirmations {
        confirmed.await.expect("confirmed");
    }
}

fn numbers(range: std::ops::Range<u64>) -> impl Iterator<Item = String> {
    range.map(|n| format!("{{\"n\":{n}}}"))
}

/// A running writer; killed when dropped.
struct Writer {
    process: Process,
    log: PathBuf,
}

impl Writer {
    fn start(lake: &Siltstone) -> Self {
        let log = lake.path().join(format!("{}.log", support::unique_name()));
        let process = Process::spawn("siltstone up", lake.command(&["up"]), &log).expect("it starts");
        Self { process, log }
    }

    /// Waits until every partition of `orders` fulfils the condition.
    async fn until(&self, lake: &Siltstone, holds: impl Fn(&Value) -> bool) {
        let end = Instant::now() + DEADLINE;
        loop {
            let described = lake.run(&["topic", "describe", "orders", "--json"]).await;
            let partitions = if described.code == 0 { described.json()["partitions"].take() } else { Value::Null };
            if partitions.as_array().is_some_and(|partitions| partitions.iter().all(&holds)) {
                return;
            }
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(Instant::now() < end, "{partitions:#}\n{described:?}\n{log}");
            sleep(POLL).await;
        }
    }

    async fn stop(mut self) {
        self.process.signal("TERM").expect("sent");
        assert!(self.process.wait(DEADLINE).await.expect("it ends").success());
    }
}

trait Json {
    /// The answer as JSON, with any exit code.
    fn reported(&self) -> Value;
}

impl Json for Answer {
    #[track_caller]
    fn reported(&self) -> Value {
        assert!(self.code <= 1, "{self:#?}");
        self.json()
    }
}

/// Runs a writer until every published message is committed.
pub(crate) async fn settle(lake: &Siltstone) {
    let writer = Writer::start(lake);
    writer.until(lake, |partition| partition["lag"] == 0).await;
    writer.stop().await;
}

/// A copy of the lake, to be damaged: data and catalog are copied, the stream is shared.
fn copy_of(lake: &Siltstone, nats: &NatsServer) -> Siltstone {
    let copy = lake_on(nats);
    copy_folder(&lake.data(), &copy.data()).expect("copied");
    copy
}

/// Changes the catalog by hand.
pub(crate) async fn sql(lake: &Siltstone, statement: &'static str) {
    let file = lake.path().join("data/catalog.db");
    let options = SqliteConnectOptions::new().filename(file).foreign_keys(false);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("opened");
    let changed = sqlx::query(statement).execute(&mut connection).await.expect(statement).rows_affected();
    assert!(changed > 0, "{statement} changes something");
    connection.close().await.expect("closed");
}

/// Path of the object of a segment of `orders`, by kind and number.
async fn object(lake: &Siltstone, kind: &str, number: usize) -> PathBuf {
    let segments = lake.run(&["segments", "orders", "--kind", kind, "--json"]).await.ok().json();
    lake.path().join("data").join(segments[number]["key"].as_str().expect("a key"))
}
