//! Audits of small lakes, intact and damaged.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use catalog::{ColumnStatistics, JanitorStore, SegmentKind, SegmentStore};
use common::Epoch;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::work::SAMPLES;
use super::*;
use crate::test_lake::{Lake, queue_of};

async fn lake() -> Lake {
    let mut lake = Lake::new(60).await;
    for _ in 0..5 {
        lake.commit(10).await;
    }
    lake
}

fn audit_of<'a>(lake: &'a Lake, queue: Option<&'a dyn Queue>, is_deep: bool) -> Audit<'a> {
    Audit {
        catalog: lake.catalog.as_ref(),
        storage: &lake.storage,
        queue,
        partition_id: None,
        is_deep,
        memory_bytes_max: 1 << 20,
    }
}

async fn audited(lake: &Lake, queue: Option<&dyn Queue>, is_deep: bool) -> AuditReport {
    let audit = audit_of(lake, queue, is_deep);
    let heard = AtomicU64::new(0);
    let progress = |bytes| {
        heard.fetch_add(bytes, Ordering::Relaxed);
    };
    let report = audit.run(&lake.partition.topic, &progress).await.expect("audited");
    assert_eq!(heard.into_inner(), report.objects.bytes, "progress hears of every byte");
    report
}

async fn segment(lake: &Lake, index: usize, kind: SegmentKind) -> SegmentInfo {
    let segments = lake.catalog.get_segments(&lake.partition).await.expect("listed");
    segments.into_iter().filter(|segment| segment.kind == kind).nth(index).expect("there")
}

/// The only problem of both audits, deep or not.
async fn only_problem(lake: &Lake) -> Problem {
    let mut found = Vec::new();
    for is_deep in [false, true] {
        let report = audited(lake, Some(&lake.queue), is_deep).await;
        assert_eq!(report.problem_count(), 1, "{:#?}", report.problems);
        found.push(report.problems[0].clone());
    }
    assert_eq!(found[0], found[1]);
    found.remove(0)
}

#[tokio::test]
async fn a_sound_lake_is_clean_and_counted() {
    let lake = lake().await;
    let deep = audited(&lake, Some(&lake.queue), true).await;
    assert_eq!((deep.problem_count(), deep.notes.len()), (0, 0), "{:#?}", deep.problems);
    assert_eq!((deep.catalog.commits, deep.catalog.offsets, deep.catalog.messages), (5, 50, 50));
    let counts = deep.objects;
    assert_eq!((counts.objects, counts.decoded_commits, counts.rows), (10, 5, 50), "data and quarantine each");
    assert_eq!((counts.stream_messages, counts.stream_discarded), (50, 0));
    let shallow = audited(&lake, Some(&lake.queue), false).await;
    assert_eq!((shallow.problem_count(), shallow.objects.objects), (0, 10), "every object is read and summed");
    assert_eq!(shallow.objects.decoded_commits, SAMPLES as u64);
    let alone = audited(&lake, None, true).await;
    assert_eq!((alone.objects.rows, alone.objects.stream_messages), (50, 0));
}

#[tokio::test]
async fn a_lake_whose_objects_were_replaced_is_clean_and_counted() {
    let mut lake = lake().await;
    lake.compact(SegmentKind::Data).await;
    let deep = audited(&lake, Some(&lake.queue), true).await;
    assert_eq!(deep.problem_count(), 0, "{:#?}", deep.problems);
    assert_eq!((deep.objects.objects, deep.objects.decoded_commits, deep.objects.rows), (6, 5, 50));
    assert_eq!(deep.objects.stream_messages, 50);
    lake.begin_incarnation().await;
    lake.commit(10).await;
    for (kind, objects) in [(SegmentKind::Data, 7), (SegmentKind::Quarantine, 2)] {
        lake.compact(kind).await;
        for is_deep in [true, false] {
            let report = audited(&lake, Some(&lake.queue), is_deep).await;
            assert_eq!(report.problem_count(), 0, "{:#?}", report.problems);
            // An object of two incarnations is counted once. Samples are messages that the queue still holds: those of
            // the second incarnation.
            let rows = if is_deep { 60 } else { 10 };
            assert_eq!((report.objects.objects, report.objects.rows), (objects, rows), "{kind:?} {is_deep}");
        }
    }
    let folded = lake.catalog.fold_history(std::time::Duration::ZERO).await.expect("folded");
    assert!(folded.commits > 0, "{folded:?}");
    let report = audited(&lake, Some(&lake.queue), true).await;
    assert_eq!(report.problem_count(), 0, "{:#?}", report.problems);
    assert_eq!((report.objects.decoded_commits, report.objects.rows), (6, 60));
}

#[tokio::test]
async fn rows_of_a_replaced_object_that_are_not_the_listed_ones_are_found() {
    let mut lake = lake().await;
    lake.begin_incarnation().await;
    lake.commit(10).await;
    lake.compact(SegmentKind::Data).await;
    let segments = lake.catalog.get_segments(&lake.partition).await.expect("listed");
    let [first, second] = <[SegmentInfo; 2]>::try_from(
        segments.into_iter().filter(|segment| segment.kind == SegmentKind::Data).collect::<Vec<_>>(),
    )
    .expect("one of each incarnation");
    let key = Path::parse(&first.object.key).expect("a key");
    let bytes = lake.storage.store.get(&key).await.expect("there").bytes().await.expect("read");
    let decoded = async |segments: Vec<SegmentInfo>, is_alone| {
        rows::Wanted { segments, is_alone, epoch: None, statistics: Vec::new() }.decode(bytes.clone()).await
    };
    let rows = decoded(vec![first.clone(), second.clone()], false).await.expect("as listed");
    assert_eq!(
        rows.iter().map(Vec::len).collect::<Vec<_>>(),
        [first.record_count, second.record_count].map(|n| n as usize)
    );
    let one = decoded(vec![second.clone()], false).await.expect("as listed");
    assert_eq!(one[0], rows[1]);
    let longer = SegmentInfo { record_count: second.record_count + 1, ..second.clone() };
    let found = decoded(vec![longer], false).await.expect_err("one row too few");
    assert!(found.contains("rows of offsets"), "{found}");
    let found = decoded(vec![first], true).await.expect_err("not the only one");
    assert!(found.contains("its footer says partition nothing"), "{found}");
}

#[tokio::test]
async fn an_object_that_is_gone_is_found() {
    let lake = lake().await;
    let lost = segment(&lake, 2, SegmentKind::Quarantine).await;
    lake.storage.store.delete(&Path::parse(&lost.object.key).expect("a key")).await.expect("deleted");
    let problem = only_problem(&lake).await;
    assert_eq!((problem.check, problem.offset, problem.key), (Check::Objects, Some(20), Some(lost.object.key.clone())));
    assert!(problem.found.contains("does not exist") && problem.advice.contains("backup"));
}

#[tokio::test]
async fn an_object_that_was_altered_is_found() {
    for (is_cut, part) in [(false, "CRC-32C"), (true, "bytes instead of")] {
        let lake = lake().await;
        let altered = segment(&lake, 3, SegmentKind::Data).await;
        let key = Path::parse(&altered.object.key).expect("a key");
        let mut bytes = lake.storage.store.get(&key).await.expect("there").bytes().await.expect("read").to_vec();
        let middle = bytes.len() / 2;
        if is_cut {
            bytes.truncate(middle)
        } else {
            bytes[middle] ^= 1
        }
        lake.storage.store.put(&key, PutPayload::from(bytes)).await.expect("put");
        let problem = only_problem(&lake).await;
        assert_eq!((problem.check, problem.key.clone()), (Check::Objects, Some(altered.object.key.clone())));
        assert!(problem.found.contains(part), "{problem}");
    }
}

/// The only segment of its object.
fn alone(segment: SegmentInfo) -> rows::Wanted {
    rows::Wanted { segments: vec![segment], is_alone: true, epoch: Some(Epoch(1)), statistics: Vec::new() }
}

#[tokio::test]
async fn an_object_of_another_segment_is_told_by_its_footer() {
    let lake = lake().await;
    let (first, second) = (segment(&lake, 0, SegmentKind::Data).await, segment(&lake, 1, SegmentKind::Data).await);
    let bytes = lake.storage.store.get(&Path::parse(&first.object.key).expect("a key")).await.expect("there");
    let bytes = bytes.bytes().await.expect("read");
    let swapped = SegmentInfo { range: second.range, ..first };
    let found = alone(swapped).decode(bytes).await.expect_err("another");
    assert!(found.contains("its footer says base_offset 0, the catalog says 10"), "{found}");
}

#[tokio::test]
async fn statistics_that_are_not_those_of_the_object_are_found() {
    let lake = lake().await;
    // All columns of a replacement have statistics, and one column of other objects.
    lake.compact(SegmentKind::Data).await;
    let snapshot = lake.catalog.snapshot(&lake.partition.topic).await.expect("read");
    let records = PartitionRecords::load(lake.catalog.as_ref(), &snapshot, 0).await.expect("read").expect("there");
    let audit = audit_of(&lake, None, true);
    let mut work = audit.work(&records, None, &mut BTreeSet::new());
    let recorded = TopicObjects::load(lake.catalog.as_ref(), &snapshot.topic).await.expect("read");
    recorded.add_statistics(&mut work);
    let damages: [fn(&mut ColumnStatistics); 5] = [
        |column| column.null_count += 1,
        |column| column.value_count += 1,
        |column| column.min = Some("~".to_owned()),
        |column| column.max = Some("~".to_owned()),
        |column| column.field_id = 99,
    ];
    for wanted in work.iter().flat_map(|work| &work.objects) {
        let least = if wanted.object().level > 0 { 8 } else { 1 };
        assert!(wanted.statistics.len() >= least, "{:?}", wanted.statistics);
        let key = Path::parse(&wanted.object().key).expect("a key");
        let bytes = lake.storage.store.get(&key).await.expect("there").bytes().await.expect("read");
        wanted.clone().decode(bytes.clone()).await.expect("as recorded");
        for column in 0..wanted.statistics.len() {
            for damage in damages {
                let mut damaged = wanted.clone();
                damage(&mut damaged.statistics[column]);
                let found = damaged.decode(bytes.clone()).await.expect_err("damaged");
                assert!(found.contains("column"), "{found}");
            }
        }
    }
}

#[tokio::test]
async fn messages_that_the_queue_discarded_are_counted_and_no_problem() {
    let lake = lake().await;
    let receipts = lake.queue.bounds(&lake.partition).await.expect("open");
    assert_eq!((receipts.first_offset, receipts.next_offset), (0, 60));
    let later = common::queue::memory::InMemoryQueue::default();
    let definition = common::TopicDefinition::new(lake.partition.topic.clone(), 1);
    later.open_topic(&definition, None, &[60]).await.expect("opened");
    let report = audited(&lake, Some(&later), true).await;
    assert_eq!(report.problem_count(), 0, "{:#?}", report.problems);
    assert_eq!((report.objects.rows, report.objects.stream_messages), (50, 0));
}

#[tokio::test]
async fn another_history_of_the_queue_is_found() {
    let lake = lake().await;
    let regressed = queue_of(&lake.partition, &[(1_000_000, 30)]).await;
    let report = audited(&lake, Some(&regressed), false).await;
    assert_eq!(report.problem_count(), 1, "{:#?}", report.problems);
    assert_eq!(report.problems[0].check, Check::Stream);
    assert!(report.problems[0].found.contains("ends at offset 29"), "{}", report.problems[0]);
    lake.halt().await;
    let halted = audited(&lake, Some(&regressed), false).await;
    assert_eq!((halted.problem_count(), halted.notes.len()), (0, 2), "a halt says it already: {:?}", halted.notes);
}

#[tokio::test]
async fn a_message_that_is_not_the_committed_one_is_found() {
    let lake = lake().await;
    // The last committed message is unchanged; some before it are not.
    let other = queue_of(&lake.partition, &[(1_000_000, 33), (1_000_001, 4), (1_000_000, 13)]).await;
    let report = audited(&lake, Some(&other), true).await;
    let offsets: Vec<_> = report.problems.iter().filter_map(|problem| problem.offset).collect();
    assert_eq!(offsets, [33, 34, 35, 36], "{:#?}", report.problems);
    assert!(report.problems.iter().all(|problem| problem.check == Check::Stream));
}

#[tokio::test]
async fn samples_are_spread_and_bounded() {
    let lake = lake().await;
    let snapshot = lake.catalog.snapshot(&lake.partition.topic).await.expect("read");
    let records = PartitionRecords::load(lake.catalog.as_ref(), &snapshot, 0).await.expect("read").expect("there");
    let audit = audit_of(&lake, None, false);
    let work = audit.work(&records, None, &mut BTreeSet::new());
    let decoded: Vec<u64> =
        work.iter().filter(|work| work.is_decoded).flat_map(|work| &work.runs).map(|run| run.commit_no).collect();
    assert_eq!(decoded, [1, 2, 3, 5]);
}

#[tokio::test]
async fn a_lost_object_of_a_kept_snapshot_is_found() {
    let lake = lake().await;
    lake.compact(SegmentKind::Data).await;
    let retired = lake.catalog.list_retired(&lake.partition.topic).await.expect("read");
    let report = audited(&lake, None, false).await;
    assert_eq!((report.problem_count(), report.objects.retired, retired.len()), (0, 5, 5), "{:#?}", report.problems);
    let key = Path::parse(&retired[1].object.key).expect("a key");
    lake.storage.store.put(&key, PutPayload::from_static(b"short")).await.expect("stored");
    let problem = only_problem(&lake).await;
    assert!(problem.check == Check::Objects && problem.found.contains("5 bytes instead of"), "{problem}");
    lake.storage.store.delete(&key).await.expect("deleted");
    let problem = only_problem(&lake).await;
    assert_eq!(problem.key.as_deref(), Some(retired[1].object.key.as_str()));
    assert!(problem.found.contains("it does not exist") && problem.offset == Some(10), "{problem}");
    // Without the snapshots that had them, nobody needs them.
    while lake.catalog.list_snapshots().await.expect("read").len() > 1 {
        lake.catalog.fold_history(std::time::Duration::ZERO).await.expect("folded");
        tokio::task::yield_now().await;
    }
    let report = audited(&lake, None, false).await;
    assert_eq!((report.problem_count(), report.objects.retired), (0, 0), "{:#?}", report.problems);
}
