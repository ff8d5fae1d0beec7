//! Cases: folded history.
//!
//! Owns: the commits that become a run, the facts that stay true of them, and the snapshots that are thinned out. Does
//! not own: the size of a catalog after a month (`size`).

use std::sync::Arc;
use std::time::Duration;

use catalog::{CommitOutcome, CommitRecord, CommitRequest, Folded, MetadataStore, Ownership, Refusal, SegmentKind};

use super::fixture::*;
use super::replacing::{live_objects, replace};

/// Folds all history so far, and returns the number of commits that went.
pub(crate) async fn fold(store: &dyn MetadataStore) -> u64 {
    let mut commits = 0;
    until_all_is_past(store).await;
    loop {
        let folded = store.fold_history(Duration::ZERO).await.expect("folded");
        if folded == Folded::default() {
            return commits;
        }
        commits += folded.commits;
    }
}

async fn commits(store: &dyn MetadataStore, held: &Ownership) -> Vec<CommitRecord> {
    store.list_commits(&held.partition).await.expect("read")
}

fn runs(commits: &[CommitRecord]) -> Vec<(u64, u64, u64, u64)> {
    let run = |of: &CommitRecord| (of.first_commit_no, of.commit_no, of.range.base(), of.range.end());
    commits.iter().map(run).collect()
}

/// Data of the whole range, and quarantine where `rows` is given.
async fn commit_both(store: &dyn MetadataStore, held: &Ownership, base: u64, rows: Option<u64>) -> CommitRequest {
    let mut request = request(held, base, base + 9);
    if let Some(rows) = rows {
        let mut segment = new_segment(held, SegmentKind::Quarantine, base, base + 9);
        segment.record_count = rows;
        Arc::make_mut(&mut segment.object).record_count = rows;
        request.segments.push(segment);
    }
    intend(store, &request).await;
    assert_done(&commit(store, &request).await, base + 10);
    request
}

pub(crate) async fn commits_under_live_segments_of_their_own_stay_apart(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    for base in [0, 10, 20, 30] {
        commit_range(store, &held, base, base + 9).await;
    }
    let before = commits(store, &held).await;
    assert_eq!(fold(store).await, 0);
    assert_eq!(commits(store, &held).await, before);
}

pub(crate) async fn commits_under_one_segment_become_a_run(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let mut requests = Vec::new();
    for base in [0, 10, 20, 30, 40] {
        requests.push(commit_range(store, &held, base, base + 9).await);
    }
    let before = commits(store, &held).await;
    let objects = live_objects(store, "orders").await;
    replace(store, held.owner, &objects[..3]).await;
    assert_eq!(store.fold_history(LONG_LEASE).await.expect("folded"), Folded::default(), "they are held");
    assert_eq!(fold(store).await, 2);
    let after = commits(store, &held).await;
    assert_eq!(runs(&after), [(1, 3, 0, 29), (4, 4, 30, 39), (5, 5, 40, 49)]);
    let (run, last) = (&after[0], &before[2]);
    assert_eq!((run.message_count, run.record_count, run.quarantined_count), (30, Some(30), Some(0)), "sums");
    assert_eq!((&run.anchor, run.epoch, run.owner), (&last.anchor, last.epoch, last.owner), "of the last");
    assert_eq!((run.committed_at, run.snapshot_id), (last.committed_at, last.snapshot_id));
    assert_eq!((&run.data_segment_id, &run.quarantine_segment_id), (&None, &None));
    assert_eq!((run.commits(), after[1].commits()), (3, 1));
    assert_eq!(after[1..], before[3..], "the others stay as they are");
    assert_eq!(get_partition(store, &held.partition).await.commit_no, 5);
    // A request that was folded away is not recognised any more: it is refused, never done twice.
    for request in &requests[..3] {
        let refused = store.resolve(request).await.expect("looked up");
        assert!(matches!(&refused, CommitOutcome::Refused(Refusal::Fenced { .. })), "{refused:?}");
        assert_fenced(commit(store, request).await);
    }
    for (request, watermark) in requests[3..].iter().zip([40, 50]) {
        assert_done(&store.resolve(request).await.expect("looked up"), watermark);
        assert_done(&commit(store, request).await, watermark);
    }
}

pub(crate) async fn the_newest_commit_stays_as_it_is(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_range(store, &held, 0, 9).await;
    let newest = commit_range(store, &held, 10, 19).await;
    replace(store, held.owner, &live_objects(store, "orders").await).await;
    assert_eq!(fold(store).await, 0);
    assert_done(&store.resolve(&newest).await.expect("looked up"), 20);
    commit_range(store, &held, 20, 29).await;
    assert_eq!(fold(store).await, 1);
    assert_eq!(runs(&commits(store, &held).await), [(1, 2, 0, 19), (3, 3, 20, 29)]);
}

pub(crate) async fn runs_grow_and_end_where_live_segments_end(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    for base in (0..80).step_by(10) {
        commit_range(store, &held, base, base + 9).await;
    }
    let objects = live_objects(store, "orders").await;
    replace(store, held.owner, &objects[..2]).await;
    replace(store, held.owner, &objects[2..5]).await;
    assert_eq!(fold(store).await, 3);
    let folded = runs(&commits(store, &held).await);
    assert_eq!(folded, [(1, 2, 0, 19), (3, 5, 20, 49), (6, 6, 50, 59), (7, 7, 60, 69), (8, 8, 70, 79)]);
    let live = live_objects(store, "orders").await;
    let all: Vec<_> = live.into_iter().filter(|object| object.max_offset < 60).collect();
    replace(store, held.owner, &all).await;
    assert_eq!(fold(store).await, 2);
    assert_eq!(runs(&commits(store, &held).await), [(1, 6, 0, 59), (7, 7, 60, 69), (8, 8, 70, 79)]);
    let segments = store.get_segments(&held.partition).await.expect("read");
    assert_eq!(segments[0].range, range(0, 59));
    assert_eq!(segments[0].record_count, commits(store, &held).await[0].record_count.expect("counted"));
}

pub(crate) async fn a_run_has_the_same_segments_of_both_kinds(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    for (base, rows) in [(0, Some(3)), (10, Some(4)), (20, None), (30, None), (40, None)] {
        commit_both(store, &held, base, rows).await;
    }
    let data = live_objects(store, "orders").await;
    replace(store, held.owner, &data[..4]).await;
    assert_eq!(fold(store).await, 1, "those without quarantine");
    assert_eq!(runs(&commits(store, &held).await), [(1, 1, 0, 9), (2, 2, 10, 19), (3, 4, 20, 39), (5, 5, 40, 49)]);
    let snapshot = store.snapshot(&name("orders")).await.expect("read");
    let quarantine: Vec<_> =
        snapshot.objects.iter().filter(|object| object.kind == SegmentKind::Quarantine).cloned().collect();
    replace(store, held.owner, &quarantine).await;
    assert_eq!(fold(store).await, 1);
    let after = commits(store, &held).await;
    assert_eq!(runs(&after), [(1, 2, 0, 19), (3, 4, 20, 39), (5, 5, 40, 49)]);
    assert_eq!((after[0].record_count, after[0].quarantined_count), (Some(20), Some(7)));
}

pub(crate) async fn what_retention_took_folds_by_itself(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    for base in [0, 10, 20] {
        commit_range(store, &held, base, base + 9).await;
    }
    for base in [30, 40, 50] {
        assert_done(&commit(store, &gap_request(&held, base, base + 9)).await, base + 10);
    }
    assert_eq!(fold(store).await, 1, "two gaps that are no live segment's, the newest stays");
    assert_eq!(store.delete_segments_before(&held.partition, 20).await.expect("deleted"), 2);
    assert_eq!(fold(store).await, 1);
    let after = commits(store, &held).await;
    assert_eq!(runs(&after), [(1, 2, 0, 19), (3, 3, 20, 29), (4, 5, 30, 49), (6, 6, 50, 59)]);
    assert_eq!((after[0].record_count, after[2].record_count), (Some(20), Some(0)));
    // Expired commits and commits without rows stay in separate runs, so that the latter never count as lost.
    assert_eq!(store.delete_segments_before(&held.partition, 30).await.expect("deleted"), 1);
    assert_eq!(fold(store).await, 1);
    assert_eq!(runs(&commits(store, &held).await), [(1, 3, 0, 29), (4, 5, 30, 49), (6, 6, 50, 59)]);
}

pub(crate) async fn a_partition_goes_on_after_its_history_was_folded(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    for base in [0, 10, 20] {
        commit_range(store, &held, base, base + 9).await;
    }
    replace(store, held.owner, &live_objects(store, "orders").await).await;
    fold(store).await;
    let next = fail_over(store, &held).await;
    commit_range(store, &next, 30, 39).await;
    // Runs of the old owner and of the new one lie under separate segments.
    fold(store).await;
    assert_eq!(runs(&commits(store, &held).await), [(1, 3, 0, 29), (4, 4, 30, 39)]);
    store.halt(&next, "for the test").await.expect("halted");
    let at = catalog::ResumePoint { high_watermark: 40, anchor: None, reason: "for the test".to_owned() };
    store.resume(&next.partition, next.incarnation, &at).await.expect("resumed");
    let again = take(store, next.owner, &next.partition).await;
    commit_range(store, &again, 40, 49).await;
    replace(store, held.owner, &live_objects(store, "orders").await).await;
    fold(store).await;
    let after = commits(store, &held).await;
    assert_eq!(runs(&after), [(1, 4, 0, 39), (5, 5, 40, 49)], "never across incarnations");
    assert_eq!((after[0].owner, after[0].epoch), (next.owner, next.epoch), "of the last");
    assert_eq!(after.iter().map(|run| run.incarnation.0).collect::<Vec<_>>(), [0, 1]);
}

pub(crate) async fn snapshots_of_the_last_minute_are_kept_unless_the_hold_is_shorter(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    for base in [0, 10, 20] {
        commit_range(store, &held, base, base + 9).await;
    }
    let before = store.list_snapshots().await.expect("read");
    let folded = store.fold_history(Duration::from_secs(60)).await.expect("folded");
    assert_eq!(folded.snapshots, 0);
    assert_eq!(store.list_snapshots().await.expect("read"), before);
    until_all_is_past(store).await;
    let folded = store.fold_history(Duration::ZERO).await.expect("folded");
    assert_eq!(folded.snapshots, before.len() as u64 - 1);
    assert_eq!(store.list_snapshots().await.expect("read"), before[before.len() - 1..], "the newest never goes");
}
