//! A small lake for unit tests: a queue in memory that keeps its messages, and commits of them step by step.
//!
//! Owns: the pipeline's steps by hand, so that a test decides which messages the queue still holds afterwards.
//! Does not own: any check.

use std::sync::Arc;
use std::time::Duration;

use catalog::{
    AcquireOutcome, Agent, CommitOutcome, CommitRequest, CommitStore, MetadataStore, Ownership, OwnershipStore,
    Partition, ReplaceOutcome, Replacement, ResumePoint, Scope, SegmentInfo, SegmentKind, SegmentStore,
    SqliteMetadataStore, TopicConfig, TopicStore, UploadIntent,
};
use common::clock::ManualClock;
use common::memory::MemoryBudget;
use common::queue::memory::InMemoryQueue;
use common::{OutgoingMessage, OwnerId, Queue, TopicName, TopicPartition};
use uuid::Uuid;

use crate::pipeline::batch::{Encoded, Encoding, Form, OpenBatch};
use crate::pipeline::decode::{PartitionDecoder, Source, TopicTable};
use crate::pipeline::roll::RollReason;
use crate::pipeline::tables::Doubt;
use lake::Storage;
use lake::footer::{Footer, FooterSegment};
use lake::keys::SegmentName;
use lake::object::ListedObject;
use lake::read::{Columns, SegmentFile};
use lake::segment::SegmentEncoder;
use object_store::path::Path;

const LEASE: Duration = Duration::from_secs(3600);

pub(crate) struct Lake {
    pub(crate) queue: InMemoryQueue,
    pub(crate) catalog: Arc<SqliteMetadataStore>,
    pub(crate) storage: Storage,
    pub(crate) partition: TopicPartition,
    pub(crate) table: Arc<TopicTable>,
    held: Ownership,
}

/// A queue with the messages of `history`, from offset 0 on; their times distinguish them from those of another
/// history.
pub(crate) async fn queue_of(partition: &TopicPartition, history: &[(i64, u64)]) -> InMemoryQueue {
    let clock = Arc::new(ManualClock::at(0));
    let queue = InMemoryQueue::with_clock(64 << 20, Arc::clone(&clock) as _);
    let definition = common::TopicDefinition::new(partition.topic.clone(), 1);
    queue.open_topic(&definition, None, &[0]).await.expect("opened");
    let mut number = 0;
    for (time_us, count) in history {
        for _ in 0..*count {
            clock.set(time_us + number as i64);
            // Every fifth message does not fit the column.
            let payload = if number % 5 == 4 { "{\"n\":\"x\"}".to_owned() } else { format!("{{\"n\":{number}}}") };
            queue.publish(partition, vec![OutgoingMessage::new(payload)]).await.expect("published");
            number += 1;
        }
    }
    queue
}

impl Lake {
    /// A topic with one partition, whose queue holds `count` messages of the history from time 1,000,000 on.
    pub(crate) async fn new(count: u64) -> Self {
        let name = TopicName::new("t").expect("valid");
        let partition = TopicPartition::new(name.clone(), 0);
        let catalog = Arc::new(SqliteMetadataStore::new_in_memory().await.expect("a catalog"));
        let options = r#"{"format":"json","columns":[{"name":"n","type":"int64"}]}"#;
        let config = serde_json::from_str(options).expect("valid");
        let topic = TopicConfig { name, partition_count: 1, retention_ms: None, config };
        let topic = catalog.create_topic(topic).await.expect("created");
        let owner = OwnerId(Uuid::now_v7());
        catalog
            .heartbeat(&Agent { owner, name: "test".to_owned(), scope: Scope::All, contact: Default::default() })
            .await
            .expect("registered");
        let held = take(catalog.as_ref(), owner, &partition).await;
        let queue = queue_of(&partition, &[(1_000_000, count)]).await;
        let storage = Storage::memory();
        Self { queue, catalog, storage, partition, table: TopicTable::new(&topic), held }
    }

    /// Commits the next `count` messages as one batch.
    pub(crate) async fn commit(&mut self, count: u64) {
        let base_offset = self.partition().await.high_watermark;
        let messages = self.queue.read(&self.partition, base_offset, base_offset + count).await.expect("read");
        assert_eq!(messages.len() as u64, count, "the queue holds what is to be committed");
        let memory = MemoryBudget::new(1 << 20).acquire(1).await;
        let decoder = PartitionDecoder::new(Arc::clone(&self.table), Source::of(&self.held));
        let mut encoding = Encoding { decoder, pages: (1 << 16).into(), condemned: None };
        let batch = OpenBatch::open(base_offset, messages, vec![], memory);
        let encoded = batch.encode(&mut encoding, Doubt::None, Form::Encoded).expect("encoded");
        let Encoded::Whole(batch) = encoded else { panic!("no refusal is doubted") };
        let mut batch = batch.seal(&encoding, &self.held, RollReason::Age).expect("sealed");
        let mut segments = Vec::new();
        for (kind, encoded) in batch.take_objects() {
            let (range, epoch) = (batch.range, self.held.epoch);
            let first_timestamp_us = batch.first_timestamp_us;
            let partition = &self.partition;
            let name = SegmentName { partition, range, epoch, kind, first_timestamp_us };
            let new = name.new_key(&self.storage.prefix);
            let (bucket, key) = (String::new(), new.key.to_string());
            let intent = UploadIntent { partition: partition.clone(), epoch, owner: self.held.owner, bucket, key };
            self.catalog.record_intents(&[intent]).await.remove(0).expect("recorded");
            self.storage.put_new(&new.key, encoded.payload.clone()).await.expect("put");
            segments.push(encoded.segment(kind, "", &new, batch.schema_version));
        }
        let request = CommitRequest {
            partition: self.partition.clone(),
            incarnation: self.held.incarnation,
            epoch: self.held.epoch,
            owner: self.held.owner,
            range: batch.range,
            anchor: batch.anchor,
            message_count: batch.message_count,
            segments,
            gaps: vec![],
        };
        let outcome = self.catalog.commit(&[request]).await.remove(0);
        assert!(matches!(outcome, CommitOutcome::Done(_)), "{outcome:?}");
    }

    /// Replaces all live objects of a kind by one object with the same rows.
    pub(crate) async fn compact(&self, kind: SegmentKind) {
        let snapshot = self.catalog.snapshot(&self.partition.topic).await.expect("a snapshot");
        let objects: Vec<_> = snapshot.objects.iter().filter(|object| object.kind == kind).collect();
        let mut batches = Vec::new();
        for object in &objects {
            let listed = ListedObject::of(object).expect("a key");
            let file = SegmentFile::open(&self.storage, &listed).await.unwrap_or_else(|error| panic!("{error:?}"));
            batches.extend(file.rows(Columns::All, 1024).expect("readable").map(|batch| batch.expect("rows")));
        }
        let mut encoder = SegmentEncoder::new(&batches[0].schema(), 1 << 16).expect("a valid schema");
        batches.iter().for_each(|batch| encoder.write(batch).expect("fits"));
        let schema_version = objects.iter().map(|object| object.schema_version).max().expect("some");
        let segment = only_segment(snapshot.segments.iter().filter(|segment| segment.kind == kind));
        let footer = Footer { topic: self.partition.topic.clone(), kind, schema_version, segment };
        let encoded = encoder.finish(footer.pairs()).expect("finishes");
        let key = Path::from(format!("replaced/{}", Uuid::now_v7()));
        let inputs = objects.iter().map(|object| object.as_ref().into()).collect();
        let output = encoded.object("", &key, schema_version);
        let topic = self.partition.topic.clone();
        let replacement = Replacement { topic, kind, owner: self.held.owner, inputs, output };
        self.catalog.record_replacement_intent(&replacement.intent()).await.expect("recorded");
        self.storage.put_new(&key, encoded.payload.clone()).await.expect("put");
        let outcome = self.catalog.replace(&replacement).await;
        assert!(matches!(outcome, ReplaceOutcome::Done(_)), "{outcome:?}");
    }

    /// Begins a new incarnation at the high watermark, with the queue unchanged.
    pub(crate) async fn begin_incarnation(&mut self) {
        self.halt().await;
        let Partition { incarnation, high_watermark, anchor, .. } = self.partition().await;
        let point = ResumePoint { high_watermark, anchor, reason: "as the test says".to_owned() };
        self.catalog.resume(&self.partition, incarnation, &point).await.expect("resumed");
        self.take_over().await;
    }

    /// Halts the partition, like a writer after it has found another history.
    pub(crate) async fn halt(&self) {
        self.catalog.halt(&self.held, "stream_regressed: as the test says").await.expect("halted");
    }

    /// Takes the partition over, after a resume.
    pub(crate) async fn take_over(&mut self) {
        self.held = take(self.catalog.as_ref(), self.held.owner, &self.partition).await;
    }

    /// The partition's record in the catalog.
    pub(crate) async fn partition(&self) -> Partition {
        let catalog: &dyn MetadataStore = self.catalog.as_ref();
        catalog.get_partition(&self.partition).await.expect("read").expect("it exists")
    }
}

/// The segment that covers all of these in one object, if they chain in one incarnation.
fn only_segment<'s>(segments: impl Iterator<Item = &'s SegmentInfo>) -> Option<FooterSegment> {
    segments.map(|segment| FooterSegment::of(segment, None)).map(Some).reduce(|one, next| {
        let (one, next) = (one?, next?);
        let range = one.range.joined(next.range).filter(|_| one.incarnation == next.incarnation)?;
        Some(FooterSegment { range, ..one })
    })?
}

async fn take(catalog: &dyn MetadataStore, owner: OwnerId, partition: &TopicPartition) -> Ownership {
    match catalog.acquire(owner, LEASE, std::slice::from_ref(partition)).await.expect("asked").remove(0) {
        AcquireOutcome::Acquired(held) => held,
        other => panic!("{partition} is not free: {other:?}"),
    }
}
