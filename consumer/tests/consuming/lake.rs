//! A lake in memory, with a writer that commits when it is told to.
//!
//! Owns: publishing, and reading everything by pages. Does not own: any check.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use catalog::{MetadataStore, SqliteMetadataStore, TopicConfig};
use common::queue::memory::InMemoryQueue;
use common::{OutgoingMessage, Queue, TopicName, TopicPartition};
use consumer::{CacheOptions, FetchParts, FetchRequest, Fetched, Fetcher, Limits, OutOfRange, Seen, Start};
use writer::{RunningWriter, Storage, Writer, WriterConfig};

pub(crate) struct Lake {
    pub(crate) writer: RunningWriter,
    pub(crate) catalog: Arc<dyn MetadataStore>,
    pub(crate) storage: Storage,
    pub(crate) topic: TopicName,
}

pub(crate) fn name(name: &str) -> TopicName {
    TopicName::new(name).expect("valid")
}

impl Lake {
    /// With the topic `t` of these options.
    pub(crate) async fn new(partition_count: u32, options: &str) -> Self {
        let config = WriterConfig { batch_age_max: Duration::from_secs(3600), ..WriterConfig::default() };
        Self::with(partition_count, options, config).await
    }

    pub(crate) async fn with(partition_count: u32, options: &str, config: WriterConfig) -> Self {
        let catalog: Arc<dyn MetadataStore> =
            Arc::new(SqliteMetadataStore::new_in_memory().await.expect("a catalog in memory"));
        let storage = Storage::memory();
        let queue: Arc<dyn Queue> = Arc::new(InMemoryQueue::default());
        let builder = Writer::builder(queue, storage.clone(), Arc::clone(&catalog)).config(config);
        let writer = builder.build().start().await.expect("starts");
        let lake = Self { writer, catalog, storage, topic: name("t") };
        lake.create(partition_count, options).await;
        lake
    }

    /// Starts another writer, over a queue without messages.
    pub(crate) async fn start_anew(&mut self) {
        let config = WriterConfig { batch_age_max: Duration::from_secs(3600), ..WriterConfig::default() };
        let queue: Arc<dyn Queue> = Arc::new(InMemoryQueue::default());
        let builder = Writer::builder(queue, self.storage.clone(), Arc::clone(&self.catalog)).config(config);
        self.writer = builder.build().start().await.expect("starts");
    }

    pub(crate) async fn create(&self, partition_count: u32, options: &str) {
        let config = serde_json::from_str(options).expect("valid options");
        let topic = TopicConfig { name: self.topic.clone(), partition_count, retention_ms: None, config };
        self.writer.create_topic(topic).await.expect("created");
    }

    pub(crate) fn partition(&self, partition_id: u32) -> TopicPartition {
        TopicPartition::new(self.topic.clone(), partition_id)
    }

    /// Publishes the payloads, and commits them as one segment of each partition.
    pub(crate) async fn commit(&self, partition_id: u32, payloads: impl IntoIterator<Item = String>) {
        let messages = payloads.into_iter().map(OutgoingMessage::new).collect();
        self.commit_messages(partition_id, messages).await;
    }

    pub(crate) async fn commit_messages(&self, partition_id: u32, messages: Vec<OutgoingMessage>) {
        let partition = self.partition(partition_id);
        let acks = self.writer.queue().publish(&partition, messages).await.expect("published");
        let next = acks.last().expect("some").offset + 1;
        self.writer.commit_up_to(&[(partition, next)]).await.expect("committed");
    }

    pub(crate) fn parts(&self) -> FetchParts {
        FetchParts {
            catalog: Arc::clone(&self.catalog),
            storage: self.storage.clone(),
            tail: None,
            commits: Some(self.writer.commits()),
            announcements: None,
            cache: CacheOptions::default(),
        }
    }

    pub(crate) fn fetcher(&self) -> Fetcher {
        Fetcher::open(self.parts()).expect("opens")
    }
}

pub(crate) fn request(partition: &TopicPartition, start: Start, records_max: usize) -> FetchRequest {
    FetchRequest {
        partition: partition.clone(),
        start,
        limits: Limits { records_max, ..Limits::default() },
        wait: Duration::ZERO,
        out_of_range: OutOfRange::Error,
        seen: Seen::default(),
    }
}

/// The column `value` of the rows, as text.
pub(crate) fn values(batches: &[RecordBatch]) -> Vec<String> {
    let of = |rows: &RecordBatch| {
        let column = rows.column_by_name("value").expect("a raw or text topic").clone();
        match column.as_string_opt::<i32>() {
            Some(texts) => texts.iter().map(|text| text.expect("not null").to_owned()).collect::<Vec<_>>(),
            None => {
                let bytes = column.as_binary::<i32>();
                (0..bytes.len()).map(|row| String::from_utf8_lossy(bytes.value(row)).into_owned()).collect()
            }
        }
    };
    batches.iter().flat_map(of).collect()
}

pub(crate) fn offsets(batches: &[RecordBatch]) -> Vec<i64> {
    let of = |rows: &RecordBatch| {
        rows.column_by_name("_offset").expect("every table has it").as_primitive::<Int64Type>().values().to_vec()
    };
    batches.iter().flat_map(of).collect()
}

/// Everything from a place on, in pages of this size, until a page is empty.
pub(crate) async fn all(fetcher: &Fetcher, of: &TopicPartition, start: Start, records_max: usize) -> Vec<Fetched> {
    let mut pages = Vec::new();
    let mut start = start;
    loop {
        let page = fetcher.fetch(&request(of, start, records_max)).await.expect("read");
        if page.records == 0 {
            return pages;
        }
        start = Start::Position(page.next);
        pages.push(page);
    }
}

pub(crate) fn numbered(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| format!("r{number}")).collect()
}
