//! The start of a resumed partition, for each way in which a stream can differ from the commits.

use catalog::{JanitorStore, OwnershipStore, SegmentKind, SegmentStore};
use common::queue::memory::InMemoryQueue;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::*;
use crate::test_lake::{Lake, queue_of};

/// Three commits of ten messages each; the partition is halted.
async fn halted() -> Lake {
    let mut lake = Lake::new(40).await;
    for _ in 0..3 {
        lake.commit(10).await;
    }
    lake.halt().await;
    lake
}

async fn planned(lake: &Lake, queue: &InMemoryQueue, start: Start) -> Result<ResumePlan> {
    plan(lake.catalog.as_ref(), queue, &lake.storage, &lake.partition().await, start).await
}

/// The first `same` messages unchanged, then `others` messages of another history.
async fn forked(lake: &Lake, same: u64, others: u64) -> InMemoryQueue {
    queue_of(&lake.partition, &[(1_000_000, same), (9_000_000, others)]).await
}

#[tokio::test]
async fn a_partition_whose_queue_is_unchanged_goes_on_at_its_watermark() {
    let lake = halted().await;
    let plan = planned(&lake, &lake.queue, Start::Safest).await.expect("planned");
    assert_eq!((plan.start_offset, plan.proven_end, plan.rewritten_max, plan.skipped_max), (30, Some(30), 0, 0));
    assert_eq!(plan.anchor, lake.partition().await.anchor);
    assert_eq!(plan.shared_commit.expect("the last").commit_no, 3);
}

#[tokio::test]
async fn a_queue_that_lost_its_end_goes_on_behind_the_last_message_that_is_the_same() {
    let lake = halted().await;
    for (same, others, proven) in [(20, 0, 20), (27, 0, 27), (27, 30, 27), (13, 3, 13), (7, 0, 7), (7, 100, 7)] {
        let queue = forked(&lake, same, others).await;
        let plan = planned(&lake, &queue, Start::Safest).await.expect("planned");
        assert_eq!((plan.start_offset, plan.proven_end), (proven, Some(proven)), "{same} same, {others} others");
        assert_eq!(plan.anchor.map(|anchor| anchor.offset), Some(proven - 1));
        assert_eq!(plan.rewritten_max, 30_u64.min(same + others) - proven, "{same} same, {others} others");
        assert_eq!(plan.shared_commit.map_or(0, |commit| commit.commit_no), proven / 10);
        assert_eq!(plan.skipped_max, 0);
    }
}

#[tokio::test]
async fn a_queue_made_anew_is_read_from_its_beginning() {
    let lake = halted().await;
    for count in [0, 5, 100] {
        let queue = forked(&lake, 0, count).await;
        let plan = planned(&lake, &queue, Start::Safest).await.expect("planned");
        assert_eq!((plan.start_offset, plan.proven_end, plan.anchor), (0, None, None), "{count}");
        assert_eq!(plan.rewritten_max, count.min(30));
    }
}

#[tokio::test]
async fn rows_are_compared_also_where_commits_were_folded_and_objects_replaced() {
    let lake = halted().await;
    for kind in SegmentKind::ALL {
        lake.compact(kind).await;
    }
    lake.catalog.fold_history(std::time::Duration::ZERO).await.expect("folded");
    let commits = lake.catalog.list_commits(&lake.partition).await.expect("listed");
    assert_eq!(commits.iter().map(CommitRecord::commits).collect::<Vec<_>>(), [2, 1], "a run and the newest");
    for (same, others, proven) in [(27, 30, 27), (20, 5, 20), (13, 3, 13), (7, 100, 7)] {
        let plan = planned(&lake, &forked(&lake, same, others).await, Start::Safest).await.expect("planned");
        assert_eq!((plan.start_offset, plan.proven_end), (proven, Some(proven)), "{same} same, {others} others");
        assert!(plan.notes.is_empty(), "{:?}", plan.notes);
    }
}

#[tokio::test]
async fn without_its_rows_a_commit_is_shared_whole_or_not_at_all() {
    let lake = halted().await;
    for segment in lake.catalog.get_segments(&lake.partition).await.expect("listed") {
        lake.storage.store.delete(&Path::parse(&segment.object.key).expect("a key")).await.expect("deleted");
    }
    let plan = planned(&lake, &forked(&lake, 27, 30).await, Start::Safest).await.expect("planned");
    assert_eq!((plan.start_offset, plan.rewritten_max), (20, 10));
    assert!(plan.notes[0].contains("could not be compared"), "{:?}", plan.notes);
}

#[tokio::test]
async fn other_starts_say_what_they_leave_out_or_write_again() {
    let lake = halted().await;
    let queue = forked(&lake, 20, 40).await;
    let first = planned(&lake, &queue, Start::First).await.expect("planned");
    assert_eq!((first.start_offset, first.rewritten_max, first.skipped_max), (0, 30, 0));
    let end = planned(&lake, &queue, Start::End).await.expect("planned");
    assert_eq!((end.start_offset, end.rewritten_max, end.skipped_max), (60, 0, 40));
    assert_eq!(end.anchor.map(|anchor| anchor.offset), Some(59));
    let middle = planned(&lake, &queue, Start::At(25)).await.expect("planned");
    assert_eq!((middle.start_offset, middle.rewritten_max, middle.skipped_max), (25, 5, 5));
    let beyond = planned(&lake, &queue, Start::At(61)).await.expect_err("not held");
    assert!(beyond.to_string().contains("offset 61 is not in 0..=60"), "{beyond}");
}

#[tokio::test]
async fn a_partition_that_is_not_halted_stays_as_it_is() {
    let mut lake = Lake::new(10).await;
    lake.commit(10).await;
    let refused = planned(&lake, &lake.queue, Start::Safest).await.expect_err("active");
    assert!(refused.to_string().contains("t/0 cannot be resumed: it is not halted"), "{refused}");
}

#[tokio::test]
async fn an_older_copy_put_back_after_a_resume_is_known_from_the_first_incarnation() {
    let mut lake = halted().await;
    // The stream was cut at 12 and continued with other messages; it was resumed there.
    let cut = forked(&lake, 12, 28).await;
    let plan = planned(&lake, &cut, Start::Safest).await.expect("planned");
    let seen = lake.partition().await.incarnation;
    lake.catalog.resume(&lake.partition, seen, &plan.point()).await.expect("resumed");
    let original = std::mem::replace(&mut lake.queue, cut);
    lake.take_over().await;
    lake.commit(20).await;
    assert_eq!(lake.partition().await.high_watermark, 32);
    // Now the whole original stream is back.
    lake.halt().await;
    let plan = planned(&lake, &original, Start::Safest).await.expect("planned");
    assert_eq!((plan.start_offset, plan.incarnation), (30, Incarnation(1)));
    assert_eq!(plan.shared_commit.expect("of the first incarnation").incarnation, Incarnation(0));
    assert!(plan.point().reason.contains("messages below 30 are the committed ones"), "{:?}", plan.point());
}
