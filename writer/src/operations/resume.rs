//! Resume: plans the offset at which a halted partition resumes.
//!
//! Owns: finding the end of the history that the queue shares with the commits, and the consequences of each start.
//! Does not own: carrying the plan out (the catalog's `resume`), asking the operator.
//!
//! Each commit, and each run of commits, keeps its last message's offset, time and hash. The shared history ends with
//! the last commit whose last message the queue still holds unchanged; in the next commit the rows' offsets and times
//! are compared one by one. Later messages are another history, which is read from there on and written under a new
//! incarnation. Rows are never removed.

mod search;

use catalog::{CommitRecord, MetadataStore, Partition, PartitionState, ResumePoint, SegmentInfo};
use common::queue::Bounds;
use common::queue::history::anchor_at;
use common::queue::memory::HISTORY;
use common::{Anchor, Incarnation, Queue, TopicPartition};
use serde::Serialize;

use self::search::Proven;
use crate::error::{Result, WriterError};
use lake::Storage;

/// The requested start of the new incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// After the messages that are proven to be committed; all others that the queue holds are written.
    Safest,
    /// At the first message held.
    First,
    /// After the last message held: none of them is written.
    End,
    /// At this offset.
    At(u64),
}

/// The effects of resuming a partition.
#[derive(Clone, Debug, Serialize)]
pub struct ResumePlan {
    /// The partition.
    pub partition: TopicPartition,
    /// The incarnation that ends.
    pub incarnation: Incarnation,
    /// The reason for the halt.
    pub halt_reason: String,
    /// Everything below is committed, in the ending incarnation.
    pub high_watermark: u64,
    /// Oldest offset that the queue holds.
    pub first_offset: u64,
    /// Offset of the queue's next message.
    pub next_offset: u64,
    /// The last commit whose last message the queue still holds.
    pub shared_commit: Option<SharedCommit>,
    /// Every message held below this offset is the committed one; absent if none is known to be.
    pub proven_end: Option<u64>,
    /// First offset to read in the new incarnation.
    pub start_offset: u64,
    /// The message before it, if the queue holds it.
    pub anchor: Option<Anchor>,
    /// Offsets held from the start up to the old watermark: other messages, or the committed ones a second time.
    pub rewritten_max: u64,
    /// Offsets held below the start that are not known to be committed; they will not be written.
    pub skipped_max: u64,
    /// The reasons for the end of the comparison.
    pub notes: Vec<String>,
    /// The queue was read. Without that, nothing is known of what it holds.
    pub queue_read: bool,
}

/// A commit shared by the old and the new history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SharedCommit {
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Its number.
    pub commit_no: u64,
    /// Its last offset.
    pub end_offset: u64,
    /// Time of the commit.
    pub committed_at: i64,
}

impl ResumePlan {
    /// The plan in the form of the catalog's `resume`.
    pub fn point(&self) -> ResumePoint {
        let proof = match (self.proven_end, self.shared_commit) {
            (None, _) => "no message held is known to be committed".to_owned(),
            (Some(end), None) => format!("messages below {end} are the committed ones"),
            (Some(end), Some(commit)) => {
                format!("messages below {end} are the committed ones (commit {} of them)", commit.commit_no)
            }
        };
        let reason = format!("resumed at {}: {proof}; was halted: {}", self.start_offset, self.halt_reason);
        ResumePoint { high_watermark: self.start_offset, anchor: self.anchor, reason }
    }
}

/// Reads the catalog, the queue and, if necessary, segments, and returns the effects of resuming `partition` from
/// `start`. Changes nothing.
///
/// # Errors
/// If the partition is not halted, `start` is not among the queue's offsets, or something cannot be read.
pub async fn plan(
    catalog: &dyn MetadataStore,
    queue: &dyn Queue,
    storage: &Storage,
    partition: &Partition,
    start: Start,
) -> Result<ResumePlan> {
    let id = TopicPartition::new(partition.topic.clone(), partition.partition_id);
    if partition.state != PartitionState::Halted {
        return Err(WriterError::Resume { partition: id, reason: "it is not halted".to_owned() });
    }
    let bounds = queue.bounds(&id).await?;
    let commits = catalog.list_commits(&id).await?;
    let segments = catalog.get_segments(&id).await?;
    let mut notes = Vec::new();
    let history = History { queue, storage, partition: &id, bounds: &bounds, segments: &segments };
    let proven = search::proven(&history, &commits, &mut notes).await?;
    let (start_offset, anchor) = choose(&history, &proven, start).await?;
    let known_end = proven.end.unwrap_or(bounds.first_offset);
    let rewritten_end = partition.high_watermark.min(bounds.next_offset);
    Ok(ResumePlan {
        incarnation: partition.incarnation,
        halt_reason: partition.halt_reason.clone().unwrap_or_else(|| "no reason given".to_owned()),
        high_watermark: partition.high_watermark,
        first_offset: bounds.first_offset,
        next_offset: bounds.next_offset,
        shared_commit: proven.commit.as_ref().map(SharedCommit::from),
        proven_end: proven.end,
        start_offset,
        anchor,
        rewritten_max: rewritten_end.saturating_sub(start_offset.max(bounds.first_offset)),
        skipped_max: start_offset.saturating_sub(known_end.max(bounds.first_offset)),
        notes,
        partition: id,
        queue_read: true,
    })
}

/// The plan for a partition that was halted over a queue in the memory of its process, which nobody else can read: all that the
/// process still holds is written in the new incarnation. It gave up what it committed itself. `None` if the partition was
/// halted over another queue, which must be read.
pub fn plan_in_memory(partition: &Partition) -> Option<ResumePlan> {
    let halt_reason = partition.halt_reason.clone()?;
    // The reason shows the history of the queue that the partition was halted over.
    let is_meant = partition.state == PartitionState::Halted && halt_reason.contains(&format!("({HISTORY}"));
    is_meant.then(|| ResumePlan {
        partition: TopicPartition::new(partition.topic.clone(), partition.partition_id),
        incarnation: partition.incarnation,
        halt_reason,
        high_watermark: partition.high_watermark,
        first_offset: 0,
        next_offset: 0,
        shared_commit: None,
        proven_end: None,
        start_offset: 0,
        anchor: None,
        rewritten_max: 0,
        skipped_max: 0,
        notes: Vec::new(),
        queue_read: false,
    })
}

/// The sources for comparing the histories.
struct History<'a> {
    queue: &'a dyn Queue,
    storage: &'a Storage,
    partition: &'a TopicPartition,
    bounds: &'a Bounds,
    segments: &'a [SegmentInfo],
}

impl History<'_> {
    /// The anchor of the queue's message at `offset`, if it holds one.
    async fn anchor_at(&self, offset: u64) -> Result<Option<Anchor>> {
        Ok(anchor_at(self.queue, self.partition, self.bounds, offset).await?)
    }
}

async fn choose(history: &History<'_>, proven: &Proven, start: Start) -> Result<(u64, Option<Anchor>)> {
    let (first, next) = (history.bounds.first_offset, history.bounds.next_offset);
    let offset = match start {
        Start::Safest => return Ok((proven.end.unwrap_or(first), proven.anchor)),
        Start::First => first,
        Start::End => next,
        Start::At(offset) if (first..=next).contains(&offset) => offset,
        Start::At(offset) => {
            let reason = format!("offset {offset} is not in {first}..={next}, which is what the queue holds");
            return Err(WriterError::Resume { partition: history.partition.clone(), reason });
        }
    };
    let anchor = match offset.checked_sub(1) {
        Some(before) => history.anchor_at(before).await?,
        None => None,
    };
    Ok((offset, anchor))
}

impl From<&CommitRecord> for SharedCommit {
    fn from(commit: &CommitRecord) -> Self {
        let CommitRecord { incarnation, commit_no, range, committed_at, .. } = *commit;
        Self { incarnation, commit_no, end_offset: range.end(), committed_at }
    }
}

#[cfg(test)]
mod tests;
