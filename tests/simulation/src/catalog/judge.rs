//! Every decision about a commit, each compare by itself.
//!
//! Owns: the conditions on a request, on the partition's row and on the intents; the identity of a commit.
//! Does not own: changing anything (`commit`).

use ::catalog::{
    CatalogError, CommitRecord, CommitRequest, PartitionState, Refusal, Result, SegmentKind, Upload, UploadState,
};

use super::guards::Guards;
use super::limits;
use super::state::PartitionRow;

/// One compare of step 1: `None` when it holds, else the difference, for people.
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

/// Without it, an owner that lost the partition and got it again commits messages that it read before.
fn another_epoch(row: &PartitionRow, request: &CommitRequest) -> Option<String> {
    (row.partition.epoch != request.epoch).then(|| owned_by(row))
}

/// Without it, a partition that was released still takes commits of the last owner.
fn another_owner(row: &PartitionRow, request: &CommitRequest) -> Option<String> {
    (row.partition.owner != Some(request.owner)).then(|| owned_by(row))
}

/// Without it, a halted partition still takes commits.
fn halted(row: &PartitionRow, _request: &CommitRequest) -> Option<String> {
    let reason = || format!("it is halted: {}", row.partition.halt_reason.as_deref().unwrap_or("no reason given"));
    (row.partition.state == PartitionState::Halted).then(reason)
}

/// Without it, ranges overlap or leave holes.
fn another_watermark(row: &PartitionRow, request: &CommitRequest) -> Option<String> {
    let now = row.partition.high_watermark;
    (now != request.range.base()).then(|| format!("its watermark is {now}, not {}", request.range.base()))
}

fn owned_by(row: &PartitionRow) -> String {
    let owner = row.partition.owner.map_or_else(|| "nobody".to_owned(), |owner| owner.to_string());
    format!("its epoch is {} and its owner {owner}", row.partition.epoch)
}

/// The compares of step 2, for the intent of one object of the request.
pub(crate) fn intent_holds(guards: &Guards, upload: &Upload, request: &CommitRequest) -> bool {
    let same_ownership = (upload.epoch, upload.owner) == (Some(request.epoch), Some(request.owner));
    let pending = upload.state == UploadState::Pending;
    upload.partition().as_ref() == Some(&request.partition)
        && (same_ownership || !guards.intent_epoch)
        && (pending || !guards.intent_pending)
}

/// True when the record was made by this same request.
pub(crate) fn is_record_of(record: &CommitRecord, request: &CommitRequest) -> bool {
    let id_of = |kind| request.segments.iter().find(|segment| segment.kind == kind).map(|segment| &segment.id);
    record.incarnation == request.incarnation
        && (record.range, record.commits()) == (request.range, 1)
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

/// Refuses a request that can never be stored, or whose objects hold rows of others.
pub(crate) fn check_own_objects(request: &CommitRequest) -> Result<()> {
    request.segments.iter().try_for_each(limits::only_segment)?;
    check(request)
}

/// Refuses a request that can never be stored.
pub(crate) fn check(request: &CommitRequest) -> Result<()> {
    check_ranges(request)?;
    // The watermark after it must fit too.
    limits::offset(request.range.next())?;
    limits::offset(request.anchor.offset)?;
    limits::number("epoch", request.epoch.0)?;
    limits::number("message_count", request.message_count)?;
    for (index, segment) in request.segments.iter().enumerate() {
        limits::segment(segment)?;
        if request.segments[..index].iter().any(|other| other.kind == segment.kind || other.id == segment.id) {
            let reason = "a commit lists at most one segment of each kind, each with its own id";
            return Err(CatalogError::Refused(format!("commit of {}: {reason}", request.partition)));
        }
    }
    Ok(())
}

fn check_ranges(request: &CommitRequest) -> Result<()> {
    let end = request.range.end();
    limits::offset(end)?;
    let mut free_from = request.range.base();
    for gap in &request.gaps {
        let (first, last) = (gap.range.base(), gap.range.end());
        if first < free_from || last > end {
            let reason = format!("the gap {first}..={last} is not in {free_from}..={end}");
            return Err(CatalogError::InvalidOffset { offset: first, reason });
        }
        free_from = gap.range.next();
    }
    Ok(())
}
