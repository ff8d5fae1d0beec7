//! The commit of many partitions of one topic whose rows share objects: all or nothing.
//!
//! Owns: its checks and its judgement. An object without all of its segments would hold rows that belong to nobody, so one
//! request that fails takes the others back.
//! Does not own: the compares (`commit_compares`), the rows (`commit_inserts`), intents (`intents`), the end of the
//! transaction (`ending`).

use std::collections::{BTreeMap, HashSet};

use super::commit_compares::{Moved, why_not};
use super::commit_inserts::{self, Accepted};
use super::commit_moves::move_watermarks;
use super::commit_rows::{CommitColumns, Verdict, none_done, outcomes};
use super::ending::{Ending, begin, send_commit};
use super::intents;
use crate::commit::{CommitOutcome, CommitRequest, Refusal};
use crate::database::{Access, Door, Session, roll_back};
use crate::error::{CatalogError, Result};
use crate::model::{NewObject, NewSegment, ReplacementIntent};

/// The judgement of the open transaction.
enum Judged {
    /// Every watermark moved, and every intent is consumed.
    All,
    /// Nothing is to be committed, for these reasons.
    Nothing(Vec<Verdict>),
}

/// See [`CommitStore::commit_together`](crate::CommitStore::commit_together).
pub(super) async fn commit_together(door: &Door, requests: &[CommitRequest]) -> Vec<CommitOutcome> {
    let columns = match check(requests) {
        Ok(columns) => columns,
        Err(error) => return none_done(requests, &error),
    };
    let mut connection = match door.bounded(door.connection(Access::Write)).await {
        Ok(connection) => connection,
        Err(error) => return none_done(requests, &error),
    };
    let mut transaction = match door.answered(begin(&mut *connection)).await {
        Ok(transaction) => transaction,
        Err(error) => return none_done(requests, &error),
    };
    let judged = async {
        let judged = judge(transaction.session(), requests, &columns).await?;
        transaction.prepare_commit().await?;
        Ok(judged)
    };
    let verdicts = match door.answered(judged).await {
        Ok(Judged::All) => requests.iter().map(|_| Verdict::Accepted).collect(),
        Ok(Judged::Nothing(verdicts)) => {
            roll_back(transaction).await;
            return outcomes(requests, verdicts, &Ending::Committed);
        }
        Err(error) => {
            roll_back(transaction).await;
            return none_done(requests, &error);
        }
    };
    let ending = send_commit(door, transaction).await;
    if matches!(ending, Ending::Unknown(_)) {
        // The state of this connection is unknown: no more statements may use it.
        connection.close_on_drop();
    }
    outcomes(requests, verdicts, &ending)
}

/// Checks that the requests can be stored, and that their segments hold the rows of their objects, all of them once.
fn check(requests: &[CommitRequest]) -> Result<Vec<CommitColumns>> {
    let columns = requests.iter().map(CommitColumns::of).collect::<Result<Vec<_>>>()?;
    let refuse = |reason: String| Err(CatalogError::Refused(format!("commit of shared objects: {reason}")));
    let Some(first) = requests.first() else { return refuse("it has no requests".to_owned()) };
    let mut partitions = HashSet::new();
    let mut objects: BTreeMap<&str, (&NewSegment, u64)> = BTreeMap::new();
    for request in requests {
        let partition = &request.partition;
        if partition.topic != first.partition.topic || request.owner != first.owner || !partitions.insert(partition) {
            let allowed = format!("other partitions of topic {}, by owner {}", first.partition.topic, first.owner);
            return refuse(format!("{partition} by owner {} stands among {allowed}", request.owner));
        }
        for segment in &request.segments {
            let (of, rows) = objects.entry(&segment.object.key).or_insert((segment, 0));
            if of.kind != segment.kind || of.object != segment.object {
                return refuse(format!("segments {} and {} name two objects by one key", of.id, segment.id));
            }
            *rows = rows.saturating_add(segment.record_count);
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
    Ok(columns)
}

/// Steps 1 to 3 for all requests.
async fn judge(session: &mut dyn Session, requests: &[CommitRequest], columns: &[CommitColumns]) -> Result<Judged> {
    let moved = move_watermarks(session, requests, columns).await?;
    let mut accepted = Vec::with_capacity(requests.len());
    let mut reasons: BTreeMap<usize, Verdict> = BTreeMap::new();
    for (index, (moved, (request, columns))) in moved.into_iter().zip(requests.iter().zip(columns)).enumerate() {
        match moved {
            Some(Moved { commit_no, tables }) => {
                assert!(request.range.next() > request.range.base() && commit_no > 0, "{} rises", request.partition);
                accepted.push(Accepted { request, columns, commit_no, tables });
            }
            None => {
                reasons.insert(index, why_not(session, request, columns).await?);
            }
        }
    }
    if !reasons.is_empty() {
        let verdict = |(index, request): (usize, &CommitRequest)| {
            reasons.remove(&index).unwrap_or_else(|| Verdict::NotDone(not_committed(request)))
        };
        return Ok(Judged::Nothing(requests.iter().enumerate().map(verdict).collect()));
    }
    if let Some(key) = lost_intent(session, requests).await? {
        let lost = |_| Verdict::Refused(Refusal::IntentLost { key: key.clone() });
        return Ok(Judged::Nothing(requests.iter().map(lost).collect()));
    }
    common::failpoint::hit("commit.in_transaction").await;
    commit_inserts::insert(session, &accepted).await?;
    Ok(Judged::All)
}

/// Consumes the intent of each object; the first key whose intent was not pending.
async fn lost_intent(session: &mut dyn Session, requests: &[CommitRequest]) -> Result<Option<String>> {
    let mut consumed = HashSet::new();
    for request in requests {
        for NewSegment { object, .. } in &request.segments {
            if consumed.insert(&object.key) && !consume(session, request, object).await? {
                return Ok(Some(object.key.clone()));
            }
        }
    }
    Ok(None)
}

async fn consume(session: &mut dyn Session, request: &CommitRequest, object: &NewObject) -> Result<bool> {
    let (topic, owner) = (request.partition.topic.clone(), request.owner);
    let intent = ReplacementIntent { topic, owner, bucket: object.bucket.clone(), key: object.key.clone() };
    intents::consume_replacement(session, &intent).await
}

fn not_committed(request: &CommitRequest) -> CatalogError {
    CatalogError::NotCommitted(request.partition.clone())
}
