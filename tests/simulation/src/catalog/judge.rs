//! Every decision about a commit, each compare by itself.
//!
//! Owns: what a request must be, what the partition's row and the intents must be, what makes a commit the same.
//! Does not own: changing anything (`commit`).

use ::catalog::{
    CatalogError, CommitRecord, CommitRequest, PartitionState, Refusal, Result, SegmentKind, Upload, UploadState,
};

use super::guards::Guards;
use super::limits;
use super::state::PartitionRow;

/// One compare of step 1: `None` when it holds, else what is wrong, for people.
type Compare = fn(&PartitionRow, &CommitRequest) -> Option<String>;

/// The first compare of step 1 that fails, among those that are switched on.
pub(crate) fn failed_compare(guards: &Guards, row: &PartitionRow, request: &CommitRequest) -> Option<String> {
    let compares: [(bool, Compare); 5] = [
        (guards.incarnation_compare, another_incarnation),
        (guards.epoch_compare, another_epoch),
        (guards.owner_compare, another_owner),
        (guards.state_compare, halted),
        (guards.watermark_compare, another_watermark),
    ];
    compares.into_iter().filter(|(is_on, _)| *is_on).find_map(|(_, compare)| compare(row, request))
}

/// Without it, offsets of one history are taken for those of another.
fn another_incarnation(row: &PartitionRow, request: &CommitRequest) -> Option<String> {
    let now = row.partition.incarnation;
    (now != request.incarnation).then(|| format!("its incarnation is {now}, not {}", request.incarnation))
}

/// Without it, an owner that lost the partition and got it again commits what it read before.
fn another_epoch(row: &PartitionRow, request: &CommitRequest) -> Option<String> {
    (row.partition.epoch != request.epoch).then(|| owned_by(row))
}

/// Without it, a partition that was released still takes commits of the last owner.
fn another_owner(row: &PartitionRow, request: &CommitRequest) -> Option<String> {
    (row.partition.owner != Some(request.owner)).then(|| owned_by(row))
}

/// Without it, a partition that was stopped goes on.
fn halted(row: &PartitionRow, _request: &CommitRequest) -> Option<String> {
    let reason = || format!("it is halted: {}", row.partition.halt_reason.as_deref().unwrap_or("no reason given"));
    (row.partition.state == PartitionState::Halted).then(reason)
}

/// Without it, ranges overlap or leave holes.
fn another_watermark(row: &PartitionRow, request: &CommitRequest) -> Option<String> {
    let now = row.partition.high_watermark;
    (now != request.base_offset).then(|| format!("its watermark is {now}, not {}", request.base_offset))
}

fn owned_by(row: &PartitionRow) -> String {
    let owner = row.partition.owner.map_or_else(|| "nobody".to_owned(), |owner| owner.to_string());
    format!("its epoch is {} and its owner {owner}", row.partition.epoch)
}

/// The compares of step 2, for the intent of one object of the request.
pub(crate) fn intent_holds(guards: &Guards, upload: &Upload, request: &CommitRequest) -> bool {
    let same_ownership = (upload.epoch, upload.owner) == (Some(request.epoch), Some(request.owner));
    let pending = upload.state == UploadState::Pending;
    upload.partition == request.partition
        && (same_ownership || !guards.intent_epoch)
        && (pending || !guards.intent_pending)
}

/// Whether the record was made by this very request.
pub(crate) fn is_record_of(record: &CommitRecord, request: &CommitRequest) -> bool {
    let id_of = |kind| request.segments.iter().find(|segment| segment.kind == kind).map(|segment| &segment.id);
    record.incarnation == request.incarnation
        && (record.base_offset, record.end_offset) == (request.base_offset, request.end_offset)
        && (record.epoch, record.owner) == (request.epoch, request.owner)
        && record.message_count == request.message_count
        && record.data_segment_id.as_ref() == id_of(SegmentKind::Data)
        && record.quarantine_segment_id.as_ref() == id_of(SegmentKind::Quarantine)
        && record.anchor == request.anchor
}

/// The refusal of a request for `reason`.
pub(crate) fn fenced(request: &CommitRequest, reason: impl Into<String>) -> Refusal {
    Refusal::Fenced { partition: request.partition.clone(), epoch: request.epoch, reason: reason.into() }
}

/// Refuses what can never be stored.
pub(crate) fn check(request: &CommitRequest) -> Result<()> {
    check_ranges(request)?;
    // The watermark after it must fit too.
    limits::offset(request.end_offset + 1)?;
    limits::offset(request.anchor.offset)?;
    limits::number("epoch", request.epoch.0)?;
    limits::number("message_count", request.message_count)?;
    for (index, segment) in request.segments.iter().enumerate() {
        limits::number("record_count", segment.record_count)?;
        limits::number("size_bytes", segment.size_bytes)?;
        for (name, text) in [("segment id", &segment.id), ("bucket", &segment.bucket), ("key", &segment.key)] {
            limits::exact(name, text)?;
        }
        if request.segments[..index].iter().any(|other| other.kind == segment.kind || other.id == segment.id) {
            let reason = "a commit lists at most one segment of each kind, each with its own id";
            return Err(CatalogError::Refused(format!("commit of {}: {reason}", request.partition)));
        }
    }
    Ok(())
}

fn check_ranges(request: &CommitRequest) -> Result<()> {
    let refuse = |offset, reason| Err(CatalogError::InvalidOffset { offset, reason });
    let (base, end) = (request.base_offset, request.end_offset);
    limits::offset(end)?;
    if end < base {
        return refuse(base, format!("the range {base}..={end} is reversed"));
    }
    let mut free_from = base;
    for gap in &request.gaps {
        if gap.base_offset < free_from || gap.end_offset < gap.base_offset || gap.end_offset > end {
            let range = format!("{}..={}", gap.base_offset, gap.end_offset);
            return refuse(gap.base_offset, format!("the gap {range} is not in {free_from}..={end}"));
        }
        free_from = gap.end_offset + 1;
    }
    Ok(())
}
