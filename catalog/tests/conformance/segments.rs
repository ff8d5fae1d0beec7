//! Cases: segments outside the commit, and snapshots.

use std::sync::Arc;

use catalog::{CatalogError, ImportedSegment, LAYOUT_NOW, MetadataStore, ResumePoint, SegmentKind};
use common::{Incarnation, OffsetRange};

use super::fixture::*;

pub(crate) async fn test_find_segment_for_offset(store: &dyn MetadataStore) {
    create_topic(store, "orders", 2).await;
    let orders = partition("orders", 0);
    let (first, second) = (imported(&orders, 0, 999), imported(&orders, 1000, 1999));
    store.add_segment(first.clone()).await.expect("listed");
    store.add_segment(second.clone()).await.expect("listed");
    let (first, second) = (&first.segment.id, &second.segment.id);
    for (offset, id) in [(0, first), (500, first), (999, first), (1000, second), (1500, second)] {
        let found = store.find_segment_for_offset(&orders, offset).await.expect("read").expect("found");
        assert_eq!(&found.id, id, "{offset}");
    }
    assert!(store.find_segment_for_offset(&orders, 5000).await.expect("read").is_none());
    assert!(store.find_segment_for_offset(&partition("orders", 1), 500).await.expect("read").is_none());
    store.add_segment(imported(&orders, 4000, 4999)).await.expect("listed");
    assert!(store.find_segment_for_offset(&orders, 3000).await.expect("read").is_none(), "between two");
    let older = ImportedSegment { incarnation: Incarnation(7), ..imported(&orders, 6000, 6999) };
    store.add_segment(older).await.expect("listed");
    assert!(store.find_segment_for_offset(&orders, 6500).await.expect("read").is_none(), "another incarnation");
}

pub(crate) async fn a_segment_reads_back_as_it_was_added(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    let mut import = imported(&orders, 0, i64::MAX as u64);
    let segment = &mut import.segment;
    (segment.min_timestamp_us, segment.max_timestamp_us) = (i64::MIN, i64::MAX);
    segment.record_count = i64::MAX as u64;
    Arc::make_mut(&mut segment.object).record_count = i64::MAX as u64;
    let object = Arc::make_mut(&mut segment.object);
    (object.checksum, object.schema_version) = (u32::MAX, u32::MAX);
    Arc::make_mut(&mut segment.object).key = "orders/00000000000000000000.parquet".to_owned();
    store.add_segment(import.clone()).await.expect("listed");
    let listed = store.get_segments(&orders).await.expect("read").remove(0);
    assert!(listed.created_at > 0, "by the clock of the database");
    let (segment, object, new) = (&import.segment, &listed.object, &import.segment.object);
    assert_eq!((&listed.id, listed.kind, listed.range), (&segment.id, segment.kind, import.range));
    assert_eq!((listed.record_count, listed.incarnation), (i64::MAX as u64, import.incarnation));
    assert_eq!((listed.min_timestamp_us, listed.max_timestamp_us), (i64::MIN, i64::MAX));
    assert_eq!((&object.bucket, &object.key, object.kind), (&new.bucket, &new.key, segment.kind));
    assert_eq!((object.record_count, object.size_bytes), (new.record_count, new.size_bytes));
    assert_eq!((object.footer_bytes, object.checksum), (Some(new.footer_bytes), u32::MAX));
    assert_eq!((object.schema_version, listed.schema_version), (u32::MAX, u32::MAX));
    assert_eq!((object.level, object.layout), (0, LAYOUT_NOW));
    assert_eq!((object.min_partition_id, object.max_partition_id), (0, 0));
    assert_eq!((object.min_offset, object.max_offset), (0, i64::MAX as u64));
    assert_eq!((object.min_timestamp_us, object.max_timestamp_us), (i64::MIN, i64::MAX));
    assert!(object.created_at <= listed.created_at, "the object comes first");
    assert_eq!(store.delete_segments_before(&orders, u64::MAX).await.expect("asked"), 0, "no offset lies behind it");
}

pub(crate) async fn a_range_key_or_id_that_is_listed_is_refused(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    let listed = imported(&orders, 100, 199);
    store.add_segment(listed.clone()).await.expect("listed");
    let (mut same_key, mut same_id) = (imported(&orders, 300, 399), imported(&orders, 300, 399));
    Arc::make_mut(&mut same_key.segment.object).key = listed.segment.object.key.clone();
    same_id.segment.id = listed.segment.id.clone();
    for segment in [imported(&orders, 100, 150), imported(&orders, 0, 100), same_key, same_id] {
        let base = segment.range.base();
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
    let mut quarantine = imported(&orders, 0, 9);
    quarantine.segment.kind = SegmentKind::Quarantine;
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
    let left: Vec<u64> = store.get_segments(orders).await.expect("read").iter().map(|s| s.range.base()).collect();
    assert_eq!(left, [20]);
    assert_eq!(get_partition(store, orders).await.high_watermark, 30);
    assert_fenced(commit(store, &request(&held, 0, 9)).await);
    assert_done(&commit(store, &first).await, 10);
    // The janitor may delete the object now: its key cannot be intended again.
    first.range = range(30, 39);
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
    let order: Vec<_> = snapshot.segments.iter().map(|s| (s.partition_id, s.range.base())).collect();
    assert_eq!(order, [(0, 0), (0, 10), (1, 0), (1, 10)]);
}

pub(crate) async fn offsets_above_the_largest_are_refused(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    let too_large = 1 << 63;
    let is_refused = |error| matches!(error, CatalogError::InvalidOffset { offset, .. } if offset == too_large);
    assert!(is_refused(store.update_high_watermark(&orders, too_large).await.expect_err("too large")));
    assert!(is_refused(store.find_segment_for_offset(&orders, too_large).await.expect_err("too large")));
    let mut import = imported(&orders, 0, too_large);
    import.segment.record_count = 1;
    Arc::make_mut(&mut import.segment.object).record_count = 1;
    assert!(is_refused(store.add_segment(import).await.expect_err("too large")));
    let held = take(store, agent(store).await, &orders).await;
    for end in [i64::MAX as u64, too_large, u64::MAX - 1] {
        let outcome = commit(store, &request(&held, 0, end)).await;
        assert!(
            matches!(outcome, catalog::CommitOutcome::NotDone(CatalogError::InvalidOffset { .. })),
            "the watermark after {end} cannot be stored: {outcome:?}"
        );
    }
    commit_range(store, &held, 0, i64::MAX as u64 - 1).await;
}

pub(crate) async fn the_exceptions_of_a_range_are_its_gaps_and_quarantine(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let orders = &held.partition;
    // Data, quarantine alone, data with a gap at its end, data and quarantine, a gap alone.
    commit_range(store, &held, 0, 9).await;
    let mut refused = request(&held, 10, 19);
    refused.segments = vec![new_segment(&held, SegmentKind::Quarantine, 10, 19)];
    let mut holed = request(&held, 20, 29);
    holed.gaps = gap_request(&held, 25, 29).gaps;
    let mut mixed = request(&held, 30, 39);
    mixed.segments.push(new_segment(&held, SegmentKind::Quarantine, 30, 39));
    for request in [&refused, &holed, &mixed] {
        intend(store, request).await;
        assert_done(&commit(store, request).await, request.range.next());
    }
    assert_done(&commit(store, &gap_request(&held, 40, 49)).await, 50);

    for (base, end, gaps, quarantine) in [
        (0, 9, vec![], vec![]),
        (9, 10, vec![], vec![(10, 19)]),
        (12, 12, vec![], vec![(10, 19)]),
        (20, 24, vec![], vec![]),
        (24, 25, vec![(25, 29)], vec![]),
        (29, 30, vec![(25, 29)], vec![(30, 39)]),
        (39, 60, vec![(40, 49)], vec![(30, 39)]),
        (49, 49, vec![(40, 49)], vec![]),
        (50, 60, vec![], vec![]),
        (0, 60, vec![(25, 29), (40, 49)], vec![(10, 19), (30, 39)]),
    ] {
        let found = store.exceptions(orders, range(base, end)).await.expect("read").expect("exists");
        let bounds = |range: OffsetRange| (range.base(), range.end());
        let seen: Vec<_> = found.gaps.iter().map(|gap| bounds(gap.range)).collect();
        assert_eq!(seen, gaps, "gaps of {base} to {end}");
        let seen: Vec<_> = found.quarantine.iter().map(|segment| bounds(segment.range)).collect();
        assert_eq!(seen, quarantine, "quarantine of {base} to {end}");
        assert_eq!(found.partition, get_partition(store, orders).await);
        assert_eq!((found.start_offset, found.expired_before), (0, 0));
    }
    let segments = store.get_segments(orders).await.expect("read");
    let found = store.exceptions(orders, range(30, 30)).await.expect("read").expect("exists");
    assert_eq!(found.gaps, []);
    assert_eq!(found.quarantine, [segments.last().expect("some").clone()], "the segment as it is listed");
}

pub(crate) async fn exceptions_are_of_one_incarnation_and_know_what_retention_took(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let orders = &held.partition;
    let mut refused = request(&held, 0, 9);
    refused.segments = vec![new_segment(&held, SegmentKind::Quarantine, 0, 9)];
    intend(store, &refused).await;
    assert_done(&commit(store, &refused).await, 10);
    assert_done(&commit(store, &gap_request(&held, 10, 19)).await, 20);
    assert_eq!(store.delete_segments_before(orders, 10).await.expect("expired"), 1);
    let found = store.exceptions(orders, range(0, 19)).await.expect("read").expect("exists");
    assert_eq!((found.gaps.len(), found.quarantine.len(), found.expired_before), (1, 0, 10));

    store.halt(&held, "for the test").await.expect("halted");
    let at = ResumePoint { high_watermark: 5, anchor: None, reason: "for the test".to_owned() };
    store.resume(orders, held.incarnation, &at).await.expect("resumed");
    let found = store.exceptions(orders, range(0, 19)).await.expect("read").expect("exists");
    assert_eq!((found.gaps.len(), found.quarantine.len(), found.expired_before), (0, 0, 0));
    assert_eq!((found.partition.incarnation, found.start_offset), (Incarnation(1), 5));

    assert_eq!(store.exceptions(&partition("orders", 1), range(0, 19)).await.expect("read"), None);
    assert_eq!(store.exceptions(&partition("absent", 0), range(0, 19)).await.expect("read"), None);
}
