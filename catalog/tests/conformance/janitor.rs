//! Cases: doomed objects, and replays of quarantined records.

use std::sync::Arc;

use std::time::Duration;

use catalog::{CatalogError, MetadataStore, Replay, Upload};
use common::Incarnation;

use super::fixture::*;

/// Due as soon as the database's clock advances by a millisecond.
const NO_HOLD: Duration = Duration::ZERO;
const LONG_HOLD: Duration = LONG_LEASE;

/// Waits until an object is due.
async fn due(store: &dyn MetadataStore, hold: Duration, second_sweep: Duration) -> Vec<Upload> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        // An object is not due while a lake snapshot has it.
        store.fold_history(NO_HOLD).await.expect("folded");
        let due = store.due_objects("lake", hold, second_sweep, 100).await.expect("read");
        if !due.is_empty() {
            return due;
        }
        assert!(tokio::time::Instant::now() < deadline, "nothing becomes due");
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn an_object_is_due_after_the_hold_and_once_more_later(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let lost = request(&held, 0, 9);
    intend(store, &lost).await;
    store.abandon_intents(&intents(&lost)).await.expect("abandoned");
    assert!(store.due_objects("lake", LONG_HOLD, LONG_HOLD, 100).await.expect("read").is_empty(), "it is held");
    let first = due(store, NO_HOLD, LONG_HOLD).await;
    assert_eq!(first.iter().map(|upload| &upload.key).collect::<Vec<_>>(), [&lost.segments[0].object.key]);
    store.swept(&first).await.expect("noted");
    store.swept(&first).await.expect("another janitor did the same");
    assert!(store.due_objects("lake", NO_HOLD, LONG_HOLD, 100).await.expect("read").is_empty(), "deleted once");
    let second = due(store, NO_HOLD, NO_HOLD).await;
    assert_eq!(second.iter().map(|upload| upload.sweeps).collect::<Vec<_>>(), [1]);
    store.swept(&second).await.expect("noted");
    assert!(store.list_uploads(&held.partition).await.expect("read").is_empty(), "forgotten");
}

pub(crate) async fn an_object_of_a_kept_snapshot_is_never_due(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_range(store, &held, 0, 9).await;
    assert_eq!(store.delete_segments_before(&held.partition, 10).await.expect("deleted"), 1);
    until_all_is_past(store).await;
    assert!(store.due_objects("lake", NO_HOLD, NO_HOLD, 9).await.expect("read").is_empty(), "a snapshot has it");
    store.fold_history(LONG_HOLD).await.expect("folded");
    assert!(store.due_objects("lake", NO_HOLD, NO_HOLD, 9).await.expect("read").is_empty(), "it is kept");
    assert_eq!(due(store, NO_HOLD, NO_HOLD).await.len(), 1, "it was thinned out");
}

pub(crate) async fn a_listed_or_pending_object_is_never_due(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_range(store, &held, 0, 9).await;
    let pending = request(&held, 10, 19);
    intend(store, &pending).await;
    // Retention dooms the objects that it takes off the list; listed and pending objects are not doomed.
    commit_range(store, &fail_over(store, &held).await, 10, 19).await;
    let doomed = due(store, NO_HOLD, NO_HOLD).await;
    assert_eq!(doomed.iter().map(|upload| &upload.key).collect::<Vec<_>>(), [&pending.segments[0].object.key]);
    assert_eq!(store.delete_segments_before(&held.partition, 10).await.expect("deleted"), 1);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while due(store, NO_HOLD, NO_HOLD).await.len() < 2 {
        assert!(tokio::time::Instant::now() < deadline, "a segment off the list becomes due");
    }
    let limited = store.due_objects("lake", NO_HOLD, NO_HOLD, 1).await.expect("read");
    assert_eq!(limited.len(), 1);
}

pub(crate) async fn a_listed_object_is_never_due_even_when_doomed(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let lost = request(&held, 0, 9);
    intend(store, &lost).await;
    assert!(store.due_objects("lake", NO_HOLD, NO_HOLD, 9).await.expect("read").is_empty(), "it is pending");
    store.abandon_intents(&intents(&lost)).await.expect("abandoned");
    assert_eq!(due(store, NO_HOLD, NO_HOLD).await.len(), 1);
    assert!(store.due_objects("other", NO_HOLD, NO_HOLD, 9).await.expect("read").is_empty(), "another bucket's");
    // An import lists it nevertheless; no writer does so.
    let mut import = imported(&held.partition, 0, 9);
    Arc::make_mut(&mut import.segment.object).key = lost.segments[0].object.key.clone();
    store.add_segment(import).await.expect("listed");
    assert!(store.due_objects("lake", NO_HOLD, NO_HOLD, 9).await.expect("read").is_empty(), "it is listed");
}

pub(crate) async fn replays_are_marked_once_per_record(store: &dyn MetadataStore) {
    create_topic(store, "orders", 2).await;
    let replay = |offset, row, new_offset| Replay {
        partition: partition("orders", 1),
        incarnation: Incarnation(0),
        offset,
        row,
        new_partition_id: 0,
        new_offset,
        replayed_at: 0,
    };
    store.mark_replayed(&[replay(9, 1, 100), replay(9, 0, 101)]).await.expect("marked");
    store.mark_replayed(&[replay(9, 1, 200)]).await.expect("marked again");
    let listed = store.list_replays(&partition("orders", 1)).await.expect("read");
    let found: Vec<_> = listed.iter().map(|replay| (replay.offset, replay.row, replay.new_offset)).collect();
    assert_eq!(found, [(9, 0, 101), (9, 1, 200)]);
    assert!(listed.iter().all(|replay| replay.replayed_at > 0), "by the database's clock");
    let absent = Replay { partition: partition("absent", 0), ..replay(1, 0, 1) };
    let refused = store.mark_replayed(&[absent]).await;
    assert!(matches!(refused, Err(CatalogError::PartitionNotFound { .. })), "{refused:?}");
}
