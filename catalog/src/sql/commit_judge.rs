//! The judgement of a group of requests in one open transaction.
//!
//! Owns: the order of judgement, and the rows that the transaction keeps of each request. Does not own: the
//! transaction's beginning and end (`commit`), the statements (`commit_compares`, `commit_inserts`).

use super::commit_compares::{Found, Moved, consume_intent, find_commit, move_watermark, why_not};
use super::commit_inserts::{self, Accepted};
use super::commit_rows::{CommitColumns, Verdict, fenced};
use crate::commit::{CommitRequest, Refusal};
use crate::database::{Session, sql, values};
use crate::error::Result;

/// The rollback of a request's first steps after its intent was lost. Lost intents are rare: the group is tried without
/// savepoints, which cost two statements a request, and again with them if needed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    /// Roll the transaction back and begin again.
    WholeGroup,
    /// Roll back to the request's own savepoint.
    EachRequest,
}

/// Judges every request, in order of partition and, within one, in the order given; then inserts the rows of the
/// accepted ones. `None` if a lost intent requires rolling back the whole transaction.
pub(super) async fn judge_all(
    session: &mut dyn Session,
    requests: &[CommitRequest],
    undo: Undo,
) -> Result<Option<Vec<Verdict>>> {
    let columns: Vec<Result<CommitColumns>> = requests.iter().map(CommitColumns::of_own_objects).collect();
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&index| &requests[index].partition);
    let mut verdicts: Vec<Option<Verdict>> = requests.iter().map(|_| None).collect();
    let mut accepted: Vec<Accepted<'_>> = Vec::with_capacity(requests.len());
    let mut blocked = None;
    for index in order {
        let request = &requests[index];
        let verdict = match &columns[index] {
            Err(error) => Verdict::NotDone(error.clone()),
            Ok(columns) if blocked == Some(&request.partition) => match find_commit(session, request, columns).await? {
                Found::Done => Verdict::Done,
                _ => Verdict::Refused(fenced(request, "an earlier request of the same group was refused")),
            },
            Ok(columns) => judge_one(session, request, columns, &mut accepted, undo).await?,
        };
        if undo == Undo::WholeGroup && matches!(verdict, Verdict::Refused(Refusal::IntentLost { .. })) {
            return Ok(None);
        }
        if matches!(verdict, Verdict::Refused(_) | Verdict::NotDone(_)) {
            blocked = Some(&request.partition);
        }
        verdicts[index] = Some(verdict);
    }
    common::failpoint::hit("commit.in_transaction").await;
    assert_chained(&accepted);
    commit_inserts::insert(session, &accepted).await?;
    let verdicts = verdicts.into_iter().map(|verdict| verdict.expect("each index is in order once"));
    Ok(Some(verdicts.collect()))
}

/// Steps 1 and 2 for one request. With a savepoint, both or neither stay in the transaction.
async fn judge_one<'a>(
    session: &mut dyn Session,
    request: &'a CommitRequest,
    columns: &'a CommitColumns,
    accepted: &mut Vec<Accepted<'a>>,
    undo: Undo,
) -> Result<Verdict> {
    // Without segments there is no step 2, and nothing to undo.
    let has_savepoint = undo == Undo::EachRequest && !request.segments.is_empty();
    if has_savepoint {
        session.execute(&sql!("SAVEPOINT request"), values![]).await?;
    }
    let Some(Moved { commit_no, tables }) = move_watermark(session, request, columns).await? else {
        if has_savepoint {
            session.execute(&sql!("RELEASE SAVEPOINT request"), values![]).await?;
        }
        if accepted.iter().any(|accepted| accepted.request == request) {
            return Ok(Verdict::Accepted);
        }
        return why_not(session, request, columns).await;
    };
    for segment in &request.segments {
        if !consume_intent(session, request, columns, segment).await? {
            if has_savepoint {
                session.execute(&sql!("ROLLBACK TO SAVEPOINT request"), values![]).await?;
                session.execute(&sql!("RELEASE SAVEPOINT request"), values![]).await?;
            }
            return Ok(Verdict::Refused(Refusal::IntentLost { key: segment.object.key.clone() }));
        }
    }
    if has_savepoint {
        session.execute(&sql!("RELEASE SAVEPOINT request"), values![]).await?;
    }
    accepted.push(Accepted { request, columns, commit_no, tables });
    Ok(Verdict::Accepted)
}

/// Asserts, before any row is listed, that each accepted request raised its watermark, and that the neighbouring
/// requests of one partition chain.
fn assert_chained(accepted: &[Accepted<'_>]) {
    for Accepted { request, columns, commit_no, .. } in accepted {
        let (base, watermark) = (columns.base_offset, columns.high_watermark);
        assert!(watermark > base && *commit_no > 0, "commit {commit_no} of {} raises nothing", request.partition);
    }
    for pair in accepted.windows(2) {
        let [before, after] = pair else { continue };
        if before.request.partition == after.request.partition {
            let (end, base) = (before.columns.high_watermark, after.columns.base_offset);
            assert!(base == end, "of {}, {base} was accepted after {end}", after.request.partition);
            assert!(after.commit_no == before.commit_no + 1, "{} skips a commit number", after.request.partition);
        }
    }
}
