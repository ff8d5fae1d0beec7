//! Each contradiction that an audit must find, made in otherwise correct records.

mod fixture;

use std::sync::Arc;

use common::Anchor;
use proptest::prelude::*;

use self::fixture::*;
use super::*;
use crate::model::{Expiration, Gap, RecordedGap, SegmentKind, UploadState};

/// Damage by a person, a disk or a defect: it changes one record at `index`.
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
    ("a commit begins later", |records, index| {
        let commit = pick(&mut records.commits, index);
        commit.range = range(commit.range.base() + 1, commit.range.end().max(commit.range.base() + 1));
    }),
    ("a commit ends later", |records, index| {
        let commit = pick(&mut records.commits, index);
        commit.range = range(commit.range.base(), commit.range.end() + 1);
    }),
    ("a commit is shifted", |records, index| {
        let commit = pick(&mut records.commits, index);
        commit.range = range(commit.range.base() + 1, commit.range.end() + 1);
    }),
    ("a commit has another number", |records, index| pick(&mut records.commits, index).commit_no += 1),
    ("a commit begins a run", |records, index| {
        let commit = pick(&mut records.commits, index);
        commit.first_commit_no = commit.first_commit_no.wrapping_sub(1);
    }),
    ("a run is reversed", |records, index| {
        let commit = pick(&mut records.commits, index);
        commit.first_commit_no = commit.commit_no + 1;
    }),
    ("a commit listed more rows", |records, index| {
        let commit = pick(&mut records.commits, index);
        commit.record_count = commit.record_count.map(|rows| rows + 1);
    }),
    ("a commit listed quarantined rows", |records, index| {
        let commit = pick(&mut records.commits, index);
        commit.quarantined_count = commit.quarantined_count.map(|rows| rows + 1);
    }),
    ("nobody knows what a commit listed, and it is not listed", |records, _| {
        let commit = &mut records.commits[0];
        (commit.record_count, commit.data_segment_id) = (None, None);
        let gone = commit.range;
        records.segments.retain(|segment| segment.range != gone);
    }),
    ("retention came further than segments are gone", |records, index| {
        let segment = pick(&mut records.segments, index);
        let before_offset = segment.range.next();
        records.expirations.push(Expiration { incarnation: segment.incarnation, before_offset });
    }),
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
        // Offset 0 alone may belong to no message and no gap.
        if commit.message_count == 0 {
            commit.range = range(commit.range.base() + 1, commit.range.end() + 1);
        }
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
    ("a segment begins elsewhere", |records, index| {
        let segment = pick(&mut records.segments, index);
        let (base, end) = (segment.range.base(), segment.range.end());
        let base = if base == 0 { base + 1 } else { base - 1 };
        segment.range = range(base, end.max(base));
    }),
    ("a segment ends later", |records, index| {
        let segment = pick(&mut records.segments, index);
        segment.range = range(segment.range.base(), segment.range.end() + 1);
    }),
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
        Arc::make_mut(&mut again.object).key = "another".to_owned();
        records.segments.push(again);
    }),
    ("a segment nobody committed is listed", |records, index| {
        let mut stray = pick(&mut records.segments, index).clone();
        Arc::make_mut(&mut stray.object).key = "stray".to_owned();
        (stray.id, stray.range) = ("stray".to_owned(), range(1_000_000, 1_000_001));
        records.segments.push(stray);
    }),
    ("a gap appears", |records, index| {
        let commit = pick(&mut records.commits, index);
        let gap = Gap::lost(range(commit.range.end(), commit.range.end()), "");
        let recorded = RecordedGap { incarnation: commit.incarnation, gap, created_at: 0 };
        records.gaps.push(recorded);
    }),
    ("a gap lies outside of every commit", |records, _| {
        let gap = Gap::lost(range(2_000_000, 2_000_000), "");
        records.gaps.push(RecordedGap { incarnation: Incarnation(0), gap, created_at: 0 });
    }),
    ("a listed object is doomed", |records, index| {
        let key = pick(&mut records.segments, index).object.key.clone();
        records.uploads.push(upload(&key, None, UploadState::Doomed));
    }),
    ("a listed object is pending", |records, index| {
        let key = pick(&mut records.segments, index).object.key.clone();
        let epoch = Some(records.partition.epoch);
        records.uploads.push(upload(&key, epoch, UploadState::Pending));
    }),
    ("an old intent is pending", |records, _| {
        records.partition.epoch.0 += 1;
        let epoch = Some(Epoch(records.partition.epoch.0 - 1));
        records.uploads.push(upload("old", epoch, UploadState::Pending));
    }),
    ("a segment has fewer rows than messages", |records, index| {
        let commit = pick(&mut records.commits, index);
        let of = (commit.incarnation, commit.range);
        (commit.record_count, commit.quarantined_count) = (Some(0), Some(0));
        let segments = records.segments.iter_mut().filter(|segment| (segment.incarnation, segment.range) == of);
        segments.for_each(|segment| segment.record_count = 0);
    }),
    ("a segment has fewer rows than its commit listed", |records, index| {
        pick(&mut records.segments, index).record_count -= 1;
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
        let before_offset = whole.commits.get(kept).map_or(u64::MAX, |commit| commit.range.base());
        let (expired, left): (Vec<_>, Vec<_>) =
            whole.segments.into_iter().partition(|segment| segment.range.base() < before_offset);
        whole.segments = left;
        let count = expired.len() as u64;
        let unexplained = check_partition(&whole).1;
        prop_assert_eq!(unexplained.len() as u64, count, "retention has not come so far");
        whole.expirations.push(Expiration { incarnation: Incarnation(0), before_offset });
        let (counts, problems) = check_partition(&whole);
        prop_assert_eq!(&problems, &vec![]);
        prop_assert_eq!(counts.expired_segments, count);
    }

    #[test]
    fn runs_and_the_segments_they_are_folded_under_have_no_problem(
        steps in prop::collection::vec(any_step(), 1..12),
        cut in 1..12_usize,
    ) {
        let plain = steps.iter().map(|step| Step { resumed: None, takeover: false, quarantined: false, ..*step });
        let mut made = records(&plain.collect::<Vec<_>>());
        let (counted, _) = check_partition(&made);
        let rows = made.commits.len() - 1;
        for (first, last) in [(0, cut.min(rows)), (cut.min(rows), rows)].into_iter().rev() {
            if first < last {
                fold(&mut made, first, last - 1);
            }
        }
        let (counts, problems) = check_partition(&made);
        prop_assert_eq!(&problems, &vec![]);
        prop_assert_eq!(counts.commits, counted.commits);
        prop_assert_eq!((counts.messages, counts.offsets), (counted.messages, counted.offsets));
        prop_assert!(made.commits.len() <= 3);
    }
}

/// Folds the commits with these indexes, and joins their segments into one.
fn fold(records: &mut PartitionRecords, first: usize, last: usize) {
    let run: Vec<CommitRecord> = records.commits.drain(first..=last).collect();
    let segments: Vec<SegmentInfo> = records.segments.drain(first..=last).collect();
    let whole = range(run[0].range.base(), run[run.len() - 1].range.end());
    let folded = CommitRecord {
        first_commit_no: run[0].first_commit_no,
        range: whole,
        message_count: run.iter().map(|commit| commit.message_count).sum(),
        record_count: run.iter().map(|commit| commit.record_count).sum(),
        data_segment_id: None,
        ..run[run.len() - 1].clone()
    };
    let rows = segments.iter().map(|segment| segment.record_count).sum();
    records.commits.insert(first, folded);
    records.segments.insert(first, SegmentInfo { range: whole, record_count: rows, ..segments[0].clone() });
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
