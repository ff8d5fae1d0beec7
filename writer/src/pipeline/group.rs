//! Group commit: intents and commits of many partitions share transactions.
//!
//! Owns: collecting requests during a transaction, and running the next one with all of them. Both loops run in a task
//! that ends only after every sender is dropped, so that no transaction is cancelled midway.
//! Does not own: the meaning of an outcome (`lake::put`, commit).

use std::future::Future;
use std::sync::Arc;

use catalog::{CatalogError, CommitOutcome, CommitRequest, MetadataStore, UploadIntent};
use futures::future::{BoxFuture, FutureExt};
use tokio::sync::{mpsc, oneshot};

use crate::config::GROUP_COMMIT_MAX;
use crate::service::announce::Unannounced;

/// Takes intents and commits. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    intents: mpsc::Sender<Job<UploadIntent, Result<(), CatalogError>>>,
    commits: mpsc::Sender<Job<CommitRequest, CommitOutcome>>,
}

#[derive(Debug)]
struct Job<Request, Answer> {
    request: Request,
    answer: oneshot::Sender<Answer>,
}

impl Groups {
    /// The handle and its work, which a task must run until the handle and all its clones are dropped. Commits are noted in
    /// `unannounced`.
    pub(crate) fn new(
        catalog: Arc<dyn MetadataStore>,
        unannounced: Arc<Unannounced>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        // One slot per member of a group: a request without a slot waits for the transaction before its own.
        let (intents, waiting_intents) = mpsc::channel(GROUP_COMMIT_MAX);
        let (commits, waiting_commits) = mpsc::channel(GROUP_COMMIT_MAX);
        let committing = Arc::clone(&catalog);
        let record = move |group: Vec<UploadIntent>| {
            let catalog = Arc::clone(&catalog);
            async move { catalog.record_intents(&group).await }.boxed()
        };
        let commit = move |group: Vec<CommitRequest>| {
            let (catalog, unannounced) = (Arc::clone(&committing), Arc::clone(&unannounced));
            async move {
                let outcomes = catalog.commit(&group).await;
                unannounced.note(&outcomes);
                outcomes
            }
            .boxed()
        };
        let work = async move {
            futures::future::join(run(waiting_intents, record), run(waiting_commits, commit)).await;
        };
        (Self { intents, commits }, work)
    }

    /// Records an intent. `None` if the process is stopping.
    pub(crate) async fn record_intent(&self, intent: UploadIntent) -> Option<Result<(), CatalogError>> {
        ask(&self.intents, intent).await
    }

    /// Commits once, without retrying. `None` if the process is stopping.
    pub(crate) async fn commit(&self, request: CommitRequest) -> Option<CommitOutcome> {
        ask(&self.commits, request).await
    }
}

async fn ask<Request, Answer>(jobs: &mpsc::Sender<Job<Request, Answer>>, request: Request) -> Option<Answer> {
    let (answer, answered) = oneshot::channel();
    jobs.send(Job { request, answer }).await.ok()?;
    answered.await.ok()
}

async fn run<Request, Answer>(
    mut jobs: mpsc::Receiver<Job<Request, Answer>>,
    transact: impl Fn(Vec<Request>) -> BoxFuture<'static, Vec<Answer>>,
) {
    let mut group = Vec::new();
    while jobs.recv_many(&mut group, GROUP_COMMIT_MAX).await > 0 {
        let (requests, answers): (Vec<_>, Vec<_>) = group.drain(..).map(|job| (job.request, job.answer)).unzip();
        let outcomes = transact(requests).await;
        // A partition without an outcome would conclude that the process is stopping.
        assert_eq!(outcomes.len(), answers.len(), "one outcome for each member of the group");
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // The caller may have been stopped; the outcome stands nevertheless.
            answer.send(outcome).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "one outcome for each member of the group")]
    async fn a_store_that_answers_too_few_is_a_defect_and_no_shutdown() {
        let (jobs, waiting) = mpsc::channel(2);
        let (answer, _answered) = oneshot::channel();
        jobs.send(Job { request: 1, answer }).await.expect("room");
        let transact = |_: Vec<i32>| async { Vec::<i32>::new() }.boxed();
        run(waiting, transact).await;
    }
}
