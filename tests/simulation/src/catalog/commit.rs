//! The commit.
//!
//! Owns: the group of requests as one transaction: step 1 and 2 of each request in order of partition, then the rows of
//! all, or nothing when a row is not unique. Does not own: the compares (`judge`), and the faults of the transaction on
//! its way (`session`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ::catalog::{
    CatalogError, CommitOutcome, CommitRecord, CommitRequest, FileId, Gap, LakeSnapshot, NewSegment, ObjectInfo,
    RecordedGap, Refusal, Result, SegmentKind, Upload,
};
use common::TopicPartition;

use super::event::Change;
use super::judge;
use super::lake::{Listing, Word};
use super::limits;
use super::objects::Place;
use super::state::{CatalogState, ObjectName, PartitionRow};
use crate::forgery::confirmed;

/// A request whose watermark is moved and whose intents are consumed, with the values that take this back.
pub(super) struct Accepted<'a> {
    pub(super) request: &'a CommitRequest,
    pub(super) before: PartitionRow,
    pub(super) consumed: Vec<Upload>,
    pub(super) commit_no: u64,
}

/// The objects of a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Each belongs to one request.
    Own,
    /// Requests may share them.
    Shared,
}

/// Verdict on one request.
pub(super) enum Verdict {
    Done,
    Refused(Refusal),
    NotDone(CatalogError),
}

/// The objects of the segments that are yet to be listed, in order.
type NewObjects = VecDeque<Arc<ObjectInfo>>;

impl CatalogState {
    /// Commits the requests as one transaction, one outcome each, in the order given.
    pub(crate) fn commit(&mut self, requests: &[CommitRequest]) -> Vec<CommitOutcome> {
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by_key(|&index| &requests[index].partition);
        let mut verdicts: Vec<Option<Verdict>> = requests.iter().map(|_| None).collect();
        let mut accepted = Vec::new();
        let mut blocked: Option<&TopicPartition> = None;
        for index in order {
            let request = &requests[index];
            let is_blocked = blocked == Some(&request.partition);
            let verdict = self.judge_and_move(request, is_blocked, &mut accepted);
            if !matches!(verdict, Verdict::Done) {
                blocked = Some(&request.partition);
            }
            verdicts[index] = Some(verdict);
        }
        let head = self.head.clone();
        if let Err(error) = self.insert_all(&accepted, Sharing::Own) {
            self.take_back(accepted, head);
            return requests.iter().map(|_| CommitOutcome::NotDone(error.clone())).collect();
        }
        for accepted in &accepted {
            self.changed(Change::Committed(accepted.request.clone()));
        }
        let judged = requests.iter().zip(verdicts);
        judged.map(|(request, verdict)| outcome(request, verdict.expect("each index is in order once"))).collect()
    }

    /// Gives the outcome of a request, without changing anything.
    pub(crate) fn resolve(&self, request: &CommitRequest) -> CommitOutcome {
        if let Err(error) = judge::check(request) {
            return CommitOutcome::NotDone(error);
        }
        if self.is_committed(request) {
            return outcome(request, Verdict::Done);
        }
        let mut row = self.partitions.get(&request.partition).cloned();
        if let Some(row) = &mut row {
            // A watermark below the base waits for an earlier commit, and then takes this one.
            row.partition.high_watermark = row.partition.high_watermark.max(request.range.base());
        }
        outcome(request, self.why_not(request, row.as_ref()))
    }

    fn judge_and_move<'a>(
        &mut self,
        request: &'a CommitRequest,
        is_blocked: bool,
        accepted: &mut Vec<Accepted<'a>>,
    ) -> Verdict {
        if let Err(error) = judge::check_own_objects(request) {
            return Verdict::NotDone(error);
        }
        if is_blocked {
            if self.is_committed(request) {
                return Verdict::Done;
            }
            return Verdict::Refused(judge::fenced(request, "an earlier request of the same group was refused"));
        }
        let Some((before, commit_no)) = self.move_watermark(request) else {
            if accepted.iter().any(|accepted| accepted.request == request) || self.is_committed(request) {
                return Verdict::Done;
            }
            return self.why_not(request, self.partitions.get(&request.partition));
        };
        match self.consume_intents(request) {
            Ok(consumed) => {
                accepted.push(Accepted { request, before, consumed, commit_no });
                Verdict::Done
            }
            Err(key) => {
                self.partitions.insert(request.partition.clone(), before);
                Verdict::Refused(Refusal::IntentLost { key })
            }
        }
    }

    /// Step 1. Gives the row as it was and the number of the commit, or `None` where any of the compares fails.
    pub(super) fn move_watermark(&mut self, request: &CommitRequest) -> Option<(PartitionRow, u64)> {
        let (guards, now_ms) = (self.guards, self.now_ms);
        let row = self.partitions.get_mut(&request.partition)?;
        if judge::failed_compare(&guards, row, request).is_some() {
            return None;
        }
        let before = row.clone();
        let now = &mut row.partition;
        now.high_watermark = request.range.next();
        now.anchor = Some(request.anchor);
        now.commit_no += 1;
        now.updated_at = now_ms;
        row.takeovers = 0;
        row.suspect = row.suspect.filter(|suspect| suspect.offset > request.range.end());
        Some((before, row.partition.commit_no))
    }

    /// Step 2. Gives the consumed intents, or the key whose intent is lost; then none is consumed.
    fn consume_intents(&mut self, request: &CommitRequest) -> Result<Vec<Upload>, String> {
        let mut consumed: Vec<Upload> = Vec::new();
        for segment in &request.segments {
            let object = ObjectName::new(&segment.object.bucket, &segment.object.key);
            let found =
                self.uploads.get(&object).is_some_and(|upload| judge::intent_holds(&self.guards, upload, request));
            if found {
                consumed.extend(self.uploads.remove(&object));
            } else if self.guards.intent_check {
                self.give_back(consumed);
                return Err(segment.object.key.clone());
            }
        }
        Ok(consumed)
    }

    /// True when this same request is among the commits, regardless of the present owner.
    pub(super) fn is_committed(&self, request: &CommitRequest) -> bool {
        let commits = self.commits.get(&request.partition);
        commits.is_some_and(|commits| commits.iter().any(|record| judge::is_record_of(record, request)))
    }

    /// The reason why the outcome is unknowable, if the request's range is in a run.
    fn folded(&self, request: &CommitRequest) -> Option<String> {
        let is_run =
            |record: &&CommitRecord| record.incarnation == request.incarnation && record.range.encloses(request.range);
        let run = self.commits.get(&request.partition)?.iter().find(is_run)?;
        let (first, last) = (run.first_commit_no, run.commit_no);
        (first < last).then(|| format!("its range was folded into the run of commits {first} to {last}"))
    }

    pub(super) fn why_not(&self, request: &CommitRequest, row: Option<&PartitionRow>) -> Verdict {
        let reason = match row {
            None => "it does not exist".to_owned(),
            Some(row) => match judge::failed_compare(&self.guards, row, request) {
                Some(reason) => reason,
                None => return Verdict::NotDone(CatalogError::NotCommitted(request.partition.clone())),
            },
        };
        let reason = self.folded(request).unwrap_or(reason);
        Verdict::Refused(judge::fenced(request, reason))
    }

    /// Step 3 of all requests. On an error, some of the rows are inserted.
    pub(super) fn insert_all(&mut self, accepted: &[Accepted<'_>], sharing: Sharing) -> Result<()> {
        let listing = self.listing(accepted);
        let mut objects = listing.map(|listing| self.new_objects(accepted, listing, sharing)).unwrap_or_default();
        for accepted in accepted {
            if self.guards.unique_rows {
                self.refuse_known_rows(accepted.request, accepted.commit_no, sharing)?;
            }
            self.insert(accepted, listing, &mut objects);
        }
        Ok(())
    }

    /// One snapshot for the whole group, if any object is listed.
    fn listing(&mut self, accepted: &[Accepted<'_>]) -> Option<Listing> {
        let (mut tables, mut objects) = (BTreeSet::new(), BTreeSet::new());
        for request in accepted.iter().map(|accepted| accepted.request) {
            tables.extend(request.segments.iter().filter_map(|of| self.table(&request.partition.topic, of.kind)));
            objects.extend(request.segments.iter().map(|of| (&of.object.bucket, &of.object.key)));
        }
        let count = objects.len() as u64;
        (count > 0).then(|| self.snapshot_of(Word::InsertedInto, &tables, count))
    }

    /// The object of each segment in order: with its bounds, and a number each. Shared ones are the same.
    fn new_objects(&self, accepted: &[Accepted<'_>], mut listing: Listing, sharing: Sharing) -> NewObjects {
        let mut known: BTreeMap<ObjectName, ObjectInfo> = BTreeMap::new();
        let mut names = Vec::new();
        for request in accepted.iter().map(|accepted| accepted.request) {
            let place = Place { partition: &request.partition, incarnation: request.incarnation, range: request.range };
            for segment in &request.segments {
                let name = ObjectName::new(&segment.object.bucket, &segment.object.key);
                match known.get_mut(&name).filter(|_| sharing == Sharing::Shared) {
                    Some(object) => place.widen(object, segment),
                    None => {
                        known.insert(name.clone(), self.object_of(&place, segment, listing));
                        listing.first_file_id = FileId(listing.first_file_id.0 + 1);
                    }
                }
                names.push(name);
            }
        }
        let known: BTreeMap<_, _> = known.into_iter().map(|(name, object)| (name, Arc::new(object))).collect();
        names.iter().map(|name| Arc::clone(&known[name])).collect()
    }

    /// Refuses rows that the unique indexes refuse.
    fn refuse_known_rows(&self, request: &CommitRequest, commit_no: u64, sharing: Sharing) -> Result<()> {
        let of = &request.partition;
        let refuse = |what: &str| Err(CatalogError::Inconsistent(format!("{of}: {what} is recorded already")));
        let commits = self.commits.get(of).map_or(&[][..], Vec::as_slice);
        let clashes = |record: &CommitRecord| {
            let same_history = record.incarnation == request.incarnation;
            let same_edge = record.range.base() == request.range.base() || record.range.end() == request.range.end();
            record.commit_no == commit_no || (same_history && same_edge)
        };
        if commits.iter().any(clashes) {
            return refuse("a commit of the same base, end or number");
        }
        for (index, segment) in request.segments.iter().enumerate() {
            let object = ObjectName::new(&segment.object.bucket, &segment.object.key);
            let is_twin = |other: &NewSegment| {
                (&other.object.bucket, &other.object.key) == (&segment.object.bucket, &segment.object.key)
            };
            let is_listed = sharing == Sharing::Own && self.is_listed(&object);
            let is_known = self.segment_ids.contains(&segment.id) || is_listed;
            let is_at_base = self.segments_of(of).iter().any(|other| {
                (other.incarnation, other.kind, other.range.base())
                    == (request.incarnation, segment.kind, request.range.base())
            });
            if is_known || is_at_base || request.segments[..index].iter().any(is_twin) {
                return refuse("a segment of the same id, key or place");
            }
        }
        let gaps = self.gaps.get(of).map_or(&[][..], Vec::as_slice);
        let is_known = |recorded: &RecordedGap| {
            recorded.incarnation == request.incarnation
                && request.gaps.iter().any(|gap| gap.range.base() == recorded.gap.range.base())
        };
        if gaps.iter().any(is_known) { refuse("a gap of the same base") } else { Ok(()) }
    }

    fn insert(&mut self, accepted: &Accepted<'_>, listing: Option<Listing>, objects: &mut NewObjects) {
        let (request, now_ms) = (accepted.request, self.now_ms);
        let id_of = |kind| request.segments.iter().find(|segment| segment.kind == kind).map(|s| s.id.clone());
        let rows_of = |kind| request.segments.iter().filter(|of| of.kind == kind).map(|of| of.record_count).sum();
        let record = CommitRecord {
            incarnation: request.incarnation,
            first_commit_no: accepted.commit_no,
            commit_no: accepted.commit_no,
            range: request.range,
            epoch: request.epoch,
            owner: request.owner,
            message_count: request.message_count,
            record_count: Some(rows_of(SegmentKind::Data)),
            quarantined_count: Some(rows_of(SegmentKind::Quarantine)),
            data_segment_id: id_of(SegmentKind::Data),
            quarantine_segment_id: id_of(SegmentKind::Quarantine),
            anchor: request.anchor,
            snapshot_id: listing.filter(|_| !request.segments.is_empty()).map(|listing| listing.snapshot_id),
            committed_at: now_ms,
        };
        self.commits.entry(request.partition.clone()).or_default().push(record);
        let place = Place { partition: &request.partition, incarnation: request.incarnation, range: request.range };
        for segment in &request.segments {
            let object = objects.pop_front().expect("one for each segment");
            if !self.objects.contains_key(&object.file_id) {
                self.list_object(&place.partition.topic, Arc::clone(&object), &segment.object.statistics);
            }
            self.list_segment(&place, segment, object);
        }
        for gap in &request.gaps {
            let gap = Gap { reason: limits::note(&gap.reason), ..gap.clone() };
            let recorded = RecordedGap { incarnation: request.incarnation, gap, created_at: now_ms };
            self.gaps.entry(request.partition.clone()).or_default().push(recorded);
        }
    }

    /// Rolls the whole group back, latest first.
    pub(super) fn take_back(&mut self, accepted: Vec<Accepted<'_>>, head: LakeSnapshot) {
        self.undo_snapshot(head);
        for accepted in accepted.into_iter().rev() {
            let of = &accepted.request.partition;
            let last_no = self.commits.get(of).and_then(|commits| commits.last()).map(|record| record.commit_no);
            if last_no == Some(accepted.commit_no) {
                self.remove_rows(accepted.request);
            }
            self.give_back(accepted.consumed);
            self.partitions.insert(of.clone(), accepted.before);
        }
    }

    /// Removes the rows of the last commit of its partition.
    fn remove_rows(&mut self, request: &CommitRequest) {
        let of = &request.partition;
        self.commits.entry(of.clone()).or_default().pop();
        for segment in &request.segments {
            self.undo_list(of, segment);
        }
        let gaps = self.gaps.entry(of.clone()).or_default();
        gaps.truncate(gaps.len() - request.gaps.len());
    }

    fn give_back(&mut self, uploads: Vec<Upload>) {
        for upload in uploads {
            self.uploads.insert(ObjectName::new(&upload.bucket, &upload.key), upload);
        }
    }
}

pub(super) fn outcome(request: &CommitRequest, verdict: Verdict) -> CommitOutcome {
    match verdict {
        Verdict::Done => confirmed(request),
        Verdict::Refused(refusal) => CommitOutcome::Refused(refusal),
        Verdict::NotDone(error) => CommitOutcome::NotDone(error),
    }
}
