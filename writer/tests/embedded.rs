//! The writer inside another program: a queue in memory, any object store, no service around it.
//!
//! Owns: the public API as an embedding program uses it, checked by reading the objects. Does not own: faults, the
//! reasons for closing a batch (`tests/pipeline`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow_array::cast::AsArray;
use bytes::Bytes;
use catalog::{MetadataStore, SqliteMetadataStore, TopicConfig};
use common::partitioner::Partitioner;
use common::queue::memory::InMemoryQueue;
use common::topic::TopicOptions;
use common::{OutgoingMessage, Queue, TopicName, TopicPartition};
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;
use writer::{RunningWriter, Storage, Writer, WriterConfig};

#[path = "../examples/in_a_program.rs"]
mod example;

const PARTITIONS: u32 = 3;
const POLL: Duration = Duration::from_millis(5);

struct Env {
    writer: RunningWriter,
    catalog: Arc<dyn MetadataStore>,
    store: Arc<dyn ObjectStore>,
    topic: TopicName,
    _directory: TempDir,
}

/// A catalog in a file, a store in memory, segments of 1 MiB, and the topic `test` with three partitions.
async fn setup_test_env() -> Env {
    setup_with(WriterConfig { segment_bytes_max: 1024 * 1024, ..WriterConfig::default() }).await
}

async fn setup_with(config: WriterConfig) -> Env {
    let directory = tempfile::tempdir().expect("a directory");
    let catalog = SqliteMetadataStore::new(directory.path().join("metadata.db")).await.expect("a catalog");
    let catalog: Arc<dyn MetadataStore> = Arc::new(catalog);
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let queue: Arc<dyn Queue> = Arc::new(InMemoryQueue::default());
    let builder = Writer::builder(queue, Storage::from_store(Arc::clone(&store)), Arc::clone(&catalog));
    let writer = builder.config(config).build().start().await.expect("starts");
    let topic = create_topic(&writer).await;
    Env { writer, catalog, store, topic, _directory: directory }
}

async fn create_topic(writer: &RunningWriter) -> TopicName {
    let name = TopicName::new("test").expect("valid");
    let config = TopicConfig {
        name: name.clone(),
        partition_count: PARTITIONS,
        retention_ms: None,
        config: TopicOptions::default(),
    };
    writer.create_topic(config).await.expect("created").name
}

/// Publishes each payload under the key of its number; returns, for each partition with messages, the watermark that
/// covers them.
async fn publish(
    writer: &RunningWriter,
    topic: &TopicName,
    payloads: impl IntoIterator<Item = Vec<u8>>,
) -> Vec<(TopicPartition, u64)> {
    let mut batches: Vec<Vec<OutgoingMessage>> = vec![Vec::new(); PARTITIONS as usize];
    for (n, payload) in payloads.into_iter().enumerate() {
        let key = format!("user-{n}");
        let partition = Partitioner::default().partition_of(key.as_bytes(), PARTITIONS);
        batches[partition as usize].push(OutgoingMessage::new(payload).with_key(key));
    }
    let mut targets = Vec::new();
    for (partition_id, batch) in (0..).zip(batches) {
        let partition = TopicPartition::new(topic.clone(), partition_id);
        let acks = writer.queue().publish(&partition, batch).await.expect("published");
        targets.extend(acks.last().map(|last| (partition, last.offset + 1)));
    }
    targets
}

fn numbered(count: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|n| n.to_string().into_bytes())
}

/// Every value in the store's objects, in no order. Asserts that the catalog lists the same objects.
async fn stored_values(catalog: &dyn MetadataStore, store: &dyn ObjectStore, topic: &TopicName) -> Vec<Bytes> {
    let objects: Vec<_> = store.list(None).try_collect().await.expect("listed");
    let found: BTreeSet<String> = objects.iter().map(|object| object.location.to_string()).collect();
    let segments = catalog.snapshot(topic).await.expect("the topic exists").segments;
    let listed: BTreeSet<String> = segments.iter().map(|segment| segment.object.key.clone()).collect();
    assert_eq!(found, listed, "the store holds what the catalog lists, and nothing else");
    let mut values = Vec::new();
    for object in objects {
        let bytes = store.get(&object.location).await.expect("there").bytes().await.expect("readable");
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("Parquet").build().expect("readable");
        for batch in reader {
            let batch = batch.expect("readable");
            let column = batch.column_by_name("value").expect("the column of a raw topic").as_binary::<i32>();
            values.extend(column.iter().map(|value| Bytes::copy_from_slice(value.expect("not null"))));
        }
    }
    values
}

/// Asserts that the store holds the numbers below `count`, each once.
async fn check_numbers(env: &Env, count: u64) {
    check_stored(env.catalog.as_ref(), env.store.as_ref(), &env.topic, count).await;
}

async fn check_stored(catalog: &dyn MetadataStore, store: &dyn ObjectStore, topic: &TopicName, count: u64) {
    let values = stored_values(catalog, store, topic).await;
    let number = |value: &Bytes| -> u64 { std::str::from_utf8(value).expect("text").parse().expect("a number") };
    let mut numbers: Vec<u64> = values.iter().map(number).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..count), "{} values for {count} messages", numbers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn test_append_records() {
    let mut env = setup_test_env().await;
    let targets = publish(&env.writer, &env.topic, numbered(100)).await;
    for (partition, _) in &targets {
        assert_eq!(partition.topic.as_str(), "test");
        assert!(partition.partition_id < PARTITIONS);
    }
    env.writer.wait_committed(&targets).await.expect("committed");
    let segments = env.catalog.snapshot(&env.topic).await.expect("the topic exists").segments;
    assert!(segments.iter().all(|segment| segment.topic.as_str() == "test" && segment.partition_id < PARTITIONS));
    assert_eq!(segments.iter().map(|segment| segment.record_count).sum::<u64>(), 100);
    check_numbers(&env, 100).await;
    env.writer.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn test_segment_rolling() {
    let config = WriterConfig {
        segment_bytes_max: 128 * 1024,
        segment_records_max: 1_000_000,
        batch_age_max: Duration::from_secs(3600),
        ..WriterConfig::default()
    };
    let mut env = setup_with(config).await;
    let mut random = fastrand::Rng::with_seed(7);
    let mut incompressible = || -> Vec<u8> { std::iter::repeat_with(|| random.u8(..)).take(1024).collect() };
    let sent: Vec<Vec<u8>> = (0..2_000).map(|_| incompressible()).collect();
    let mut targets = Vec::new();
    for part in sent.chunks(100) {
        targets = publish(&env.writer, &env.topic, part.to_vec()).await;
        fetched(&env.writer, &targets).await;
    }
    env.writer.wait_committed(&targets).await.expect("committed");
    // Several segments are closed by size, and the last of each partition by the flush.
    let listed = env.catalog.snapshot(&env.topic).await.expect("the topic exists").segments;
    assert!(listed.len() > 2 * PARTITIONS as usize, "{} segments", listed.len());
    assert_eq!(listed.iter().map(|segment| segment.record_count).sum::<u64>(), 2_000);
    assert!(listed.iter().all(|segment| segment.object.size_bytes < 512 * 1024), "{listed:?}");
    let mut stored = stored_values(env.catalog.as_ref(), env.store.as_ref(), &env.topic).await;
    let mut sent: Vec<Bytes> = sent.into_iter().map(Bytes::from).collect();
    stored.sort_unstable();
    sent.sort_unstable();
    assert!(stored == sent, "every message is stored as it was sent");
    env.writer.shutdown().await.expect("drains");
}

/// Returns once the writer holds every partition of `targets` and has fetched what they name.
async fn fetched(writer: &RunningWriter, targets: &[(TopicPartition, u64)]) {
    let position_of = |partition: &TopicPartition| {
        writer.status().into_iter().find(|status| status.partition == *partition).map(|status| status.position)
    };
    while targets.iter().any(|(partition, end)| position_of(partition).is_none_or(|position| position < *end)) {
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_records_are_in_the_object_store_once() {
    let mut env = setup_test_env().await;
    let targets = publish(&env.writer, &env.topic, numbered(100_000)).await;
    env.writer.wait_committed(&targets).await.expect("committed");
    check_numbers(&env, 100_000).await;
    assert_eq!(env.writer.shutdown().await.expect("drains").records, 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_of_a_queue_and_a_directory_needs_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Arc::new(LocalFileSystem::new_with_prefix(directory.path()).expect("a store"));
    let writer = Writer::new(Box::new(InMemoryQueue::default()), Arc::clone(&store) as Arc<dyn ObjectStore>);
    let mut running = writer.start().await.expect("starts");
    let topic = create_topic(&running).await;
    for round in 1..=3_u64 {
        // Numbers continue over the rounds, so that they identify the round.
        let payloads = (100 * (round - 1)..100 * round).map(|n| n.to_string().into_bytes());
        let targets = publish(&running, &topic, payloads).await;
        running.wait_committed(&targets).await.expect("committed");
        check_stored(running.catalog().as_ref(), store.as_ref(), &topic, 100 * round).await;
    }
    assert_eq!(running.shutdown().await.expect("drains").messages, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_flushes_is_flushed_by_age() {
    let config = WriterConfig { batch_age_max: Duration::from_millis(50), ..WriterConfig::default() };
    let mut env = setup_with(config).await;
    let targets = publish(&env.writer, &env.topic, numbered(1_000)).await;
    for (partition, end) in &targets {
        let mut committed = 0;
        while committed < *end {
            tokio::time::sleep(POLL).await;
            let stored = env.catalog.get_partition(partition).await.expect("the catalog answers");
            committed = stored.map_or(0, |stored| stored.high_watermark);
        }
    }
    check_numbers(&env, 1_000).await;
    env.writer.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_commits_what_was_fetched() {
    let config = WriterConfig { batch_age_max: Duration::from_secs(3600), ..WriterConfig::default() };
    let mut env = setup_with(config).await;
    let targets = publish(&env.writer, &env.topic, numbered(1_000)).await;
    fetched(&env.writer, &targets).await;
    assert_eq!(env.writer.summary().messages, 0, "nothing is committed yet");
    assert_eq!(env.writer.shutdown().await.expect("drains").messages, 1_000);
    check_numbers(&env, 1_000).await;
}

#[test]
fn the_example_runs() {
    example::main().expect("its own checks hold");
}

/// Counts events: the subscriber of the embedding program.
#[derive(Debug, Default)]
struct Subscriber {
    events: Arc<AtomicUsize>,
}

impl tracing::Subscriber for Subscriber {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        if event.metadata().target().starts_with("writer") {
            self.events.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// The signals that this process handles, as the kernel shows them: bit n - 1 is signal n.
fn handled_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a line of it");
    u64::from_str_radix(mask.trim(), 16).expect("a mask")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_writer_leaves_logs_and_signals_to_its_program() {
    const INTERRUPT_AND_TERMINATE: u64 = (1 << 1) | (1 << 14);
    let mut env = setup_test_env().await;
    let targets = publish(&env.writer, &env.topic, numbered(10)).await;
    env.writer.wait_committed(&targets).await.expect("committed");
    assert_eq!(handled_signals() & INTERRUPT_AND_TERMINATE, 0, "SIGINT and SIGTERM end the program");
    let subscriber = Subscriber::default();
    let events = Arc::clone(&subscriber.events);
    tracing::subscriber::set_global_default(subscriber).expect("no library has set one");
    let targets = publish(&env.writer, &env.topic, numbered(10)).await;
    env.writer.wait_committed(&targets).await.expect("committed");
    env.writer.shutdown().await.expect("drains");
    assert!(events.load(Ordering::Relaxed) > 0, "its lines reach the program's subscriber");
}
