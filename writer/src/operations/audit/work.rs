//! The pieces of work for a partition, and their order.
//!
//! Owns: grouping runs of commits with the segments of their offsets, by incarnation and range, and choosing samples.
//! Pure. Does not own: carrying out a piece of work (`piece`).
//!
//! A segment covers one commit or many, and quarantine segments may end at other offsets than data segments. So a piece
//! of work is a group of runs and segments connected by overlapping ranges; in most lakes that is one commit with its
//! segments.

use std::collections::{BTreeMap, BTreeSet};

use catalog::audit::PartitionRecords;
use catalog::{CommitRecord, FileId, SegmentInfo, SegmentKind};
use common::{Incarnation, OffsetRange};

use super::Audit;
use super::rows::Wanted;
use super::stream::StreamView;

/// Decoded pieces of work per partition, unless all are decoded.
pub(super) const SAMPLES: usize = 4;

/// Runs of commits and listed segments with overlapping ranges; no others overlap them.
pub(super) struct Work<'r> {
    /// Commits and runs, by number; empty for a segment without a commit.
    pub(super) runs: Vec<&'r CommitRecord>,
    /// Objects, each with its segments in this piece of work.
    pub(super) objects: Vec<Wanted>,
    /// Offsets recorded as missing.
    pub(super) gaps: Vec<OffsetRange>,
    /// Objects that this piece of work, and no other, counts and reports.
    pub(super) first_seen: BTreeSet<FileId>,
    pub(super) is_decoded: bool,
    pub(super) is_compared: bool,
}

/// A run or a segment.
#[derive(Clone, Copy)]
enum Part<'r> {
    Run(&'r CommitRecord),
    Segment(&'r SegmentInfo),
}

impl Part<'_> {
    fn place(&self) -> (Incarnation, OffsetRange) {
        match self {
            Self::Run(run) => (run.incarnation, run.range),
            Self::Segment(segment) => (segment.incarnation, segment.range),
        }
    }
}

impl Audit<'_> {
    /// The work for a partition. `seen` are the objects already counted; this method adds those of this work.
    pub(super) fn work<'r>(
        &self,
        records: &'r PartitionRecords,
        view: Option<&StreamView<'_>>,
        seen: &mut BTreeSet<FileId>,
    ) -> Vec<Work<'r>> {
        let mut work: Vec<Work<'r>> =
            together(records).into_iter().map(|parts| Work::of(records, &parts, view)).collect();
        if !self.is_deep {
            keep_samples(&mut work);
        }
        for work in &mut work {
            let objects = work.objects.iter().map(|wanted| wanted.object().file_id);
            work.first_seen = objects.filter(|file_id| seen.insert(*file_id)).collect();
        }
        work.retain(|work| work.is_decoded || !work.first_seen.is_empty());
        work
    }
}

/// The runs and segments of a partition in groups whose ranges overlap, by incarnation and offset.
fn together(records: &PartitionRecords) -> Vec<Vec<Part<'_>>> {
    let segments = records.segments.iter().map(Part::Segment);
    let mut parts: Vec<_> = records.commits.iter().map(Part::Run).chain(segments).collect();
    parts.sort_by_key(|part| {
        let (incarnation, range) = part.place();
        (incarnation, range.base())
    });
    let mut groups: Vec<Vec<Part<'_>>> = Vec::new();
    let mut reached: Option<(Incarnation, u64)> = None;
    for part in parts {
        let (incarnation, range) = part.place();
        let end = reached.filter(|(of, end)| *of == incarnation && range.base() <= *end).map(|(_, end)| end);
        match (groups.last_mut(), end) {
            (Some(group), Some(_)) => group.push(part),
            _ => groups.push(vec![part]),
        }
        reached = Some((incarnation, range.end().max(end.unwrap_or_default())));
    }
    groups
}

impl<'r> Work<'r> {
    fn of(records: &'r PartitionRecords, parts: &[Part<'r>], view: Option<&StreamView<'_>>) -> Self {
        let (mut runs, mut segments) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Part::Run(run) => runs.push(*run),
                Part::Segment(segment) => segments.push(*segment),
            }
        }
        // The messages of a commit cannot be counted without all of its segments; the catalog's checks report this.
        let is_decoded = !segments.is_empty() && !runs.is_empty() && runs.iter().all(|run| is_whole(run, &segments));
        let is_held = |run: &&CommitRecord| {
            run.incarnation == records.partition.incarnation && view.is_some_and(|view| view.holds_some_of(run))
        };
        let is_compared = is_decoded && runs.iter().any(is_held);
        let gaps = gaps_in(records, &runs);
        let objects = wanted(&segments, &records.segments, &runs);
        Self { runs, objects, gaps, first_seen: BTreeSet::new(), is_decoded, is_compared }
    }
}

/// True if all rows of a run are in these listed segments.
pub(super) fn is_whole(run: &CommitRecord, segments: &[&SegmentInfo]) -> bool {
    let counts = [(SegmentKind::Data, run.record_count), (SegmentKind::Quarantine, run.quarantined_count)];
    counts.into_iter().all(|(kind, counted)| {
        let covers = |segment: &&SegmentInfo| segment.kind == kind && segment.range.encloses(run.range);
        counted == Some(0) || (counted.is_some() && segments.iter().copied().any(|segment| covers(&segment)))
    })
}

/// The gaps recorded by these consecutive runs.
fn gaps_in(records: &PartitionRecords, runs: &[&CommitRecord]) -> Vec<OffsetRange> {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Vec::new() };
    let start = (first.incarnation, first.range.base());
    let from = records.gaps.partition_point(|gap| (gap.incarnation, gap.gap.range.base()) < start);
    let until = (last.incarnation, last.range.end());
    let within = records.gaps[from..].iter().take_while(|gap| (gap.incarnation, gap.gap.range.base()) <= until);
    within.map(|gap| gap.gap.range).collect()
}

/// The objects of `segments`, each with those that it holds. `listed` are all segments of the partition.
pub(super) fn wanted(segments: &[&SegmentInfo], listed: &[SegmentInfo], runs: &[&CommitRecord]) -> Vec<Wanted> {
    let mut by_object: BTreeMap<FileId, Vec<SegmentInfo>> = BTreeMap::new();
    for segment in segments {
        by_object.entry(segment.object.file_id).or_default().push((*segment).clone());
    }
    let wanted = |segments: Vec<SegmentInfo>| {
        let object = &segments[0].object;
        let in_object = listed.iter().filter(|segment| segment.object.file_id == object.file_id).count();
        let is_alone = in_object == 1 && object.min_partition_id == object.max_partition_id;
        let of_one = runs.iter().find(|run| run.commits() == 1 && run.range == segments[0].range);
        let epoch = of_one.filter(|_| object.level == 0).map(|run| run.epoch);
        Wanted { segments, is_alone, epoch, statistics: Vec::new() }
    };
    by_object.into_values().map(wanted).collect()
}

/// Keeps only samples of the work that can be compared with the queue, or of all work if none can: the newest, the
/// oldest, some between.
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
