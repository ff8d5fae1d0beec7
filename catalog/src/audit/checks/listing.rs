//! Segments, gaps and uploads against the commits.
//!
//! Owns: what must hold between what is listed and what was committed. Does not own: the chain of the commits.

use std::collections::{BTreeMap, HashMap, HashSet};

use common::Incarnation;

use super::{CHAIN_DOUBLED, PartitionAudit};
use crate::audit::problem::{Check, Problem};
use crate::model::{CommitRecord, RecordedGap, SegmentInfo, SegmentKind, Upload, UploadState};

const STRAY_SEGMENT: &str = "its rows are read and may double others: if it was not added on purpose (add_segment), \
    take the row out of the table segments";
const WRONG_SEGMENT: &str = "the row was changed by hand, and offsets are looked for in the wrong object: restore it \
    from a backup";
const UNLISTED: &str = "its rows are no longer read: if its object is still in the store, restore the row of the table \
    segments from a backup; segments that retention takes off the list are always the oldest ones";
const UNLISTED_FIRST: &str = "its rows are no longer read, although the topic keeps segments for ever and the janitor \
    knows nothing of its object: if it was not taken off the list on purpose, restore the row of the table segments";
const NO_ROWS: &str = "messages were counted but no object holds them: this is a defect; report it";
const UNCOUNTED: &str = "these offsets are neither in rows nor in a recorded gap: if messages were there, they are lost \
    here; keep the stream as it is, read them there and publish them again";
const GAP_PLACE: &str = "the row was changed by hand: a gap lies in the range of the commit that recorded it";
const UPLOAD_LISTED: &str = "the janitor may delete an object that readers need: remove its row from the table uploads";
const STALE_INTENT: &str = "a takeover dooms the intents of its predecessors; this one would never be cleaned up: set \
    its state to doomed";

/// One segment of a commit.
type Listing<'r> = (&'r CommitRecord, SegmentKind);

impl<'r> PartitionAudit<'r> {
    pub(super) fn check_segments(&mut self) {
        let mut of_commits: HashMap<&str, Listing<'r>> = HashMap::new();
        for commit in &self.records.commits {
            for (kind, id) in segment_ids(commit) {
                of_commits.insert(id, (commit, kind));
            }
        }
        let listed: HashMap<&str, &SegmentInfo> =
            self.records.segments.iter().map(|segment| (segment.id.as_str(), segment)).collect();
        for segment in &self.records.segments {
            self.counts.segments += 1;
            self.counts.quarantine_segments += u64::from(segment.kind == SegmentKind::Quarantine);
            self.problems.extend(self.segment_problem(segment, of_commits.get(segment.id.as_str()).copied()));
        }
        let mut first_listed: BTreeMap<Incarnation, u64> = BTreeMap::new();
        for segment in &self.records.segments {
            let first = first_listed.entry(segment.incarnation).or_insert(segment.base_offset);
            *first = segment.base_offset.min(*first);
        }
        for commit in &self.records.commits {
            let is_oldest = first_listed.get(&commit.incarnation).is_none_or(|first| commit.end_offset < *first);
            for (_, id) in segment_ids(commit).filter(|(_, id)| !listed.contains_key(id)) {
                let advice = if is_oldest { UNLISTED_FIRST } else { UNLISTED };
                if is_oldest && self.is_expired(id) {
                    self.counts.expired_segments += 1;
                    continue;
                }
                let found = format!("commit {} listed segment {id}, which is not listed any more", commit.commit_no);
                let problem = self.problem(Check::Segments, commit.incarnation, found, advice);
                self.problems.push(problem.at(commit.base_offset));
            }
            self.problems.extend(self.missing_rows(commit, &listed));
        }
        self.check_overlaps();
    }

    fn segment_problem(&self, segment: &SegmentInfo, of: Option<Listing<'r>>) -> Option<Problem> {
        let (found, advice) = match of {
            None => ("is listed, but by no commit".to_owned(), STRAY_SEGMENT),
            Some((commit, kind)) => {
                let stored = (segment.kind, segment.incarnation, segment.base_offset, segment.end_offset);
                if stored == (kind, commit.incarnation, commit.base_offset, commit.end_offset) {
                    return None;
                }
                let (base, end) = (segment.base_offset, segment.end_offset);
                let found = format!(
                    "is {:?} of incarnation {} with {base}..={end}; its commit {} says {kind:?} of incarnation {} with \
                     {}..={}",
                    segment.kind,
                    segment.incarnation,
                    commit.commit_no,
                    commit.incarnation,
                    commit.base_offset,
                    commit.end_offset
                );
                (found, WRONG_SEGMENT)
            }
        };
        let problem =
            self.problem(Check::Segments, segment.incarnation, format!("segment {} {found}", segment.id), advice);
        Some(problem.at(segment.base_offset).of(&segment.key))
    }

    /// Whether retention explains that the segment is not listed.
    fn is_expired(&self, id: &str) -> bool {
        const UUID_CHARS: usize = 36;
        let uuid = id.get(id.len().saturating_sub(UUID_CHARS)..).unwrap_or(id);
        let was_listed = |upload: &Upload| upload.epoch.is_none() && upload.key.contains(uuid);
        self.records.has_retention || self.records.uploads.iter().any(was_listed)
    }

    /// Every message gives at least one row.
    fn missing_rows(&self, commit: &CommitRecord, listed: &HashMap<&str, &SegmentInfo>) -> Option<Problem> {
        let mut rows = 0;
        for (_, id) in segment_ids(commit) {
            rows += listed.get(id)?.record_count;
        }
        if rows >= commit.message_count {
            return None;
        }
        let found = format!("commit {} has {} messages but {rows} rows", commit.commit_no, commit.message_count);
        Some(self.problem(Check::Segments, commit.incarnation, found, NO_ROWS).at(commit.base_offset))
    }

    fn check_overlaps(&mut self) {
        let mut ends: HashMap<(Incarnation, SegmentKind), &SegmentInfo> = HashMap::new();
        let mut by_base: Vec<&SegmentInfo> = self.records.segments.iter().collect();
        by_base.sort_by_key(|segment| (segment.incarnation, segment.base_offset));
        for segment in by_base {
            let place = (segment.incarnation, segment.kind);
            if let Some(before) = ends.get(&place).filter(|before| before.end_offset >= segment.base_offset) {
                let found = format!("segments {} and {} cover the same offsets", before.id, segment.id);
                let problem = self.problem(Check::Offsets, segment.incarnation, found, CHAIN_DOUBLED);
                self.problems.push(problem.at(segment.base_offset).of(&segment.key));
            }
            if ends.get(&place).is_none_or(|before| before.end_offset < segment.end_offset) {
                ends.insert(place, segment);
            }
        }
    }

    pub(super) fn check_offsets(&mut self) {
        let mut gaps: HashMap<(Incarnation, u64), Vec<&RecordedGap>> = HashMap::new();
        let place = |commit: &'r CommitRecord| ((commit.incarnation, commit.base_offset), commit);
        let by_base: BTreeMap<(Incarnation, u64), &CommitRecord> = self.records.commits.iter().map(place).collect();
        let mut found = Vec::new();
        let mut last: Option<&RecordedGap> = None;
        for gap in &self.records.gaps {
            self.counts.gaps += 1;
            let (base, end) = (gap.gap.base_offset, gap.gap.end_offset);
            let of = |found: String| self.problem(Check::Offsets, gap.incarnation, found, GAP_PLACE).at(base);
            if last.is_some_and(|last| last.incarnation == gap.incarnation && last.gap.end_offset >= base) {
                found.push(of(format!("the gap {base}..={end} overlaps another")));
            }
            last = Some(gap);
            let before = by_base.range(..=(gap.incarnation, base)).next_back();
            match before.filter(|((incarnation, _), _)| *incarnation == gap.incarnation).map(|(_, commit)| commit) {
                Some(commit) if base <= end && end <= commit.end_offset => {
                    gaps.entry((commit.incarnation, commit.base_offset)).or_default().push(gap);
                }
                _ => found.push(of(format!("the gap {base}..={end} is not in the range of a commit"))),
            }
        }
        self.problems.extend(found);
        let listed: HashSet<&str> = self.records.segments.iter().map(|segment| segment.id.as_str()).collect();
        for commit in self.records.commits.iter().filter(|commit| commit.base_offset <= commit.end_offset) {
            let gaps = gaps.remove(&(commit.incarnation, commit.base_offset)).unwrap_or_default();
            let length = |base: u64, end: u64| end.saturating_sub(base).saturating_add(1);
            let in_gaps: u64 = gaps.iter().map(|gap| length(gap.gap.base_offset, gap.gap.end_offset)).sum();
            let offsets = length(commit.base_offset, commit.end_offset);
            self.counts.offsets = self.counts.offsets.saturating_add(offsets);
            self.counts.gap_offsets += in_gaps;
            if segment_ids(commit).any(|(_, id)| !listed.contains(id)) {
                self.counts.expired_offsets += offsets.saturating_sub(in_gaps);
            }
            self.problems.extend(self.uncounted(commit, offsets, in_gaps));
        }
    }

    /// On a queue whose every offset is the partition's, each is a message or in a gap. JetStream has no offset 0.
    fn uncounted(&self, commit: &CommitRecord, offsets: u64, in_gaps: u64) -> Option<Problem> {
        let counted = commit.message_count.saturating_add(in_gaps);
        let has_absent_zero = commit.base_offset == 0 && counted.checked_add(1) == Some(offsets);
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
        Some(self.problem(Check::Offsets, commit.incarnation, found, UNCOUNTED).at(commit.base_offset))
    }

    pub(super) fn check_uploads(&mut self) {
        let listed: HashMap<(&str, &str), &SegmentInfo> = self
            .records
            .segments
            .iter()
            .map(|segment| ((segment.bucket.as_str(), segment.key.as_str()), segment))
            .collect();
        let partition = &self.records.partition;
        for upload in &self.records.uploads {
            self.counts.uploads += 1;
            if let Some(segment) = listed.get(&(upload.bucket.as_str(), upload.key.as_str())) {
                let found = format!("a listed object is {:?} as well", upload.state);
                let problem = self.problem(Check::Uploads, segment.incarnation, found, UPLOAD_LISTED);
                self.problems.push(problem.at(segment.base_offset).of(&upload.key));
            }
            let is_pending = upload.state == UploadState::Pending;
            if let Some(epoch) = upload.epoch.filter(|epoch| is_pending && *epoch < partition.epoch) {
                let found = format!("an intent of epoch {epoch} is pending, the partition is at {}", partition.epoch);
                let problem = self.problem(Check::Uploads, partition.incarnation, found, STALE_INTENT);
                self.problems.push(problem.of(&upload.key));
            }
        }
    }
}

pub(super) fn segment_ids(commit: &CommitRecord) -> impl Iterator<Item = (SegmentKind, &str)> {
    let ids = [(SegmentKind::Data, &commit.data_segment_id), (SegmentKind::Quarantine, &commit.quarantine_segment_id)];
    ids.into_iter().filter_map(|(kind, id)| Some((kind, id.as_deref()?)))
}
