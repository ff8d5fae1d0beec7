//! The stored values of a commit, and every decision about it that needs no database.
//!
//! Owns: the check of a request, the comparison with a stored commit, the reasons of refusals, and the answer to each
//! request after the end of the transaction.
//! Does not own: statements (`commit`).

use std::collections::HashSet;

use common::{CommitReceipt, TopicPartition};

use super::ending::Ending;
use super::input;
use crate::commit::{CommitOutcome, CommitRequest, Refusal};
use crate::database::Row;
use crate::error::{CatalogError, Result};
use crate::model::{Partition, PartitionState, SegmentKind};

/// A request in the types of the columns; proof that each of its values can be stored.
pub(crate) struct CommitColumns {
    pub(crate) incarnation: i64,
    pub(crate) epoch: i64,
    pub(crate) owner: String,
    pub(crate) base_offset: i64,
    pub(crate) end_offset: i64,
    pub(crate) high_watermark: i64,
    pub(crate) message_count: i64,
    pub(crate) anchor_offset: i64,
    pub(crate) anchor_timestamp_us: i64,
    pub(crate) anchor_hash: i64,
    pub(crate) data_segment_id: Option<String>,
    pub(crate) quarantine_segment_id: Option<String>,
}

/// The columns of a row of `commits` that identify its request.
pub(crate) struct CommitRow {
    base_offset: i64,
    first_commit_no: i64,
    commit_no: i64,
    end_offset: i64,
    epoch: i64,
    owner: String,
    message_count: i64,
    data_segment_id: Option<String>,
    quarantine_segment_id: Option<String>,
    anchor_offset: i64,
    anchor_timestamp_us: i64,
    anchor_hash: i64,
}

impl TryFrom<Row> for CommitRow {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            base_offset: row.integer("base_offset")?,
            first_commit_no: row.integer("first_commit_no")?,
            commit_no: row.integer("commit_no")?,
            end_offset: row.integer("end_offset")?,
            epoch: row.integer("epoch")?,
            owner: row.text("owner")?,
            message_count: row.integer("message_count")?,
            data_segment_id: row.optional_text("data_segment_id")?,
            quarantine_segment_id: row.optional_text("quarantine_segment_id")?,
            anchor_offset: row.integer("anchor_offset")?,
            anchor_timestamp_us: row.integer("anchor_timestamp_us")?,
            anchor_hash: row.integer("anchor_hash")?,
        })
    }
}

/// The judgement of one request in the open transaction.
pub(crate) enum Verdict {
    /// Its watermark has moved and its intents are consumed: its outcome is that of this transaction.
    Accepted,
    /// An earlier transaction committed it.
    Done,
    /// It can never be committed.
    Refused(Refusal),
    /// It is not committed in this transaction.
    NotDone(CatalogError),
}

impl CommitColumns {
    /// The columns of a request whose objects hold its rows alone.
    ///
    /// # Errors
    /// `InvalidOffset` or `Refused` names the value that can never be stored.
    pub(crate) fn of_own_objects(request: &CommitRequest) -> Result<Self> {
        request.segments.iter().try_for_each(input::only_segment)?;
        Self::of(request)
    }

    /// # Errors
    /// `InvalidOffset` or `Refused` names the value that can never be stored.
    pub(crate) fn of(request: &CommitRequest) -> Result<Self> {
        check_ranges(request)?;
        let segment_id = |kind| request.segments.iter().find(|segment| segment.kind == kind).map(|s| s.id.clone());
        let columns = Self {
            incarnation: i64::from(request.incarnation.0),
            epoch: input::number("epoch", request.epoch.0)?,
            owner: request.owner.to_string(),
            base_offset: input::offset(request.range.base())?,
            end_offset: input::offset(request.range.end())?,
            high_watermark: input::offset(request.range.next())?,
            message_count: input::number("message_count", request.message_count)?,
            anchor_offset: input::offset(request.anchor.offset)?,
            anchor_timestamp_us: request.anchor.timestamp_us,
            anchor_hash: input::hash(request.anchor.hash),
            data_segment_id: segment_id(SegmentKind::Data),
            quarantine_segment_id: segment_id(SegmentKind::Quarantine),
        };
        for (index, segment) in request.segments.iter().enumerate() {
            input::segment(segment)?;
            if request.segments[..index].iter().any(|other| other.kind == segment.kind || other.id == segment.id) {
                let reason = "a commit lists at most one segment of each kind, each with its own id";
                return Err(CatalogError::Refused(format!("commit of {}: {reason}", request.partition)));
            }
        }
        Ok(columns)
    }

    /// True if exactly this request stored `row`, found at the same partition and incarnation. No request stores a run.
    pub(crate) fn is(&self, row: &CommitRow) -> bool {
        let place = (self.base_offset, self.end_offset, self.epoch, &self.owner, self.message_count);
        let content = (&self.data_segment_id, &self.quarantine_segment_id);
        let anchor = (self.anchor_offset, self.anchor_timestamp_us, self.anchor_hash);
        row.first_commit_no == row.commit_no
            && place == (row.base_offset, row.end_offset, row.epoch, &row.owner, row.message_count)
            && content == (&row.data_segment_id, &row.quarantine_segment_id)
            && anchor == (row.anchor_offset, row.anchor_timestamp_us, row.anchor_hash)
    }

    /// The reason why the request cannot be identified: its range is in the run `row`.
    pub(crate) fn folded_reason(&self, row: &CommitRow) -> Option<String> {
        let is_in = row.base_offset <= self.base_offset && self.end_offset <= row.end_offset;
        let run = (row.first_commit_no, row.commit_no);
        (is_in && run.0 < run.1).then(|| format!("its range was folded into the run of commits {} to {}", run.0, run.1))
    }
}

fn check_ranges(request: &CommitRequest) -> Result<()> {
    let end = request.range.end();
    input::offset(end)?;
    let mut free_from = request.range.base();
    for gap in &request.gaps {
        if gap.range.base() < free_from || gap.range.end() > end {
            let reason = format!("the gap {} is not in {free_from}..={end}", gap.range);
            return Err(CatalogError::InvalidOffset { offset: gap.range.base(), reason });
        }
        free_from = gap.range.next();
    }
    Ok(())
}

/// The reason why the partition, in its present state, refuses the request; `None` if it does not.
pub(crate) fn fenced_reason(request: &CommitRequest, now: Option<&Partition>) -> Option<String> {
    let Some(now) = now else { return Some("it does not exist".to_owned()) };
    if now.incarnation != request.incarnation {
        return Some(format!("its incarnation is {}, not {}", now.incarnation, request.incarnation));
    }
    if now.epoch != request.epoch || now.owner != Some(request.owner) {
        let owner = now.owner.map_or_else(|| "nobody".to_owned(), |owner| owner.to_string());
        return Some(format!("its epoch is {} and its owner {owner}", now.epoch));
    }
    if now.state != PartitionState::Active {
        return Some(format!("it is halted: {}", now.halt_reason.as_deref().unwrap_or("no reason given")));
    }
    if now.high_watermark != request.range.base() {
        return Some(format!("its watermark is {}, not {}", now.high_watermark, request.range.base()));
    }
    None
}

/// The refusal of a request for `reason`.
pub(crate) fn fenced(request: &CommitRequest, reason: impl Into<String>) -> Refusal {
    Refusal::Fenced { partition: request.partition.clone(), epoch: request.epoch, reason: reason.into() }
}

/// The answers, after the end of the transaction.
pub(crate) fn outcomes(requests: &[CommitRequest], verdicts: Vec<Verdict>, ending: &Ending) -> Vec<CommitOutcome> {
    assert_eq!(requests.len(), verdicts.len(), "each request has its verdict");
    let judged = || requests.iter().zip(&verdicts);
    let accepted: HashSet<&TopicPartition> = judged()
        .filter(|(_, verdict)| matches!(verdict, Verdict::Accepted))
        .map(|(request, _)| &request.partition)
        .collect();
    // A refusal that follows from an accepted request of the same partition is valid only if that one is committed.
    let rests_on_accepted: Vec<bool> = requests.iter().map(|request| accepted.contains(&request.partition)).collect();
    requests
        .iter()
        .zip(verdicts)
        .zip(rests_on_accepted)
        .map(|((request, verdict), rests_on_accepted)| match verdict {
            Verdict::Done => done(request),
            Verdict::NotDone(error) => CommitOutcome::NotDone(error),
            Verdict::Refused(refusal) if !rests_on_accepted => CommitOutcome::Refused(refusal),
            Verdict::Refused(refusal) => match ending {
                Ending::Committed => CommitOutcome::Refused(refusal),
                Ending::NotCommitted(error) => CommitOutcome::NotDone(error.clone()),
                Ending::Unknown(error) => CommitOutcome::Unknown(error.clone()),
            },
            Verdict::Accepted => match ending {
                Ending::Committed => done(request),
                Ending::NotCommitted(error) => CommitOutcome::NotDone(error.clone()),
                Ending::Unknown(error) => CommitOutcome::Unknown(error.clone()),
            },
        })
        .collect()
}

/// `error` as the answer to every request: nothing of the transaction was committed.
pub(crate) fn none_done(requests: &[CommitRequest], error: &CatalogError) -> Vec<CommitOutcome> {
    requests.iter().map(|_| CommitOutcome::NotDone(error.clone())).collect()
}

/// The only source of receipts: the request is in `commits`.
#[expect(clippy::disallowed_methods, reason = "the catalog's commit is what this is reserved for")]
pub(crate) fn done(request: &CommitRequest) -> CommitOutcome {
    CommitOutcome::Done(CommitReceipt::issue(request.partition.clone(), request.epoch, request.range.next()))
}
