//! Topics, agents, ownerships and requests for the cases.
//!
//! Owns: short functions for a well-behaved writer's use of the catalog. Does not own: cases.

use std::time::Duration;

use catalog::{
    AcquireOutcome, Agent, ColumnStatistics, CommitOutcome, CommitRequest, Contact, Gap, ImportedSegment, Ingester,
    MetadataStore, NewObject, NewSegment, Ownership, Partition, Refusal, Scope, SegmentKind, Topic, TopicConfig,
    UploadIntent,
};
use common::{Anchor, Incarnation, OffsetRange, OwnerId, TopicName, TopicPartition};
use uuid::Uuid;

/// Longer than any test runs.
pub(crate) const LONG_LEASE: Duration = Duration::from_secs(3600);

pub(crate) fn name(name: &str) -> TopicName {
    TopicName::new(name).expect("valid name")
}

pub(crate) fn partition(topic: &str, partition_id: u32) -> TopicPartition {
    TopicPartition::new(name(topic), partition_id)
}

/// The offsets from `base` to `end`, both included.
pub(crate) fn range(base: u64, end: u64) -> OffsetRange {
    OffsetRange::new(base, end).expect("in order")
}

pub(crate) fn topic_config(topic: &str, partition_count: u32) -> TopicConfig {
    TopicConfig { name: name(topic), partition_count, retention_ms: None, config: Default::default() }
}

pub(crate) async fn create_topic(store: &dyn MetadataStore, topic: &str, partition_count: u32) -> Topic {
    store.create_topic(topic_config(topic, partition_count)).await.expect("created")
}

/// A new agent that has sent its heartbeat.
pub(crate) async fn agent(store: &dyn MetadataStore) -> OwnerId {
    let owner = OwnerId(Uuid::now_v7());
    beat(store, owner).await;
    owner
}

/// A heartbeat of the agent.
pub(crate) async fn beat(store: &dyn MetadataStore, owner: OwnerId) {
    store
        .heartbeat(&Agent { owner, name: "host-1".to_owned(), scope: Scope::All, contact: Default::default() })
        .await
        .expect("registered");
}

/// Contacts of three kinds; the last one cannot be stored.
pub(crate) fn contact(index: usize) -> Contact {
    let group = ["default", "eu", "default"][index].parse().expect("valid");
    Contact { group, address: [None, Some("http://host:1"), Some("http://host\0:1")][index].map(str::to_owned) }
}

/// A new ingester at this address.
pub(crate) fn ingester(address: &str) -> Ingester {
    let contact = Contact { address: Some(address.to_owned()), ..contact(0) };
    Ingester { id: OwnerId(Uuid::now_v7()), name: "host-9".to_owned(), contact, lease: LONG_LEASE }
}

/// Returns when the database's clock is past every time that it has given so far.
pub(crate) async fn until_all_is_past(store: &dyn MetadataStore) {
    let observer = agent(store).await;
    let is_now = |agents: Vec<Agent>| agents.iter().any(|agent| agent.owner == observer);
    // With a lease of zero an agent is alive in the millisecond of its heartbeat alone.
    while is_now(store.list_agents(Duration::ZERO).await.expect("read")) {
        tokio::task::yield_now().await;
    }
    store.remove_agent(observer).await.expect("removed");
}

pub(crate) async fn acquire(store: &dyn MetadataStore, owner: OwnerId, of: &TopicPartition) -> AcquireOutcome {
    acquire_expired(store, owner, LONG_LEASE, of).await
}

pub(crate) async fn acquire_expired(
    store: &dyn MetadataStore,
    owner: OwnerId,
    lease: Duration,
    of: &TopicPartition,
) -> AcquireOutcome {
    store.acquire(owner, lease, std::slice::from_ref(of)).await.expect("asked").remove(0)
}

/// Takes a free partition.
pub(crate) async fn take(store: &dyn MetadataStore, owner: OwnerId, of: &TopicPartition) -> Ownership {
    match acquire(store, owner, of).await {
        AcquireOutcome::Acquired(held) => held,
        other => panic!("{of} is not free: {other:?}"),
    }
}

/// A topic of one partition in the hands of a new agent.
pub(crate) async fn owned(store: &dyn MetadataStore, topic: &str) -> Ownership {
    create_topic(store, topic, 1).await;
    take(store, agent(store).await, &partition(topic, 0)).await
}

/// Another agent takes the partition, as in a failover; returns the new ownership.
pub(crate) async fn fail_over(store: &dyn MetadataStore, held: &Ownership) -> Ownership {
    store.remove_agent(held.owner).await.expect("removed");
    take(store, agent(store).await, &held.partition).await
}

/// A commit of one data segment, whose intent is not recorded yet.
pub(crate) fn request(held: &Ownership, base_offset: u64, end_offset: u64) -> CommitRequest {
    let segments = vec![new_segment(held, SegmentKind::Data, base_offset, end_offset)];
    CommitRequest { segments, ..empty_request(held, base_offset, end_offset) }
}

/// A commit without segments: the whole range is a gap.
pub(crate) fn gap_request(held: &Ownership, base_offset: u64, end_offset: u64) -> CommitRequest {
    let gaps = vec![Gap::lost(range(base_offset, end_offset), "expired in the queue")];
    CommitRequest { gaps, message_count: 0, ..empty_request(held, base_offset, end_offset) }
}

fn empty_request(held: &Ownership, base_offset: u64, end_offset: u64) -> CommitRequest {
    CommitRequest {
        partition: held.partition.clone(),
        incarnation: held.incarnation,
        epoch: held.epoch,
        owner: held.owner,
        range: range(base_offset, end_offset),
        // A hash that is negative as a signed number.
        anchor: Anchor { offset: end_offset, timestamp_us: 1_700_000_000_000_000, hash: u64::MAX - end_offset },
        message_count: range(base_offset, end_offset).count(),
        segments: vec![],
        gaps: vec![],
    }
}

pub(crate) fn new_segment(held: &Ownership, kind: SegmentKind, base_offset: u64, end_offset: u64) -> NewSegment {
    let (id, rows) = (Uuid::now_v7(), range(base_offset, end_offset).count());
    let of = &held.partition;
    let mut object = new_object(format!("{}/partition={}/{id}.parquet", of.topic.encoded(), of.partition_id), rows);
    object.statistics[0] = offsets(base_offset, end_offset);
    NewSegment {
        id: format!("{}-{}-{base_offset}-{id}", of.topic, of.partition_id),
        kind,
        record_count: rows,
        min_timestamp_us: -1,
        max_timestamp_us: 1_700_000_000_000_000,
        object: object.into(),
    }
}

/// Statistics of the offsets of rows from the first to the last of these.
pub(crate) fn offsets(first: u64, last: u64) -> ColumnStatistics {
    ColumnStatistics { max: Some(last.to_string()), ..statistics(2, Some(&first.to_string())) }
}

/// An object with this key and number of rows.
pub(crate) fn new_object(key: String, rows: u64) -> NewObject {
    NewObject {
        bucket: "lake".to_owned(),
        key,
        record_count: rows,
        size_bytes: 4096,
        footer_bytes: 512,
        checksum: u32::MAX,
        schema_version: 1,
        statistics: vec![statistics(2, Some("0")), statistics(TIMESTAMP_FIELD, Some("1969-12-31 23:59:59.999999+00"))],
    }
}

/// The field id of `_timestamp`.
pub(crate) const TIMESTAMP_FIELD: i32 = 4;

/// Statistics of a column with this lower bound.
pub(crate) fn statistics(field_id: i32, min: Option<&str>) -> ColumnStatistics {
    ColumnStatistics {
        field_id,
        compressed_bytes: 100,
        value_count: 9,
        null_count: 1,
        min: min.map(str::to_owned),
        max: None,
    }
}

/// A segment as an import lists it.
pub(crate) fn imported(of: &TopicPartition, base_offset: u64, end_offset: u64) -> ImportedSegment {
    let id = format!("{}-{}-{base_offset}-{}", of.topic, of.partition_id, Uuid::now_v7());
    let rows = range(base_offset, end_offset).count();
    let object = NewObject {
        size_bytes: 67_108_864,
        checksum: 7,
        ..new_object(format!("{}/{base_offset:020}-{id}.parquet", of.topic.encoded()), rows)
    };
    let segment = NewSegment {
        id,
        kind: SegmentKind::Data,
        record_count: rows,
        min_timestamp_us: 1,
        max_timestamp_us: 2,
        object: object.into(),
    };
    ImportedSegment {
        partition: of.clone(),
        incarnation: Incarnation(0),
        range: range(base_offset, end_offset),
        segment,
    }
}

pub(crate) fn intents(request: &CommitRequest) -> Vec<UploadIntent> {
    request.intents().collect()
}

/// Records the intents of the request.
pub(crate) async fn intend(store: &dyn MetadataStore, request: &CommitRequest) {
    for answer in store.record_intents(&intents(request)).await {
        answer.expect("the intent is recorded");
    }
}

/// Commits one request.
pub(crate) async fn commit(store: &dyn MetadataStore, request: &CommitRequest) -> CommitOutcome {
    let mut outcomes = store.commit(std::slice::from_ref(request)).await;
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

/// Intends and commits the range, which must succeed.
pub(crate) async fn commit_range(store: &dyn MetadataStore, held: &Ownership, base: u64, end: u64) -> CommitRequest {
    let request = request(held, base, end);
    intend(store, &request).await;
    assert_done(&commit(store, &request).await, end + 1);
    request
}

pub(crate) fn assert_done(outcome: &CommitOutcome, high_watermark: u64) {
    let CommitOutcome::Done(receipt) = outcome else { panic!("not done: {outcome:?}") };
    assert_eq!(receipt.high_watermark(), high_watermark);
}

/// Asserts that the outcome is a fenced refusal, and returns its reason.
pub(crate) fn assert_fenced(outcome: CommitOutcome) -> String {
    match outcome {
        CommitOutcome::Refused(Refusal::Fenced { reason, .. }) => reason,
        other => panic!("not fenced: {other:?}"),
    }
}

pub(crate) async fn get_partition(store: &dyn MetadataStore, of: &TopicPartition) -> Partition {
    store.get_partition(of).await.expect("read").expect("exists")
}

/// Asserts that live segments, gaps and watermark of the partition chain without hole or overlap.
pub(crate) async fn assert_chain(store: &dyn MetadataStore, of: &TopicPartition) {
    let segments = store.get_segments(of).await.expect("segments");
    let mut next = 0;
    for segment in segments.iter().filter(|segment| segment.kind == SegmentKind::Data) {
        assert_eq!(segment.range.base(), next, "ranges chain");
        next = segment.range.next();
    }
    let now = get_partition(store, of).await;
    assert_eq!(now.high_watermark, next, "the watermark is the last end + 1");
    assert_eq!(now.commit_no, segments.len() as u64);
}
