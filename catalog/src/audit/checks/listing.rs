//! Segments and gaps against the commits.
//!
//! Owns: the checks between the list and the commits: a segment covers whole commits, alone or in runs, and has as many
//! rows as they listed. Does not own: the chain of the commits.

use std::collections::{BTreeMap, HashMap};

use common::{Incarnation, OffsetRange};

use super::{CHAIN_DOUBLED, PartitionAudit};
use crate::audit::problem::{Check, Problem};
use crate::model::{CommitRecord, RecordedGap, SegmentInfo, SegmentKind};

const STRAY_SEGMENT: &str = "its rows are read and may double others: if it was not added on purpose (add_segment), \
    take the row out of the table segments";
const WRONG_SEGMENT: &str = "the row was changed by hand, and offsets are looked for in the wrong object: restore it \
    from a backup";
const UNLISTED: &str = "its rows are no longer read: if its object is still in the store, restore the row of the table \
    segments from a backup; segments that retention takes off the list are always the oldest ones";
const UNLISTED_FIRST: &str = "its rows are no longer read, although retention has not come so far: if it was not taken \
    off the list on purpose, restore the row of the table segments";
const EXPIRED_LISTED: &str = "the row of the table expirations or of the table segments was changed by hand, or the \
    database lost writes: restore the catalog from a backup";
const NO_ROWS: &str = "messages were counted but no object holds them: this is a defect; report it";
const UNCOUNTED: &str = "these offsets are neither in rows nor in a recorded gap: if messages were there, they are lost \
    here; keep the stream as it is, read them there and publish them again";
const GAP_PLACE: &str = "the row was changed by hand: a gap lies in the range of the commit that recorded it";

/// Ranges of listed segments, by incarnation, kind and base offset.
pub(super) type Listed = BTreeMap<((Incarnation, SegmentKind), u64), OffsetRange>;

/// The commits of a partition by their base offset.
type ByBase<'r> = BTreeMap<(Incarnation, u64), &'r CommitRecord>;

impl<'r> PartitionAudit<'r> {
    pub(super) fn check_segments(&mut self) {
        let by_base = self.by_base();
        for segment in &self.records.segments {
            self.counts.segments += 1;
            self.counts.quarantine_segments += u64::from(segment.kind == SegmentKind::Quarantine);
            self.problems.extend(self.segment_problems(segment, &by_base));
        }
        let mut first_listed: BTreeMap<Incarnation, u64> = BTreeMap::new();
        for segment in &self.records.segments {
            let first = first_listed.entry(segment.incarnation).or_insert(segment.range.base());
            *first = segment.range.base().min(*first);
        }
        for commit in &self.records.commits {
            let is_oldest = first_listed.get(&commit.incarnation).is_none_or(|first| commit.range.end() < *first);
            for kind in self.unlisted(commit) {
                if self.is_expired(commit.incarnation, commit.range) {
                    self.counts.expired_segments += 1;
                    continue;
                }
                let found = format!("{}, which is not listed any more", listing_of(commit, kind));
                let advice = if is_oldest { UNLISTED_FIRST } else { UNLISTED };
                let problem = self.problem(Check::Segments, commit.incarnation, found, advice);
                self.problems.push(problem.at(commit.range.base()));
            }
            self.problems.extend(self.missing_rows(commit));
        }
        self.check_overlaps();
    }

    fn by_base(&self) -> ByBase<'r> {
        self.records.commits.iter().map(|commit| ((commit.incarnation, commit.range.base()), commit)).collect()
    }

    /// The kinds of rows that the commit, or a commit of the run, listed and no listed segment covers.
    fn unlisted(&self, commit: &CommitRecord) -> Vec<SegmentKind> {
        let has_listed = |kind| commit.rows_of(kind) != Some(0) || commit.segment_id_of(kind).is_some();
        let is_covered = |kind| {
            let place = (commit.incarnation, kind);
            let before = self.listed.range(..=(place, commit.range.base())).next_back();
            before.is_some_and(|((of, _), range)| *of == place && range.encloses(commit.range))
        };
        SegmentKind::ALL.into_iter().filter(|kind| has_listed(*kind) && !is_covered(*kind)).collect()
    }

    fn segment_problems(&self, segment: &SegmentInfo, by_base: &ByBase<'r>) -> Vec<Problem> {
        let mut found = Vec::new();
        if self.is_expired(segment.incarnation, segment.range) {
            found.push((
                "is listed, although retention took all that ends there off the list".to_owned(),
                EXPIRED_LISTED,
            ));
        }
        found.extend(misplaced(segment, &commits_in(segment, by_base)));
        let problem = |(text, advice)| {
            let found = format!("segment {} {text}", segment.id);
            let problem = self.problem(Check::Segments, segment.incarnation, found, advice);
            problem.at(segment.range.base()).of(&segment.object.key)
        };
        found.into_iter().map(problem).collect()
    }

    /// True if retention took segments with this range off the list.
    fn is_expired(&self, incarnation: Incarnation, range: OffsetRange) -> bool {
        let passed = |before: u64| range.end() < before;
        let of = self.records.expirations.iter().filter(|expiration| expiration.incarnation == incarnation);
        of.map(|expiration| expiration.before_offset).any(passed)
    }

    /// Every message gives at least one row.
    fn missing_rows(&self, commit: &CommitRecord) -> Option<Problem> {
        let rows = commit.record_count?.saturating_add(commit.quarantined_count?);
        if rows >= commit.message_count {
            return None;
        }
        let found = format!("commit {} has {} messages but {rows} rows", commit.commit_no, commit.message_count);
        Some(self.problem(Check::Segments, commit.incarnation, found, NO_ROWS).at(commit.range.base()))
    }

    fn check_overlaps(&mut self) {
        let mut ends: HashMap<(Incarnation, SegmentKind), &SegmentInfo> = HashMap::new();
        let mut by_base: Vec<&SegmentInfo> = self.records.segments.iter().collect();
        by_base.sort_by_key(|segment| (segment.incarnation, segment.range));
        for segment in by_base {
            let place = (segment.incarnation, segment.kind);
            if let Some(before) = ends.get(&place).filter(|before| before.range.overlaps(segment.range)) {
                let found = format!("segments {} and {} cover the same offsets", before.id, segment.id);
                let problem = self.problem(Check::Offsets, segment.incarnation, found, CHAIN_DOUBLED);
                self.problems.push(problem.at(segment.range.base()).of(&segment.object.key));
            }
            if ends.get(&place).is_none_or(|before| before.range.end() < segment.range.end()) {
                ends.insert(place, segment);
            }
        }
    }

    pub(super) fn check_offsets(&mut self) {
        let mut in_gaps = self.gaps_of_commits();
        for commit in &self.records.commits {
            let in_gaps = in_gaps.remove(&(commit.incarnation, commit.range.base())).unwrap_or_default();
            let offsets = commit.range.count();
            self.counts.offsets = self.counts.offsets.saturating_add(offsets);
            self.counts.gap_offsets += in_gaps;
            if !self.unlisted(commit).is_empty() {
                self.counts.expired_offsets += offsets.saturating_sub(in_gaps);
            }
            self.problems.extend(self.uncounted(commit, offsets, in_gaps));
        }
    }

    /// The number of offsets in gaps, for each commit.
    fn gaps_of_commits(&mut self) -> HashMap<(Incarnation, u64), u64> {
        let by_base = self.by_base();
        let mut in_gaps: HashMap<(Incarnation, u64), u64> = HashMap::new();
        let mut last: Option<&RecordedGap> = None;
        let mut found = Vec::new();
        for gap in &self.records.gaps {
            self.counts.gaps += 1;
            let range = gap.gap.range;
            let of = |text| self.problem(Check::Offsets, gap.incarnation, text, GAP_PLACE).at(range.base());
            if last.is_some_and(|last| last.incarnation == gap.incarnation && last.gap.range.end() >= range.base()) {
                found.push(of(format!("the gap {range} overlaps another")));
            }
            last = Some(gap);
            let before = by_base.range(..=(gap.incarnation, range.base())).next_back();
            match before.filter(|(place, commit)| place.0 == gap.incarnation && commit.range.encloses(range)) {
                Some((place, _)) => *in_gaps.entry(*place).or_default() += range.count(),
                None => found.push(of(format!("the gap {range} is not in the range of a commit"))),
            }
        }
        self.problems.extend(found);
        in_gaps
    }

    /// On a queue in which every offset belongs to the partition, each offset is a message or in a gap. JetStream has
    /// no offset 0.
    fn uncounted(&self, commit: &CommitRecord, offsets: u64, in_gaps: u64) -> Option<Problem> {
        let counted = commit.message_count.saturating_add(in_gaps);
        let has_absent_zero = commit.range.base() == 0 && counted.checked_add(1) == Some(offsets);
        let is_right = match self.records.is_dense {
            true => counted == offsets || has_absent_zero,
            false => counted <= offsets,
        };
        if is_right {
            return None;
        }
        let found = format!(
            "commit {} covers {offsets} offsets, with {} messages and {in_gaps} offsets in gaps",
            commit.commit_no, commit.message_count
        );
        Some(self.problem(Check::Offsets, commit.incarnation, found, UNCOUNTED).at(commit.range.base()))
    }
}

/// The commits whose ranges overlap that of the segment.
fn commits_in<'r>(segment: &SegmentInfo, by_base: &ByBase<'r>) -> Vec<&'r CommitRecord> {
    let (base, end) = ((segment.incarnation, segment.range.base()), (segment.incarnation, segment.range.end()));
    let before = by_base.range(..base).next_back().filter(|(place, _)| place.0 == segment.incarnation);
    let overlapping = before.into_iter().chain(by_base.range(base..=end)).map(|(_, commit)| *commit);
    overlapping.filter(|commit| commit.range.overlaps(segment.range)).collect()
}

/// The problem of a segment that should cover exactly these commits.
fn misplaced(segment: &SegmentInfo, commits: &[&CommitRecord]) -> Option<(String, &'static str)> {
    let (Some(first), Some(last)) = (commits.first(), commits.last()) else {
        return Some(("is listed, but by no commit".to_owned(), STRAY_SEGMENT));
    };
    if (first.range.base(), last.range.end()) != (segment.range.base(), segment.range.end()) {
        let (base, end) = (first.range.base(), last.range.end());
        let text = format!(
            "covers {}; commits {} to {} have {base}..={end}",
            segment.range, first.first_commit_no, last.commit_no
        );
        return Some((text, WRONG_SEGMENT));
    }
    let rows: Option<u64> = commits.iter().map(|commit| commit.rows_of(segment.kind)).sum();
    if rows.is_some_and(|rows| rows != segment.record_count) {
        let text = format!(
            "has {} rows of {}; commits {} to {} listed {}",
            segment.record_count,
            segment.kind.as_str(),
            first.first_commit_no,
            last.commit_no,
            rows.unwrap_or_default()
        );
        return Some((text, WRONG_SEGMENT));
    }
    let id = first.segment_id_of(segment.kind).filter(|id| *id != segment.id)?;
    Some((format!("has the place of segment {id}, which commit {} listed", first.commit_no), WRONG_SEGMENT))
}

/// Text for the segment of a commit, or of a run.
fn listing_of(commit: &CommitRecord, kind: SegmentKind) -> String {
    match commit.segment_id_of(kind) {
        Some(id) => format!("commit {} listed segment {id}", commit.commit_no),
        None => {
            let (first, last) = (commit.first_commit_no, commit.commit_no);
            format!("commits {first} to {last} listed a segment of {}", kind.as_str())
        }
    }
}
