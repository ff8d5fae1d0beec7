//! Cases: retention by age.
//!
//! Owns: the age that counts, the order in which partitions lose their segments, the numbers of the answer. Does not own:
//! retention by offsets (`retention`), the hold of objects (`janitor`).

use catalog::{
    CommitRequest, Expiration, Expired, ExpiredPart, MetadataStore, ObjectInfo, Ownership, ResumePoint, SegmentKind,
    Topic,
};
use common::Incarnation;

use super::fixture::*;
use super::replacing::{live_objects, replace, two_partitions};

const HOUR_MS: u64 = 3_600_000;
/// Later than any clock of a test.
const FUTURE_US: i64 = 4_000_000_000_000_000;

async fn keep(store: &dyn MetadataStore, retention_ms: Option<u64>) -> Topic {
    let topic = store.get_topic(&name("orders")).await.expect("read").expect("exists");
    let updated = store.update_topic_config(&topic.name, topic.schema_version, retention_ms, topic.config).await;
    updated.expect("updated")
}

async fn due(store: &dyn MetadataStore) -> Expired {
    store.due_by_age(&name("orders")).await.expect("read")
}

/// Takes what is due, which must be what was said to be due before.
async fn expire(store: &dyn MetadataStore) -> Expired {
    let due = due(store).await;
    let expired = store.expire_by_age(&name("orders")).await.expect("expired");
    assert_eq!(Expired { before_us: None, ..due }, Expired { before_us: None, ..expired.clone() });
    expired
}

/// A commit of ten offsets with these queue times.
async fn commit_of(store: &dyn MetadataStore, held: &Ownership, base: u64, newest_us: i64) -> CommitRequest {
    let mut request = request(held, base, base + 9);
    for segment in &mut request.segments {
        segment.max_timestamp_us = newest_us;
    }
    intend(store, &request).await;
    assert_done(&commit(store, &request).await, base + 10);
    request
}

async fn bases(store: &dyn MetadataStore, partition_id: u32) -> Vec<(u32, u64)> {
    let segments = store.get_segments(&partition("orders", partition_id)).await.expect("read");
    segments.iter().map(|segment| (segment.incarnation.0, segment.range.base())).collect()
}

fn part(partition_id: u32, before_offset: u64, segments: u64, records: u64) -> ExpiredPart {
    ExpiredPart { partition_id, incarnation: Incarnation(0), before_offset, segments, records }
}

pub(crate) async fn what_is_older_than_the_retention_goes_in_one_snapshot(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_range(store, &held, 0, 9).await;
    let mut both = request(&held, 10, 19);
    both.segments.push(new_segment(&held, SegmentKind::Quarantine, 10, 19));
    intend(store, &both).await;
    assert_done(&commit(store, &both).await, 20);
    commit_of(store, &held, 20, FUTURE_US).await;
    assert_eq!(expire(store).await, Expired::default(), "a topic without retention keeps everything");
    keep(store, Some(i64::MAX as u64)).await;
    assert_eq!(Expired { before_us: None, ..expire(store).await }, Expired::default(), "nothing is that old");
    keep(store, Some(HOUR_MS)).await;
    let known = store.list_snapshots().await.expect("read");
    let expected = Expired {
        objects: 3,
        segments: 3,
        records: 20,
        quarantined: 10,
        bytes: 3 * 4096,
        parts: vec![part(0, 20, 3, 30)],
        ..Expired::default()
    };
    assert_eq!(Expired { before_us: None, ..due(store).await }, expected);
    assert_eq!(bases(store, 0).await.len(), 4, "nothing has changed so far");
    assert_eq!(Expired { before_us: None, ..expire(store).await }, expected);
    assert_eq!(bases(store, 0).await, [(0, 20)]);
    let expired = store.list_expirations(&held.partition).await.expect("read");
    assert_eq!(expired, [Expiration { incarnation: Incarnation(0), before_offset: 20 }]);
    let tables = store.snapshot(&name("orders")).await.expect("read").tables;
    let said = format!("deleted_from_table:{},deleted_from_table:{}", tables.data, tables.quarantine);
    let now = store.list_snapshots().await.expect("read");
    assert_eq!(now[known.len()..].iter().map(|of| of.changes.as_str()).collect::<Vec<_>>(), [said.as_str()]);
    assert_eq!(
        store.list_retired(&name("orders")).await.expect("read").len(),
        3,
        "readers of older snapshots have them"
    );
    assert_eq!(Expired { before_us: None, ..expire(store).await }, Expired::default(), "there is no more");
    assert_eq!(store.list_snapshots().await.expect("read"), now, "and no snapshot without a change");
    assert_eq!(store.due_by_age(&name("absent")).await.expect("read"), Expired::default());
    assert_eq!(store.expire_by_age(&name("absent")).await.expect("asked"), Expired::default());
    assert_eq!(get_partition(store, &held.partition).await.high_watermark, 30, "offsets stay committed");
}

pub(crate) async fn an_old_object_behind_a_young_one_stays(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    keep(store, Some(HOUR_MS)).await;
    commit_range(store, &held, 0, 9).await;
    commit_of(store, &held, 10, FUTURE_US).await;
    commit_range(store, &held, 20, 29).await;
    let expired = expire(store).await;
    assert_eq!((expired.objects, expired.held_back), (1, 1), "times in the future hold back what is behind them");
    assert_eq!(bases(store, 0).await, [(0, 10), (0, 20)]);
}

pub(crate) async fn an_object_of_several_partitions_goes_when_all_its_segments_may_go(store: &dyn MetadataStore) {
    let [held, other] = two_partitions(store).await;
    let objects = live_objects(store, "orders").await;
    // Offsets 10 to 19 of both partitions share an object, and partition 1 begins anew behind a young one.
    replace(store, held.owner, &objects[2..4]).await;
    commit_of(store, &other, 30, FUTURE_US).await;
    keep(store, Some(HOUR_MS)).await;
    let whole = due(store).await;
    assert_eq!((whole.objects, whole.segments, whole.held_back), (5, 6, 0));
    assert_eq!(whole.parts, [part(0, 30, 3, 30), part(1, 30, 3, 30)]);
    let ends = |object: &ObjectInfo| object.min_partition_id == 1 && [0, 30].contains(&object.min_offset);
    let ends: Vec<_> = live_objects(store, "orders").await.into_iter().filter(|object| ends(object)).collect();
    // The first segment of partition 1 moves into an object with young rows: now the shared one waits, and so does partition
    // 0 behind it.
    replace(store, held.owner, &ends).await;
    let expired = expire(store).await;
    assert_eq!((expired.objects, expired.held_back, &expired.parts[..]), (1, 3, &[part(0, 10, 1, 10)][..]));
    assert_eq!(bases(store, 0).await, [(0, 10), (0, 20)]);
    assert_eq!(bases(store, 1).await.len(), 4);
}

pub(crate) async fn earlier_incarnations_go_first(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_of(store, &held, 0, FUTURE_US).await;
    store.halt(&held, "for the test").await.expect("halted");
    let at = ResumePoint { high_watermark: 0, anchor: None, reason: "for the test".to_owned() };
    store.resume(&held.partition, Incarnation(0), &at).await.expect("resumed");
    let again = take(store, held.owner, &held.partition).await;
    commit_range(store, &again, 0, 9).await;
    keep(store, Some(HOUR_MS)).await;
    let expired = expire(store).await;
    assert_eq!((expired.objects, expired.held_back), (0, 1), "the incarnation before it is young");
    store.delete_topic(&name("orders")).await.expect("deleted");

    let held = owned(store, "orders").await;
    commit_range(store, &held, 0, 9).await;
    store.halt(&held, "for the test").await.expect("halted");
    store.resume(&held.partition, Incarnation(0), &at).await.expect("resumed");
    let again = take(store, held.owner, &held.partition).await;
    commit_range(store, &again, 0, 9).await;
    commit_of(store, &again, 10, FUTURE_US).await;
    keep(store, Some(HOUR_MS)).await;
    let expired = expire(store).await;
    let of = |incarnation| ExpiredPart { incarnation: Incarnation(incarnation), ..part(0, 10, 1, 10) };
    assert_eq!(expired.parts, [of(0), of(1)]);
    assert_eq!(bases(store, 0).await, [(1, 10)]);
    let expirations = store.list_expirations(&held.partition).await.expect("read");
    let of = |incarnation| Expiration { incarnation: Incarnation(incarnation), before_offset: 10 };
    assert_eq!(expirations, [of(0), of(1)]);
}

pub(crate) async fn rows_without_a_time_count_from_their_listing(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_of(store, &held, 0, 0).await;
    commit_of(store, &held, 10, -1).await;
    keep(store, Some(HOUR_MS)).await;
    assert_eq!(expire(store).await.objects, 0, "they were listed just now");
    keep(store, Some(1)).await;
    until_all_is_past(store).await;
    until_all_is_past(store).await;
    assert_eq!(expire(store).await.objects, 2);
}

pub(crate) async fn the_age_counts_from_the_clock_of_the_database(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let before_ms = keep(store, Some(HOUR_MS)).await.updated_at;
    let limit_us = due(store).await.before_us.expect("it has a retention");
    let after_ms = keep(store, Some(HOUR_MS)).await.updated_at;
    let now_ms = limit_us / 1_000 + HOUR_MS as i64;
    assert!((before_ms..=after_ms).contains(&now_ms), "{before_ms} <= {now_ms} <= {after_ms}");
}
