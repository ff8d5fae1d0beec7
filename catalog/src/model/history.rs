//! The history of a partition, as types: commits, gaps, incarnations, expirations.
//!
//! Owns: their shape. Does not own: the request of a commit (`commit`).

use std::str::FromStr;

use common::{Anchor, Epoch, Incarnation, OffsetRange, OwnerId};
use serde::{Deserialize, Serialize};

use super::{SegmentKind, SnapshotId};
use crate::error::CatalogError;

/// Offsets that were missing in the queue when the writer read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The missing offsets.
    #[serde(flatten)]
    pub range: OffsetRange,
    /// The kind of the cause.
    pub kind: GapKind,
    /// The known cause, for people.
    pub reason: String,
}

/// The kind of the cause of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// Limits, a purge or somebody's hand took messages that nobody had read.
    Lost,
    /// The queue keeps a number of messages of each subject, and is meant to forget the older ones.
    Compacted,
    /// An operator chose to begin behind these offsets.
    Skipped,
}

impl GapKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lost, Self::Compacted, Self::Skipped];

    /// Its name, in SQL and in output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Compacted => "compacted",
            Self::Skipped => "skipped",
        }
    }
}

impl FromStr for GapKind {
    type Err = CatalogError;
    fn from_str(word: &str) -> Result<Self, CatalogError> {
        let found = Self::ALL.into_iter().find(|kind| kind.word() == word);
        found.ok_or_else(|| CatalogError::Inconsistent(format!("gap kind {word:?}")))
    }
}

impl Gap {
    /// Offsets that somebody or something took from the queue.
    pub fn lost(range: OffsetRange, reason: impl Into<String>) -> Self {
        Self { range, kind: GapKind::Lost, reason: reason.into() }
    }

    /// Offsets that a queue forgot which keeps `kept_per_subject` messages of each subject.
    pub fn compacted(range: OffsetRange, kept_per_subject: u64) -> Self {
        let reason = format!("compacted: the stream keeps the newest {kept_per_subject} of each subject");
        Self { range, kind: GapKind::Compacted, reason }
    }

    /// Offsets that an operator chose not to read.
    pub fn skipped(range: OffsetRange) -> Self {
        let reason = "skipped: the topic was created to begin behind them".to_owned();
        Self { range, kind: GapKind::Skipped, reason }
    }
}

/// A gap as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedGap {
    /// The incarnation in which its offsets count.
    pub incarnation: Incarnation,
    /// Range and reason.
    pub gap: Gap,
    /// Time of its commit.
    pub created_at: i64,
}

/// A recorded commit, or a run: neighbouring commits folded into one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// The incarnation in which its offsets count.
    pub incarnation: Incarnation,
    /// Number of the first commit of the run in its partition, from 1 on.
    pub first_commit_no: u64,
    /// Number of the last one; the same for a single commit.
    pub commit_no: u64,
    /// The offsets.
    #[serde(flatten)]
    pub range: OffsetRange,
    /// The epoch of the last commit.
    pub epoch: Epoch,
    /// The owner that made the last commit.
    pub owner: OwnerId,
    /// Messages in the range.
    pub message_count: u64,
    /// Rows listed in data segments. `None`: unknown, as version 0.1.0 did not count them and the segment is off the
    /// list.
    pub record_count: Option<u64>,
    /// Rows listed in quarantine segments, likewise.
    pub quarantined_count: Option<u64>,
    /// The data segment that a single commit listed; it may have left the list or been joined to another since. A run
    /// has none.
    pub data_segment_id: Option<String>,
    /// The quarantine segment, likewise.
    pub quarantine_segment_id: Option<String>,
    /// The last message of the range.
    pub anchor: Anchor,
    /// The lake snapshot of the last commit. `None`: it listed no object, or version 0.1.0 recorded it.
    pub snapshot_id: Option<SnapshotId>,
    /// Time of the last commit.
    pub committed_at: i64,
}

impl CommitRecord {
    /// Rows listed in segments of the kind; `None`: unknown.
    pub fn rows_of(&self, kind: SegmentKind) -> Option<u64> {
        match kind {
            SegmentKind::Data => self.record_count,
            SegmentKind::Quarantine => self.quarantined_count,
        }
    }

    /// The segment of the kind that a single commit listed.
    pub fn segment_id_of(&self, kind: SegmentKind) -> Option<&str> {
        match kind {
            SegmentKind::Data => self.data_segment_id.as_deref(),
            SegmentKind::Quarantine => self.quarantine_segment_id.as_deref(),
        }
    }

    /// The number of commits in the row.
    pub fn commits(&self) -> u64 {
        self.commit_no.saturating_sub(self.first_commit_no).saturating_add(1)
    }
}

/// The start of an incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncarnationStart {
    /// Its number, from 1 on; incarnation 0 begins at offset 0.
    pub incarnation: Incarnation,
    /// Its first offset.
    pub start_offset: u64,
    /// The reason for it.
    pub reason: String,
    /// Time of the start.
    pub created_at: i64,
}

/// The progress of retention in an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiration {
    /// The incarnation.
    pub incarnation: Incarnation,
    /// Exclusive: no segment of the incarnation that ends below is on the list any more.
    pub before_offset: u64,
}

/// The point at which a halted partition continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    /// First offset to read, in the new incarnation.
    pub high_watermark: u64,
    /// The message before it, if the new history of the queue holds it.
    pub anchor: Option<Anchor>,
    /// The reason, for people.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_word_that_is_read_back() {
        for kind in GapKind::ALL {
            assert_eq!(kind.word().parse::<GapKind>().expect("known"), kind);
            assert_eq!(serde_json::to_value(kind).expect("text"), kind.word());
        }
        let error = "compact".parse::<GapKind>().expect_err("no kind").to_string();
        assert!(error.contains("gap kind \"compact\""), "{error}");
    }
}
