//! Cases: the commit protocol, one writer at a time.

use std::sync::Arc;

use catalog::{
    CatalogError, CommitOutcome, CommitRequest, Gap, GapKind, MetadataStore, Ownership, Refusal, SegmentKind,
    UploadState,
};
use common::{Anchor, Epoch, Incarnation, OwnerId};
use uuid::Uuid;

use super::fixture::*;

pub(crate) async fn a_commit_moves_the_watermark_and_lists_its_segments(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let request = commit_range(store, &held, 0, 9).await;
    let now = get_partition(store, &held.partition).await;
    assert_eq!((now.high_watermark, now.anchor, now.commit_no), (10, Some(request.anchor), 1));
    let listed = store.get_segments(&held.partition).await.expect("read").remove(0);
    let segment = &request.segments[0];
    let (object, new) = (&listed.object, &segment.object);
    assert_eq!((&listed.id, &object.bucket, &object.key), (&segment.id, &new.bucket, &new.key));
    assert_eq!((listed.range, listed.kind), (range(0, 9), SegmentKind::Data));
    assert_eq!((listed.record_count, object.size_bytes, object.checksum), (10, 4096, u32::MAX));
    assert_eq!((listed.min_timestamp_us, listed.max_timestamp_us), (-1, 1_700_000_000_000_000));
    assert_eq!(listed.schema_version, 1);
    assert!(listed.created_at >= now.created_at);
    commit_range(store, &held, 10, 10).await;
    assert_chain(store, &held.partition).await;
    assert!(store.commit(&[]).await.is_empty());
}

pub(crate) async fn a_stale_epoch_is_fenced(store: &dyn MetadataStore) {
    let first = owned(store, "orders").await;
    let late = request(&first, 0, 9);
    intend(store, &late).await;
    let second = fail_over(store, &first).await;
    let outcome = commit(store, &late).await;
    let CommitOutcome::Refused(refusal) = &outcome else { panic!("{outcome:?}") };
    assert!(refusal.to_string().contains("orders/0 is no longer owned at epoch 1"), "{refusal}");
    assert!(assert_fenced(outcome).contains(&second.owner.to_string()));
    commit_range(store, &second, 0, 9).await;
    assert_fenced(commit(store, &late).await);
    assert_chain(store, &first.partition).await;
}

pub(crate) async fn another_owner_is_fenced(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let mut wrong = request(&held, 0, 9);
    intend(store, &wrong).await;
    wrong.owner = OwnerId(Uuid::now_v7());
    assert!(assert_fenced(commit(store, &wrong).await).contains(&held.owner.to_string()));
    let other_history = CommitRequest { owner: held.owner, incarnation: Incarnation(1), ..wrong };
    assert!(assert_fenced(commit(store, &other_history).await).contains("incarnation is 0, not 1"));
    let from_the_future = CommitRequest { epoch: Epoch(2), incarnation: Incarnation(0), ..other_history };
    assert_fenced(commit(store, &from_the_future).await);
    assert_eq!(get_partition(store, &held.partition).await.high_watermark, 0);
}

pub(crate) async fn another_watermark_is_fenced(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_range(store, &held, 0, 9).await;
    for base in [0, 5, 9, 11] {
        let request = request(&held, base, 20);
        intend(store, &request).await;
        let reason = assert_fenced(commit(store, &request).await);
        assert_eq!(reason, format!("its watermark is 10, not {base}"));
    }
    commit_range(store, &held, 10, 20).await;
    assert_chain(store, &held.partition).await;
}

fn assert_intent_lost(outcome: &CommitOutcome, request: &CommitRequest) {
    let CommitOutcome::Refused(Refusal::IntentLost { key }) = outcome else { panic!("not lost: {outcome:?}") };
    assert!(request.segments.iter().any(|segment| &segment.object.key == key));
}

pub(crate) async fn a_missing_intent_refuses_the_commit_and_leaves_no_trace(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let mut both = request(&held, 0, 9);
    both.segments.push(new_segment(&held, SegmentKind::Quarantine, 0, 9));
    assert_intent_lost(&commit(store, &both).await, &both);
    let only_data = intents(&both).remove(0);
    store.record_intents(std::slice::from_ref(&only_data)).await.remove(0).expect("recorded");
    assert_intent_lost(&commit(store, &both).await, &both);
    let now = get_partition(store, &held.partition).await;
    assert_eq!((now.high_watermark, now.commit_no, now.anchor), (0, 0, None));
    assert!(store.get_segments(&held.partition).await.expect("read").is_empty());
    // The pending intent is still pending.
    both.segments.truncate(1);
    assert_done(&commit(store, &both).await, 10);
    let mut moved = request(&held, 10, 19);
    intend(store, &moved).await;
    Arc::make_mut(&mut moved.segments[0].object).bucket = "elsewhere".to_owned();
    assert_intent_lost(&commit(store, &moved).await, &moved);
}

pub(crate) async fn an_abandoned_intent_refuses_the_commit(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let request = request(&held, 0, 9);
    intend(store, &request).await;
    store.abandon_intents(&intents(&request)).await.expect("given up");
    assert_intent_lost(&commit(store, &request).await, &request);
    commit_range(store, &held, 0, 9).await;
}

pub(crate) async fn a_takeover_dooms_the_intents_of_older_epochs(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let old = request(&held, 0, 9);
    intend(store, &old).await;
    let again = take(store, held.owner, &held.partition).await;
    // Even under the new epoch, the old object cannot be committed.
    let smuggled = CommitRequest { epoch: again.epoch, ..old };
    assert_intent_lost(&commit(store, &smuggled).await, &smuggled);
    let fresh = request(&again, 0, 9);
    intend(store, &fresh).await;
    assert_done(&commit(store, &fresh).await, 10);
}

pub(crate) async fn a_deleted_topic_dooms_the_intents_of_its_partitions(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let old = request(&held, 0, 9);
    intend(store, &old).await;
    store.delete_topic(&name("orders")).await.expect("deleted");
    let left = store.list_uploads(&held.partition).await.expect("read");
    assert_eq!(left.iter().map(|upload| upload.state).collect::<Vec<_>>(), [UploadState::Doomed]);
    create_topic(store, "orders", 1).await;
    let again = take(store, held.owner, &held.partition).await;
    // Even under the new epoch, the old object cannot be committed.
    let smuggled = CommitRequest { epoch: again.epoch, ..old.clone() };
    assert_intent_lost(&commit(store, &smuggled).await, &smuggled);
    assert_fenced(commit(store, &old).await);
}

pub(crate) async fn the_same_request_again_is_done_and_changes_nothing(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let first = commit_range(store, &held, 0, 9).await;
    let gap = gap_request(&held, 10, 19);
    assert_done(&commit(store, &gap).await, 20);
    let before = get_partition(store, &held.partition).await;
    for (request, high_watermark) in [(&first, 10), (&gap, 20), (&first, 10)] {
        assert_done(&commit(store, request).await, high_watermark);
    }
    let group = [first, gap];
    let outcomes = store.commit(&group).await;
    assert_done(&outcomes[0], 10);
    assert_done(&outcomes[1], 20);
    assert_eq!(get_partition(store, &held.partition).await, before);
    assert_eq!(store.get_segments(&held.partition).await.expect("read").len(), 1);
}

pub(crate) async fn a_committed_request_is_done_even_after_a_takeover_or_retention(store: &dyn MetadataStore) {
    let first = owned(store, "orders").await;
    let request = commit_range(store, &first, 0, 9).await;
    let second = fail_over(store, &first).await;
    commit_range(store, &second, 10, 19).await;
    assert_eq!(store.delete_segments_before(&first.partition, 10).await.expect("deleted"), 1);
    assert_done(&commit(store, &request).await, 10);
    assert_done(&store.resolve(&request).await.expect("looked up"), 10);
}

pub(crate) async fn another_request_with_a_committed_base_is_refused(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let committed = commit_range(store, &held, 0, 9).await;
    let mut other_object = request(&held, 0, 9);
    other_object.anchor = committed.anchor;
    let other_end = CommitRequest { range: range(0, 8), ..committed.clone() };
    let other_epoch = CommitRequest { epoch: Epoch(0), ..committed.clone() };
    let other_owner = CommitRequest { owner: OwnerId(Uuid::now_v7()), ..committed.clone() };
    let other_anchor = CommitRequest { anchor: Anchor { hash: 1, ..committed.anchor }, ..committed.clone() };
    let no_object = CommitRequest { segments: vec![], ..committed.clone() };
    for other in [other_object, other_end, other_epoch, other_owner, other_anchor, no_object] {
        assert_fenced(commit(store, &other).await);
        assert_fenced(store.resolve(&other).await.expect("looked up"));
    }
    assert_chain(store, &held.partition).await;
}

pub(crate) async fn a_refused_request_does_not_hold_up_the_others(store: &dyn MetadataStore) {
    create_topic(store, "orders", 4).await;
    let owner = agent(store).await;
    let mut group = Vec::new();
    for partition_id in 0..4 {
        let held = take(store, owner, &partition("orders", partition_id)).await;
        group.push(request(&held, 0, 9));
    }
    // Out of order, so that the answers cannot be in the order of the partitions by chance.
    group.swap(0, 3);
    for request in [&group[0], &group[2], &group[3]] {
        intend(store, request).await;
    }
    group[2].epoch = Epoch(9);
    let outcomes = store.commit(&group).await;
    assert_done(&outcomes[0], 10);
    assert_intent_lost(&outcomes[1], &group[1]);
    assert!(matches!(&outcomes[2], CommitOutcome::Refused(Refusal::Fenced { .. })), "{outcomes:?}");
    assert_done(&outcomes[3], 10);
    for (partition_id, high_watermark) in [(0, 10), (1, 0), (2, 0), (3, 10)] {
        let now = get_partition(store, &partition("orders", partition_id)).await;
        assert_eq!(now.high_watermark, high_watermark, "{partition_id}");
    }
}

pub(crate) async fn two_requests_of_one_partition_chain_in_one_group(store: &dyn MetadataStore) {
    let (held, other) = (owned(store, "orders").await, owned(store, "a").await);
    let group = [request(&held, 0, 9), request(&other, 0, 4), request(&held, 10, 19), gap_request(&held, 20, 29)];
    for request in &group {
        intend(store, request).await;
    }
    let outcomes = store.commit(&group).await;
    for (outcome, high_watermark) in outcomes.iter().zip([10, 5, 20, 30]) {
        assert_done(outcome, high_watermark);
    }
    let now = get_partition(store, &held.partition).await;
    assert_eq!((now.high_watermark, now.commit_no, now.anchor), (30, 3, Some(group[3].anchor)));
}

pub(crate) async fn a_refused_request_refuses_later_ones_of_its_partition(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let done = commit_range(store, &held, 0, 9).await;
    // The second one has no intent; the third would fit if the second had been left out.
    let group = [done, request(&held, 10, 19), gap_request(&held, 10, 29), request(&held, 20, 29)];
    let outcomes = store.commit(&group).await;
    assert_done(&outcomes[0], 10);
    assert_intent_lost(&outcomes[1], &group[1]);
    for outcome in outcomes.into_iter().skip(2) {
        assert!(assert_fenced(outcome).contains("an earlier request"));
    }
    assert_eq!(get_partition(store, &held.partition).await.high_watermark, 10);
}

pub(crate) async fn a_repeated_request_within_one_group_is_committed_once(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let request = request(&held, 0, 9);
    intend(store, &request).await;
    for outcome in store.commit(&[request.clone(), request]).await {
        assert_done(&outcome, 10);
    }
    assert_chain(store, &held.partition).await;
}

pub(crate) async fn gaps_and_quarantine_are_committed_without_data(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    assert_done(&commit(store, &gap_request(&held, 0, 99)).await, 100);
    let mut quarantine = gap_request(&held, 100, 199);
    quarantine.segments = vec![new_segment(&held, SegmentKind::Quarantine, 100, 199)];
    // The kind is what was said, whatever the words of the reason.
    let other_words = Gap { kind: GapKind::Skipped, ..Gap::lost(range(150, 150), "compacted: by hand") };
    let compacted = Gap::compacted(range(160, 161), 3);
    quarantine.gaps = vec![Gap::lost(range(100, 109), "purged \0 'x'"), other_words.clone(), compacted.clone()];
    intend(store, &quarantine).await;
    assert_done(&commit(store, &quarantine).await, 200);
    let gaps = store.list_gaps(&held.partition).await.expect("read");
    let ranges: Vec<_> = gaps.iter().map(|recorded| (recorded.gap.range.base(), recorded.gap.range.end())).collect();
    assert_eq!(ranges, [(0, 99), (100, 109), (150, 150), (160, 161)]);
    assert_eq!((gaps[0].gap.kind, gaps[1].gap.kind), (GapKind::Lost, GapKind::Lost));
    assert_eq!((&gaps[2].gap, &gaps[3].gap), (&other_words, &compacted));
    let exceptions = store.exceptions(&held.partition, range(120, 199)).await.expect("read").expect("there");
    assert_eq!(exceptions.gaps, [other_words, compacted]);
    assert_eq!(gaps[0].gap.reason, "expired in the queue");
    assert_eq!(gaps[1].gap.reason, "purged \u{fffd} 'x'");
    let segments = store.get_segments(&held.partition).await.expect("read");
    assert_eq!(segments.len(), 1);
    assert_eq!(segments[0].kind, SegmentKind::Quarantine);
    assert_eq!(get_partition(store, &held.partition).await.commit_no, 2);
}

pub(crate) async fn data_and_quarantine_of_one_range_are_committed_together(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let mut both = request(&held, 0, 9);
    both.segments.push(new_segment(&held, SegmentKind::Quarantine, 0, 9));
    intend(store, &both).await;
    assert_done(&commit(store, &both).await, 10);
    assert_done(&commit(store, &both).await, 10);
    let kinds: Vec<_> = store.get_segments(&held.partition).await.expect("read").iter().map(|s| s.kind).collect();
    assert_eq!(kinds, [SegmentKind::Data, SegmentKind::Quarantine]);
    assert_eq!(get_partition(store, &held.partition).await.commit_no, 1);
}

pub(crate) async fn a_malformed_request_is_not_done_and_spoils_no_other(store: &dyn MetadataStore) {
    let (held, other) = (owned(store, "orders").await, owned(store, "a").await);
    let mut two_of_a_kind = request(&held, 0, 9);
    two_of_a_kind.segments.push(new_segment(&held, SegmentKind::Data, 0, 9));
    let mut gap_outside = gap_request(&held, 0, 9);
    gap_outside.gaps[0].range = range(5, 10);
    let mut gaps_overlap = gap_request(&held, 0, 9);
    gaps_overlap.gaps.push(gaps_overlap.gaps[0].clone());
    let mut too_many = request(&held, 0, 9);
    Arc::make_mut(&mut too_many.segments[0].object).size_bytes = u64::MAX;
    for (number, malformed) in (0..).zip([two_of_a_kind, gap_outside, gaps_overlap, too_many]) {
        let good = request(&other, number * 10, number * 10 + 9);
        intend(store, &good).await;
        let outcomes = store.commit(&[malformed.clone(), good]).await;
        let refused = CommitOutcome::is_malformed(&outcomes[0]);
        assert!(refused, "{malformed:?}: {outcomes:?}");
        assert_done(&outcomes[1], number * 10 + 10);
    }
    assert_eq!(get_partition(store, &held.partition).await.high_watermark, 0);
}

trait Malformed {
    fn is_malformed(&self) -> bool;
}

impl Malformed for CommitOutcome {
    fn is_malformed(&self) -> bool {
        matches!(self, Self::NotDone(CatalogError::InvalidOffset { .. } | CatalogError::Refused(_)))
    }
}

pub(crate) async fn resolve_tells_what_became_of_a_commit(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let first = request(&held, 0, 9);
    intend(store, &first).await;
    let outcome = store.resolve(&first).await.expect("looked up");
    assert!(matches!(outcome, CommitOutcome::NotDone(CatalogError::NotCommitted(_))), "{outcome:?}");
    assert_done(&commit(store, &first).await, 10);
    assert_done(&store.resolve(&first).await.expect("looked up"), 10);
    let waiting = request(&held, 20, 29);
    assert!(matches!(store.resolve(&waiting).await.expect("looked up"), CommitOutcome::NotDone(_)));
    let overtaken = request(&held, 0, 19);
    assert_fenced(store.resolve(&overtaken).await.expect("looked up"));
    let next = request(&held, 10, 19);
    intend(store, &next).await;
    let second = fail_over(store, &held).await;
    assert_fenced(store.resolve(&next).await.expect("looked up"));
    assert_done(&store.resolve(&first).await.expect("looked up"), 10);
    store.halt(&second, "an operator said so").await.expect("halted");
    let halted = gap_request(&second, 10, 19);
    assert!(assert_fenced(store.resolve(&halted).await.expect("looked up")).contains("an operator said so"));
    store.delete_topic(&name("orders")).await.expect("deleted");
    assert_fenced(store.resolve(&halted).await.expect("looked up"));
}

pub(crate) async fn thousands_of_requests_are_committed_in_one_group(store: &dyn MetadataStore) {
    const PARTITIONS: u32 = 2_000;
    create_topic(store, "wide", PARTITIONS).await;
    let owner = agent(store).await;
    let wanted: Vec<_> = (0..PARTITIONS).map(|partition_id| partition("wide", partition_id)).collect();
    let outcomes = store.acquire(owner, LONG_LEASE, &wanted).await.expect("acquired");
    let held = |index: usize| Ownership {
        partition: wanted[index].clone(),
        owner,
        epoch: Epoch(1),
        incarnation: Incarnation(0),
        high_watermark: 0,
        anchor: None,
        takeovers: 0,
        suspect: None,
    };
    assert_eq!(outcomes.len(), wanted.len());
    let group: Vec<CommitRequest> = (0..wanted.len()).map(|index| request(&held(index), 0, 9)).collect();
    let wanted_intents: Vec<_> = group.iter().flat_map(intents).collect();
    assert!(store.record_intents(&wanted_intents).await.iter().all(Result::is_ok));
    for outcome in store.commit(&group).await {
        assert_done(&outcome, 10);
    }
    assert_eq!(store.snapshot(&name("wide")).await.expect("read").segments.len(), wanted.len());
}
