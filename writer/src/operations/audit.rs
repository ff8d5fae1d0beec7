//! Audit: checks the catalog's lists against the objects, and against the messages that the queue still holds.
//!
//! Owns: the order of the checks, the amount read at once, the sums. Changes nothing; writers may work meanwhile.
//! Does not own: the checks of the catalog alone (`catalog::audit`), an object's bytes (`object`), its rows (`rows`),
//! the messages of the rows (`messages`), the comparison with the queue (`stream`), retired objects (`snapshots`), showing.

mod consumers;
mod iceberg;
mod messages;
mod object;
mod piece;
mod recorded;
mod rows;
mod snapshots;
mod stream;
mod work;

use std::collections::BTreeMap;

use catalog::audit::{ChainCounts, Check, ObjectRecords, PartitionRecords, Problem, check_objects, check_partition};
use catalog::{CommitRecord, MetadataStore, PartitionState, SegmentInfo, TopicSnapshot};
use common::memory::MemoryBudget;
use common::{Queue, TopicName, TopicPartition};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use self::messages::{CommittedMessage, Decoded, messages_of};
use self::recorded::TopicObjects;
use self::stream::{Opened, StreamView};
use crate::error::Result;
use lake::Storage;
use lake::object::Keep;

/// Most objects read at once; the memory budget allows fewer large ones.
const OBJECTS_AT_ONCE: usize = 8;
/// Most problems kept with their texts; all are counted.
pub const PROBLEMS_MAX: usize = 1_000;

/// The input of an audit.
#[derive(Debug)]
pub struct Audit<'a> {
    /// The catalog.
    pub catalog: &'a dyn MetadataStore,
    /// The store of its segments.
    pub storage: &'a Storage,
    /// The queue, with the topic opened; absent if it is not to be compared.
    pub queue: Option<&'a dyn Queue>,
    /// The only partition to audit; absent for all.
    pub partition_id: Option<u32>,
    /// True to decode every object and compare every message, not only samples.
    pub is_deep: bool,
    /// Memory for objects and rows, in bytes.
    pub memory_bytes_max: usize,
}

/// Counts of the audited parts of objects and queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectCounts {
    /// Objects read and checked by their checksum.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Retired objects that kept lake snapshots have, each of which was looked for.
    pub retired: u64,
    /// Commits whose rows were decoded.
    pub decoded_commits: u64,
    /// Rows decoded.
    pub rows: u64,
    /// Messages compared with the queue.
    pub stream_messages: u64,
    /// Messages of compared segments that the queue no longer holds, which is normal.
    pub stream_discarded: u64,
    /// Offsets of consumer groups.
    pub consumer_offsets: u64,
    /// Objects of the metadata that readers of Iceberg follow.
    pub iceberg_metadata: u64,
    /// Objects of rows that readers of Iceberg find.
    pub iceberg_objects: u64,
}

/// The findings of an audit.
#[derive(Clone, Debug, Serialize)]
pub struct AuditReport {
    /// The topic.
    pub topic: TopicName,
    /// Partitions audited.
    pub partitions: u32,
    /// Counts of the catalog's records.
    pub catalog: ChainCounts,
    /// Counts of objects and queue.
    pub objects: ObjectCounts,
    /// Problems by check; a check without problems is absent.
    pub problem_counts: BTreeMap<Check, u64>,
    /// The first [`PROBLEMS_MAX`] of them.
    pub problems: Vec<Problem>,
    /// Parts that could not be compared, with the reason; these are no problems.
    pub notes: Vec<String>,
}

impl AuditReport {
    /// The number of problems.
    pub fn problem_count(&self) -> u64 {
        self.problem_counts.values().sum()
    }

    fn add(&mut self, problems: Vec<Problem>) {
        for problem in problems {
            *self.problem_counts.entry(problem.check).or_default() += 1;
            if self.problems.len() < PROBLEMS_MAX {
                self.problems.push(problem);
            }
        }
    }
}

impl Audit<'_> {
    /// Audits `topic`. `progress` is called with the bytes of objects that were read.
    ///
    /// # Errors
    /// If the catalog or the queue fails, or the store sends nothing. A damaged or unreadable object is a problem in the
    /// report instead.
    pub async fn run(&self, topic: &TopicName, progress: &(dyn Fn(u64) + Sync)) -> Result<AuditReport> {
        // Read before the partitions and the queue, which only get further.
        let offsets = self.consumer_offsets(topic).await?;
        let snapshot = self.catalog.snapshot(topic).await?;
        let mut report = AuditReport {
            topic: topic.clone(),
            partitions: 0,
            catalog: ChainCounts::default(),
            objects: ObjectCounts::default(),
            problem_counts: BTreeMap::new(),
            problems: Vec::new(),
            notes: Vec::new(),
        };
        report.add(self.object_problems(&snapshot).await?);
        let (retired, problems) = self.earlier_snapshots(topic).await?;
        report.objects.retired = retired;
        report.add(problems);
        let mut objects = TopicObjects::load(self.catalog, &snapshot.topic).await?;
        for partition_id in 0..snapshot.topic.partition_count {
            if self.partition_id.is_some_and(|only| only != partition_id) {
                continue;
            }
            let Some(records) = PartitionRecords::load(self.catalog, &snapshot, partition_id).await? else { continue };
            report.partitions += 1;
            self.audit_consumers(&records.partition, &offsets, &mut report).await?;
            self.audit_partition(&records, &mut report, &mut objects, progress).await?;
        }
        if self.partition_id.is_none() {
            self.audit_iceberg(topic, &mut report).await?;
        }
        Ok(report)
    }

    /// Problems of the catalog's rows of objects, of the partitions that are audited.
    async fn object_problems(&self, snapshot: &TopicSnapshot) -> Result<Vec<Problem>> {
        let records = ObjectRecords::load(self.catalog, snapshot, BTreeMap::new()).await?;
        let mut problems = check_objects(&records);
        problems.retain(|problem| self.partition_id.is_none_or(|only| only == problem.partition_id));
        Ok(problems)
    }

    async fn audit_partition(
        &self,
        records: &PartitionRecords,
        report: &mut AuditReport,
        objects: &mut TopicObjects,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        let (counts, problems) = check_partition(records);
        add_counts(&mut report.catalog, counts);
        report.add(problems);
        let partition = TopicPartition::new(records.partition.topic.clone(), records.partition.partition_id);
        if records.partition.state == PartitionState::Halted {
            let reason = records.partition.halt_reason.as_deref().unwrap_or("no reason given");
            report.notes.push(format!("{partition} is halted: {reason}; see `siltstone topic resume`"));
        }
        let view = self.view(records, &partition, report).await?;
        let budget = MemoryBudget::new(self.memory_bytes_max);
        let (view, budget) = (&view, &budget);
        let mut work = self.work(records, view.as_ref(), &mut objects.seen);
        objects.add_statistics(&mut work);
        let mut done = futures::stream::iter(work.into_iter().map(|work| async move {
            let done = self.do_work(&partition_of(records), &work, view.as_ref(), budget).await;
            progress(work.counted_bytes());
            done
        }))
        .buffer_unordered(OBJECTS_AT_ONCE);
        while let Some(done) = done.try_next().await? {
            add_objects(&mut report.objects, done.counts);
            report.add(done.problems);
        }
        Ok(())
    }

    /// The view of the queue's messages; `None` if its history is not the committed one, or no queue is given.
    async fn view<'a>(
        &'a self,
        records: &PartitionRecords,
        partition: &TopicPartition,
        report: &mut AuditReport,
    ) -> Result<Option<StreamView<'a>>> {
        let Some(queue) = self.queue else { return Ok(None) };
        Ok(match StreamView::open(queue, records, partition).await? {
            Opened::Comparable(view) => Some(*view),
            Opened::OtherHistory(problem) if records.partition.state == PartitionState::Halted => {
                report.notes.push(format!("{partition} is not compared with its stream: {}", problem.found));
                None
            }
            Opened::OtherHistory(problem) => {
                report.add(vec![*problem]);
                None
            }
        })
    }
}

/// The messages of a commit or run, in order, from the rows in the listed `segments` of the partition; or the reason
/// why these do not give them.
pub(crate) async fn committed_messages(
    storage: &Storage,
    partition: &TopicPartition,
    run: &CommitRecord,
    segments: &[SegmentInfo],
) -> std::result::Result<Vec<CommittedMessage>, String> {
    let is_of = |segment: &&SegmentInfo| segment.incarnation == run.incarnation && segment.range.overlaps(run.range);
    let of_run: Vec<&SegmentInfo> = segments.iter().filter(is_of).collect();
    if !work::is_whole(run, &of_run) {
        return Err("a segment of it is no longer listed".to_owned());
    }
    let mut decoded = Decoded::default();
    for wanted in work::wanted(&of_run, segments, &[run]) {
        let mut problems = Vec::new();
        let rows = piece::read(storage, partition, &wanted, Keep::Bytes, &mut problems).await;
        let rows = rows.map_err(|error| error.to_string())?;
        let rows = rows.ok_or_else(|| problems.pop().map_or_else(String::new, |problem| problem.to_string()))?;
        decoded.add(&wanted, rows);
    }
    messages_of(&decoded.in_order(), run, &[]).map_err(|(_, found)| found)
}

fn partition_of(records: &PartitionRecords) -> TopicPartition {
    TopicPartition::new(records.partition.topic.clone(), records.partition.partition_id)
}

fn add_counts(sum: &mut ChainCounts, more: ChainCounts) {
    sum.commits += more.commits;
    sum.messages += more.messages;
    sum.offsets = sum.offsets.saturating_add(more.offsets);
    sum.gap_offsets += more.gap_offsets;
    sum.expired_offsets += more.expired_offsets;
    sum.segments += more.segments;
    sum.quarantine_segments += more.quarantine_segments;
    sum.expired_segments += more.expired_segments;
    sum.gaps += more.gaps;
    sum.uploads += more.uploads;
}

fn add_objects(sum: &mut ObjectCounts, more: ObjectCounts) {
    sum.objects += more.objects;
    sum.bytes += more.bytes;
    sum.decoded_commits += more.decoded_commits;
    sum.rows += more.rows;
    sum.stream_messages += more.stream_messages;
    sum.stream_discarded += more.stream_discarded;
}

#[cfg(test)]
mod tests;
