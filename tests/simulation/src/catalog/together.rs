//! The commit of many partitions whose rows share objects.
//!
//! Owns: its checks, and that all requests are committed or none. Does not own: the compares (`judge`), the rows of each
//! request (`commit`).

use std::collections::{BTreeMap, BTreeSet};

use ::catalog::{CatalogError, CommitOutcome, CommitRequest, NewSegment, Refusal, ReplacementIntent, Result};
use common::TopicPartition;

use super::commit::{Accepted, Sharing, Verdict, outcome};
use super::event::Change;
use super::judge;
use super::replace::is_pending;
use super::state::{CatalogState, ObjectName};

impl CatalogState {
    /// Commits all requests as one transaction, or none of them.
    pub(crate) fn commit_together(&mut self, requests: &[CommitRequest]) -> Vec<CommitOutcome> {
        if let Err(error) = check(requests) {
            return requests.iter().map(|_| CommitOutcome::NotDone(error.clone())).collect();
        }
        let mut order: Vec<&CommitRequest> = requests.iter().collect();
        order.sort_by_key(|request| &request.partition);
        let (mut accepted, mut reasons) = (Vec::new(), BTreeMap::new());
        for request in order {
            match self.move_watermark(request) {
                Some((before, commit_no)) => accepted.push(Accepted { request, before, consumed: vec![], commit_no }),
                None => drop(reasons.insert(request.partition.clone(), self.reason_against(request))),
            }
        }
        let head = self.head.clone();
        if reasons.is_empty() || !self.guards.together_all {
            match self.consume_shared(&mut accepted) {
                Err(key) => {
                    let lost = |request: &CommitRequest| {
                        (request.partition.clone(), Verdict::Refused(Refusal::IntentLost { key: key.clone() }))
                    };
                    reasons = requests.iter().map(lost).collect();
                }
                Ok(()) => match self.insert_all(&accepted, Sharing::Shared) {
                    Ok(()) => return self.committed_together(requests, &accepted, reasons),
                    Err(error) => {
                        self.take_back(accepted, head);
                        return requests.iter().map(|_| CommitOutcome::NotDone(error.clone())).collect();
                    }
                },
            }
        }
        self.take_back(accepted, head);
        let not_done = |of: &TopicPartition| Verdict::NotDone(CatalogError::NotCommitted(of.clone()));
        let verdict = |request: &CommitRequest| {
            let of = &request.partition;
            outcome(request, reasons.remove(of).unwrap_or_else(|| not_done(of)))
        };
        requests.iter().map(verdict).collect()
    }

    fn reason_against(&self, request: &CommitRequest) -> Verdict {
        if self.is_committed(request) {
            return Verdict::Done;
        }
        self.why_not(request, self.partitions.get(&request.partition))
    }

    fn committed_together(
        &mut self,
        requests: &[CommitRequest],
        accepted: &[Accepted<'_>],
        mut reasons: BTreeMap<TopicPartition, Verdict>,
    ) -> Vec<CommitOutcome> {
        self.changed(Change::CommittedTogether(accepted.iter().map(|accepted| accepted.request.clone()).collect()));
        let verdict =
            |request: &CommitRequest| outcome(request, reasons.remove(&request.partition).unwrap_or(Verdict::Done));
        requests.iter().map(verdict).collect()
    }

    /// Consumes the intent of each object; the first key whose intent is not pending. Those consumed are kept with the
    /// first request.
    fn consume_shared(&mut self, accepted: &mut [Accepted<'_>]) -> Result<(), String> {
        let mut consumed = Vec::new();
        let mut seen = BTreeSet::new();
        let mut lost = None;
        for Accepted { request, .. } in accepted.iter() {
            for NewSegment { object, .. } in &request.segments {
                let name = ObjectName::new(&object.bucket, &object.key);
                if lost.is_some() || !seen.insert(name.clone()) {
                    continue;
                }
                let (topic, owner) = (request.partition.topic.clone(), request.owner);
                let intent = ReplacementIntent { topic, owner, bucket: name.bucket.clone(), key: name.key.clone() };
                match self.uploads.get(&name).is_some_and(|upload| is_pending(upload, &intent)) {
                    true => consumed.extend(self.uploads.remove(&name)),
                    false if self.guards.intent_check => lost = Some(name.key),
                    false => {}
                }
            }
        }
        if let Some(first) = accepted.first_mut() {
            first.consumed = consumed;
        }
        lost.map_or(Ok(()), Err)
    }
}

/// Refuses requests that can never be stored together.
fn check(requests: &[CommitRequest]) -> Result<()> {
    requests.iter().try_for_each(judge::check)?;
    let refuse = |reason: String| Err(CatalogError::Refused(format!("commit of shared objects: {reason}")));
    let Some(first) = requests.first() else { return refuse("it has no requests".to_owned()) };
    let mut partitions = BTreeSet::new();
    let mut objects: BTreeMap<&str, (&NewSegment, u64)> = BTreeMap::new();
    for request in requests {
        let same = (&request.partition.topic, request.owner) == (&first.partition.topic, first.owner);
        if !same || !partitions.insert(&request.partition) {
            let allowed = format!("other partitions of topic {}, by owner {}", first.partition.topic, first.owner);
            return refuse(format!("{} by owner {} stands among {allowed}", request.partition, request.owner));
        }
        for segment in &request.segments {
            let (of, rows) = objects.entry(&segment.object.key).or_insert((segment, 0));
            if of.kind != segment.kind || of.object != segment.object {
                return refuse(format!("segments {} and {} name two objects by one key", of.id, segment.id));
            }
            *rows += segment.record_count;
        }
    }
    for (key, (segment, rows)) in objects {
        let holds = segment.object.record_count;
        if rows != holds {
            return refuse(format!(
                "the segments of {key} have {rows} rows, the object {holds}; they must be the same"
            ));
        }
    }
    Ok(())
}
