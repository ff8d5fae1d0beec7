//! Micro-benchmarks of the catalog on a SQLite file, `synchronous=FULL`: point reads, lists, and commits alone and in
//! groups, each with its intent.
//!
//! `cargo bench -p catalog`.

use std::time::Duration;

use catalog::{
    AcquireOutcome, Agent, ColumnStatistics, CommitOutcome, CommitRequest, CommitStore, NewObject, NewSegment,
    Ownership, OwnershipStore, Scope, SegmentKind, SegmentStore, SqliteMetadataStore, TopicConfig, TopicStore,
};
use common::{Anchor, OffsetRange, OwnerId, TopicName, TopicPartition};
use divan::Bencher;
use divan::counter::ItemsCount;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

const PARTITIONS: u32 = 500;

fn main() {
    divan::main();
}

/// A catalog with one topic, all its partitions owned.
struct Setup {
    runtime: Runtime,
    store: SqliteMetadataStore,
    held: Vec<Ownership>,
    _dir: TempDir,
}

impl Setup {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let dir = tempfile::tempdir().expect("a directory");
        let (store, held) = runtime.block_on(async {
            let store = SqliteMetadataStore::new(dir.path().join("catalog.db")).await.expect("a catalog");
            let name = TopicName::new("orders").expect("valid");
            let config =
                TopicConfig { name, partition_count: PARTITIONS, retention_ms: None, config: Default::default() };
            store.create_topic(config).await.expect("created");
            let owner = OwnerId(Uuid::now_v7());
            store
                .heartbeat(&Agent { owner, name: "bench".to_owned(), scope: Scope::All, contact: Default::default() })
                .await
                .expect("registered");
            let all: Vec<_> = (0..PARTITIONS).map(partition).collect();
            let outcomes = store.acquire(owner, Duration::from_secs(3600), &all).await.expect("asked");
            let held = outcomes.into_iter().map(|outcome| match outcome {
                AcquireOutcome::Acquired(held) => held,
                other => panic!("{other:?}"),
            });
            let held: Vec<_> = held.collect();
            (store, held)
        });
        Self { runtime, store, held, _dir: dir }
    }

    /// Records intents and commits the next segment of the first `partitions` partitions, in one group each.
    fn commit(&mut self, partitions: usize) {
        let held = &mut self.held[..partitions];
        let requests: Vec<CommitRequest> = held.iter().map(request).collect();
        let intents: Vec<_> = requests.iter().flat_map(CommitRequest::intents).collect();
        self.runtime.block_on(async {
            for recorded in self.store.record_intents(&intents).await {
                recorded.expect("recorded");
            }
            for outcome in self.store.commit(&requests).await {
                assert!(matches!(outcome, CommitOutcome::Done(_)), "{outcome:?}");
            }
        });
        held.iter_mut().for_each(|held| held.high_watermark += 1_000);
    }
}

fn partition(partition_id: u32) -> TopicPartition {
    TopicPartition::new(TopicName::new("orders").expect("valid"), partition_id)
}

fn request(held: &Ownership) -> CommitRequest {
    let (base_offset, id) = (held.high_watermark, Uuid::now_v7());
    let timestamps = ColumnStatistics {
        field_id: 4,
        compressed_bytes: 1_000,
        value_count: 1_000,
        null_count: 0,
        min: Some("2026-11-20 00:01:39.000099+00".to_owned()),
        max: Some("2026-11-20 00:01:44.000099+00".to_owned()),
    };
    let object = NewObject {
        bucket: String::new(),
        key: format!("orders/{id}.parquet"),
        record_count: 1_000,
        size_bytes: 100_000,
        footer_bytes: 2_000,
        checksum: 7,
        schema_version: 1,
        statistics: vec![timestamps],
    };
    let segment = NewSegment {
        id: id.to_string(),
        kind: SegmentKind::Data,
        record_count: 1_000,
        min_timestamp_us: 0,
        max_timestamp_us: 1,
        object: object.into(),
    };
    CommitRequest {
        partition: held.partition.clone(),
        incarnation: held.incarnation,
        epoch: held.epoch,
        owner: held.owner,
        range: OffsetRange::new(base_offset, base_offset + 999).expect("in order"),
        anchor: Anchor { offset: base_offset + 999, timestamp_us: 1, hash: 1 },
        message_count: 1_000,
        segments: vec![segment],
        gaps: Vec::new(),
    }
}

#[divan::bench(args = [1, 100, 500])]
fn intent_and_commit(bencher: Bencher<'_, '_>, group: usize) {
    let mut setup = Setup::new();
    bencher.counter(ItemsCount::new(group)).bench_local(|| setup.commit(group));
}

/// Point reads and lists, with 200 segments in the partition.
#[divan::bench(args = ["get_topic", "get_partition", "find_segment_for_offset", "list_topics", "get_segments"])]
fn read(bencher: Bencher<'_, '_>, operation: &str) {
    let mut setup = Setup::new();
    (0..200).for_each(|_| setup.commit(1));
    let (store, partition) = (&setup.store, partition(0));
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        setup.runtime.block_on(async {
            match operation {
                "get_topic" => assert!(store.get_topic(&partition.topic).await.expect("read").is_some()),
                "get_partition" => assert!(store.get_partition(&partition).await.expect("read").is_some()),
                "list_topics" => assert_eq!(store.list_topics().await.expect("read").len(), 1),
                "get_segments" => assert_eq!(store.get_segments(&partition).await.expect("read").len(), 200),
                _ => assert!(store.find_segment_for_offset(&partition, 150_500).await.expect("read").is_some()),
            }
        });
    });
}
