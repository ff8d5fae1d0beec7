//! Cases: reading a partition from a place on.

use catalog::{CatalogError, ImportedSegment, MetadataStore, Position, ReadAhead, ReadFrom, ResumePoint};
use common::{Incarnation, TopicPartition};

use super::fixture::*;

/// A place in an incarnation.
fn at(incarnation: u32, offset: u64) -> ReadFrom {
    ReadFrom::Position(Position { incarnation: Incarnation(incarnation), offset })
}

async fn ahead(store: &dyn MetadataStore, of: &TopicPartition, from: ReadFrom, limit: u32) -> ReadAhead {
    store.segments_from(of, from, limit).await.expect("read").expect("the partition exists")
}

/// Incarnation, first and last offset of each segment.
fn ranges(ahead: &ReadAhead) -> Vec<(u32, u64, u64)> {
    let range = |of: &catalog::SegmentInfo| (of.incarnation.0, of.range.base(), of.range.end());
    ahead.segments.iter().map(range).collect()
}

pub(crate) async fn the_next_segments_of_a_place_are_found(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let of = &held.partition;
    for (base, end) in [(0, 9), (10, 19)] {
        commit_range(store, &held, base, end).await;
    }
    let mut both = request(&held, 20, 29);
    both.segments.push(new_segment(&held, catalog::SegmentKind::Quarantine, 20, 29));
    intend(store, &both).await;
    assert_done(&commit(store, &both).await, 30);
    assert_done(&commit(store, &gap_request(&held, 30, 39)).await, 40);
    commit_range(store, &held, 40, 49).await;
    let all = [(0, 0, 9), (0, 10, 19), (0, 20, 29), (0, 40, 49)];
    for (offset, limit, expected) in [
        (0, 10, &all[..]),
        (9, 10, &all[..]),
        (10, 10, &all[1..]),
        (19, 1, &all[1..2]),
        (29, 10, &all[2..]),
        (30, 10, &all[3..]),
        (49, 10, &all[3..]),
        (50, 10, &[]),
        (0, 0, &[]),
    ] {
        for from in [ReadFrom::Offset(offset), at(0, offset)] {
            assert_eq!(ranges(&ahead(store, of, from, limit).await), expected, "{from:?} {limit}");
        }
    }
    let found = ahead(store, of, ReadFrom::Offset(0), 1).await;
    assert_eq!((found.topic.name.as_str(), found.partition.high_watermark), ("orders", 50));
    assert_eq!(found.segments[0], store.get_segments(of).await.expect("read")[0]);
    assert!(store.segments_from(&partition("orders", 9), at(0, 0), 1).await.expect("read").is_none());
    assert!(store.segments_from(&partition("absent", 0), at(0, 0), 1).await.expect("read").is_none());
    let error = store.segments_from(of, ReadFrom::Offset(1 << 63), 1).await.expect_err("too large");
    assert!(matches!(error, CatalogError::InvalidOffset { .. }), "{error}");

    store.delete_segments_before(of, 20).await.expect("expired");
    let found = ahead(store, of, ReadFrom::Offset(0), 10).await;
    assert_eq!(ranges(&found), all[2..]);
    assert_eq!((found.expired_before(Incarnation(0)), found.expired_before(Incarnation(1))), (20, 0));
}

pub(crate) async fn a_place_in_an_earlier_history_leads_to_the_next_one(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let of = &held.partition;
    commit_range(store, &held, 0, 9).await;
    commit_range(store, &held, 10, 19).await;
    store.halt(&held, "the stream was made again").await.expect("halted");
    let again = ResumePoint { high_watermark: 5, anchor: None, reason: "from its beginning".to_owned() };
    store.resume(of, Incarnation(0), &again).await.expect("resumed");
    let held = take(store, held.owner, of).await;
    commit_range(store, &held, 5, 14).await;
    let all = [(0, 0, 9), (0, 10, 19), (1, 5, 14)];
    assert_eq!(ranges(&ahead(store, of, at(0, 3), 10).await), all);
    assert_eq!(ranges(&ahead(store, of, at(0, 3), 2).await), all[..2]);
    assert_eq!(ranges(&ahead(store, of, at(0, 700), 10).await), all[2..], "700 never was in the first history");
    assert_eq!(ranges(&ahead(store, of, at(1, 0), 10).await), all[2..]);
    assert_eq!(ranges(&ahead(store, of, ReadFrom::Offset(10), 10).await), all[2..], "of the current history");
    assert_eq!(ranges(&ahead(store, of, at(2, 0), 10).await), []);
    let found = ahead(store, of, at(0, 3), 10).await;
    assert_eq!([0, 1].map(|number| found.start_of(Incarnation(number))), [0, 5]);
}

pub(crate) async fn a_time_leads_to_the_first_segment_that_reaches_it(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let of = partition("orders", 0);
    // The second one has older messages than the first: clocks of queues go back.
    for (base, times) in [(0, (100, 200)), (10, (50, 90)), (20, (201, 300))] {
        let mut import: ImportedSegment = imported(&of, base, base + 9);
        (import.segment.min_timestamp_us, import.segment.max_timestamp_us) = times;
        store.add_segment(import).await.expect("listed");
    }
    let firsts = [(i64::MIN, Some(0)), (60, Some(0)), (200, Some(0)), (201, Some(20)), (300, Some(20)), (301, None)];
    for (us, first) in firsts {
        let found = ahead(store, &of, ReadFrom::Time(us), 10).await;
        assert_eq!(ranges(&found).first().map(|(_, base, _)| *base), first, "{us}");
    }
    assert_eq!(ranges(&ahead(store, &of, ReadFrom::Time(60), 10).await).len(), 3, "and all that follow");
}
