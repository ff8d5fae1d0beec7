//! Compares committed messages with those that the queue still holds.
//!
//! Owns: reading the queue in pages of bounded size, one at a time, and comparing them. Does not own: the rows of
//! segments (`rows`).
//! A committed message that the queue no longer holds is normal and only counted; a message held but not committed is a
//! loss.

use std::sync::atomic::{AtomicUsize, Ordering};

use catalog::audit::{Check, PartitionRecords, Problem};
use catalog::{CommitRecord, GapKind};
use common::queue::Bounds;
use common::{Anchor, Incarnation, Message, OffsetRange, Queue, TopicPartition};

use tokio::sync::Semaphore;

use crate::error::Result;
use crate::pipeline::attach::{Attach, attach};

/// Most messages of one read, which includes their payloads.
const PAGE_MESSAGES: usize = 256;
/// Messages of the first read of a commit: nobody knows how large they are.
const FIRST_PAGE_MESSAGES: usize = 8;
/// Bytes of one read, as far as the messages before tell.
const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Most problems listed of one commit.
const PROBLEMS_MAX: usize = 20;

const REGRESSED: &str = "the next writer to attach halts the partition; what is committed stays. `siltstone topic resume` \
    says how to go on";
const LOST: &str = "the queue holds a message below the watermark that was never written: this is a defect; keep queue, \
    catalog and objects as they are and report it";
const OTHER: &str = "the queue holds another message than the one that was written: its history was changed without the \
    last message being touched, or the rows are wrong; keep all and report it";

/// The messages of a partition that the queue holds.
#[derive(Debug)]
pub(super) struct StreamView<'q> {
    queue: &'q dyn Queue,
    partition: TopicPartition,
    bounds: Bounds,
    /// Offsets that an operator chose to skip, by incarnation.
    skipped: Vec<(Incarnation, OffsetRange)>,
    /// One read at a time: a server ends a connection that has tens of megabytes to come, and many reads of large
    /// messages at once are as slow as one after the other.
    turn: Semaphore,
    /// Messages of the next read.
    page: AtomicUsize,
}

/// The outcome of opening a view.
pub(super) enum Opened<'q> {
    /// The queue's history is the committed one.
    Comparable(Box<StreamView<'q>>),
    /// The queue's history is not the committed one.
    OtherHistory(Box<Problem>),
}

/// The outcome of a comparison.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) messages: u64,
    pub(super) discarded: u64,
    pub(super) problems: Vec<Problem>,
}

impl<'q> StreamView<'q> {
    /// Reads the bounds of the queue's messages and checks its history.
    pub(super) async fn open(
        queue: &'q dyn Queue,
        records: &PartitionRecords,
        partition: &TopicPartition,
    ) -> Result<Opened<'q>> {
        let position = records.partition.high_watermark;
        if let Attach::Regressed(reason) = attach(queue, partition, position, records.partition.anchor, 0).await? {
            let incarnation = records.partition.incarnation;
            let problem = Problem::new(Check::Stream, partition, incarnation, reason, REGRESSED);
            return Ok(Opened::OtherHistory(Box::new(problem.at(position))));
        }
        let bounds = queue.bounds(partition).await?;
        let skipped = records.gaps.iter().filter(|recorded| recorded.gap.kind == GapKind::Skipped);
        let skipped = skipped.map(|recorded| (recorded.incarnation, recorded.gap.range)).collect();
        let (turn, page) = (Semaphore::new(1), AtomicUsize::new(FIRST_PAGE_MESSAGES));
        let view = Self { queue, partition: partition.clone(), bounds, skipped, turn, page };
        Ok(Opened::Comparable(Box::new(view)))
    }

    /// True if the queue may still hold a message in the range of a commit or run.
    pub(super) fn holds_some_of(&self, commit: &CommitRecord) -> bool {
        commit.range.end() >= self.bounds.first_offset && commit.range.base() < self.bounds.next_offset
    }

    /// The offset behind what an operator chose to skip at the beginning of `commit`; the queue may still hold it.
    fn skipped_end(&self, commit: &CommitRecord) -> u64 {
        let of_commit = self
            .skipped
            .iter()
            .filter(|(incarnation, range)| *incarnation == commit.incarnation && commit.range.contains(range.base()));
        of_commit.map(|(_, range)| range.next()).max().unwrap_or(0)
    }

    /// Compares the committed `messages` of `commit`, in order, with those held.
    pub(super) async fn compare(&self, commit: &CommitRecord, messages: &[(u64, i64)]) -> Result<Compared> {
        let mut compared = Compared::default();
        let from = commit.range.base().max(self.bounds.first_offset).max(self.skipped_end(commit));
        let held = messages.partition_point(|(offset, _)| *offset < from);
        compared.discarded += held as u64;
        let mut position = from;
        let mut rest = &messages[held..];
        let mut fitting = None;
        while !rest.is_empty() {
            let turn = self.turn.acquire().await.expect("the semaphore is never closed");
            let most = fitting.unwrap_or_else(|| self.page.load(Ordering::Relaxed).min(FIRST_PAGE_MESSAGES));
            let (page, further) = rest.split_at(most.min(rest.len()));
            // After the last committed message the queue must hold none up to the end of the range.
            let to = if further.is_empty() { commit.range.next() } else { page[page.len() - 1].0 + 1 };
            let found = self.queue.read(&self.partition, position, to).await?;
            compare_page(page, &found, commit, &mut compared, |found, offset, advice| {
                Problem::new(Check::Stream, &self.partition, commit.incarnation, found, advice).at(offset)
            });
            let bytes = found.iter().map(Message::memory_bytes).sum();
            let next = next_page(most, found.len(), bytes);
            self.page.store(next, Ordering::Relaxed);
            fitting = Some(next);
            drop((found, turn));
            (position, rest) = (to, further);
        }
        Ok(compared)
    }
}

/// Messages of the next page, after one of at most `most` in which `count` messages had so many bytes.
fn next_page(most: usize, count: usize, bytes: usize) -> usize {
    let fitting = count.saturating_mul(PAGE_BYTES).checked_div(bytes).unwrap_or(PAGE_MESSAGES);
    fitting.min(most * 2).clamp(1, PAGE_MESSAGES)
}

fn compare_page(
    committed: &[(u64, i64)],
    held: &[Message],
    commit: &CommitRecord,
    compared: &mut Compared,
    problem: impl Fn(String, u64, &'static str) -> Problem,
) {
    let mut same = 0;
    for message in held {
        let found = match committed.binary_search_by_key(&message.offset, |(offset, _)| *offset) {
            Err(_) => Some((format!("the queue holds offset {}, which has no row", message.offset), LOST)),
            Ok(index) if committed[index].1 != message.timestamp_us => {
                let (ours, theirs) = (committed[index].1, message.timestamp_us);
                Some((
                    format!("offset {} has time {ours} us in its rows, {theirs} us in the queue", message.offset),
                    OTHER,
                ))
            }
            Ok(_) if message.offset == commit.anchor.offset && Anchor::of(message) != commit.anchor => {
                Some((format!("the content of offset {} is not what was committed", message.offset), OTHER))
            }
            Ok(_) => None,
        };
        match found {
            None => same += 1,
            Some((found, advice)) if compared.problems.len() < PROBLEMS_MAX => {
                compared.problems.push(problem(found, message.offset, advice));
            }
            Some(_) => {}
        }
    }
    compared.messages += same;
    let is_held = |offset: &u64| held.binary_search_by_key(offset, |message| message.offset).is_ok();
    compared.discarded += committed.iter().filter(|(offset, _)| !is_held(offset)).count() as u64;
}

#[cfg(test)]
mod tests;
