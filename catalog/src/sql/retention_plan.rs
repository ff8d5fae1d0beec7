//! The plan of retention by age: the objects that may leave the list.
//!
//! Owns: the rule, as plain functions: an object leaves if all its rows are old enough, and if each segment before one of
//! its segments leaves as well. Does not own: the age (`retention`), statements.

use std::collections::{BTreeMap, BTreeSet};

use common::clock::{DAY_US, utc_day};
use common::{Incarnation, OffsetRange};

use crate::model::{FileId, SegmentKind};

/// A live object that is old enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct OldObject {
    /// The queue time of its newest row.
    pub(super) newest_us: i64,
    pub(super) size_bytes: u64,
}

/// A segment of such an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct OldSegment {
    pub(super) partition_id: u32,
    pub(super) incarnation: Incarnation,
    pub(super) kind: SegmentKind,
    pub(super) range: OffsetRange,
    pub(super) records: u64,
    pub(super) file_id: FileId,
}

/// A place in a partition: incarnations follow each other.
type Place = (Incarnation, u64);

/// The old objects of a topic, and the limits that younger ones set.
#[derive(Clone, Debug, Default)]
pub(super) struct OldPart {
    pub(super) objects: BTreeMap<FileId, OldObject>,
    pub(super) segments: Vec<OldSegment>,
    /// The begin of the first segment whose object is younger, by partition.
    pub(super) younger: BTreeMap<u32, Place>,
}

impl OldPart {
    /// The objects that leave if those with rows at or after `before_us` stay.
    pub(super) fn leaving(&self, before_us: i64) -> BTreeSet<FileId> {
        let is_old = |object: &OldObject| object.newest_us < before_us;
        let mut leaving: BTreeSet<FileId> =
            self.objects.iter().filter(|(_, object)| is_old(object)).map(|(file_id, _)| *file_id).collect();
        // The first place of each partition that stays. It only moves back, and so does the set of leaving objects.
        let mut first_staying = self.younger.clone();
        loop {
            for segment in self.segments.iter().filter(|segment| !leaving.contains(&segment.file_id)) {
                let begin = (segment.incarnation, segment.range.base());
                let first = first_staying.entry(segment.partition_id).or_insert(begin);
                *first = begin.min(*first);
            }
            let before = leaving.len();
            for segment in &self.segments {
                let first = first_staying.get(&segment.partition_id);
                if first.is_some_and(|first| (segment.incarnation, segment.range.end()) >= *first) {
                    leaving.remove(&segment.file_id);
                }
            }
            if leaving.len() == before {
                return leaving;
            }
        }
    }

    /// The leaving objects of the oldest days: of as many whole days as have at most `objects_max` objects, one at
    /// least. True if there are more.
    pub(super) fn oldest(&self, before_us: i64, objects_max: usize) -> (BTreeSet<FileId>, bool) {
        let all = self.leaving(before_us);
        if all.len() <= objects_max {
            return (all, false);
        }
        let day_of = |file_id: &FileId| utc_day(self.objects[file_id].newest_us);
        let days: BTreeSet<i64> = all.iter().map(day_of).collect();
        let mut chosen = BTreeSet::new();
        for day in days {
            let next = self.leaving(before_us.min((day + 1).saturating_mul(DAY_US)));
            if !chosen.is_empty() && next.len() > objects_max {
                break;
            }
            chosen = next;
        }
        let has_more = chosen.len() < all.len();
        (chosen, has_more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One day after the other: `old(&[(object, day)], &[(object, partition, incarnation, base, end)])`.
    fn old(objects: &[(u64, i64)], segments: &[(u64, u32, u32, u64, u64)]) -> OldPart {
        let object = |&(id, day): &(u64, i64)| (FileId(id), OldObject { newest_us: day * DAY_US, size_bytes: 1 });
        let segment = |&(id, partition_id, incarnation, base, end): &(u64, u32, u32, u64, u64)| OldSegment {
            partition_id,
            incarnation: Incarnation(incarnation),
            kind: SegmentKind::Data,
            range: OffsetRange::new(base, end).expect("in order"),
            records: 1,
            file_id: FileId(id),
        };
        OldPart {
            objects: objects.iter().map(object).collect(),
            segments: segments.iter().map(segment).collect(),
            younger: BTreeMap::new(),
        }
    }

    fn leaving(part: &OldPart, day: i64) -> Vec<u64> {
        part.leaving(day * DAY_US).into_iter().map(|file_id| file_id.0).collect()
    }

    #[test]
    fn only_what_is_older_than_the_limit_leaves() {
        let part = old(&[(1, 1), (2, 2), (3, 3)], &[(1, 0, 0, 0, 9), (2, 0, 0, 10, 19), (3, 0, 0, 20, 29)]);
        assert_eq!([1, 2, 3, 4].map(|day| leaving(&part, day)), [vec![], vec![1], vec![1, 2], vec![1, 2, 3]]);
    }

    #[test]
    fn an_old_object_behind_a_young_one_stays() {
        let part = old(&[(1, 9), (2, 2), (3, 2)], &[(1, 0, 0, 0, 9), (2, 0, 0, 10, 19), (3, 1, 0, 0, 9)]);
        assert_eq!(leaving(&part, 5), [3], "partition 0 begins with a young object");
        let mut part = old(&[(2, 2), (3, 2)], &[(2, 0, 0, 10, 19), (3, 1, 0, 0, 9)]);
        part.younger.insert(0, (Incarnation(0), 5));
        assert_eq!(leaving(&part, 5), [3]);
        part.younger.insert(0, (Incarnation(0), 20));
        assert_eq!(leaving(&part, 5), [2, 3], "the young one is behind");
    }

    #[test]
    fn objects_hold_each_other_back_across_partitions() {
        let segments = [(1, 0, 0, 0, 9), (2, 0, 0, 10, 19), (2, 1, 0, 0, 9), (3, 1, 0, 10, 19), (3, 2, 0, 0, 9)];
        let mut part = old(&[(1, 1), (2, 1), (3, 1)], &segments);
        assert_eq!(leaving(&part, 2), [1, 2, 3]);
        part.objects.insert(FileId(1), OldObject { newest_us: 9 * DAY_US, size_bytes: 1 });
        assert_eq!(leaving(&part, 2), [] as [u64; 0], "1 holds 2 back, and 2 holds 3 back");
    }

    #[test]
    fn an_incarnation_waits_for_the_earlier_one() {
        let part = old(&[(1, 9), (2, 1)], &[(1, 0, 0, 50, 59), (2, 0, 1, 0, 9)]);
        assert_eq!(leaving(&part, 5), [] as [u64; 0]);
        assert_eq!(leaving(&part, 10), [1, 2], "offsets of two incarnations are not compared");
    }

    #[test]
    fn a_range_that_reaches_into_one_that_stays_stays_too() {
        // Data of 0 to 99 in one object, quarantine of 10 to 19 in a younger one.
        let part = old(&[(1, 1), (2, 9)], &[(1, 0, 0, 0, 99), (2, 0, 0, 10, 19)]);
        assert_eq!(leaving(&part, 5), [] as [u64; 0]);
        assert_eq!(leaving(&part, 10), [1, 2]);
    }

    #[test]
    fn a_backlog_goes_by_whole_days_the_oldest_first() {
        let objects: Vec<_> = (1..=12).map(|id| (id, (id as i64 - 1) / 4)).collect();
        let segments: Vec<_> = (1..=12).map(|id| (id, 0, 0, id * 10, id * 10 + 9)).collect();
        let part = old(&objects, &segments);
        let oldest = |objects_max| {
            let (chosen, has_more) = part.oldest(3 * DAY_US, objects_max);
            (chosen.len(), has_more)
        };
        assert_eq!(
            [12, 11, 8, 7, 4, 3, 1].map(oldest),
            [(12, false), (8, true), (8, true), (4, true), (4, true), (4, true), (4, true)]
        );
        // The oldest day waits for a younger one: both go together.
        let part = old(&[(1, 5), (2, 0), (3, 6)], &[(1, 0, 0, 0, 9), (2, 0, 0, 10, 19), (3, 0, 0, 20, 29)]);
        let (chosen, has_more) = part.oldest(9 * DAY_US, 1);
        assert_eq!((chosen, has_more), (BTreeSet::from([FileId(1), FileId(2)]), true));
    }
}
