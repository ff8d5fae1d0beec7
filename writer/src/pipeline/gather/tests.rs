//! Gathering over a catalog and a store in memory: which batches share an object, and what each
//! partition is answered.

use std::sync::Arc;

use catalog::{
    AcquireOutcome, Agent, JanitorStore, OwnershipStore, Scope, SegmentStore, SqliteMetadataStore, TopicConfig,
    TopicSnapshot, TopicStore,
};
use common::clock::{DAY_US, utc_day};
use common::memory::MemoryBudget;
use common::topic::TopicOptions;
use common::{Message, OwnerId, TopicPartition};
use uuid::Uuid;

use super::*;
use crate::pipeline::batch::{Encoded, Encoding, Form, OpenBatch};
use crate::pipeline::decode::{PartitionDecoder, Source, TopicTable};
use crate::pipeline::tables::Doubt;
use crate::service::announce::Unannounced;

/// A topic of `t` with partitions that one owner holds, and a gather at work.
struct World {
    catalog: Arc<SqliteMetadataStore>,
    held: Vec<Ownership>,
    gather: Gather,
    members: Arc<Members>,
    joined: Vec<Member>,
    table: Arc<TopicTable>,
    _work: tokio_util::task::AbortOnDropHandle<()>,
}

fn name() -> TopicName {
    TopicName::new("t").expect("valid")
}

async fn take(catalog: &SqliteMetadataStore, partition_id: u32) -> Ownership {
    let owner = OwnerId(Uuid::now_v7());
    take_as(catalog, owner, partition_id).await
}

async fn take_as(catalog: &SqliteMetadataStore, owner: OwnerId, partition_id: u32) -> Ownership {
    let agent = Agent { owner, name: "test".to_owned(), scope: Scope::All, contact: Default::default() };
    catalog.heartbeat(&agent).await.expect("registered");
    let partition = TopicPartition::new(name(), partition_id);
    match catalog.acquire(owner, Duration::from_secs(3_600), &[partition]).await.expect("asked").remove(0) {
        AcquireOutcome::Acquired(held) => held,
        other => panic!("{other:?}"),
    }
}

impl World {
    async fn new(partitions: u32) -> Self {
        let catalog = Arc::new(SqliteMetadataStore::new_in_memory().await.expect("a catalog"));
        let config = TopicConfig {
            name: name(),
            partition_count: partitions,
            retention_ms: None,
            config: TopicOptions::default(),
        };
        let topic = catalog.create_topic(config).await.expect("created");
        let owner = OwnerId(Uuid::now_v7());
        let mut held = Vec::new();
        for partition_id in 0..partitions {
            held.push(take_as(&catalog, owner, partition_id).await);
        }
        let config = WriterConfig::default();
        let limits = Limits::new(&config, true);
        let unannounced = Arc::new(Unannounced::new(false));
        let parts =
            Parts { catalog: Arc::clone(&catalog) as _, storage: Storage::memory(), config, limits, unannounced };
        let (gather, work) = Gather::new(parts);
        let members = gather.members(&name());
        let joined = held.iter().map(|_| Arc::clone(&members).join()).collect();
        let work = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(work));
        Self { catalog, held, gather, members, joined, table: TopicTable::new(&topic), _work: work }
    }

    /// A small batch of `count` messages that begins at offset 0, closed for `reason` on the day of that number.
    fn batch(&self, partition: usize, count: u64, reason: RollReason, day: i64) -> SealedBatch {
        let message = |offset| Message {
            offset,
            timestamp_us: day * DAY_US + offset as i64,
            key: None,
            headers: vec![],
            subject: Arc::from("t.0"),
            payload: format!("{partition}/{offset}").into(),
            is_awaited: false,
        };
        let messages: Vec<Message> = (0..count).map(message).collect();
        let held = &self.held[partition];
        let memory = MemoryBudget::new(1 << 20).try_acquire(1).expect("free");
        let decoder = PartitionDecoder::new(Arc::clone(&self.table), Source::of(held));
        let mut encoding = Encoding { decoder, pages: (1 << 16).into(), condemned: None };
        let mut batch = OpenBatch::open(0, messages, vec![], memory);
        batch.count_as_small(self.joined[partition].open());
        let encoded = batch.encode(&mut encoding, Doubt::None, Form::Rows).expect("decodes");
        let Encoded::Whole(batch) = encoded else { panic!("nothing is doubted") };
        batch.seal(&encoding, held, reason).expect("sealed")
    }

    async fn commit(&self, partition: usize, batch: SealedBatch) -> Result<Committed, Stop> {
        let (held, members) = (self.held[partition].clone(), Arc::clone(&self.members));
        self.gather.commit(held, members, Arc::default(), batch).await.expect("it runs")
    }

    async fn snapshot(&self) -> TopicSnapshot {
        self.catalog.snapshot(&name()).await.expect("read")
    }
}

#[tokio::test]
async fn batches_that_are_due_together_share_one_object() {
    let world = World::new(3).await;
    let batches = [5, 1, 2].into_iter().enumerate();
    let commits = batches.map(|(partition, count)| {
        let batch = world.batch(partition, count, RollReason::Age, 0);
        world.commit(partition, batch)
    });
    let committed = futures::future::join_all(commits).await;
    for (committed, count) in committed.into_iter().zip([5, 1, 2]) {
        let committed = committed.expect("committed");
        assert_eq!(committed.receipt.high_watermark(), count);
        assert_eq!(committed.segments[0].record_count, count);
        assert!(committed.segments[0].id.starts_with("t-"), "{}", committed.segments[0].id);
    }
    let snapshot = world.snapshot().await;
    let [object] = &snapshot.objects[..] else { panic!("{:?}", snapshot.objects) };
    assert_eq!((object.record_count, object.max_partition_id), (8, 2));
    assert_eq!(snapshot.segments.len(), 3);
    assert!(world.catalog.list_shared_uploads(&name()).await.expect("read").is_empty(), "no intent is left");
}

#[tokio::test]
async fn a_partition_that_was_lost_is_left_out_and_the_others_are_committed() {
    let world = World::new(3).await;
    let batches: Vec<_> = (0..3).map(|partition| world.batch(partition, 2, RollReason::Age, 0)).collect();
    world.catalog.release(std::slice::from_ref(&world.held[1])).await.expect("released");
    take(&world.catalog, 1).await;
    let commits = batches.into_iter().enumerate().map(|(partition, batch)| world.commit(partition, batch));
    let mut answers = futures::future::join_all(commits).await;
    let lost = answers.remove(1).expect_err("it has another owner");
    assert!(matches!(&lost, Stop::Fenced(reason) if reason.contains("t/1 is no longer owned")), "{lost:?}");
    answers.into_iter().for_each(|answer| assert_eq!(answer.expect("committed").receipt.high_watermark(), 2));
    let snapshot = world.snapshot().await;
    assert_eq!(snapshot.objects.iter().map(|object| object.record_count).collect::<Vec<_>>(), [4]);
    let doomed = world.catalog.list_shared_uploads(&name()).await.expect("read");
    assert_eq!(doomed.len(), 1, "the first object is left to the janitor");
}

#[tokio::test]
async fn a_batch_waits_a_moment_for_those_that_are_still_open() {
    let world = World::new(2).await;
    let open = world.joined[1].open();
    let batch = world.batch(0, 1, RollReason::Age, 0);
    let began = Instant::now();
    world.commit(0, batch).await.expect("committed");
    assert!(began.elapsed() >= GATHER_PAUSE, "another batch is open");
    drop(open);
}

#[tokio::test]
async fn a_flush_begins_when_all_have_come_or_no_more_come_or_somebody_waits() {
    let world = World::new(2).await;
    let waiting = |reason| {
        let (held, members) = (world.held[0].clone(), Arc::clone(&world.members));
        let (batch, answer) = (world.batch(0, 1, reason, 0), oneshot::channel().0);
        Waiting { held, members, progress: Arc::default(), batch, answer }
    };
    let now = Instant::now();
    let topic = |reason| {
        let mut topic = Topic::default();
        topic.add(waiting(reason), now);
        topic
    };
    let open = world.joined[1].open();
    assert!(!topic(RollReason::Age).is_ready(now));
    assert!(topic(RollReason::Age).is_ready(now + GATHER_PAUSE));
    assert!(topic(RollReason::Awaited).is_ready(now));
    drop(open);
    assert!(topic(RollReason::Age).is_ready(now));
    let mut flushing = topic(RollReason::Awaited);
    flushing.is_flushing = true;
    assert!(!flushing.is_ready(now + GATHER_WAIT), "one flush at a time");
}

#[tokio::test]
async fn a_flush_waits_while_batches_come_up_to_a_limit_of_time_and_of_bytes() {
    let world = World::new(1).await;
    let _open = (world.joined[0].open(), world.joined[0].open(), world.joined[0].open());
    let come = |topic: &mut Topic, now| {
        let (held, members) = (world.held[0].clone(), Arc::clone(&world.members));
        let (batch, answer) = (world.batch(0, 1, RollReason::Age, 0), oneshot::channel().0);
        topic.add(Waiting { held, members, progress: Arc::default(), batch, answer }, now);
    };
    let now = Instant::now();
    let mut topic = Topic::default();
    come(&mut topic, now);
    come(&mut topic, now + GATHER_PAUSE / 2);
    assert!(!topic.is_ready(now + GATHER_PAUSE), "the last one came a moment ago");
    assert_eq!(topic.due(), Some(now + GATHER_PAUSE / 2 + GATHER_PAUSE));
    topic.came = Some((now, now + GATHER_WAIT));
    assert_eq!(topic.due(), Some(now + GATHER_WAIT), "the first one has waited long enough");
    topic.bytes = FLUSH_BYTES_MAX;
    assert!(topic.is_ready(now + GATHER_PAUSE / 2), "more would not fit");
    assert_eq!(topic.take().len(), 2);
    assert_eq!((topic.bytes, topic.due()), (0, None));
}

#[tokio::test]
async fn every_object_lies_within_one_day() {
    let world = World::new(2).await;
    let batches = [0, 1].map(|partition| world.batch(partition, 2, RollReason::Age, partition as i64));
    let commits = batches.into_iter().enumerate().map(|(partition, batch)| world.commit(partition, batch));
    for committed in futures::future::join_all(commits).await {
        committed.expect("committed");
    }
    let days = |object: &Arc<catalog::ObjectInfo>| (utc_day(object.min_timestamp_us), utc_day(object.max_timestamp_us));
    assert_eq!(world.snapshot().await.objects.iter().map(days).collect::<Vec<_>>(), [(0, 0), (1, 1)]);
}

#[tokio::test]
async fn a_topic_without_running_partitions_is_forgotten() {
    let world = World::new(1).await;
    let other = TopicName::new("other").expect("valid");
    let members = world.gather.members(&other);
    let member = Arc::clone(&members).join();
    assert!(Arc::ptr_eq(&members, &world.gather.members(&other)));
    assert!(members.is_single());
    drop((member, members));
    world.gather.members(&TopicName::new("third").expect("valid"));
    assert!(!world.gather.topics.lock().expect("sound").contains_key(&other));
}
