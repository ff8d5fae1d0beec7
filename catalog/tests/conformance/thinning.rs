//! Lake snapshots that are thinned out, and the objects that wait for it.
//!
//! Owns: the choice of kept snapshots in time. Time passes by ageing every row.

use std::time::Duration;

use catalog::{MetadataStore, SnapshotId};

use super::backend::Backend;
use super::fixture::*;

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

async fn kept(store: &dyn MetadataStore) -> Vec<SnapshotId> {
    store.list_snapshots().await.expect("read").iter().map(|snapshot| snapshot.snapshot_id).collect()
}

/// The newest snapshot and its minute.
async fn newest(store: &dyn MetadataStore) -> (SnapshotId, i64) {
    let newest = store.list_snapshots().await.expect("read").pop().expect("one is always kept");
    (newest.snapshot_id, newest.time_us / 60_000_000)
}

async fn each_state_within_the_hold_can_be_read(backend: &Backend) {
    let store = backend.store();
    let held = owned(store, "orders").await;
    let mut made = Vec::new();
    for (number, pause) in [(0, 2 * HOUR), (1, HOUR / 2), (2, Duration::ZERO), (3, 10 * MINUTE), (4, Duration::ZERO)] {
        commit_range(store, &held, number * 10, number * 10 + 9).await;
        made.push(newest(store).await);
        backend.age(pause).await;
    }
    until_all_is_past(store).await;
    let of = |numbers: &[usize]| numbers.iter().map(|number| made[*number].0).collect::<Vec<_>>();
    // Before the hold the first is the newest: with it the hold began. Of two in one minute the last is kept.
    let within = if made[2].1 == made[3].1 { of(&[0, 1, 3, 4]) } else { of(&[0, 1, 2, 3, 4]) };
    store.fold_history(HOUR).await.expect("folded");
    assert_eq!(kept(store).await, within);
    // An object that was listed in between is due when no kept snapshot has it.
    assert_eq!(store.delete_segments_before(&held.partition, 20).await.expect("deleted"), 2);
    backend.age(HOUR - MINUTE).await;
    store.fold_history(HOUR).await.expect("folded");
    let due = async |hold| store.due_objects("lake", hold, 10 * HOUR, 9).await.expect("read").len();
    assert_eq!(due(Duration::ZERO).await, 0, "the state before the deletion is within the hold");
    backend.age(2 * MINUTE).await;
    assert_eq!(due(HOUR).await, 0, "the hold is over, but a snapshot has them");
    store.fold_history(HOUR).await.expect("folded");
    assert_eq!(kept(store).await, [newest(store).await.0], "the newest is the state since then");
    assert_eq!(due(HOUR).await, 2);
    assert_eq!(due(2 * HOUR).await, 0, "a longer hold is not over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_sqlite_each_state_within_the_hold_can_be_read() {
    each_state_within_the_hold_can_be_read(&Backend::sqlite_file().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_postgres_each_state_within_the_hold_can_be_read() {
    each_state_within_the_hold_can_be_read(&Backend::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_model_each_state_within_the_hold_can_be_read() {
    each_state_within_the_hold_can_be_read(&Backend::model().await).await;
}
