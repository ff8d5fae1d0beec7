//! Reading quarantined records from objects of one segment and of many.

use catalog::{SegmentKind, SegmentStore};

use super::*;
use crate::test_lake::Lake;

/// All quarantined records, by segment.
async fn records(lake: &Lake) -> Vec<QuarantinedRecord> {
    let mut records = Vec::new();
    for segment in lake.catalog.get_segments(&lake.partition).await.expect("listed") {
        if Filter::default().may_be_in(&segment) {
            let reader = QuarantineReader::open(&lake.storage, &segment).await.expect("opened");
            records.extend(reader.map(|record| record.expect("readable")));
        }
    }
    records
}

#[tokio::test]
async fn a_segment_gives_its_own_records_also_from_an_object_of_several() {
    let mut lake = Lake::new(40).await;
    lake.commit(10).await;
    lake.commit(10).await;
    lake.begin_incarnation().await;
    lake.commit(20).await;
    let before = records(&lake).await;
    lake.compact(SegmentKind::Quarantine).await;
    let listed = lake.catalog.get_segments(&lake.partition).await.expect("listed");
    let quarantine = listed.iter().filter(|segment| segment.kind == SegmentKind::Quarantine).count();
    assert_eq!(quarantine, 2, "one of each incarnation, in one object");
    assert_eq!(records(&lake).await, before);
    let incarnations: Vec<u32> = before.iter().map(|record| record.origin.incarnation.0).collect();
    assert!(incarnations.contains(&0) && incarnations.contains(&1), "{incarnations:?}");
}
