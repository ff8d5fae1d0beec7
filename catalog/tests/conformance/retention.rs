//! Cases: retention of objects that hold segments of several partitions, and lake snapshots of every change of the
//! lists.
//!
//! Owns: segments that leave the list together, expirations, the order of snapshots. Does not own: retention of one
//! partition alone (`segments`), folding (`folding`).

use std::time::Duration;

use catalog::{Expiration, ExpiredBefore, LakeSnapshot, MetadataStore, SegmentKind, UploadState};
use common::Incarnation;
use common::topic::TopicOptions;

use super::fixture::*;
use super::replacing::{live_objects, replace, two_partitions};

async fn ranges(store: &dyn MetadataStore, partition_id: u32) -> Vec<(u64, u64)> {
    let segments = store.get_segments(&partition("orders", partition_id)).await.expect("read");
    segments.iter().map(|segment| (segment.range.base(), segment.range.end())).collect()
}

async fn expired(store: &dyn MetadataStore, partition_id: u32) -> Option<u64> {
    let expirations = store.list_expirations(&partition("orders", partition_id)).await.expect("read");
    assert!(expirations.iter().all(|of| of.incarnation == Incarnation(0)), "{expirations:?}");
    expirations.first().map(|of| of.before_offset)
}

fn before(partition_id: u32, offset: u64) -> ExpiredBefore {
    ExpiredBefore { partition_id, offset }
}

async fn snapshots(store: &dyn MetadataStore) -> Vec<LakeSnapshot> {
    store.list_snapshots().await.expect("read")
}

pub(crate) async fn an_object_stays_while_any_of_its_rows_stays(store: &dyn MetadataStore) {
    let [held, _] = two_partitions(store).await;
    let objects = live_objects(store, "orders").await;
    // Offsets 10 to 19 of both partitions share an object.
    replace(store, held.owner, &objects[2..4]).await;
    let orders = name("orders");
    let known = snapshots(store).await;
    assert_eq!(store.expire_segments(&orders, &[before(0, 30)]).await.expect("deleted"), 1, "the first alone");
    assert_eq!(ranges(store, 0).await, [(10, 19), (20, 29)], "what is behind the shared object stays with it");
    assert_eq!((expired(store, 0).await, expired(store, 1).await), (Some(10), None));
    assert_eq!(store.expire_segments(&orders, &[before(0, 30), before(1, 19)]).await.expect("deleted"), 1);
    assert_eq!((ranges(store, 0).await.len(), ranges(store, 1).await.len()), (2, 2), "19 itself must stay");
    let both = [before(0, 30), before(1, 10), before(1, 20)];
    assert_eq!(store.expire_segments(&orders, &both).await.expect("deleted"), 3, "the greater offset counts");
    assert_eq!((ranges(store, 0).await, ranges(store, 1).await), (vec![], vec![(20, 29)]));
    assert_eq!((expired(store, 0).await, expired(store, 1).await), (Some(30), Some(20)));
    assert_eq!(store.expire_segments(&orders, &both).await.expect("asked"), 0);
    let tables = store.snapshot(&orders).await.expect("read").tables;
    let new = &snapshots(store).await[known.len()..];
    let said: Vec<&str> = new.iter().map(|snapshot| snapshot.changes.as_str()).collect();
    assert_eq!(said, [format!("deleted_from_table:{}", tables.data).as_str(); 3], "none where nothing went");
    // 2 inputs of the replacement, and 4 expired objects, one of them shared.
    let retired = store.list_retired(&orders).await.expect("read");
    let levels: Vec<u32> = retired.iter().map(|of| of.object.level).collect();
    assert_eq!(levels, [0, 0, 0, 0, 0, 1], "{retired:?}");
    let shared = store.list_shared_uploads(&orders).await.expect("read");
    assert_eq!(shared.iter().map(|upload| upload.state).collect::<Vec<_>>(), [UploadState::Doomed]);
}

pub(crate) async fn retention_of_both_kinds_is_one_snapshot(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let mut both = request(&held, 0, 9);
    both.segments.push(new_segment(&held, SegmentKind::Quarantine, 0, 9));
    intend(store, &both).await;
    assert_done(&commit(store, &both).await, 10);
    let tables = store.snapshot(&name("orders")).await.expect("read").tables;
    let said = |word: &str| format!("{word}:{},{word}:{}", tables.data, tables.quarantine);
    let committed = snapshots(store).await.pop().expect("kept");
    assert_eq!(committed.changes, said("inserted_into_table"));
    assert_eq!(store.delete_segments_before(&held.partition, 10).await.expect("deleted"), 2);
    let deleted = snapshots(store).await.pop().expect("kept");
    assert_eq!(deleted.changes, said("deleted_from_table"));
    assert_eq!(deleted.next_file_id, committed.next_file_id + 1, "readers tell states apart by this number");
}

pub(crate) async fn ranges_of_unlike_length_go_together(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    let mut quarantine = imported(&orders, 10, 19);
    quarantine.segment.kind = SegmentKind::Quarantine;
    store.add_segment(imported(&orders, 0, 99)).await.expect("listed");
    store.add_segment(quarantine).await.expect("listed");
    assert_eq!(store.delete_segments_before(&orders, 50).await.expect("asked"), 0, "the longer one begins before");
    assert_eq!(store.delete_segments_before(&orders, 100).await.expect("deleted"), 2);
    assert_eq!(expired(store, 0).await, Some(100));
}

pub(crate) async fn retention_leaves_earlier_incarnations_alone(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_range(store, &held, 0, 9).await;
    store.halt(&held, "for the test").await.expect("halted");
    let at = catalog::ResumePoint { high_watermark: 0, anchor: None, reason: "for the test".to_owned() };
    store.resume(&held.partition, Incarnation(0), &at).await.expect("resumed");
    let again = take(store, held.owner, &held.partition).await;
    commit_range(store, &again, 0, 4).await;
    commit_range(store, &again, 5, 9).await;
    assert_eq!(store.delete_segments_before(&held.partition, 5).await.expect("deleted"), 1);
    let expirations = store.list_expirations(&held.partition).await.expect("read");
    assert_eq!(expirations, [Expiration { incarnation: Incarnation(1), before_offset: 5 }]);
    // An object with rows of both incarnations stays.
    replace(store, held.owner, &live_objects(store, "orders").await).await;
    assert_eq!(store.delete_segments_before(&held.partition, 10).await.expect("asked"), 0);
    assert_eq!(ranges(store, 0).await, [(0, 9), (5, 9)]);
}

pub(crate) async fn every_change_of_the_lists_is_a_snapshot_and_nothing_else_is(store: &dyn MetadataStore) {
    let first = snapshots(store).await;
    let said: Vec<&str> = first.iter().map(|snapshot| snapshot.changes.as_str()).collect();
    assert_eq!(said, ["created_schema:\"main\",created_schema:\"quarantine\"", ""]);
    let numbers = |of: &LakeSnapshot| (of.snapshot_id.0, of.schema_version, of.next_catalog_id, of.next_file_id);
    assert_eq!((numbers(&first[0]), numbers(&first[1])), ((0, 0, 2, 1), (1, 1, 2, 1)));

    let topic = create_topic(store, "or\"ders", 1).await;
    let held = take(store, agent(store).await, &partition("or\"ders", 0)).await;
    assert_done(&commit(store, &gap_request(&held, 0, 9)).await, 10);
    commit_range(store, &held, 10, 19).await;
    let group = [request(&held, 20, 29), request(&held, 30, 39)];
    intend(store, &group[0]).await;
    intend(store, &group[1]).await;
    for (outcome, watermark) in store.commit(&group).await.iter().zip([30, 40]) {
        assert_done(outcome, watermark);
    }
    store.update_topic_config(&topic.name, 1, Some(5), topic.config.clone()).await.expect("the same options");
    let columns = r#"{"format":"json","columns":[{"name":"x","type":"string"}]}"#;
    let options: TopicOptions = serde_json::from_str(columns).expect("parses");
    store.update_topic_config(&topic.name, 1, None, options).await.expect("changed");
    store.release(&[held]).await.expect("released");
    store.delete_topic(&topic.name).await.expect("deleted");

    let all = snapshots(store).await;
    let said: Vec<&str> = all[2..].iter().map(|snapshot| snapshot.changes.as_str()).collect();
    let expected = [
        r#"created_table:"main"."or""ders",created_table:"quarantine"."or""ders""#,
        "inserted_into_table:2",
        "inserted_into_table:2",
        "altered_table:2,altered_table:3",
        "dropped_table:2,dropped_table:3",
    ];
    assert_eq!(said, expected);
    let found: Vec<_> = all[2..].iter().map(numbers).collect();
    assert_eq!(found, [(2, 2, 4, 2), (3, 2, 4, 3), (4, 2, 4, 5), (5, 3, 4, 6), (6, 4, 4, 7)]);
    assert!(all.windows(2).all(|two| two[0].time_us < two[1].time_us), "times rise: {all:?}");
}

pub(crate) async fn statistics_are_kept_of_the_time_at_level_0_and_of_everything_above(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_range(store, &held, 0, 9).await;
    commit_range(store, &held, 10, 19).await;
    let orders = name("orders");
    let all = [TIMESTAMP_FIELD, 2, 100, 9];
    let of = async |kind, fields: &[i32]| store.object_statistics(&orders, kind, fields, None).await.expect("read");
    let inputs = live_objects(store, "orders").await;
    let time = statistics(TIMESTAMP_FIELD, Some("1969-12-31 23:59:59.999999+00"));
    let expected = [(inputs[0].file_id, time.clone()), (inputs[1].file_id, time)];
    assert_eq!(of(SegmentKind::Data, &all).await, expected, "rows reach to both ends of the offsets");
    assert!(of(SegmentKind::Quarantine, &all).await.is_empty());
    let after = Some(inputs[0].begin_snapshot);
    let later = store.object_statistics(&orders, SegmentKind::Data, &all, after).await.expect("read");
    assert_eq!(later, expected[1..], "of the object that was listed after the first");

    let mut replacement = super::replacing::replacement(held.owner, &inputs);
    let text = statistics(100, Some("it's \u{1F980}"));
    let unstorable = statistics(9, Some("a\0b"));
    replacement.output.statistics = vec![text.clone(), unstorable.clone(), statistics(2, None)];
    store.record_replacement_intent(&replacement.intent()).await.expect("recorded");
    let file_id = super::replacing::done(store.replace(&replacement).await);
    let stored = [statistics(2, None), statistics(9, None), text].map(|of| (file_id, of));
    assert_eq!(of(SegmentKind::Data, &all).await, stored, "those of live objects, by field");
    assert_eq!(of(SegmentKind::Data, &[100]).await, stored[2..]);
    assert!(of(SegmentKind::Data, &[]).await.is_empty());
    let absent = store.object_statistics(&name("absent"), SegmentKind::Data, &all, None).await.expect("read");
    assert!(absent.is_empty());
}

pub(crate) async fn offsets_of_rows_are_kept_where_the_range_says_more(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_range(store, &held, 0, 9).await;
    for (base, end, rows) in [(10, 19, offsets(12, 19)), (20, 29, offsets(20, 27))] {
        let mut late = request(&held, base, end);
        let mut object = late.segments[0].object.as_ref().clone();
        object.statistics[0] = rows;
        late.segments[0].object = object.into();
        intend(store, &late).await;
        assert_done(&commit(store, &late).await, end + 1);
    }
    let found = store.object_statistics(&name("orders"), SegmentKind::Data, &[2], None).await.expect("read");
    let found: Vec<_> = found.iter().map(|(_, column)| column).collect();
    assert_eq!(found, [&offsets(12, 19), &offsets(20, 27)], "of the first object, its range says as much");
}

pub(crate) async fn a_retired_object_is_forgotten_when_it_is_deleted(store: &dyn MetadataStore) {
    let [held, _] = two_partitions(store).await;
    let objects = live_objects(store, "orders").await;
    replace(store, held.owner, &objects[..2]).await;
    let orders = name("orders");
    assert!(store.due_objects("lake", LONG_LEASE, LONG_LEASE, 9).await.expect("read").is_empty(), "they are held");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let due = loop {
        // They are not due while a lake snapshot has them.
        store.fold_history(Duration::ZERO).await.expect("folded");
        let due = store.due_objects("lake", Duration::ZERO, LONG_LEASE, 9).await.expect("read");
        if due.len() == 2 {
            break due;
        }
        assert!(tokio::time::Instant::now() < deadline, "nothing becomes due: {due:?}");
        tokio::task::yield_now().await;
    };
    assert_eq!(store.list_retired(&orders).await.expect("read").len(), 2);
    store.swept(&due[..1]).await.expect("noted");
    let left = store.list_retired(&orders).await.expect("read");
    assert_eq!(left.iter().map(|of| &of.object.key).collect::<Vec<_>>(), [&due[1].key]);
    store.swept(&due).await.expect("the first was counted already");
    assert!(store.list_retired(&orders).await.expect("read").is_empty());
    assert_eq!(live_objects(store, "orders").await.len(), 5, "live ones stay");
    let again = store.due_objects("lake", Duration::ZERO, LONG_LEASE, 9).await.expect("read");
    assert!(again.is_empty(), "the second sweep is held: {again:?}");
}

pub(crate) async fn names_that_differ_in_case_alone_are_one_name(store: &dyn MetadataStore) {
    use catalog::CatalogError;
    create_topic(store, "Orders", 1).await;
    for other in ["orders", "ORDERS", "oRders"] {
        let error = store.create_topic(topic_config(other, 1)).await.expect_err("the same name");
        let CatalogError::TopicExistsAs { name, existing } = &error else { panic!("{error}") };
        assert_eq!((name.as_str(), existing.as_str()), (other, "Orders"));
        assert_eq!(error.kind(), common::ErrorKind::Conflict);
        assert!(store.get_topic(&self::name(other)).await.expect("read").is_none(), "names stay exact");
    }
    let error = store.create_topic(topic_config("Orders", 1)).await.expect_err("exists");
    assert!(matches!(error, CatalogError::TopicAlreadyExists(_)), "{error}");
    // Only ASCII letters have a case here.
    create_topic(store, "É", 1).await;
    create_topic(store, "é", 1).await;
    store.delete_topic(&name("Orders")).await.expect("deleted");
    create_topic(store, "orders", 1).await;
}
