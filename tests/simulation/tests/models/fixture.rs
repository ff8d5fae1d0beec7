//! Topics, owners and requests for the tests of the model.
//!
//! Owns: a well-behaved writer's use of the catalog, in few words; ids are counted, not drawn. Does not own: tests.

use std::sync::Arc;
use std::time::Duration;

use catalog::{
    AcquireOutcome, Agent, CommitOutcome, CommitRequest, CommitStore, MetadataStore, NewObject, NewSegment, Ownership,
    Partition, Refusal, Scope, SegmentKind, TopicConfig, UploadIntent,
};
use common::{Anchor, OffsetRange, OwnerId, TopicName, TopicPartition};
use simulation::catalog::{Guards, ModelCatalog, VirtualClock};
use uuid::Uuid;

pub(crate) const LEASE: Duration = Duration::from_secs(15);

pub(crate) fn model(guards: Guards) -> ModelCatalog {
    ModelCatalog::new(VirtualClock::shared(), guards)
}

pub(crate) fn orders() -> TopicPartition {
    TopicPartition::new(TopicName::new("orders").expect("valid"), 0)
}

pub(crate) fn owner(number: u128) -> OwnerId {
    OwnerId(Uuid::from_u128(number))
}

/// The topic `orders`, of one partition.
pub(crate) async fn create_orders(store: &dyn MetadataStore) {
    let topic =
        TopicConfig { name: orders().topic, partition_count: 1, retention_ms: None, config: Default::default() };
    store.create_topic(topic).await.expect("created");
}

pub(crate) async fn heartbeat(store: &dyn MetadataStore, number: u128) {
    let agent = Agent {
        owner: owner(number),
        name: format!("writer-{number}"),
        scope: Scope::All,
        contact: Default::default(),
    };
    store.heartbeat(&agent).await.expect("registered");
}

pub(crate) async fn acquire(store: &dyn MetadataStore, number: u128) -> AcquireOutcome {
    heartbeat(store, number).await;
    store.acquire(owner(number), LEASE, &[orders()]).await.expect("asked").remove(0)
}

/// Takes the partition over for agent `number`.
pub(crate) async fn take(store: &dyn MetadataStore, number: u128) -> Ownership {
    match acquire(store, number).await {
        AcquireOutcome::Acquired(held) => held,
        other => panic!("it is not free: {other:?}"),
    }
}

/// Agent `number` leaves, and agent `next` takes the partition over.
pub(crate) async fn fail_over(store: &dyn MetadataStore, number: u128, next: u128) -> Ownership {
    store.remove_agent(owner(number)).await.expect("removed");
    take(store, next).await
}

/// The offsets from `base` to `end`, both included.
pub(crate) fn range(base: u64, end: u64) -> OffsetRange {
    OffsetRange::new(base, end).expect("in order")
}

/// A commit of one data segment, whose object is named by `object`.
pub(crate) fn request(held: &Ownership, base_offset: u64, end_offset: u64, object: &str) -> CommitRequest {
    let segment = NewSegment {
        id: format!("orders-0-{base_offset}-{object}"),
        kind: SegmentKind::Data,
        record_count: range(base_offset, end_offset).count(),
        min_timestamp_us: 1,
        max_timestamp_us: 2,
        object: Arc::new(NewObject {
            bucket: "lake".to_owned(),
            key: format!("orders/{object}.parquet"),
            record_count: range(base_offset, end_offset).count(),
            size_bytes: 4096,
            footer_bytes: 512,
            checksum: 7,
            schema_version: 1,
            statistics: vec![],
        }),
    };
    CommitRequest {
        partition: held.partition.clone(),
        incarnation: held.incarnation,
        epoch: held.epoch,
        owner: held.owner,
        range: range(base_offset, end_offset),
        anchor: Anchor { offset: end_offset, timestamp_us: 2, hash: end_offset },
        message_count: range(base_offset, end_offset).count(),
        segments: vec![segment],
        gaps: vec![],
    }
}

pub(crate) fn intents(request: &CommitRequest) -> Vec<UploadIntent> {
    request.intents().collect()
}

/// A request whose intents are recorded.
pub(crate) async fn intended(
    store: &dyn MetadataStore,
    held: &Ownership,
    range: (u64, u64),
    object: &str,
) -> CommitRequest {
    let request = request(held, range.0, range.1, object);
    for answer in store.record_intents(&intents(&request)).await {
        answer.expect("recorded");
    }
    request
}

pub(crate) async fn commit(store: &(impl CommitStore + ?Sized), request: &CommitRequest) -> CommitOutcome {
    store.commit(std::slice::from_ref(request)).await.remove(0)
}

pub(crate) async fn get_orders(store: &dyn MetadataStore) -> Partition {
    store.get_partition(&orders()).await.expect("read").expect("exists")
}

pub(crate) fn is_done(outcome: &CommitOutcome) -> bool {
    matches!(outcome, CommitOutcome::Done(_))
}

pub(crate) fn is_fenced(outcome: &CommitOutcome) -> bool {
    matches!(outcome, CommitOutcome::Refused(Refusal::Fenced { .. }))
}
