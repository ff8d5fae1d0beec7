//! A whole deployment for one test: NATS, Postgres, S3, and the `writer` binary as a separate process.
//!
//! Owns: starting and stopping them, and reading the writer's progress. Does not own: a test's actions on them.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::nats::NatsServer;
use support::postgres::PostgresServer;
use support::process::Process;
use support::s3::S3;
use tokio::time::{Instant, sleep};

use crate::binary::Siltstone;

/// For a debug build on a busy machine; a longer wait means a hang.
const DEADLINE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(200);

pub(crate) struct Deployment {
    pub(crate) nats: NatsServer,
    pub(crate) postgres: PostgresServer,
    pub(crate) s3: S3,
    pub(crate) siltstone: Siltstone,
    writer: Option<Process>,
}

impl Deployment {
    /// Starts the servers and creates the topic `orders` with a stream of one partition.
    pub(crate) async fn start() -> Self {
        let nats = NatsServer::start().await.expect("a NATS server");
        let postgres = PostgresServer::start().await.expect("a Postgres server");
        let s3 = S3::shared().expect("an S3 server");
        let siltstone = Siltstone::new()
            .with("QUEUE_TYPE", "nats")
            .with("NATS_URL", &nats.url())
            .with("CATALOG_URL", &postgres.url())
            .on_s3(&s3)
            .with("FLUSH_INTERVAL_SECS", "1")
            .with("LEASE_SECS", "2");
        siltstone.run(&["topic", "create", "orders", "--column", "n:int64", "--column", "text:string"]).await.ok();
        Self { nats, postgres, s3, siltstone, writer: None }
    }

    pub(crate) fn start_writer(&mut self) {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_siltstone")).with_file_name("writer");
        let like = self.siltstone.command(&[]);
        let mut command = Command::new(binary);
        command.env_clear().current_dir(self.siltstone.path());
        command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let log = self.siltstone.path().join("writer.log");
        self.writer = Some(Process::spawn("writer", command, &log).expect("the writer starts"));
    }

    /// Sends SIGKILL to the writer.
    pub(crate) async fn kill_writer(&mut self) {
        self.writer.take().expect("a writer is running").kill().await.expect("killed");
    }

    /// Sends SIGTERM to the writer and returns its exit code.
    pub(crate) async fn stop_writer(&mut self) -> Option<i32> {
        let mut writer = self.writer.take().expect("a writer is running");
        writer.signal("TERM").expect("sent");
        writer.wait(DEADLINE).await.expect("it ends").code()
    }

    /// The topic's one partition, in the form of `topic describe`. `None` while a server is unreachable.
    pub(crate) async fn partition(&self) -> Option<Value> {
        let answer = self.siltstone.run(&["topic", "describe", "orders", "--json"]).await;
        (answer.code == 0).then(|| answer.json()["partitions"][0].clone())
    }

    /// Waits until the partition's number `field` is at least `target`.
    pub(crate) async fn wait_for(&self, field: &str, target: u64) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let partition = self.partition().await;
            if partition.as_ref().and_then(|p| p[field].as_u64()).is_some_and(|value| value >= target) {
                return;
            }
            let log = std::fs::read_to_string(self.siltstone.path().join("writer.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{field} stays below {target}: {partition:?}\n{log}");
            sleep(POLL).await;
        }
    }

    /// The single row that DataFusion and DuckDB each return for the same columns.
    pub(crate) async fn ask_both(&self, columns: &[&str]) -> [Vec<u64>; 2] {
        let aliased: Vec<String> = columns.iter().enumerate().map(|(i, column)| format!("{column} AS c{i}")).collect();
        let sql = format!("SELECT {} FROM orders", aliased.join(", "));
        let row = self.siltstone.run(&["query", "--json", &sql]).await.ok().json();
        let number = |i: usize| row[format!("c{i}")].as_u64().expect("a number");
        let datafusion = (0..columns.len()).map(number).collect();
        let views = self.siltstone.run(&["duckdb-sql", "--views"]).await.ok().out;
        let key = format!("SET s3_access_key_id = '{}'", self.s3.access_key);
        let secret = format!("SET s3_secret_access_key = '{}'", self.s3.secret_key);
        let rows = support::duckdb::query_with(&["httpfs"], &[&key, &secret], &format!("{views}{sql}")).await;
        let rows = rows.expect("DuckDB answers");
        let duckdb = rows[0].iter().map(|cell| cell.parse().expect("a number")).collect();
        [datafusion, duckdb]
    }

    /// `(ack floor, outstanding acks)` of the stream's one consumer, as seen by any NATS tool.
    pub(crate) async fn acked(&self) -> (u64, u64) {
        let printed = support::python::run(CONSUMER_INFO, &[&self.nats.url(), "orders-0"]).await.expect("nats-py");
        let numbers: Vec<u64> = printed.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        assert_eq!(numbers.len(), 2, "one consumer: {printed}");
        (numbers[0], numbers[1])
    }
}

const CONSUMER_INFO: &str = r#"
import asyncio, nats, sys
async def main(url, stream):
    client = await nats.connect(url)
    for consumer in await client.jetstream().consumers_info(stream):
        print(consumer.ack_floor.stream_seq, consumer.num_ack_pending)
    await client.close()
asyncio.run(main(*sys.argv[1:]))
"#;
