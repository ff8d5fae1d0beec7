//! The plan of folding: the commits that become one run.
//!
//! Owns: the rule, as plain functions: neighbours fold if the same live segments, or none, cover both, so that each
//! live segment still begins and ends where a run does. Does not own: the age of folded commits, statements (`fold`).

use common::{Incarnation, OffsetRange};

use crate::model::{CommitRecord, Expiration, SegmentKind};

/// Live segments and expirations of a partition, which cover its commits.
pub(super) struct Cover {
    /// By incarnation, kind and offset.
    segments: Vec<(Incarnation, SegmentKind, OffsetRange)>,
    expirations: Vec<Expiration>,
}

/// Commits to be folded into the last of them, with their sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first_commit_no: u64,
    pub(super) commit_no: u64,
    pub(super) base_offset: u64,
    pub(super) message_count: u64,
    pub(super) record_count: Option<u64>,
    pub(super) quarantined_count: Option<u64>,
}

/// The segment of each kind and the expiration over a commit; two commits fold only if theirs are equal.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    incarnation: Incarnation,
    data: Option<OffsetRange>,
    quarantine: Option<OffsetRange>,
    is_expired: bool,
}

impl Cover {
    pub(super) fn new(
        mut segments: Vec<(Incarnation, SegmentKind, OffsetRange)>,
        expirations: Vec<Expiration>,
    ) -> Self {
        segments.sort_unstable();
        Self { segments, expirations }
    }

    fn place_of(&self, commit: &CommitRecord) -> Place {
        let incarnation = commit.incarnation;
        let expired_before = self.expirations.iter().find(|expiration| expiration.incarnation == incarnation);
        Place {
            incarnation,
            data: self.segment_of(commit, SegmentKind::Data),
            quarantine: self.segment_of(commit, SegmentKind::Quarantine),
            is_expired: expired_before.is_some_and(|expiration| commit.range.end() < expiration.before_offset),
        }
    }

    /// The segment of the kind that covers the commit: the last one that begins at or before the commit's base, if it
    /// reaches the commit's end.
    fn segment_of(&self, commit: &CommitRecord, kind: SegmentKind) -> Option<OffsetRange> {
        let (incarnation, base) = (commit.incarnation, commit.range.base());
        let place = (incarnation, kind, base);
        let behind = self.segments.partition_point(|(of, of_kind, range)| (*of, *of_kind, range.base()) <= place);
        let (of, of_kind, range) = self.segments.get(behind.checked_sub(1)?)?;
        ((*of, *of_kind) == (incarnation, kind) && range.encloses(commit.range)).then_some(*range)
    }
}

/// The runs of two or more rows among commits in order of their numbers.
pub(super) fn runs(commits: &[CommitRecord], cover: &Cover) -> Vec<Run> {
    let fold_together = |before: &CommitRecord, after: &CommitRecord| {
        follows(before, after) && cover.place_of(before) == cover.place_of(after)
    };
    commits.chunk_by(fold_together).filter_map(Run::of).collect()
}

/// True if `after` is the next neighbour of `before`, by number and by offset.
fn follows(before: &CommitRecord, after: &CommitRecord) -> bool {
    before.incarnation == after.incarnation
        && before.commit_no + 1 == after.first_commit_no
        && before.range.next() == after.range.base()
}

impl Run {
    /// `None` if there is only one row.
    fn of(rows: &[CommitRecord]) -> Option<Self> {
        let [first, .., last] = rows else { return None };
        let sum = |count: fn(&CommitRecord) -> Option<u64>| rows.iter().map(count).sum();
        Some(Self {
            first_commit_no: first.first_commit_no,
            commit_no: last.commit_no,
            base_offset: first.range.base(),
            message_count: rows.iter().map(|row| row.message_count).sum(),
            record_count: sum(|row| row.record_count),
            quarantined_count: sum(|row| row.quarantined_count),
        })
    }
}

#[cfg(test)]
mod tests {
    use common::{Anchor, Epoch, OwnerId};
    use uuid::Uuid;

    use super::*;

    fn range(base: u64, end: u64) -> OffsetRange {
        OffsetRange::new(base, end).expect("in order")
    }

    /// Commit `number` of ten offsets, which lists `rows` of data.
    fn commit(number: u64, rows: u64) -> CommitRecord {
        let range = range(number * 10, number * 10 + 9);
        CommitRecord {
            incarnation: Incarnation(0),
            first_commit_no: number,
            commit_no: number,
            range,
            epoch: Epoch(1),
            owner: OwnerId(Uuid::nil()),
            message_count: 10,
            record_count: Some(rows),
            quarantined_count: Some(0),
            data_segment_id: (rows > 0).then(|| number.to_string()),
            quarantine_segment_id: None,
            anchor: Anchor { offset: range.end(), timestamp_us: 0, hash: 0 },
            snapshot_id: None,
            committed_at: 0,
        }
    }

    fn data(base: u64, end: u64) -> (Incarnation, SegmentKind, OffsetRange) {
        (Incarnation(0), SegmentKind::Data, range(base, end))
    }

    /// First and last number of each run.
    fn numbers(commits: &[CommitRecord], cover: &Cover) -> Vec<(u64, u64)> {
        runs(commits, cover).iter().map(|run| (run.first_commit_no, run.commit_no)).collect()
    }

    #[test]
    fn commits_under_one_segment_are_one_run_with_their_sums() {
        let commits = [commit(0, 10), commit(1, 11), commit(2, 12)];
        let found = runs(&commits, &Cover::new(vec![data(0, 29)], vec![]));
        let whole = Run {
            first_commit_no: 0,
            commit_no: 2,
            base_offset: 0,
            message_count: 30,
            record_count: Some(33),
            quarantined_count: Some(0),
        };
        assert_eq!(found, [whole]);
        let unknown = [commit(0, 10), CommitRecord { record_count: None, ..commit(1, 0) }];
        assert_eq!(runs(&unknown, &Cover::new(vec![data(0, 19)], vec![]))[0].record_count, None);
    }

    #[test]
    fn no_run_crosses_the_end_of_a_segment_of_either_kind() {
        let commits: Vec<CommitRecord> = (0..6).map(|number| commit(number, 1)).collect();
        assert_eq!(numbers(&commits, &Cover::new(vec![data(0, 19), data(20, 59)], vec![])), [(0, 1), (2, 5)]);
        let quarantine = (Incarnation(0), SegmentKind::Quarantine, range(20, 29));
        let cover = Cover::new(vec![quarantine, data(0, 59)], vec![]);
        assert_eq!(numbers(&commits, &cover), [(0, 1), (3, 5)]);
        let alone: Vec<_> = (0..6).map(|number| data(number * 10, number * 10 + 9)).collect();
        assert_eq!(numbers(&commits, &Cover::new(alone, vec![])), []);
    }

    #[test]
    fn what_retention_took_folds_with_itself_alone() {
        let commits = [commit(0, 1), commit(1, 1), commit(2, 0), commit(3, 0), commit(4, 1)];
        let expired = Expiration { incarnation: Incarnation(0), before_offset: 20 };
        assert_eq!(numbers(&commits, &Cover::new(vec![data(40, 49)], vec![expired])), [(0, 1), (2, 3)]);
        let all = Expiration { before_offset: 50, ..expired };
        assert_eq!(numbers(&commits, &Cover::new(vec![], vec![all])), [(0, 4)]);
        let other = Expiration { incarnation: Incarnation(1), before_offset: 50 };
        assert_eq!(numbers(&commits, &Cover::new(vec![], vec![other])), [(0, 4)]);
    }

    #[test]
    fn a_hole_or_another_incarnation_parts_commits() {
        let later = CommitRecord { incarnation: Incarnation(1), ..commit(2, 0) };
        let cover = Cover::new(vec![], vec![]);
        assert_eq!(numbers(&[commit(0, 0), commit(1, 0), later], &cover), [(0, 1)]);
        assert_eq!(numbers(&[commit(0, 0), commit(2, 0)], &cover), []);
        let run = CommitRecord { first_commit_no: 0, range: range(0, 19), ..commit(1, 0) };
        assert_eq!(numbers(&[run, commit(2, 0)], &cover), [(0, 2)], "a run grows");
    }
}
