//! The commit: one transaction that moves watermarks, consumes intents and lists segments.
//!
//! Owns: its steps and their order, and its outcome. Does not own: the compares (`commit_compares`), the rows that stay
//! (`commit_inserts`), what a request's values mean (`commit_rows`), intents before the commit (`intents`).
//!
//! Everything before COMMIT is sent ends in `NotDone`; from then on only the database knows, and if its answer does
//! not tell, the outcome is `Unknown`. A dropped future would leave COMMIT sent and nobody listening: callers run it
//! in a task of its own.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Connection;
use tokio::time::timeout;

use super::commit_inserts::Accepted;
use super::commit_rows::{CommitColumns, Ending, Verdict, done, fenced, fenced_reason, none_done, outcomes};
use crate::commit::{CommitOutcome, CommitRequest, Refusal};
use crate::error::{CatalogError, Result};
use crate::model::{Partition, UploadIntent};
use crate::store::CommitStore;
use crate::{PostgresMetadataStore, SqliteMetadataStore};

/// How long a transaction that failed may take to roll back; the failure is told anyway.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// How the first steps of a request are taken back when its intent turns out to be lost. That is rare: the group is
/// tried without savepoints, which cost two statements a request, and again with them if need be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// Roll the transaction back and begin again.
    WholeGroup,
    /// Roll back to the request's own savepoint.
    EachRequest,
}

macro_rules! impl_commit_store {
    ($store:ty, $db:ty) => {
        #[async_trait]
        impl CommitStore for $store {
            async fn record_intents(&self, intents: &[UploadIntent]) -> Vec<Result<()>> {
                let written = self.answered(self.write_intents(intents)).await;
                written.unwrap_or_else(|error| vec![Err(error); intents.len()])
            }

            async fn abandon_intents(&self, intents: &[UploadIntent]) -> Result<()> {
                self.answered(self.doom_intents(intents)).await
            }

            async fn commit(&self, requests: &[CommitRequest]) -> Vec<CommitOutcome> {
                if let Err(error) = self.usable() {
                    return none_done(requests, &error);
                }
                let mut connection = match self.writer().acquire().await {
                    Ok(connection) => connection,
                    Err(error) => return none_done(requests, &error.into()),
                };
                let mut undo = Undo::WholeGroup;
                let (transaction, verdicts) = loop {
                    let mut transaction = match self.answered(connection.begin_with(Self::BEGIN_WRITE)).await {
                        Ok(transaction) => transaction,
                        Err(error) => return none_done(requests, &error),
                    };
                    let prepared = async {
                        let verdicts = Self::judge_all(&mut transaction, requests, undo).await?;
                        Self::before_commit(&mut transaction).await?;
                        Ok(verdicts)
                    };
                    match self.answered::<_, CatalogError>(prepared).await {
                        Ok(Some(verdicts)) => break (transaction, verdicts),
                        Ok(None) => undo = Undo::EachRequest,
                        Err(error) => {
                            // The first error is the one to tell; a connection that cannot roll back is given up.
                            timeout(ROLLBACK_TIMEOUT, transaction.rollback()).await.ok();
                            return none_done(requests, &error);
                        }
                    }
                    if let Err(error) = self.answered(transaction.rollback()).await {
                        return none_done(requests, &error);
                    }
                };
                let committed = async { Ok::<_, CatalogError>(Self::finish(transaction).await) };
                let ending = match self.answered(committed).await {
                    Ok(Ok(())) => Ending::Committed,
                    Ok(Err(error)) if Self::commit_certainly_failed(&error) => Ending::NotCommitted(error.into()),
                    Ok(Err(error)) => Ending::Unknown(self.unknown_commit(error)),
                    Err(silence) => Ending::Unknown(silence),
                };
                if matches!(ending, Ending::Unknown(_)) {
                    // Whatever state this connection is in, nothing more goes through it.
                    connection.close_on_drop();
                }
                outcomes(requests, verdicts, &ending)
            }

            async fn resolve(&self, request: &CommitRequest) -> Result<CommitOutcome> {
                self.answered(self.look_up(request)).await
            }
        }

        impl $store {
            /// What the database says of the request, on a connection of its own.
            async fn look_up(&self, request: &CommitRequest) -> Result<CommitOutcome> {
                let columns = match CommitColumns::of(request) {
                    Ok(columns) => columns,
                    Err(error) => return Ok(CommitOutcome::NotDone(error)),
                };
                self.usable()?;
                let mut connection = self.fresh_connection().await?;
                let mut transaction = connection.get().begin_with(Self::BEGIN_WRITE).await?;
                // The lock waits for a COMMIT that is still under way on the connection that was lost.
                let row = Self::lock_partition(&mut transaction, &request.partition).await?;
                let found = Self::is_committed(&mut transaction, request, &columns).await?;
                // On PostgreSQL, COMMIT waits until a synchronous standby has the row lock, and so all that came before:
                // also a commit whose own wait was cancelled.
                Self::finish(transaction).await?;
                if found {
                    return Ok(done(request));
                }
                let now = row.map(Partition::try_from).transpose()?;
                // A watermark below the base waits for an earlier commit, and then takes this one.
                let waits = now.as_ref().is_some_and(|now| now.high_watermark < request.base_offset);
                let at_base = now.map(|now| Partition {
                    high_watermark: if waits { request.base_offset } else { now.high_watermark },
                    ..now
                });
                Ok(match fenced_reason(request, at_base.as_ref()) {
                    Some(reason) => CommitOutcome::Refused(fenced(request, reason)),
                    None => CommitOutcome::NotDone(CatalogError::NotCommitted(request.partition.clone())),
                })
            }

            /// Judges every request, in order of partition and, within one, in the order given; then inserts what
            /// the accepted ones list. `None` when the whole transaction must be rolled back for a lost intent.
            async fn judge_all(
                connection: &mut <$db as sqlx::Database>::Connection,
                requests: &[CommitRequest],
                undo: Undo,
            ) -> Result<Option<Vec<Verdict>>> {
                let columns: Vec<Result<CommitColumns>> = requests.iter().map(CommitColumns::of).collect();
                let mut order: Vec<usize> = (0..requests.len()).collect();
                order.sort_by_key(|&index| &requests[index].partition);
                let mut verdicts: Vec<Option<Verdict>> = requests.iter().map(|_| None).collect();
                let mut accepted: Vec<Accepted<'_>> = Vec::with_capacity(requests.len());
                let mut blocked = None;
                for index in order {
                    let request = &requests[index];
                    let verdict = match &columns[index] {
                        Err(error) => Verdict::NotDone(error.clone()),
                        Ok(columns) if blocked == Some(&request.partition) => {
                            if Self::is_committed(connection, request, columns).await? {
                                Verdict::Done
                            } else {
                                Verdict::Refused(fenced(request, "an earlier request of the same group was refused"))
                            }
                        }
                        Ok(columns) => Self::judge_one(connection, request, columns, &mut accepted, undo).await?,
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
                Self::insert_commits(connection, &accepted).await?;
                Self::insert_segments(connection, &accepted).await?;
                Self::insert_gaps(connection, &accepted).await?;
                let verdicts = verdicts.into_iter().map(|verdict| verdict.expect("each index is in order once"));
                Ok(Some(verdicts.collect()))
            }

            /// Steps 1 and 2 for one request. With a savepoint, both or neither stay in the transaction.
            async fn judge_one<'a>(
                connection: &mut <$db as sqlx::Database>::Connection,
                request: &'a CommitRequest,
                columns: &'a CommitColumns,
                accepted: &mut Vec<Accepted<'a>>,
                undo: Undo,
            ) -> Result<Verdict> {
                // Without segments there is no step 2, and nothing to undo.
                let has_savepoint = undo == Undo::EachRequest && !request.segments.is_empty();
                if has_savepoint {
                    sqlx::query("SAVEPOINT request").execute(&mut *connection).await?;
                }
                let Some(commit_no) = Self::move_watermark(connection, request, columns).await? else {
                    if has_savepoint {
                        sqlx::query("RELEASE SAVEPOINT request").execute(&mut *connection).await?;
                    }
                    if accepted.iter().any(|accepted| accepted.request == request) {
                        return Ok(Verdict::Accepted);
                    }
                    return Self::why_not(connection, request, columns).await;
                };
                for segment in &request.segments {
                    if !Self::consume_intent(connection, request, columns, segment).await? {
                        if has_savepoint {
                            sqlx::query("ROLLBACK TO SAVEPOINT request").execute(&mut *connection).await?;
                            sqlx::query("RELEASE SAVEPOINT request").execute(&mut *connection).await?;
                        }
                        return Ok(Verdict::Refused(Refusal::IntentLost { key: segment.key.clone() }));
                    }
                }
                if has_savepoint {
                    sqlx::query("RELEASE SAVEPOINT request").execute(&mut *connection).await?;
                }
                accepted.push(Accepted { request, columns, commit_no });
                Ok(Verdict::Accepted)
            }
        }
    };
}

impl_commit_store!(SqliteMetadataStore, sqlx::Sqlite);
impl_commit_store!(PostgresMetadataStore, sqlx::Postgres);
