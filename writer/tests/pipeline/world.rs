//! A queue, a store and a catalog for one test, and an oracle that reads the committed rows back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use bytes::Bytes;
use catalog::{MetadataStore, SegmentInfo, SegmentKind, SqliteMetadataStore, TopicConfig};
use common::queue::memory::InMemoryQueue;
use common::{OutgoingMessage, Queue, TopicName, TopicPartition};
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use writer::{RunningWriter, Storage, Writer, WriterConfig};

pub(crate) struct World {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) catalog: Arc<dyn MetadataStore>,
    pub(crate) storage: Storage,
    pub(crate) config: WriterConfig,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_storage(Storage::memory()).await
    }

    pub(crate) async fn with_storage(storage: Storage) -> Self {
        let config = WriterConfig { batch_age_max: Duration::from_millis(50), ..WriterConfig::default() };
        Self {
            queue: Arc::new(InMemoryQueue::default()),
            catalog: Arc::new(SqliteMetadataStore::new_in_memory().await.expect("a catalog")),
            storage,
            config,
        }
    }

    pub(crate) async fn topic(&self, name: &str, partition_count: u32, options: &str) -> TopicName {
        let name = TopicName::new(name).expect("valid");
        let config = serde_json::from_str(options).expect("valid options");
        let topic = TopicConfig { name: name.clone(), partition_count, retention_ms: None, config };
        let created = self.catalog.create_topic(topic).await.expect("created");
        self.queue.create_topic(&created.definition()).await.expect("created in the queue");
        name
    }

    pub(crate) async fn start(&self) -> RunningWriter {
        let builder = Writer::builder(Arc::clone(&self.queue), self.storage.clone(), Arc::clone(&self.catalog));
        builder.config(self.config.clone()).build().start().await.expect("starts")
    }

    /// Publishes and returns the watermark that covers everything published to the partition.
    pub(crate) async fn publish(&self, partition: &TopicPartition, payloads: impl IntoIterator<Item = String>) -> u64 {
        let messages: Vec<_> = payloads.into_iter().map(OutgoingMessage::new).collect();
        let acks = self.queue.publish(partition, messages).await.expect("published");
        acks.last().expect("something was published").offset + 1
    }

    pub(crate) async fn segments(&self, topic: &TopicName) -> Vec<SegmentInfo> {
        self.catalog.snapshot(topic).await.expect("the topic exists").segments
    }

    pub(crate) async fn read(&self, segment: &SegmentInfo) -> Vec<RecordBatch> {
        let key = object_store::path::Path::parse(&segment.object.key).expect("a key");
        let bytes: Bytes = self.storage.store.get(&key).await.expect("listed").bytes().await.expect("readable");
        assert_eq!(bytes.len() as u64, segment.object.size_bytes);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("Parquet").build().expect("readable");
        reader.map(|batch| batch.expect("readable")).collect()
    }

    /// Every `(partition, offset, row)` of a kind, sorted, with duplicates.
    pub(crate) async fn rows(&self, topic: &TopicName, kind: SegmentKind) -> Vec<(i32, i64, i32)> {
        let (mut rows, mut objects) = (Vec::new(), BTreeSet::new());
        let segments = self.segments(topic).await;
        let of_kind = || segments.iter().filter(|segment| segment.kind == kind);
        let is_covered = |partition_id: i32, offset: i64| {
            let offset = u64::try_from(offset).expect("an offset");
            of_kind().any(|of| i64::from(of.partition_id) == i64::from(partition_id) && of.range.contains(offset))
        };
        // Segments of several partitions may share an object.
        for segment in of_kind().filter(|segment| objects.insert(segment.object.file_id)) {
            for batch in self.read(segment).await {
                let partitions = batch.column(0).as_primitive::<Int32Type>().values();
                let offsets = batch.column(1).as_primitive::<Int64Type>().values();
                let numbers = batch.column(2).as_primitive::<Int32Type>().values();
                let found = (0..batch.num_rows()).map(|i| (partitions[i], offsets[i], numbers[i]));
                assert!(found.clone().all(|(of, offset, _)| is_covered(of, offset)), "rows lie in segments");
                rows.extend(found);
            }
        }
        rows.sort_unstable();
        rows
    }

    /// Checks that ranges chain from 0 to each watermark and that every object exists with its checksum.
    pub(crate) async fn audit(&self, topic: &TopicName) {
        let snapshot = self.catalog.snapshot(topic).await.expect("the topic exists");
        let mut ends: BTreeMap<u32, u64> = BTreeMap::new();
        let mut ranges: Vec<_> = snapshot.segments.iter().map(|s| (s.partition_id, s.range)).collect();
        ranges.dedup();
        for (partition_id, range) in ranges {
            let end = ends.entry(partition_id).or_default();
            assert_eq!(range.base(), *end, "ranges of partition {partition_id} chain");
            *end = range.next();
        }
        for partition in &snapshot.partitions {
            let end = ends.get(&partition.partition_id).copied().unwrap_or_default();
            assert_eq!(partition.high_watermark, end, "the watermark is the last end and one");
        }
        for segment in &snapshot.segments {
            let key = object_store::path::Path::parse(&segment.object.key).expect("a key");
            let bytes = self.storage.store.get(&key).await.expect("listed").bytes().await.expect("readable");
            let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes);
            assert_eq!(u64::from(segment.object.checksum), checksum, "{}", segment.object.key);
        }
    }
}

pub(crate) fn expected(partitions: u32, messages: u64) -> Vec<(i32, i64, i32)> {
    (0..partitions as i32).flat_map(|p| (0..messages as i64).map(move |offset| (p, offset, 0))).collect()
}
