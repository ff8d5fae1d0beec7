//! The commit: one transaction that moves watermarks, consumes intents and lists segments.
//!
//! Owns: its steps and their order, and its outcome. Does not own: the judgement of each request (`commit_judge`), the
//! compares (`commit_compares`), the inserted rows (`commit_inserts`), the values of a request (`commit_rows`), intents
//! before the commit (`intents`), the end of the transaction (`ending`), replacements (`replace`).
//!
//! Every failure before COMMIT is sent ends in `NotDone`; after that only the database knows, and if its answer does
//! not tell, the outcome is `Unknown`. A future dropped after COMMIT would lose the answer: callers run it in a task of
//! its own.

use async_trait::async_trait;

use super::commit_compares::{Found, find_commit};
use super::commit_judge::{Undo, judge_all};
use super::commit_rows::{CommitColumns, Verdict, done, fenced, fenced_reason, none_done, outcomes};
use super::ending::{Ending, begin, send_commit};
use super::partition_row::lock_partition;
use super::{SqlMetadataStore, commit_together, intents, replace};
use crate::commit::{CommitOutcome, CommitRequest};
use crate::database::{Access, Door, Transaction, roll_back};
use crate::error::{CatalogError, Result};
use crate::model::{Partition, ReplacementIntent, UploadIntent};
use crate::replace::{ReplaceOutcome, Replacement};
use crate::store::CommitStore;

#[async_trait]
impl<D> CommitStore for SqlMetadataStore<D> {
    async fn record_intents(&self, intents: &[UploadIntent]) -> Vec<Result<()>> {
        let recorded = self.door.write(|session| Box::pin(intents::record(session, intents))).await;
        recorded.unwrap_or_else(|error| vec![Err(error); intents.len()])
    }

    async fn abandon_intents(&self, intents: &[UploadIntent]) -> Result<()> {
        self.door.write(|session| Box::pin(intents::abandon(session, intents))).await
    }

    async fn commit(&self, requests: &[CommitRequest]) -> Vec<CommitOutcome> {
        let mut connection = match self.door.bounded(self.door.connection(Access::Write)).await {
            Ok(connection) => connection,
            Err(error) => return none_done(requests, &error),
        };
        let mut undo = Undo::WholeGroup;
        let (transaction, verdicts) = loop {
            let mut transaction = match self.door.answered(begin(&mut *connection)).await {
                Ok(transaction) => transaction,
                Err(error) => return none_done(requests, &error),
            };
            match self.door.answered(prepare(&mut *transaction, requests, undo)).await {
                Ok(Some(verdicts)) => break (transaction, verdicts),
                Ok(None) => undo = Undo::EachRequest,
                Err(error) => {
                    roll_back(transaction).await;
                    return none_done(requests, &error);
                }
            }
            if let Err(error) = self.door.answered(take_back(transaction)).await {
                return none_done(requests, &error);
            }
        };
        let ending = send_commit(&self.door, transaction).await;
        if matches!(ending, Ending::Unknown(_)) {
            // The state of this connection is unknown: no more statements may use it.
            connection.close_on_drop();
        }
        outcomes(requests, verdicts, &ending)
    }

    async fn commit_together(&self, requests: &[CommitRequest]) -> Vec<CommitOutcome> {
        commit_together::commit_together(&self.door, requests).await
    }

    async fn resolve(&self, request: &CommitRequest) -> Result<CommitOutcome> {
        let columns = match CommitColumns::of(request) {
            Ok(columns) => columns,
            Err(error) => return Ok(CommitOutcome::NotDone(error)),
        };
        self.door.bounded(look_up(&self.door, request, &columns)).await
    }

    async fn record_replacement_intent(&self, intent: &ReplacementIntent) -> Result<()> {
        self.door.write(|session| Box::pin(intents::record_replacement(session, intent))).await
    }

    async fn abandon_replacement(&self, intent: &ReplacementIntent) -> Result<()> {
        self.door.write(|session| Box::pin(intents::abandon_replacement(session, intent))).await
    }

    async fn replace(&self, replacement: &Replacement) -> ReplaceOutcome {
        replace::replace(&self.door, replacement).await
    }

    async fn resolve_replacement(&self, replacement: &Replacement) -> Result<ReplaceOutcome> {
        replace::resolve(&self.door, replacement).await
    }
}

async fn take_back(transaction: Box<dyn Transaction + '_>) -> Result<()> {
    Ok(transaction.rollback().await?)
}

/// Every step before COMMIT. `None` if a lost intent requires rolling back the whole transaction.
async fn prepare(
    transaction: &mut dyn Transaction,
    requests: &[CommitRequest],
    undo: Undo,
) -> Result<Option<Vec<Verdict>>> {
    let verdicts = judge_all(transaction.session(), requests, undo).await?;
    transaction.prepare_commit().await?;
    Ok(verdicts)
}

/// Looks for the request in the database, on a new connection.
async fn look_up(door: &Door, request: &CommitRequest, columns: &CommitColumns) -> Result<CommitOutcome> {
    let mut connection = door.fresh_connection().await?;
    let mut transaction = connection.begin(Access::Write).await?;
    // The lock waits for a COMMIT that is still running on the lost connection.
    let now = lock_partition(transaction.session(), &request.partition).await?;
    let found = find_commit(transaction.session(), request, columns).await?;
    // On PostgreSQL, COMMIT waits until a synchronous standby has the row lock, and therefore everything before it:
    // also a commit whose own wait was cancelled.
    transaction.commit_segments().await.map_err(|error| door.commit_failed(error))?;
    if let Found::Done = found {
        return Ok(done(request));
    }
    // A watermark below the base means that an earlier commit is missing; this one can follow it.
    let waits = now.as_ref().is_some_and(|now| now.high_watermark < request.range.base());
    let at_base = now
        .map(|now| Partition { high_watermark: if waits { request.range.base() } else { now.high_watermark }, ..now });
    Ok(match found.reason().or_else(|| fenced_reason(request, at_base.as_ref())) {
        Some(reason) => CommitOutcome::Refused(fenced(request, reason)),
        None => CommitOutcome::NotDone(CatalogError::NotCommitted(request.partition.clone())),
    })
}
