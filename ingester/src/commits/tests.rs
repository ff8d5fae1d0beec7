//! Waits over a real catalog in memory, whose commits the tests make themselves.

mod announced;

use std::sync::Arc;
use std::time::Duration;

use catalog::{
    AcquireOutcome, Agent, CommitOutcome, CommitRequest, CommitStore, Gap, NewObject, NewSegment, Ownership,
    OwnershipStore, ResumePoint, Scope, SegmentKind, SqliteMetadataStore, TopicConfig, TopicStore,
};
use common::queue::memory::InMemoryQueue;
use common::{Anchor, OffsetRange, OutgoingMessage, OwnerId};
use uuid::Uuid;

use super::*;

/// Longer than any wait that ends with an answer.
const LONG: Duration = Duration::from_secs(60);
/// A wait that ends without one.
const SHORT: Duration = Duration::from_millis(200);

struct World {
    catalog: Arc<SqliteMetadataStore>,
    queue: Arc<InMemoryQueue>,
    partition: TopicPartition,
    owner: OwnerId,
    commits: Commits,
}

impl World {
    async fn new() -> Self {
        let catalog = Arc::new(SqliteMetadataStore::new_in_memory().await.expect("a catalog"));
        let queue = Arc::new(InMemoryQueue::default());
        let commits = Commits::new(Arc::clone(&catalog) as Arc<dyn MetadataStore>);
        let commits = commits.with_queue(Arc::clone(&queue) as Arc<dyn Queue>);
        let partition = TopicPartition::new(TopicName::new("orders").expect("valid"), 0);
        let owner = OwnerId(Uuid::now_v7());
        let agent = Agent { owner, name: "test".to_owned(), scope: Scope::All, contact: Default::default() };
        catalog.heartbeat(&agent).await.expect("registered");
        let world = Self { catalog, queue, partition, owner, commits };
        world.create_topic().await;
        world
    }

    async fn create_topic(&self) {
        let name = self.partition.topic.clone();
        let config = TopicConfig { name, partition_count: 1, retention_ms: None, config: Default::default() };
        let topic = self.catalog.create_topic(config).await.expect("created");
        self.queue.create_topic(&topic.definition()).await.expect("created");
    }

    async fn take(&self) -> Ownership {
        let wanted = std::slice::from_ref(&self.partition);
        match self.catalog.acquire(self.owner, LONG, wanted).await.expect("asked").remove(0) {
            AcquireOutcome::Acquired(held) => held,
            other => panic!("not free: {other:?}"),
        }
    }

    async fn publish(&self, payloads: impl IntoIterator<Item = &str>) -> Before {
        let before = self.commits.before(&self.partition).await.expect("read");
        publish(&self.queue, &self.partition, payloads).await;
        before
    }

    /// A request for the offsets, which ends with a message of `queue`.
    async fn request(&self, held: &Ownership, queue: &InMemoryQueue, base: u64, end: u64) -> CommitRequest {
        let last = queue.read(&self.partition, end, end + 1).await.expect("read").remove(0);
        CommitRequest {
            partition: self.partition.clone(),
            incarnation: held.incarnation,
            epoch: held.epoch,
            owner: held.owner,
            range: range(base, end),
            anchor: Anchor::of(&last),
            message_count: end - base + 1,
            segments: vec![segment(SegmentKind::Data, end - base + 1)],
            gaps: vec![],
        }
    }

    async fn commit(&self, request: CommitRequest) {
        let intents: Vec<_> = request.intents().collect();
        for answer in self.catalog.record_intents(&intents).await {
            answer.expect("recorded");
        }
        let outcome = self.catalog.commit(&[request]).await.remove(0);
        assert!(matches!(outcome, CommitOutcome::Done(_)), "{outcome:?}");
    }

    async fn commit_all(&self, held: &Ownership, base: u64, end: u64) {
        self.commit(self.request(held, &self.queue, base, end).await).await;
    }

    async fn halt_and_resume(&self, held: &Ownership, high_watermark: u64) {
        self.catalog.halt(held, "stream_regressed").await.expect("halted");
        let at = ResumePoint { high_watermark, anchor: None, reason: "for the test".to_owned() };
        self.catalog.resume(&self.partition, held.incarnation, &at).await.expect("resumed");
    }
}

async fn publish(queue: &InMemoryQueue, to: &TopicPartition, payloads: impl IntoIterator<Item = &str>) {
    let messages = payloads.into_iter().map(|payload| OutgoingMessage::new(payload.to_owned()).awaited()).collect();
    queue.publish(to, messages).await.expect("published");
}

fn ack(offset: u64) -> PublishAck {
    PublishAck { offset, duplicate: false }
}

fn range(base: u64, end: u64) -> OffsetRange {
    OffsetRange::new(base, end).expect("in order")
}

fn segment(kind: SegmentKind, rows: u64) -> NewSegment {
    let id = Uuid::now_v7();
    NewSegment {
        id: format!("orders-0-{id}"),
        kind,
        record_count: rows,
        min_timestamp_us: 0,
        max_timestamp_us: 1,
        object: Arc::new(NewObject {
            bucket: String::new(),
            key: format!("orders/{id}.parquet"),
            record_count: rows,
            size_bytes: 1,
            footer_bytes: 1,
            checksum: 0,
            schema_version: 1,
            statistics: vec![],
        }),
    }
}

#[tokio::test]
async fn a_record_is_committed_once_the_watermark_is_above_its_offset() {
    let world = World::new().await;
    let held = world.take().await;
    let before = world.publish(["a", "b", "c"]).await;
    world.commit_all(&held, 0, 1).await;
    for offset in [0, 1] {
        assert_eq!(world.commits.wait(&before, ack(offset), LONG).await.expect("committed"), Fate::Committed);
    }
    let error = world.commits.wait(&before, ack(2), SHORT).await.expect_err("the watermark is exclusive");
    assert!(error.to_string().ends_with("within 200 ms: everything below offset 2 is committed so far"), "{error}");

    let waits = futures::future::join_all((0..100).map(|_| world.commits.wait(&before, ack(2), LONG)));
    let (fates, ()) = tokio::join!(waits, world.commit_all(&held, 2, 2));
    assert!(fates.into_iter().all(|fate| fate.expect("committed") == Fate::Committed));
}

#[tokio::test]
async fn a_wait_says_what_it_waits_for() {
    let world = World::new().await;
    let before = world.publish(["a"]).await;
    let error = world.commits.wait(&before, ack(0), SHORT).await.expect_err("nobody commits");
    assert_eq!(
        error.to_string(),
        "the record at offset 0 of orders/0 was not committed within 200 ms: no writer owns the partition"
    );
    assert_eq!(error.kind(), common::ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_record_in_a_gap_is_lost() {
    let world = World::new().await;
    let held = world.take().await;
    let before = world.publish(["a", "b", "c"]).await;
    let gap = Gap::lost(range(1, 1), "deleted in the queue before the writer came");
    let request = world.request(&held, &world.queue, 0, 2).await;
    world.commit(CommitRequest { gaps: vec![gap], ..request }).await;
    for offset in [0, 2] {
        assert_eq!(world.commits.wait(&before, ack(offset), LONG).await.expect("committed"), Fate::Committed);
    }
    let error = world.commits.wait(&before, ack(1), LONG).await.expect_err("lost");
    assert!(matches!(error, WaitError::Lost { offset: 1, .. }), "{error}");
    assert!(error.to_string().ends_with("deleted in the queue before the writer came"), "{error}");
}

#[tokio::test]
async fn a_halted_partition_and_its_next_incarnation_end_the_wait() {
    let world = World::new().await;
    let held = world.take().await;
    let before = world.publish(["a", "b", "c"]).await;
    world.commit_all(&held, 0, 0).await;
    let halting = async {
        world.catalog.halt(&held, "stream_regressed").await.expect("halted");
    };
    let (waited, ()) = tokio::join!(world.commits.wait(&before, ack(2), LONG), halting);
    let error = waited.expect_err("halted");
    assert!(matches!(error, WaitError::Halted { offset: 2, .. }), "{error}");
    assert!(error.to_string().ends_with("stream_regressed"), "{error}");
    // Below the watermark there may be a record of the history before: the queue may no longer show the difference.
    let error = world.commits.wait(&before, ack(0), LONG).await.expect_err("in doubt");
    assert!(matches!(error, WaitError::OtherHistory { offset: 0, .. }), "{error}");
    assert!(error.to_string().ends_with("the partition is halted: stream_regressed"), "{error}");

    let at = ResumePoint { high_watermark: 0, anchor: None, reason: "for the test".to_owned() };
    world.catalog.resume(&world.partition, held.incarnation, &at).await.expect("resumed");
    let held = world.take().await;
    // The same offsets, in another incarnation.
    world.commit_all(&held, 0, 2).await;
    let error = world.commits.wait(&before, ack(2), LONG).await.expect_err("another incarnation");
    assert!(matches!(error, WaitError::OtherHistory { offset: 2, .. }), "{error}");
    let again = world.publish(["d"]).await;
    world.commit_all(&held, 3, 3).await;
    assert_eq!(world.commits.wait(&again, ack(3), LONG).await.expect("committed"), Fate::Committed);
}

#[tokio::test]
async fn an_offset_before_the_incarnation_is_of_another() {
    let world = World::new().await;
    let held = world.take().await;
    world.publish(["a", "b", "c", "d"]).await;
    world.halt_and_resume(&held, 2).await;
    let held = world.take().await;
    let before = world.commits.before(&world.partition).await.expect("read");
    let repeated = PublishAck { offset: 1, duplicate: true };
    let error = world.commits.wait(&before, repeated, LONG).await.expect_err("nothing is committed");
    assert!(error.to_string().contains("nothing of the queue's history is committed"), "{error}");
    world.commit_all(&held, 2, 3).await;
    let error = world.commits.wait(&before, repeated, LONG).await.expect_err("an earlier incarnation");
    assert!(error.to_string().ends_with("incarnation 1 begins behind it"), "{error}");
    assert_eq!(world.commits.wait(&before, ack(2), LONG).await.expect("committed"), Fate::Committed);
}

#[tokio::test]
async fn a_topic_that_is_deleted_or_made_again_ends_the_wait() {
    let world = World::new().await;
    let before = world.publish(["a"]).await;
    let deleting = async {
        world.catalog.delete_topic(&world.partition.topic).await.expect("deleted");
    };
    let (waited, ()) = tokio::join!(world.commits.wait(&before, ack(0), LONG), deleting);
    assert!(matches!(waited, Err(WaitError::TopicGone { .. })), "{waited:?}");
    assert!(matches!(world.commits.before(&world.partition).await, Err(WaitError::TopicGone { .. })));

    world.create_topic().await;
    let held = world.take().await;
    world.commit_all(&held, 0, 0).await;
    let waited = world.commits.wait(&before, ack(0), LONG).await;
    assert!(matches!(waited, Err(WaitError::TopicGone { .. })), "another topic of that name: {waited:?}");
}

/// A process that was paused, with a queue in its memory: another one took its partition and commits its own messages
/// under the same offsets.
#[tokio::test]
async fn the_commits_of_another_queue_are_not_those_of_this_one() {
    let world = World::new().await;
    let held = world.take().await;
    let before = world.publish(["a", "b", "c"]).await;
    let other = InMemoryQueue::default();
    let topic = world.catalog.get_topic(&world.partition.topic).await.expect("read").expect("exists");
    other.create_topic(&topic.definition()).await.expect("created");
    publish(&other, &world.partition, ["x", "y"]).await;
    world.commit(world.request(&held, &other, 0, 1).await).await;
    let error = world.commits.wait(&before, ack(0), LONG).await.expect_err("another message");
    assert!(matches!(error, WaitError::OtherHistory { offset: 0, .. }), "{error}");
    assert!(error.to_string().contains("is not the one that was read before"), "{error}");
}

#[tokio::test]
async fn an_offset_that_was_committed_before_is_that_of_a_repeated_id_or_of_another_history() {
    let world = World::new().await;
    let held = world.take().await;
    world.publish(["a", "b"]).await;
    world.commit_all(&held, 0, 1).await;
    let before = world.commits.before(&world.partition).await.expect("read");
    let repeated = PublishAck { offset: 0, duplicate: true };
    assert_eq!(world.commits.wait(&before, repeated, LONG).await.expect("committed"), Fate::Committed);
    let alone = Commits::new(Arc::clone(&world.catalog) as Arc<dyn MetadataStore>);
    for waited in [world.commits.wait(&before, ack(0), LONG).await, alone.wait(&before, repeated, LONG).await] {
        let error = waited.expect_err("no new record gets this offset, and without a queue nothing can be compared");
        assert!(matches!(error, WaitError::OtherHistory { offset: 0, .. }), "{error}");
        assert!(error.to_string().ends_with("below offset 2 was committed before it was published"), "{error}");
    }
}

#[tokio::test]
async fn a_quarantine_that_cannot_be_read_is_no_commit() {
    let world = World::new().await;
    let held = world.take().await;
    let before = world.publish(["a", "b", "c"]).await;
    world.commit_all(&held, 0, 0).await;
    let mut request = world.request(&held, &world.queue, 1, 2).await;
    request.segments.push(segment(SegmentKind::Quarantine, 1));
    world.commit(request).await;
    assert_eq!(world.commits.wait(&before, ack(0), LONG).await.expect("committed"), Fate::Committed);
    let error = world.commits.wait(&before, ack(1), LONG).await.expect_err("no store");
    assert!(error.to_string().ends_with("was given no object store to read it from"), "{error}");

    let commits = world.commits.with_storage(Storage::memory());
    let error = commits.wait(&before, ack(1), SHORT).await.expect_err("the object is absent");
    assert!(matches!(error, WaitError::QuarantineUnread { offset: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_dropped_wait_leaves_the_turn_to_the_others() {
    let world = World::new().await;
    let held = world.take().await;
    let before = world.publish(["a"]).await;
    for _ in 0..20 {
        // Each is dropped while it looks, or waits for its turn.
        let (one, other) = (world.commits.wait(&before, ack(0), LONG), world.commits.wait(&before, ack(0), LONG));
        let dropped = futures::future::select(Box::pin(one), Box::pin(other));
        assert!(tokio::time::timeout(Duration::from_millis(7), dropped).await.is_err());
    }
    let (fate, ()) = tokio::join!(world.commits.wait(&before, ack(0), LONG), world.commit_all(&held, 0, 0));
    assert_eq!(fate.expect("committed"), Fate::Committed);
}
