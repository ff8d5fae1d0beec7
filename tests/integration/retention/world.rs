//! A lake in a directory whose messages have the age that a test gives them.
//!
//! Owns: a writer as a library, over a queue with a clock of the test's own; the janitor with a short hold.
//! Does not own: the expected rows.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use catalog::{MetadataStore, SegmentStore, SqliteMetadataStore, TopicStore};
use common::clock::{ManualClock, system_clock};
use common::queue::memory::InMemoryQueue;
use common::{OutgoingMessage, Queue, TopicName, TopicPartition};
use tokio::time::{Instant, sleep};
use writer::{RunningWriter, Storage, Writer, WriterConfig};

use crate::binary::{DEADLINE, POLL, Siltstone};

pub(crate) const HOUR: u32 = 1;
pub(crate) const DAY: u32 = 24;

pub(crate) struct Aged {
    pub(crate) lake: Siltstone,
    clock: Arc<ManualClock>,
    queue: Arc<dyn Queue>,
    catalog: Arc<SqliteMetadataStore>,
}

impl Aged {
    /// The topic `orders` of one partition, without messages.
    pub(crate) async fn start() -> Self {
        let lake = Siltstone::new();
        // A service records the address of the store, for readers that attach the catalog.
        lake.run(&["topic", "create", "other"]).await.ok();
        lake.run_with_input(&["up", "--stdin", "other", "--no-check"], b"one").await.ok();
        lake.run(&["topic", "delete", "other", "--yes"]).await.ok();
        lake.run(&["topic", "create", "orders", "--column", "n:int64!"]).await.ok();
        let catalog = SqliteMetadataStore::new(&lake.data().join("catalog.db")).await.expect("opens");
        let clock = Arc::new(ManualClock::at(0));
        let queue: Arc<dyn Queue> = Arc::new(InMemoryQueue::with_clock(64 << 20, Arc::clone(&clock) as _));
        let world = Self { lake, clock, queue, catalog: Arc::new(catalog) };
        let topic = world.catalog.get_topic(&orders().topic).await.expect("read").expect("exists");
        world.queue.create_topic(&topic.definition()).await.expect("created");
        world.sweep_until(<[String]>::is_empty).await;
        world
    }

    /// Commits messages of these numbers and a broken one, all of them so many hours old.
    pub(crate) async fn publish(&self, hours: u32, numbers: Range<u64>) {
        self.clock.set(system_clock().now_us() - i64::from(hours) * 3_600_000_000);
        let texts = numbers.map(|n| format!("{{\"n\":{n}}}")).chain(["broken".to_owned()]);
        let acks = self.queue.publish(&orders(), texts.map(OutgoingMessage::new).collect()).await.expect("published");
        let writer = self.writer(Duration::from_secs(86_400)).await;
        let end = acks.last().expect("some").offset + 1;
        writer.wait_committed(&[(orders(), end)]).await.expect("committed");
        stop(writer).await;
    }

    /// A writer with this hold of the janitor.
    pub(crate) async fn writer(&self, hold: Duration) -> RunningWriter {
        let catalog: Arc<dyn MetadataStore> = Arc::clone(&self.catalog) as _;
        let storage = Storage::local(self.lake.data()).expect("a directory");
        let config = WriterConfig {
            batch_age_max: Duration::from_millis(20),
            janitor_hold: hold,
            janitor_second_sweep: 2 * hold,
            ..WriterConfig::default()
        };
        let builder = Writer::builder(Arc::clone(&self.queue), storage, catalog).config(config);
        builder.build().start().await.expect("starts")
    }

    /// Takes what is older than this many hours off the list.
    pub(crate) async fn expire(&self, hours: u32) {
        let topic = self.catalog.get_topic(&orders().topic).await.expect("read").expect("exists");
        let retention_ms = Some(u64::from(hours) * 3_600_000);
        let updated = self.catalog.update_topic_config(&topic.name, topic.schema_version, retention_ms, topic.config);
        updated.await.expect("updated");
        self.catalog.expire_by_age(&orders().topic).await.expect("expired");
    }

    /// Lets a janitor with a short hold work until the objects are as wanted.
    pub(crate) async fn sweep_until(&self, is_wanted: impl Fn(&[String]) -> bool) {
        let writer = self.writer(Duration::from_millis(300)).await;
        self.until(async || is_wanted(&self.objects())).await;
        stop(writer).await;
    }

    /// Waits until the condition holds.
    pub(crate) async fn until(&self, holds: impl AsyncFn() -> bool) {
        let end = Instant::now() + DEADLINE;
        while !holds().await {
            assert!(Instant::now() < end, "it stays: {:?}", self.objects());
            sleep(POLL).await;
        }
    }

    /// The objects in the directory, by name.
    pub(crate) fn objects(&self) -> Vec<String> {
        let mut objects = Vec::new();
        collect(&self.lake.data(), &mut objects);
        objects.sort();
        objects
    }
}

fn collect(directory: &Path, objects: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path: PathBuf = entry.path();
        match path.is_dir() {
            true => collect(&path, objects),
            false if path.extension().is_some_and(|extension| extension == "parquet") => {
                objects.push(path.display().to_string());
            }
            false => {}
        }
    }
}

fn orders() -> TopicPartition {
    TopicPartition::new(TopicName::new("orders").expect("valid"), 0)
}

pub(crate) async fn stop(mut writer: RunningWriter) {
    writer.shutdown().await.expect("drains");
}

/// The rows of `sql` in DuckDB after the statements of `duckdb-sql` with these arguments.
pub(crate) async fn duckdb(lake: &Siltstone, arguments: &[&str], sql: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let statements = lake.run(&[&["duckdb-sql"], arguments].concat()).await.ok().out;
    support::duckdb::query_with(&["ducklake", "sqlite_scanner"], &[], &format!("{statements}{sql}")).await
}
