//! Cases: segments outside the commit, and snapshots.

use catalog::{CatalogError, MetadataStore, SegmentInfo, SegmentKind};
use common::Incarnation;

use super::fixture::*;

pub(crate) async fn test_find_segment_for_offset(store: &dyn MetadataStore) {
    create_topic(store, "orders", 2).await;
    let orders = partition("orders", 0);
    let (first, second) = (imported(&orders, 0, 999), imported(&orders, 1000, 1999));
    store.add_segment(first.clone()).await.expect("listed");
    store.add_segment(second.clone()).await.expect("listed");
    for (offset, id) in [(0, &first.id), (500, &first.id), (999, &first.id), (1000, &second.id), (1500, &second.id)] {
        let found = store.find_segment_for_offset(&orders, offset).await.expect("read").expect("found");
        assert_eq!(&found.id, id, "{offset}");
    }
    assert!(store.find_segment_for_offset(&orders, 5000).await.expect("read").is_none());
    assert!(store.find_segment_for_offset(&partition("orders", 1), 500).await.expect("read").is_none());
    store.add_segment(imported(&orders, 4000, 4999)).await.expect("listed");
    assert!(store.find_segment_for_offset(&orders, 3000).await.expect("read").is_none(), "between two");
    let older = SegmentInfo { incarnation: Incarnation(7), ..imported(&orders, 6000, 6999) };
    store.add_segment(older).await.expect("listed");
    assert!(store.find_segment_for_offset(&orders, 6500).await.expect("read").is_none(), "another incarnation");
}

pub(crate) async fn a_segment_reads_back_as_it_was_added(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    let segment = SegmentInfo {
        min_timestamp_us: i64::MIN,
        max_timestamp_us: i64::MAX,
        record_count: i64::MAX as u64,
        checksum: u32::MAX,
        schema_version: u32::MAX,
        key: "orders/00000000000000000000.parquet".to_owned(),
        ..imported(&orders, 0, i64::MAX as u64)
    };
    store.add_segment(segment.clone()).await.expect("listed");
    let listed = store.get_segments(&orders).await.expect("read").remove(0);
    assert!(listed.created_at > 0, "by the clock of the database");
    assert_eq!(SegmentInfo { created_at: 0, ..listed }, segment);
}

pub(crate) async fn a_range_that_is_reversed_or_listed_is_refused(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    let listed = imported(&orders, 100, 199);
    store.add_segment(listed.clone()).await.expect("listed");
    let same_key = SegmentInfo { key: listed.key.clone(), ..imported(&orders, 300, 399) };
    let same_id = SegmentInfo { id: listed.id.clone(), ..imported(&orders, 300, 399) };
    let wrong = [imported(&orders, 10, 9), imported(&orders, 100, 150), imported(&orders, 0, 100), same_key, same_id];
    for segment in wrong {
        let base = segment.base_offset;
        let error = store.add_segment(segment).await.expect_err("refused");
        assert!(matches!(error, CatalogError::InvalidOffset { offset, .. } if offset == base), "{error}");
    }
    let error = store.add_segment(imported(&partition("orders", 1), 0, 9)).await.expect_err("absent");
    assert!(matches!(error, CatalogError::PartitionNotFound { partition: 1, .. }), "{error}");
    let error = store.add_segment(imported(&partition("absent", 0), 0, 9)).await.expect_err("absent");
    assert!(matches!(error, CatalogError::PartitionNotFound { .. }), "{error}");
    assert_eq!(store.get_segments(&orders).await.expect("read").len(), 1);
}

pub(crate) async fn quarantine_is_listed_beside_data_but_not_found_by_offset(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    let quarantine = SegmentInfo { kind: SegmentKind::Quarantine, ..imported(&orders, 0, 9) };
    store.add_segment(quarantine.clone()).await.expect("listed");
    assert!(store.find_segment_for_offset(&orders, 5).await.expect("read").is_none());
    store.add_segment(imported(&orders, 0, 9)).await.expect("listed beside");
    let found = store.find_segment_for_offset(&orders, 5).await.expect("read").expect("found");
    assert_eq!(found.kind, SegmentKind::Data);
    let kinds: Vec<_> = store.get_segments(&orders).await.expect("read").iter().map(|s| s.kind).collect();
    assert_eq!(kinds, [SegmentKind::Data, SegmentKind::Quarantine]);
}

pub(crate) async fn segments_before_an_offset_leave_the_list_and_offsets_stay_committed(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let mut first = commit_range(store, &held, 0, 9).await;
    commit_range(store, &held, 10, 19).await;
    commit_range(store, &held, 20, 29).await;
    let orders = &held.partition;
    assert_eq!(store.delete_segments_before(orders, 9).await.expect("asked"), 0, "the first ends at 9");
    assert_eq!(store.delete_segments_before(orders, 20).await.expect("deleted"), 2);
    assert_eq!(store.delete_segments_before(orders, 20).await.expect("asked"), 0);
    let left: Vec<u64> = store.get_segments(orders).await.expect("read").iter().map(|s| s.base_offset).collect();
    assert_eq!(left, [20]);
    assert_eq!(get_partition(store, orders).await.high_watermark, 30);
    assert_fenced(commit(store, &request(&held, 0, 9)).await);
    assert_done(&commit(store, &first).await, 10);
    // The object belongs to the janitor now: its key cannot be intended again.
    first.base_offset = 30;
    assert!(store.record_intents(&intents(&first)).await[0].is_err());
    assert_eq!(store.delete_segments_before(orders, u64::MAX).await.expect("deleted"), 1);
    assert_eq!(store.delete_segments_before(&partition("absent", 0), 9).await.expect("asked"), 0);
}

pub(crate) async fn a_snapshot_holds_topic_partitions_and_segments_in_order(store: &dyn MetadataStore) {
    let topic = create_topic(store, "orders", 2).await;
    let owner = agent(store).await;
    for partition_id in [1, 0] {
        let held = take(store, owner, &partition("orders", partition_id)).await;
        commit_range(store, &held, 0, 9).await;
        commit_range(store, &held, 10, 19).await;
    }
    let snapshot = store.snapshot(&name("orders")).await.expect("read");
    assert_eq!(snapshot.topic, topic);
    assert_eq!(snapshot.partitions, store.list_partitions(&name("orders")).await.expect("listed"));
    let order: Vec<_> = snapshot.segments.iter().map(|s| (s.partition_id, s.base_offset)).collect();
    assert_eq!(order, [(0, 0), (0, 10), (1, 0), (1, 10)]);
}

pub(crate) async fn offsets_above_the_largest_are_refused(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    let too_large = 1 << 63;
    let is_refused = |error| matches!(error, CatalogError::InvalidOffset { offset, .. } if offset == too_large);
    assert!(is_refused(store.update_high_watermark(&orders, too_large).await.expect_err("too large")));
    assert!(is_refused(store.find_segment_for_offset(&orders, too_large).await.expect_err("too large")));
    assert!(is_refused(store.add_segment(imported(&orders, 0, too_large)).await.expect_err("too large")));
    let held = take(store, agent(store).await, &orders).await;
    for end in [i64::MAX as u64, too_large, u64::MAX] {
        let outcome = commit(store, &request(&held, 0, end)).await;
        assert!(
            matches!(outcome, catalog::CommitOutcome::NotDone(CatalogError::InvalidOffset { .. })),
            "the watermark after {end} cannot be stored: {outcome:?}"
        );
    }
    commit_range(store, &held, 0, i64::MAX as u64 - 1).await;
}
