//! The checks over one partition's records.
//!
//! Owns: what must hold among them. Pure: the same records always give the same problems.
//! Does not own: how the records came to be read.

use std::collections::{BTreeMap, HashMap, HashSet};

use common::{Epoch, Incarnation, TopicPartition};
use serde::Serialize;

use super::load::PartitionRecords;
use super::problem::{Check, Problem};
use crate::model::{CommitRecord, RecordedGap, SegmentInfo, SegmentKind, UploadState};

const CHAIN_BROKEN: &str = "a commit row was changed or removed by hand, or the database lost writes: restore the \
    catalog from a backup; messages of these offsets may be missing";
const CHAIN_DOUBLED: &str = "two commits claim the same offsets, so rows may be there twice: restore the catalog from a \
    backup, or take the later segment off the list";
const NUMBERS: &str = "a commit row was removed, added or changed by hand, or the database lost writes: restore the \
    catalog from a backup";
const WATERMARK: &str = "the watermark and the commits disagree: after a repair with update_high_watermark this is \
    expected; else the partition's row was changed by hand or the database lost writes";
const EPOCHS: &str = "a writer that had lost the partition committed: this is a defect; keep the catalog as it is and \
    report it";
const ANCHOR: &str = "the row was changed by hand; the next attach may halt the partition or miss that the queue's \
    history changed";
const HISTORY: &str = "the row that begins this incarnation is missing or wrong: restore it from a backup";
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
    here; read them again from the queue while it holds them (topic resume --from OFFSET)";
const GAP_PLACE: &str = "the row was changed by hand: a gap lies in the range of the commit that recorded it";
const UPLOAD_LISTED: &str = "the janitor may delete an object that readers need: remove its row from the table uploads";
const STALE_INTENT: &str = "a takeover dooms the intents of its predecessors; this one would never be cleaned up: set \
    its state to doomed";

/// How much was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChainCounts {
    /// Commits.
    pub commits: u64,
    /// Messages, as the commits count them.
    pub messages: u64,
    /// Offsets below the watermarks, over all incarnations.
    pub offsets: u64,
    /// Of these, in recorded gaps.
    pub gap_offsets: u64,
    /// Of these, in segments that retention took off the list.
    pub expired_offsets: u64,
    /// Listed segments of both kinds.
    pub segments: u64,
    /// Listed segments that hold quarantined records.
    pub quarantine_segments: u64,
    /// Segments of commits that retention took off the list.
    pub expired_segments: u64,
    /// Recorded gaps.
    pub gaps: u64,
    /// Intents and objects to be deleted.
    pub uploads: u64,
}

/// Checks everything that the catalog says of one partition.
pub fn check_partition(records: &PartitionRecords) -> (ChainCounts, Vec<Problem>) {
    let partition = &records.partition;
    let id = TopicPartition::new(partition.topic.clone(), partition.partition_id);
    let mut audit = PartitionAudit { records, id, counts: ChainCounts::default(), problems: Vec::new() };
    audit.check_histories();
    audit.check_commits();
    audit.check_segments();
    audit.check_offsets();
    audit.check_uploads();
    (audit.counts, audit.problems)
}

struct PartitionAudit<'r> {
    records: &'r PartitionRecords,
    id: TopicPartition,
    counts: ChainCounts,
    problems: Vec<Problem>,
}

/// One segment of a commit.
type Listing<'r> = (&'r CommitRecord, SegmentKind);

impl<'r> PartitionAudit<'r> {
    fn problem(&self, check: Check, incarnation: Incarnation, found: String, advice: &'static str) -> Problem {
        Problem::new(check, &self.id, incarnation, found, advice)
    }

    /// First offset of an incarnation, if the catalog knows it.
    fn start_of(&self, incarnation: Incarnation) -> Option<u64> {
        if incarnation == Incarnation::default() {
            return Some(0);
        }
        let start = self.records.incarnations.iter().find(|start| start.incarnation == incarnation);
        start.map(|start| start.start_offset)
    }

    fn check_histories(&mut self) {
        let current = self.records.partition.incarnation;
        for number in 1..=current.0 {
            let incarnation = Incarnation(number);
            if self.start_of(incarnation).is_none() {
                let found = format!("nothing says where incarnation {number} begins");
                self.problems.push(self.problem(Check::Commits, incarnation, found, HISTORY));
            }
        }
        for start in &self.records.incarnations {
            if start.incarnation > current || start.incarnation == Incarnation::default() {
                let found = format!("incarnation {} begins, but the partition is at {current}", start.incarnation);
                self.problems.push(self.problem(Check::Commits, start.incarnation, found, HISTORY));
            }
        }
    }

    fn check_commits(&mut self) {
        let partition = &self.records.partition;
        let (mut number, mut epoch) = (0, Epoch(0));
        // Of incarnation 0 until a commit says otherwise; `end` is exclusive.
        let (mut incarnation, mut end) = (Incarnation::default(), 0);
        for commit in &self.records.commits {
            if commit.incarnation != incarnation {
                end = self.start_of(commit.incarnation).unwrap_or(commit.base_offset);
            }
            self.problems.extend(self.commit_problems(commit, (number, epoch, incarnation, end)));
            self.counts.commits += 1;
            self.counts.messages += commit.message_count;
            (number, epoch, incarnation) = (commit.commit_no, commit.epoch, commit.incarnation);
            end = commit.end_offset.saturating_add(1);
        }
        if incarnation != partition.incarnation {
            end = self.start_of(partition.incarnation).unwrap_or(partition.high_watermark);
        }
        let of = |found: String, advice| self.problem(Check::Commits, partition.incarnation, found, advice);
        let mut found = Vec::new();
        if end != partition.high_watermark {
            let text = format!("the watermark is {}, but commits end below {end}", partition.high_watermark);
            found.push(of(text, WATERMARK).at(end.min(partition.high_watermark)));
        }
        if number != partition.commit_no {
            let text =
                format!("the partition counts {} commits, the last one has number {number}", partition.commit_no);
            found.push(of(text, NUMBERS));
        }
        if epoch > partition.epoch {
            found.push(of(format!("a commit has epoch {epoch}, the partition only {}", partition.epoch), EPOCHS));
        }
        let last = self.records.commits.last().filter(|last| last.incarnation == partition.incarnation);
        if let Some(last) = last.filter(|last| partition.anchor != Some(last.anchor)) {
            let text = "the partition's anchor is not that of its last commit".to_owned();
            found.push(of(text, ANCHOR).at(last.end_offset));
        }
        self.problems.extend(found);
    }

    /// What is wrong with `commit`, after the one with this number, epoch, incarnation and (exclusive) end.
    fn commit_problems(&self, commit: &CommitRecord, before: (u64, Epoch, Incarnation, u64)) -> Vec<Problem> {
        let (number, epoch, incarnation, end) = before;
        let (base, last) = (commit.base_offset, commit.end_offset);
        let of =
            |found: String, advice, offset| self.problem(Check::Commits, commit.incarnation, found, advice).at(offset);
        let mut problems = Vec::new();
        if commit.commit_no != number + 1 {
            problems.push(of(format!("commit {} follows commit {number}", commit.commit_no), NUMBERS, base));
        }
        if commit.incarnation < incarnation || commit.incarnation > self.records.partition.incarnation {
            let text = format!("commit {} is of incarnation {}", commit.commit_no, commit.incarnation);
            problems.push(of(text, HISTORY, base));
        }
        if base > end {
            let text = format!("commit {} begins at {base}: no commit covers {end}..={}", commit.commit_no, base - 1);
            problems.push(of(text, CHAIN_BROKEN, end));
        }
        if base < end {
            let text = format!("commit {} begins at {base}, but commits reach to {}", commit.commit_no, end - 1);
            problems.push(of(text, CHAIN_DOUBLED, base));
        }
        if last < base {
            problems.push(of(format!("commit {} has the range {base}..={last}", commit.commit_no), CHAIN_BROKEN, base));
        }
        if commit.epoch < epoch {
            let text = format!("commit {} has epoch {}, the one before it {epoch}", commit.commit_no, commit.epoch);
            problems.push(of(text, EPOCHS, base));
        }
        if commit.message_count > 0 && commit.anchor.offset != last {
            let text = format!("commit {} ends at {last}, its anchor is at {}", commit.commit_no, commit.anchor.offset);
            problems.push(of(text, ANCHOR, last));
        }
        problems
    }

    fn check_segments(&mut self) {
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
        let was_listed = |upload: &crate::model::Upload| upload.epoch.is_none() && upload.key.contains(uuid);
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

    fn check_offsets(&mut self) {
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

    fn check_uploads(&mut self) {
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

fn segment_ids(commit: &CommitRecord) -> impl Iterator<Item = (SegmentKind, &str)> {
    let ids = [(SegmentKind::Data, &commit.data_segment_id), (SegmentKind::Quarantine, &commit.quarantine_segment_id)];
    ids.into_iter().filter_map(|(kind, id)| Some((kind, id.as_deref()?)))
}

#[cfg(test)]
mod tests;
