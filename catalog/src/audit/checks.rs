//! The checks over one partition's records.
//!
//! Owns: the order of the checks, and the check that commits chain. Pure: the same records always give the same
//! problems.
//! Does not own: reading the records (`load`), segments and gaps (`listing`), uploads (`uploads`).

mod listing;
mod uploads;

use common::{Epoch, Incarnation, TopicPartition};
use serde::Serialize;

pub(super) use self::uploads::UPLOAD_LISTED;
use super::load::PartitionRecords;
use super::problem::{Check, Problem};
use crate::model::{CommitRecord, SegmentInfo};

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

/// Numbers of checked records.
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
    /// Segments of commits that retention took off the list; a run counts as one commit.
    pub expired_segments: u64,
    /// Recorded gaps.
    pub gaps: u64,
    /// Intents and objects to be deleted.
    pub uploads: u64,
}

/// Checks all records of one partition.
pub fn check_partition(records: &PartitionRecords) -> (ChainCounts, Vec<Problem>) {
    let partition = &records.partition;
    let id = TopicPartition::new(partition.topic.clone(), partition.partition_id);
    let place = |segment: &SegmentInfo| (((segment.incarnation, segment.kind), segment.range.base()), segment.range);
    let listed = records.segments.iter().map(place).collect();
    let mut audit = PartitionAudit { records, id, listed, counts: ChainCounts::default(), problems: Vec::new() };
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
    listed: listing::Listed,
    counts: ChainCounts,
    problems: Vec<Problem>,
}

impl PartitionAudit<'_> {
    fn problem(&self, check: Check, incarnation: Incarnation, found: String, advice: &'static str) -> Problem {
        Problem::new(check, &self.id, incarnation, found, advice)
    }

    /// First offset of an incarnation, if it is recorded.
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
        // Incarnation 0 until a commit belongs to another; `end` is exclusive.
        let (mut incarnation, mut end) = (Incarnation::default(), 0);
        for commit in &self.records.commits {
            if commit.incarnation != incarnation {
                end = self.start_of(commit.incarnation).unwrap_or(commit.range.base());
            }
            self.problems.extend(self.commit_problems(commit, (number, epoch, incarnation, end)));
            self.counts.commits = self.counts.commits.saturating_add(commit.commits());
            self.counts.messages += commit.message_count;
            (number, epoch, incarnation) = (commit.commit_no, commit.epoch, commit.incarnation);
            end = commit.range.next();
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
            found.push(of(text, ANCHOR).at(last.range.end()));
        }
        self.problems.extend(found);
    }

    /// The problems of `commit`, given the number, epoch, incarnation and (exclusive) end of the one before it.
    fn commit_problems(&self, commit: &CommitRecord, before: (u64, Epoch, Incarnation, u64)) -> Vec<Problem> {
        let (number, epoch, incarnation, end) = before;
        let (base, last) = (commit.range.base(), commit.range.end());
        let of =
            |found: String, advice, offset| self.problem(Check::Commits, commit.incarnation, found, advice).at(offset);
        let mut problems = Vec::new();
        if commit.first_commit_no != number + 1 {
            problems.push(of(format!("commit {} follows commit {number}", commit.first_commit_no), NUMBERS, base));
        }
        if commit.first_commit_no > commit.commit_no {
            let text = format!("a run of commits goes from {} to {}", commit.first_commit_no, commit.commit_no);
            problems.push(of(text, NUMBERS, base));
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
}

#[cfg(test)]
mod tests;
