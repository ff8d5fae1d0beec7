//! Results that come after the commit. The tests make the commits themselves.

use std::sync::Arc;

use catalog::{
    AcquireOutcome, Agent, CommitOutcome, CommitRequest, CommitStore, NewObject, NewSegment, Ownership, OwnershipStore,
    Scope, SegmentKind, SqliteMetadataStore, TopicStore, UploadIntent,
};
use common::queue::memory::InMemoryQueue;
use common::{Anchor, OffsetRange, OwnerId};
use futures::FutureExt;

use super::*;
use crate::WaitError;

pub(crate) struct World {
    pub(crate) catalog: Arc<SqliteMetadataStore>,
    pub(crate) queue: Arc<InMemoryQueue>,
    partition: TopicPartition,
}

impl World {
    pub(crate) async fn new() -> Self {
        let catalog = Arc::new(SqliteMetadataStore::new_in_memory().await.expect("a catalog"));
        catalog.create_topic(config("orders", 1)).await.expect("new topic");
        let partition = TopicPartition::new(name("orders"), 0);
        Self { catalog, queue: Arc::new(InMemoryQueue::default()), partition }
    }

    async fn producer(&self, commit_timeout: Duration) -> Producer {
        let (queue, catalog): (Arc<dyn Queue>, Arc<dyn MetadataStore>) = (self.queue.clone(), self.catalog.clone());
        let builder = Producer::builder().queue(queue).catalog(catalog).batch_size(1).commit_timeout(commit_timeout);
        builder.acks(Acks::Committed).build().await.expect("valid options")
    }

    pub(crate) async fn take(&self) -> Ownership {
        let owner = OwnerId(Uuid::now_v7());
        self.catalog
            .heartbeat(&Agent { owner, name: "test".to_owned(), scope: Scope::All, contact: Default::default() })
            .await
            .expect("registered");
        let wanted = std::slice::from_ref(&self.partition);
        match self.catalog.acquire(owner, Duration::from_secs(60), wanted).await.expect("asked").remove(0) {
            AcquireOutcome::Acquired(held) => held,
            other => panic!("not free: {other:?}"),
        }
    }

    /// Commits the offsets of one segment.
    pub(crate) async fn commit(&self, held: &Ownership, base: u64, end: u64) {
        let last = self.queue.read(&self.partition, end, end + 1).await.expect("read").remove(0);
        let (key, record_count) = (format!("orders/{base}.parquet"), end - base + 1);
        let (bucket, statistics) = Default::default();
        let object = Arc::new(NewObject {
            bucket,
            key: key.clone(),
            record_count,
            size_bytes: 1,
            footer_bytes: 1,
            checksum: 0,
            schema_version: 1,
            statistics,
        });
        let (id, kind) = (format!("orders-0-{base}"), SegmentKind::Data);
        let segment = NewSegment { id, kind, record_count, min_timestamp_us: 0, max_timestamp_us: 1, object };
        let Ownership { incarnation, epoch, owner, .. } = *held;
        let request = CommitRequest {
            partition: self.partition.clone(),
            incarnation,
            epoch,
            owner,
            range: OffsetRange::new(base, end).expect("in order"),
            anchor: Anchor::of(&last),
            message_count: record_count,
            segments: vec![segment],
            gaps: vec![],
        };
        let intent = UploadIntent { partition: self.partition.clone(), epoch, owner, bucket: String::new(), key };
        self.catalog.record_intents(&[intent]).await.remove(0).expect("recorded");
        let outcome = self.catalog.commit(&[request]).await.remove(0);
        assert!(matches!(outcome, CommitOutcome::Done(_)), "{outcome:?}");
    }

    pub(crate) async fn until_stored(&self, count: usize) {
        while self.queue.read(&self.partition, 0, u64::MAX).await.map_or(0, |held| held.len()) < count {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_result_comes_after_the_commit_and_the_next_request_does_not_wait_for_it() {
    let world = World::new().await;
    let (held, producer) = (world.take().await, world.producer(Duration::from_secs(60)).await);
    let mut handles = Vec::new();
    for value in ["a", "b"] {
        handles.push(producer.enqueue(&name("orders"), None, OutgoingMessage::new(value)).await.expect("buffered"));
        world.until_stored(handles.len()).await;
    }
    let stored = world.queue.read(&world.partition, 0, u64::MAX).await.expect("readable");
    assert!(stored.iter().all(|message| message.is_awaited), "the writer is asked to commit soon");
    assert!((&mut handles[0]).now_or_never().is_none(), "it is not committed");
    world.commit(&held, 0, 0).await;
    let sent = handles.remove(0).await.expect("committed");
    assert_eq!((sent.offset, sent.duplicate), (0, false));
    assert!((&mut handles[0]).now_or_never().is_none(), "the second one is not committed");
    world.commit(&held, 1, 1).await;
    producer.close().await.expect("all are committed");
    assert_eq!(handles.remove(0).await.expect("committed").offset, 1);
}

#[tokio::test]
async fn a_commit_that_does_not_come_in_time_is_an_error_that_names_the_obstacle() {
    let world = World::new().await;
    let producer = world.producer(Duration::from_millis(100)).await;
    let error = producer.send(&name("orders"), None, b"a", None).await.expect_err("there is no writer");
    assert!(matches!(error, ProducerError::Commit(WaitError::NotInTime { offset: 0, .. })), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(world.queue.read(&world.partition, 0, u64::MAX).await.expect("readable").len(), 1, "it is stored");
}

#[tokio::test]
async fn a_topic_that_is_gone_before_the_request_sends_nothing() {
    let world = World::new().await;
    let producer = world.producer(Duration::from_secs(60)).await;
    let held = world.take().await;
    let first = producer.enqueue(&name("orders"), None, OutgoingMessage::new("a")).await.expect("buffered");
    world.until_stored(1).await;
    world.commit(&held, 0, 0).await;
    first.await.expect("committed");
    world.catalog.delete_topic(&name("orders")).await.expect("deleted");
    let mut outcomes = producer.send_batch(&name("orders"), vec![OutgoingMessage::new("b")]).await.expect("remembered");
    let failure = outcomes.remove(0).expect_err("the topic is gone");
    assert!(matches!(*failure.error, ProducerError::Commit(WaitError::TopicGone { .. })), "{failure:?}");
    assert!(failure.is_not_stored, "nothing was sent");
    assert_eq!(world.queue.read(&world.partition, 0, u64::MAX).await.expect("readable").len(), 1);
}
