//! Cases: one object in place of others.
//!
//! Owns: the replacement, and short functions to make one. Does not own: intents alone (`replacement_intents`), many at
//! once (`races`), lost replies (`lost_replies`), retention of shared objects (`retention`).

use std::sync::Arc;

use catalog::{
    CatalogError, FileId, LAYOUT_NOW, MetadataStore, NewObject, ObjectInfo, Ownership, ReplaceOutcome, ReplaceRefusal,
    ReplacedObject, Replacement, SegmentInfo, SegmentKind, TopicSnapshot, UploadState,
};
use common::OwnerId;
use uuid::Uuid;

use super::fixture::*;

/// The topic's live data objects, by number.
pub(crate) async fn live_objects(store: &dyn MetadataStore, topic: &str) -> Vec<Arc<ObjectInfo>> {
    let snapshot = store.snapshot(&name(topic)).await.expect("read");
    snapshot.objects.into_iter().filter(|object| object.kind == SegmentKind::Data).collect()
}

/// A replacement of these objects of topic `orders`, whose intent is not recorded yet.
pub(crate) fn replacement(owner: OwnerId, inputs: &[Arc<ObjectInfo>]) -> Replacement {
    let rows = inputs.iter().map(|input| input.record_count).sum();
    Replacement {
        topic: name("orders"),
        kind: inputs.first().map_or(SegmentKind::Data, |input| input.kind),
        owner,
        inputs: inputs.iter().map(|input| input.as_ref().into()).collect(),
        output: NewObject { size_bytes: 9_999, ..new_object(format!("orders/{}.parquet", Uuid::now_v7()), rows) },
    }
}

/// A replacement of these objects, whose intent is recorded.
pub(crate) async fn intended(store: &dyn MetadataStore, owner: OwnerId, inputs: &[Arc<ObjectInfo>]) -> Replacement {
    let replacement = replacement(owner, inputs);
    store.record_replacement_intent(&replacement.intent()).await.expect("recorded");
    replacement
}

/// The number under which the output is listed.
pub(crate) fn done(outcome: ReplaceOutcome) -> FileId {
    match outcome {
        ReplaceOutcome::Done(file_id) => file_id,
        other => panic!("not done: {other:?}"),
    }
}

pub(crate) fn refusal(outcome: ReplaceOutcome) -> ReplaceRefusal {
    match outcome {
        ReplaceOutcome::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

pub(crate) fn assert_mismatch(outcome: ReplaceOutcome) {
    let refusal = refusal(outcome);
    assert!(matches!(refusal, ReplaceRefusal::Mismatch { .. }), "{refusal:?}");
}

pub(crate) fn assert_intent_lost(outcome: ReplaceOutcome) {
    let refusal = refusal(outcome);
    assert!(matches!(refusal, ReplaceRefusal::IntentLost { .. }), "{refusal:?}");
}

/// Replaces these objects.
pub(crate) async fn replace(store: &dyn MetadataStore, owner: OwnerId, inputs: &[Arc<ObjectInfo>]) -> FileId {
    let replacement = intended(store, owner, inputs).await;
    done(store.replace(&replacement).await)
}

pub(crate) async fn state(store: &dyn MetadataStore) -> TopicSnapshot {
    store.snapshot(&name("orders")).await.expect("read")
}

/// The topic `orders` of two partitions in the hands of one agent, with three commits of ten offsets in each.
pub(crate) async fn two_partitions(store: &dyn MetadataStore) -> [Ownership; 2] {
    create_topic(store, "orders", 2).await;
    let owner = agent(store).await;
    let held = [take(store, owner, &partition("orders", 0)).await, take(store, owner, &partition("orders", 1)).await];
    for base in [0, 10, 20] {
        for held in &held {
            commit_range(store, held, base, base + 9).await;
        }
    }
    held
}

fn places(segments: &[SegmentInfo]) -> Vec<(u32, u64, u64, FileId)> {
    let place = |s: &SegmentInfo| (s.partition_id, s.range.base(), s.range.end(), s.object.file_id);
    segments.iter().map(place).collect()
}

pub(crate) async fn a_replacement_takes_the_place_of_objects_of_several_partitions(store: &dyn MetadataStore) {
    let held = two_partitions(store).await;
    let before = state(store).await;
    let ids: Vec<&String> = before.segments.iter().map(|segment| &segment.id).collect();
    let commits = store.list_commits(&held[0].partition).await.expect("read");
    // Numbered in the order of commits: partition 0 and 1 in turn. Those of offsets 0 and 10, and the last of partition
    // 1.
    let inputs = [0, 1, 2, 3, 5].map(|index| Arc::clone(&before.objects[index]));
    let replacement = intended(store, held[0].owner, &inputs).await;
    let file_id = done(store.replace(&replacement).await);
    let after = state(store).await;

    let kept = before.objects[4].file_id;
    assert_eq!(places(&after.segments), [(0, 0, 19, file_id), (0, 20, 29, kept), (1, 0, 29, file_id)]);
    let segments = &after.segments;
    assert_eq!([&segments[0].id, &segments[1].id, &segments[2].id], [ids[0], ids[2], ids[3]], "those of the first");
    assert_eq!(segments.iter().map(|s| s.record_count).collect::<Vec<_>>(), [20, 10, 30]);
    assert_eq!(segments[2].created_at, before.segments[5].created_at, "the latest");

    let (listed, new) = (&after.objects[1], &replacement.output);
    assert_eq!(after.objects.iter().map(|object| object.file_id).collect::<Vec<_>>(), [kept, file_id]);
    assert_eq!((&listed.bucket, &listed.key, listed.record_count), (&new.bucket, &new.key, 50));
    assert_eq!((listed.size_bytes, listed.footer_bytes, listed.checksum), (9_999, Some(512), u32::MAX));
    assert_eq!((listed.level, listed.layout, listed.kind), (1, LAYOUT_NOW, SegmentKind::Data));
    assert_eq!((listed.min_partition_id, listed.max_partition_id), (0, 1));
    assert_eq!((listed.min_offset, listed.max_offset), (0, 29));
    assert_eq!((listed.min_timestamp_us, listed.max_timestamp_us), (-1, 1_700_000_000_000_000));
    assert_eq!((listed.begin_snapshot, after.snapshot_id.0), (after.snapshot_id, before.snapshot_id.0 + 1));
    assert!(file_id > before.objects[5].file_id, "numbers rise");

    let newest = store.list_snapshots().await.expect("read").pop().expect("the newest is kept");
    assert_eq!(newest.snapshot_id, after.snapshot_id);
    assert_eq!(newest.changes, format!("compacted_table:{}", after.tables.data));
    assert_eq!(newest.next_file_id, file_id.0 + 1);
    assert_eq!(store.list_commits(&held[0].partition).await.expect("read"), commits, "history stays");
    assert!(store.list_expirations(&held[0].partition).await.expect("read").is_empty());
    // The replacement does not disturb the writers.
    commit_range(store, &held[0], 30, 39).await;
    assert_eq!(get_partition(store, &held[0].partition).await.high_watermark, 40);
}

pub(crate) async fn replaced_objects_are_retired_and_handed_to_the_janitor(store: &dyn MetadataStore) {
    let held = two_partitions(store).await;
    let before = state(store).await;
    let inputs = [0, 2].map(|index| Arc::clone(&before.objects[index]));
    let first = replace(store, held[0].owner, &inputs).await;
    let after = state(store).await;
    let retired = store.list_retired(&name("orders")).await.expect("read");
    assert_eq!(
        retired.iter().map(|of| of.object.clone()).collect::<Vec<_>>(),
        inputs.each_ref().map(|of| (**of).clone())
    );
    assert!(retired.iter().all(|of| of.end_snapshot == after.snapshot_id && of.retired_at > 0), "{retired:?}");
    let doomed = store.list_uploads(&held[0].partition).await.expect("read");
    let ids: Vec<Option<&String>> = doomed.iter().map(|upload| upload.segment_id.as_ref()).collect();
    let expected = [Some(&before.segments[0].id), Some(&before.segments[1].id)];
    assert_eq!(doomed.len(), 2);
    assert!(expected.iter().all(|id| ids.contains(id)), "each names its segment: {doomed:?}");
    assert!(doomed.iter().all(|upload| upload.state == UploadState::Doomed && upload.owner.is_none()), "{doomed:?}");
    assert!(store.list_shared_uploads(&name("orders")).await.expect("read").is_empty(), "its intent is consumed");

    // The upload of an object with segments of two partitions belongs to no single partition.
    let shared = [after.objects[0].clone(), after.objects.iter().find(|of| of.file_id == first).expect("live").clone()];
    replace(store, held[0].owner, &shared).await;
    let again = store.list_retired(&name("orders")).await.expect("read");
    let levels: Vec<u32> = again.iter().map(|of| of.object.level).collect();
    assert_eq!(levels, [0, 0, 0, 1]);
    assert_eq!(live_objects(store, "orders").await.last().expect("live").level, 2);
}

pub(crate) async fn an_object_of_several_partitions_is_doomed_for_none(store: &dyn MetadataStore) {
    let held = two_partitions(store).await;
    let objects = live_objects(store, "orders").await;
    let shared = replace(store, held[0].owner, &objects[..2]).await;
    let shared: Vec<_> = live_objects(store, "orders").await.into_iter().filter(|of| of.file_id == shared).collect();
    replace(store, held[0].owner, &shared).await;
    let doomed = store.list_shared_uploads(&name("orders")).await.expect("read");
    assert_eq!(doomed.iter().map(|upload| &upload.key).collect::<Vec<_>>(), [&shared[0].key]);
    let upload = &doomed[0];
    assert_eq!((upload.partition_id, &upload.segment_id, upload.state), (None, &None, UploadState::Doomed));
    assert_eq!((upload.epoch, upload.owner), (None, None));
}

pub(crate) async fn segments_that_are_no_neighbours_stay_apart(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_range(store, &held, 0, 9).await;
    assert_done(&commit(store, &gap_request(&held, 10, 19)).await, 20);
    commit_range(store, &held, 20, 29).await;
    store.halt(&held, "for the test").await.expect("halted");
    let at = catalog::ResumePoint { high_watermark: 30, anchor: None, reason: "for the test".to_owned() };
    store.resume(&held.partition, held.incarnation, &at).await.expect("resumed");
    let again = take(store, held.owner, &held.partition).await;
    commit_range(store, &again, 30, 39).await;
    let file_id = replace(store, held.owner, &live_objects(store, "orders").await).await;
    let segments = store.get_segments(&held.partition).await.expect("read");
    let apart = [(0, 0, 9, file_id), (0, 20, 29, file_id), (0, 30, 39, file_id)];
    assert_eq!(places(&segments), apart, "a hole, another incarnation");
}

pub(crate) async fn quarantine_is_replaced_by_itself(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    for base in [0, 10] {
        let mut both = request(&held, base, base + 9);
        both.segments.push(new_segment(&held, SegmentKind::Quarantine, base, base + 9));
        intend(store, &both).await;
        assert_done(&commit(store, &both).await, base + 10);
    }
    let snapshot = state(store).await;
    let quarantine: Vec<_> =
        snapshot.objects.iter().filter(|object| object.kind == SegmentKind::Quarantine).cloned().collect();
    let mixed = intended(store, held.owner, &snapshot.objects).await;
    assert_mismatch(store.replace(&mixed).await);
    let mut data = intended(store, held.owner, &quarantine).await;
    data.kind = SegmentKind::Data;
    assert_mismatch(store.replace(&data).await);
    let file_id = replace(store, held.owner, &quarantine).await;
    let segments = store.get_segments(&held.partition).await.expect("read");
    let of = |kind| segments.iter().filter(|s| s.kind == kind).cloned().collect::<Vec<_>>();
    assert_eq!(places(&of(SegmentKind::Quarantine)), [(0, 0, 19, file_id)]);
    assert_eq!(of(SegmentKind::Data).len(), 2, "data stays as it is");
    let newest = store.list_snapshots().await.expect("read").pop().expect("kept");
    assert_eq!(newest.changes, format!("compacted_table:{}", snapshot.tables.quarantine));
}

pub(crate) async fn a_replacement_that_does_not_fit_is_refused_and_changes_nothing(store: &dyn MetadataStore) {
    let [held, _] = two_partitions(store).await;
    create_topic(store, "other", 1).await;
    store.add_segment(imported(&partition("other", 0), 0, 9)).await.expect("listed");
    let objects = live_objects(store, "orders").await;
    let elsewhere = live_objects(store, "other").await;
    let before = state(store).await;
    let snapshots = store.list_snapshots().await.expect("read");
    let good = intended(store, held.owner, &objects[..2]).await;
    let spoiled = |spoil: fn(&mut Replacement)| {
        let mut replacement = good.clone();
        spoil(&mut replacement);
        replacement
    };
    let with_inputs = |inputs: Vec<ReplacedObject>| Replacement { inputs, ..good.clone() };
    let input = |index: usize| good.inputs[index].clone();
    let numbered = |number: u64| ReplacedObject { file_id: FileId(number), key: format!("orders/{number}.parquet") };
    let twice = vec![input(0), input(1), input(0)];
    let too_many = (0..=catalog::REPLACEMENT_INPUTS_MAX as u64).map(numbered).collect();
    let wrong = [
        spoiled(|replacement| replacement.output.record_count -= 1),
        spoiled(|replacement| replacement.output.record_count += 1),
        spoiled(|replacement| replacement.output.bucket = "another".to_owned()),
        spoiled(|replacement| replacement.output.schema_version = 0),
        with_inputs(vec![]),
        with_inputs(twice),
        with_inputs(too_many),
        with_inputs(vec![input(0), elsewhere[0].as_ref().into()]),
    ];
    for replacement in wrong {
        assert_mismatch(store.replace(&replacement).await);
    }
    let unstorable = spoiled(|replacement| replacement.output.size_bytes = u64::MAX);
    let outcome = store.replace(&unstorable).await;
    assert!(matches!(&outcome, ReplaceOutcome::NotDone(CatalogError::Refused(_))), "{outcome:?}");
    // The second is the number of a listed object, under which the merge read another one.
    for absent in [numbered(9_999), ReplacedObject { key: "orders/lost.parquet".to_owned(), ..input(1) }] {
        let refused = refusal(store.replace(&with_inputs(vec![input(0), absent.clone()])).await);
        assert_eq!(refused, ReplaceRefusal::InputGone { file_id: absent.file_id });
    }
    let no_topic = Replacement { topic: name("absent"), ..good.clone() };
    assert!(matches!(refusal(store.replace(&no_topic).await), ReplaceRefusal::InputGone { .. }));
    assert_eq!(state(store).await, before, "nothing changed");
    assert_eq!(store.list_snapshots().await.expect("read"), snapshots, "no snapshot either");
    done(store.replace(&good).await);
}

pub(crate) async fn the_same_replacement_again_is_done_and_changes_nothing(store: &dyn MetadataStore) {
    let [held, _] = two_partitions(store).await;
    let objects = live_objects(store, "orders").await;
    let pending = intended(store, held.owner, &objects[..3]).await;
    let not_done = store.resolve_replacement(&pending).await.expect("looked up");
    assert!(matches!(&not_done, ReplaceOutcome::NotDone(CatalogError::NotReplaced(_))), "{not_done:?}");
    let file_id = done(store.replace(&pending).await);
    let after = state(store).await;
    for _ in 0..2 {
        assert_eq!(done(store.replace(&pending).await), file_id);
        assert_eq!(done(store.resolve_replacement(&pending).await.expect("looked up")), file_id);
    }
    assert_eq!(state(store).await, after);
    // Also after the output was replaced in turn.
    let live = live_objects(store, "orders").await;
    replace(store, held.owner, &live).await;
    assert_eq!(done(store.resolve_replacement(&pending).await.expect("looked up")), file_id);
    assert_eq!(done(store.replace(&pending).await), file_id);
}

pub(crate) async fn of_two_replacements_with_a_common_input_the_second_finds_it_gone(store: &dyn MetadataStore) {
    let [held, _] = two_partitions(store).await;
    let objects = live_objects(store, "orders").await;
    let first = intended(store, held.owner, &objects[..3]).await;
    let second = intended(store, held.owner, &objects[2..]).await;
    done(store.replace(&first).await);
    let before = state(store).await;
    let refused = refusal(store.replace(&second).await);
    assert_eq!(refused, ReplaceRefusal::InputGone { file_id: objects[2].file_id });
    assert_eq!(state(store).await, before);
    let pending = store.resolve_replacement(&second).await.expect("looked up");
    assert!(matches!(pending, ReplaceOutcome::NotDone(_)), "its intent waits: {pending:?}");
}

pub(crate) async fn what_retention_took_meanwhile_is_not_replaced(store: &dyn MetadataStore) {
    let [held, _] = two_partitions(store).await;
    let objects = live_objects(store, "orders").await;
    let late = intended(store, held.owner, &objects).await;
    assert_eq!(store.delete_segments_before(&held.partition, 10).await.expect("deleted"), 1);
    let refused = refusal(store.replace(&late).await);
    assert_eq!(refused, ReplaceRefusal::InputGone { file_id: objects[0].file_id });
    store.delete_topic(&name("orders")).await.expect("deleted");
    let refused = refusal(store.replace(&late).await);
    assert!(matches!(refused, ReplaceRefusal::InputGone { .. }), "{refused:?}");
    assert_intent_lost(store.resolve_replacement(&late).await.expect("looked up"));
}
