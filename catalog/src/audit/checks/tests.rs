//! Each contradiction that an audit must find, made in records that are right otherwise.

use common::{Anchor, OwnerId, TopicName};
use proptest::prelude::*;
use uuid::Uuid;

use super::listing::segment_ids;
use super::*;
use crate::model::{
    Gap, IncarnationStart, Partition, PartitionState, RecordedGap, SegmentInfo, SegmentKind, Upload, UploadState,
};

/// What one commit of a made-up partition is like.
#[derive(Clone, Copy, Debug)]
struct Step {
    messages: u64,
    gap: u64,
    quarantined: bool,
    takeover: bool,
    /// A new incarnation that begins here, counted from the last end.
    resumed: Option<u64>,
}

fn any_step() -> impl Strategy<Value = Step> {
    let resumed = prop::option::weighted(0.1, 0..50_u64);
    (1..50_u64, 0..5_u64, any::<bool>(), any::<bool>(), resumed).prop_map(
        |(messages, gap, quarantined, takeover, resumed)| Step { messages, gap, quarantined, takeover, resumed },
    )
}

fn segment(id: &str, commit: &CommitRecord, kind: SegmentKind, rows: u64) -> SegmentInfo {
    SegmentInfo {
        id: id.to_owned(),
        topic: TopicName::new("t").expect("valid"),
        partition_id: 0,
        incarnation: commit.incarnation,
        kind,
        base_offset: commit.base_offset,
        end_offset: commit.end_offset,
        record_count: rows,
        size_bytes: 10,
        bucket: String::new(),
        key: format!("t/partition=0/{id}.parquet"),
        min_timestamp_us: 0,
        max_timestamp_us: 0,
        checksum: 0,
        schema_version: 1,
        created_at: 0,
    }
}

/// A partition before its first commit.
fn empty_partition(owner: OwnerId) -> Partition {
    Partition {
        topic: TopicName::new("t").expect("valid"),
        partition_id: 0,
        high_watermark: 0,
        incarnation: Incarnation(0),
        epoch: Epoch(1),
        owner: Some(owner),
        state: PartitionState::Active,
        halt_reason: None,
        anchor: None,
        commit_no: 0,
        created_at: 0,
        updated_at: 0,
    }
}

/// The records of a partition that was committed in these steps.
fn records(steps: &[Step]) -> PartitionRecords {
    let owner = OwnerId(Uuid::nil());
    let partition = empty_partition(owner);
    let (incarnations, commits, segments, gaps, uploads) = Default::default();
    let mut made = PartitionRecords {
        partition,
        incarnations,
        commits,
        segments,
        gaps,
        uploads,
        has_retention: false,
        is_dense: true,
    };
    for step in steps {
        let now = &mut made.partition;
        if let Some(further) = step.resumed {
            now.incarnation.0 += 1;
            now.epoch.0 += 1;
            now.high_watermark = now.high_watermark.saturating_sub(20) + further;
            made.incarnations.push(IncarnationStart {
                incarnation: now.incarnation,
                start_offset: now.high_watermark,
                reason: String::new(),
                created_at: 0,
            });
        }
        now.epoch.0 += u64::from(step.takeover);
        now.commit_no += 1;
        let base_offset = now.high_watermark;
        let end_offset = base_offset + step.gap + step.messages - 1;
        let anchor = Anchor { offset: end_offset, timestamp_us: 7, hash: end_offset };
        let id = |kind: &str| format!("t-0-{base_offset}-{kind}-{}", Uuid::from_u128(u128::from(now.commit_no)));
        let commit = CommitRecord {
            incarnation: now.incarnation,
            commit_no: now.commit_no,
            base_offset,
            end_offset,
            epoch: now.epoch,
            owner,
            message_count: step.messages,
            data_segment_id: Some(id("data")),
            quarantine_segment_id: step.quarantined.then(|| id("quarantine")),
            anchor,
            committed_at: 0,
        };
        if step.gap > 0 {
            let gap = Gap { base_offset, end_offset: base_offset + step.gap - 1, reason: "gone".to_owned() };
            made.gaps.push(RecordedGap { incarnation: commit.incarnation, gap, created_at: 0 });
        }
        made.segments.push(segment(&id("data"), &commit, SegmentKind::Data, step.messages));
        if step.quarantined {
            made.segments.push(segment(&id("quarantine"), &commit, SegmentKind::Quarantine, 1));
        }
        now.high_watermark = end_offset + 1;
        now.anchor = Some(anchor);
        made.commits.push(commit);
    }
    made
}

fn upload(key: &str, epoch: Option<Epoch>, state: UploadState) -> Upload {
    Upload {
        bucket: String::new(),
        key: key.to_owned(),
        partition: TopicPartition::new(TopicName::new("t").expect("valid"), 0),
        epoch,
        owner: epoch.map(|_| OwnerId(Uuid::nil())),
        state,
        created_at: 0,
        doomed_at: None,
        sweeps: 0,
    }
}

/// A hand, a disk or a defect that changes one thing at `index` (of whatever it changes).
type Damage = (&'static str, fn(&mut PartitionRecords, usize));

fn pick<T>(items: &mut [T], index: usize) -> &mut T {
    let length = items.len();
    &mut items[index % length]
}

fn remove<T>(items: &mut Vec<T>, index: usize) -> T {
    let length = items.len();
    items.remove(index % length)
}

const DAMAGES: &[Damage] = &[
    ("a commit is gone", |records, index| {
        remove(&mut records.commits, index);
    }),
    ("a commit is there twice", |records, index| {
        let again = pick(&mut records.commits, index).clone();
        records.commits.push(again);
    }),
    ("two commits change places", |records, index| {
        let last = records.commits.len() - 1;
        records.commits.swap(index % last, last);
    }),
    ("a commit begins later", |records, index| pick(&mut records.commits, index).base_offset += 1),
    ("a commit ends later", |records, index| pick(&mut records.commits, index).end_offset += 1),
    ("a commit is shifted", |records, index| {
        let commit = pick(&mut records.commits, index);
        (commit.base_offset, commit.end_offset) = (commit.base_offset + 1, commit.end_offset + 1);
    }),
    ("a commit has another number", |records, index| pick(&mut records.commits, index).commit_no += 1),
    ("a commit is of another incarnation", |records, index| pick(&mut records.commits, index).incarnation.0 += 1),
    ("an epoch falls", |records, _| {
        let last = records.commits.len() - 1;
        records.commits[last].epoch = Epoch(0);
    }),
    ("an epoch is beyond the partition's", |records, _| {
        let last = records.commits.len() - 1;
        records.commits[last].epoch.0 += 100;
    }),
    ("a commit counts more messages", |records, index| pick(&mut records.commits, index).message_count += 2),
    ("a commit counts fewer messages", |records, index| {
        let commit = pick(&mut records.commits, index);
        commit.message_count = commit.message_count.saturating_sub(2);
        // Offset 0 alone may be nobody's.
        commit.base_offset += u64::from(commit.message_count == 0);
    }),
    ("an anchor is elsewhere", |records, index| pick(&mut records.commits, index).anchor.offset += 1),
    ("the partition's anchor is another", |records, _| {
        records.partition.anchor = Some(Anchor { offset: 0, timestamp_us: 0, hash: 1 });
    }),
    ("the partition's anchor is gone", |records, _| records.partition.anchor = None),
    ("the watermark is further", |records, _| records.partition.high_watermark += 1),
    ("the watermark is back", |records, _| records.partition.high_watermark -= 1),
    ("the partition counts fewer commits", |records, _| records.partition.commit_no -= 1),
    ("the partition is of another incarnation", |records, _| records.partition.incarnation.0 += 1),
    ("a segment is gone", |records, index| {
        remove(&mut records.segments, index);
    }),
    ("a segment has another id", |records, index| pick(&mut records.segments, index).id.push('x')),
    ("a segment begins earlier", |records, index| {
        let segment = pick(&mut records.segments, index);
        segment.base_offset = segment.base_offset.wrapping_sub(1).min(segment.base_offset + 1);
    }),
    ("a segment ends later", |records, index| pick(&mut records.segments, index).end_offset += 1),
    ("a segment is of the other kind", |records, index| {
        let segment = pick(&mut records.segments, index);
        segment.kind = match segment.kind {
            SegmentKind::Data => SegmentKind::Quarantine,
            SegmentKind::Quarantine => SegmentKind::Data,
        };
    }),
    ("a segment is of another incarnation", |records, index| pick(&mut records.segments, index).incarnation.0 += 1),
    ("a segment is listed twice", |records, index| {
        let mut again = pick(&mut records.segments, index).clone();
        again.id = "another".to_owned();
        again.key = "another".to_owned();
        records.segments.push(again);
    }),
    ("a segment nobody committed is listed", |records, index| {
        let mut stray = pick(&mut records.segments, index).clone();
        (stray.id, stray.key) = ("stray".to_owned(), "stray".to_owned());
        (stray.base_offset, stray.end_offset) = (1_000_000, 1_000_001);
        records.segments.push(stray);
    }),
    ("a gap appears", |records, index| {
        let commit = pick(&mut records.commits, index);
        let (base_offset, end_offset) = (commit.end_offset, commit.end_offset);
        let gap = Gap { base_offset, end_offset, reason: String::new() };
        let recorded = RecordedGap { incarnation: commit.incarnation, gap, created_at: 0 };
        records.gaps.push(recorded);
    }),
    ("a gap lies outside of every commit", |records, _| {
        let gap = Gap { base_offset: 2_000_000, end_offset: 2_000_000, reason: String::new() };
        records.gaps.push(RecordedGap { incarnation: Incarnation(0), gap, created_at: 0 });
    }),
    ("a listed object is doomed", |records, index| {
        let key = pick(&mut records.segments, index).key.clone();
        records.uploads.push(upload(&key, None, UploadState::Doomed));
    }),
    ("a listed object is pending", |records, index| {
        let key = pick(&mut records.segments, index).key.clone();
        let epoch = Some(records.partition.epoch);
        records.uploads.push(upload(&key, epoch, UploadState::Pending));
    }),
    ("an old intent is pending", |records, _| {
        records.partition.epoch.0 += 1;
        let epoch = Some(Epoch(records.partition.epoch.0 - 1));
        records.uploads.push(upload("old", epoch, UploadState::Pending));
    }),
    ("a segment has fewer rows than messages", |records, index| {
        let commit = index % records.commits.len();
        let ids: Vec<String> = segment_ids(&records.commits[commit]).map(|(_, id)| id.to_owned()).collect();
        let segments = records.segments.iter_mut().filter(|segment| ids.contains(&segment.id));
        segments.for_each(|segment| segment.record_count = 0);
    }),
];

proptest! {
    #[test]
    fn whole_records_have_no_problem(steps in prop::collection::vec(any_step(), 0..12)) {
        let records = records(&steps);
        let (counts, problems) = check_partition(&records);
        prop_assert_eq!(&problems, &vec![]);
        prop_assert_eq!(counts.commits, steps.len() as u64);
        prop_assert_eq!(counts.messages, steps.iter().map(|step| step.messages).sum::<u64>());
        prop_assert_eq!(counts.offsets, counts.messages + counts.gap_offsets);
    }

    #[test]
    fn any_damage_is_found(
        steps in prop::collection::vec(any_step(), 2..8),
        damage in 0..DAMAGES.len(),
        index in 0..100_usize,
    ) {
        let (name, make) = DAMAGES[damage];
        let mut records = records(&steps);
        make(&mut records, index);
        let (_, problems) = check_partition(&records);
        prop_assert!(!problems.is_empty(), "{} was not found: {:#?}", name, records);
        for problem in &problems {
            prop_assert!(!problem.advice.is_empty() && problem.to_string().contains("t/0"), "{}", problem);
        }
    }

    #[test]
    fn what_retention_took_off_the_list_is_counted_and_no_problem(
        steps in prop::collection::vec(any_step(), 1..8),
        kept in 0..8_usize,
    ) {
        let mut whole = records(&steps.iter().map(|step| Step { resumed: None, ..*step }).collect::<Vec<_>>());
        let first_kept = whole.commits.get(kept).map_or(u64::MAX, |commit| commit.base_offset);
        let (expired, left): (Vec<_>, Vec<_>) =
            whole.segments.into_iter().partition(|segment| segment.base_offset < first_kept);
        whole.segments = left;
        let count = expired.len() as u64;
        let unexplained = check_partition(&whole).1;
        prop_assert_eq!(unexplained.len() as u64, count, "a topic without retention keeps its segments");
        let mut swept = whole.clone();
        swept.has_retention = true;
        whole.uploads = expired.iter().map(|segment| upload(&segment.key, None, UploadState::Doomed)).collect();
        for explained in [whole, swept] {
            let (counts, problems) = check_partition(&explained);
            prop_assert_eq!(&problems, &vec![]);
            prop_assert_eq!(counts.expired_segments, count);
        }
    }
}

#[test]
fn each_damage_is_found_somewhere_in_a_plain_history() {
    let step = Step { messages: 10, gap: 2, quarantined: true, takeover: true, resumed: None };
    for (name, make) in DAMAGES {
        let mut damaged = records(&[step; 5]);
        make(&mut damaged, 1);
        assert!(!check_partition(&damaged).1.is_empty(), "{name}");
    }
}

#[test]
fn a_queue_that_counts_from_one_has_no_offset_zero() {
    let step = Step { messages: 10, gap: 0, quarantined: false, takeover: false, resumed: None };
    let mut records = records(&[step]);
    records.commits[0].message_count = 9;
    assert_eq!(check_partition(&records).1, []);
    records.commits[0].message_count = 8;
    assert_eq!(check_partition(&records).1.len(), 1);
    records.is_dense = false;
    assert_eq!(check_partition(&records).1, [], "a filter passes offsets over");
}

#[test]
fn a_problem_says_where_it_is() {
    let step = Step { messages: 10, gap: 0, quarantined: false, takeover: false, resumed: None };
    let mut damaged = records(&[step; 3]);
    damaged.segments.remove(1);
    let problems = check_partition(&damaged).1;
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().starts_with("segments t/0 offset 10: commit 2 listed segment t-0-10-"));
}
