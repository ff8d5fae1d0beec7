//! Cases: the network between a replacing process and PostgreSQL fails in the middle of the exchange.
//!
//! Owns: the places of the cuts, and the expected answers of the catalog. Does not own: the same for commits
//! (`lost_replies`), the lanes (`lanes`), and the cut (`support::proxy`).

use catalog::{CommitStore, FileId, ReplaceOutcome, Replacement, SegmentStore};
use support::proxy::Direction;

use super::fixture::*;
use super::lanes::{DIRECTIONS, Fate, LANES, Lane, SPARE, Tally, on_every_lane};
use super::replacing::{done, replacement};

/// Distance in bytes between the cuts of a lane: an exchange has some thousands.
const STRIDE: usize = 7;

fn fate(outcome: &ReplaceOutcome) -> Fate<'_> {
    match outcome {
        ReplaceOutcome::Done(_) => Fate::Done,
        ReplaceOutcome::NotDone(error) => Fate::NotDone(error),
        ReplaceOutcome::Unknown(_) => Fate::Unknown,
        ReplaceOutcome::Refused(_) => Fate::Refused,
    }
}

/// The last object and the one before, to be replaced by one; the intent is recorded around the proxy.
async fn next_replacement(lane: &mut Lane) -> Replacement {
    lane.commit_calmly().await;
    let topic = &lane.held.partition.topic;
    let objects = lane.direct.snapshot(topic).await.expect("read").objects;
    let mut next = replacement(lane.held.owner, &objects[objects.len().saturating_sub(2)..]);
    next.topic = topic.clone();
    lane.direct.record_replacement_intent(&next.intent()).await.expect("recorded");
    next
}

async fn replace_calmly(lane: &mut Lane) -> FileId {
    let next = next_replacement(lane).await;
    let file_id = done(lane.store.replace(&next).await);
    lane.settle_pool().await;
    file_id
}

/// Bytes of one replacement on a connection that knows every statement, by direction.
async fn measure(lane: &mut Lane) -> [u64; 2] {
    replace_calmly(lane).await;
    loop {
        let next = next_replacement(lane).await;
        let (connections, before) = (lane.proxy.connections(), lane.passed());
        done(lane.store.replace(&next).await);
        lane.settle_pool().await;
        let after = lane.passed();
        if lane.proxy.connections() == connections {
            return [after[0] - before[0], after[1] - before[1]];
        }
    }
}

/// Replaces with a cut, then settles the outcome.
async fn cut(lane: &mut Lane, direction: Direction, bytes: u64, tally: &mut Tally) {
    let next = next_replacement(lane).await;
    let was_cut = lane.proxy.cut_after(direction, bytes);
    let outcome = lane.store.replace(&next).await;
    lane.proxy.disarm();
    let was_cut = was_cut.await.is_ok();
    let settled = lane.store.resolve_replacement(&next).await.expect("looked up");
    let place = format!("{direction:?} {bytes}: {outcome:?}, settled as {settled:?}");
    if let (ReplaceOutcome::Done(one), ReplaceOutcome::Done(other)) = (&outcome, &settled) {
        assert_eq!(one, other, "{place}");
    }
    tally.count(&fate(&outcome), &fate(&settled), &place);
    assert!(was_cut || matches!(outcome, ReplaceOutcome::Done(_)), "nothing was cut: {place}");
    // Sending the identical request again is correct in every case.
    let file_id = done(lane.store.replace(&next).await);
    let objects = lane.direct.snapshot(&lane.held.partition.topic).await.expect("read").objects;
    assert_eq!(objects.last().map(|object| object.file_id), Some(file_id), "{place}");
    assert_eq!(objects.len(), 1, "{place}");
}

async fn cut_everywhere(mut lane: Lane, share: usize) -> Tally {
    let exchange = measure(&mut lane).await;
    let mut tally = Tally::default();
    for (direction, length) in DIRECTIONS.into_iter().zip(exchange) {
        for bytes in (0..=length + SPARE).skip(share).step_by(LANES * STRIDE) {
            cut(&mut lane, direction, bytes, &mut tally).await;
        }
        println!("lane {share}, {direction:?}: {length} bytes");
    }
    let segments = lane.direct.get_segments(&lane.held.partition).await.expect("read");
    let objects = lane.direct.snapshot(&lane.held.partition.topic).await.expect("read").objects;
    let rows: u64 = segments.iter().map(|segment| segment.record_count).sum();
    assert_eq!(
        rows,
        get_partition(&lane.direct, &lane.held.partition).await.high_watermark,
        "no row is lost or doubled"
    );
    assert_eq!(objects.iter().map(|object| object.record_count).sum::<u64>(), rows);
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_cut_off_after_any_byte_is_settled_and_done_once() {
    let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
    let total = on_every_lane(&url, cut_everywhere).await;
    // Cuts before COMMIT, in it, after it, and beyond the answer all occur.
    assert!(total.not_done > 0 && total.unknown_done > 0 && total.done > 0, "{total:?}");
}
