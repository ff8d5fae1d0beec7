//! The pieces of work for a partition, and doing one.
//!
//! Owns: putting commits and their segments together, choosing samples, carrying out one piece of work in bounded memory.
//! Does not own: the order of partitions and the sums (`audit`).

use std::collections::BTreeMap;

use catalog::audit::{Check, PartitionRecords, Problem};
use catalog::{CommitRecord, RecordedGap, SegmentInfo};
use common::TopicPartition;
use common::memory::MemoryBudget;
use lake::object::Keep;

use super::object::ObjectReader;
use super::rows::{self, Row};
use super::stream::StreamView;
use super::{Audit, ObjectCounts};
use crate::error::Result;

/// Commits of a partition whose rows are compared when not all are.
pub(super) const SAMPLES: usize = 4;
/// Memory of one row while it is compared, in bytes: itself, and its message.
const ROW_BYTES: u64 = (size_of::<Row>() + size_of::<(u64, i64)>()) as u64;
/// Memory of an object that passes through in pieces.
const PIECE_BYTES: u64 = 1 << 20;

/// One commit with its listed segments, or a segment without commit.
pub(super) struct Work<'r> {
    pub(super) commit: Option<&'r CommitRecord>,
    pub(super) segments: Vec<&'r SegmentInfo>,
    /// Offsets of the commit that are recorded as missing, inclusive.
    pub(super) gaps: Vec<(u64, u64)>,
    pub(super) is_decoded: bool,
    pub(super) is_compared: bool,
}

#[derive(Default)]
pub(super) struct Done {
    pub(super) counts: ObjectCounts,
    pub(super) problems: Vec<Problem>,
}

impl Audit<'_> {
    pub(super) fn work<'r>(&self, records: &'r PartitionRecords, view: Option<&StreamView<'_>>) -> Vec<Work<'r>> {
        let mut by_id: BTreeMap<&str, &SegmentInfo> =
            records.segments.iter().map(|segment| (segment.id.as_str(), segment)).collect();
        let mut work = Vec::with_capacity(records.commits.len());
        for commit in &records.commits {
            let ids = [&commit.data_segment_id, &commit.quarantine_segment_id];
            let wanted = ids.iter().filter(|id| id.is_some()).count();
            let segments: Vec<_> = ids.into_iter().flatten().filter_map(|id| by_id.remove(id.as_str())).collect();
            // Without all of its segments a commit's messages cannot be counted; the catalog's checks say so.
            let is_whole = segments.len() == wanted && wanted > 0;
            let is_current = commit.incarnation == records.partition.incarnation;
            let is_compared = is_whole && is_current && view.is_some_and(|view| view.holds_some_of(commit));
            let place = |gap: &RecordedGap| (gap.gap.base_offset, gap.gap.end_offset);
            let in_commit = |gap: &&RecordedGap| {
                gap.incarnation == commit.incarnation
                    && (commit.base_offset..=commit.end_offset).contains(&gap.gap.base_offset)
            };
            let from = records.gaps.partition_point(|gap| {
                (gap.incarnation, gap.gap.base_offset) < (commit.incarnation, commit.base_offset)
            });
            let gaps = records.gaps[from..].iter().take_while(in_commit).map(place).collect();
            work.push(Work { commit: Some(commit), segments, gaps, is_decoded: is_whole, is_compared });
        }
        let stray = by_id.into_values().map(|segment| Work {
            commit: None,
            segments: vec![segment],
            gaps: Vec::new(),
            is_decoded: false,
            is_compared: false,
        });
        work.extend(stray);
        if !self.is_deep {
            keep_samples(&mut work);
        }
        work.retain(|work| !work.segments.is_empty());
        work
    }

    pub(super) async fn do_work(
        &self,
        partition: &TopicPartition,
        work: &Work<'_>,
        view: Option<&StreamView<'_>>,
        budget: &MemoryBudget,
    ) -> Result<Done> {
        let mut done = Done::default();
        let need = |segment: &SegmentInfo| segment.size_bytes + segment.record_count.saturating_mul(ROW_BYTES);
        let bytes = if work.is_decoded { work.segments.iter().map(|segment| need(segment)).sum() } else { PIECE_BYTES };
        let _memory = budget.acquire(usize::try_from(bytes).unwrap_or(usize::MAX)).await;
        let mut decoded = Vec::new();
        for segment in &work.segments {
            done.counts.objects += 1;
            done.counts.bytes += segment.size_bytes;
            let reader = ObjectReader { storage: self.storage, partition, segment };
            let keep = if work.is_decoded { Keep::Bytes } else { Keep::Nothing };
            let Some(bytes) = reader.read(keep, &mut done.problems).await else { continue };
            let Some(commit) = work.commit.filter(|_| work.is_decoded) else { continue };
            match rows::decode(bytes, segment, commit.epoch).await {
                Ok(rows) => decoded.push(rows),
                Err(found) => done.problems.push(reader.rows_problem(found)),
            }
        }
        let Some(commit) = work.commit.filter(|_| work.is_decoded && decoded.len() == work.segments.len()) else {
            return Ok(done);
        };
        done.counts.decoded_commits += 1;
        done.counts.rows += decoded.iter().map(|rows| rows.len() as u64).sum::<u64>();
        let messages = match rows::messages(decoded, commit, &work.gaps) {
            Ok(messages) => messages,
            Err((offset, found)) => {
                let problem = Problem::new(Check::Rows, partition, commit.incarnation, found, rows::ADVICE);
                done.problems.push(problem.at(offset).of(&work.segments[0].key));
                return Ok(done);
            }
        };
        if let Some(view) = view.filter(|_| work.is_compared) {
            let compared = view.compare(commit, &messages).await?;
            done.counts.stream_messages += compared.messages;
            done.counts.stream_discarded += compared.discarded;
            done.problems.extend(compared.problems);
        }
        Ok(done)
    }
}

/// Of the commits that could be compared with the queue (else of all), a few are: the newest, the oldest, some between.
fn keep_samples(work: &mut [Work<'_>]) {
    let can = |work: &Work<'_>, compared: bool| if compared { work.is_compared } else { work.is_decoded };
    let any_compared = work.iter().any(|work| work.is_compared);
    let candidates: Vec<usize> = (0..work.len()).filter(|index| can(&work[*index], any_compared)).collect();
    let last = candidates.len().saturating_sub(1);
    let chosen: Vec<usize> =
        (0..SAMPLES).filter_map(|sample| candidates.get(sample * last / (SAMPLES - 1)).copied()).collect();
    for (index, work) in work.iter_mut().enumerate() {
        let is_chosen = chosen.contains(&index);
        work.is_decoded &= is_chosen;
        work.is_compared &= is_chosen;
    }
}
