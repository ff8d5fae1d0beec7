//! The calls of the catalog's contract.
//!
//! Owns: the transaction of each call of the contract, and the rows that it locks; written once, for the model itself
//! and for sessions. The roles that the protocol depends on are here, the others in `client/`.
//! Does not own: a call's way to the server (`server`, `session`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::catalog::{
    AcquireOutcome, Agent, CatalogError, CommitOutcome, CommitRequest, CommitStore, Folded, JanitorStore,
    MetadataStore, Ownership, OwnershipStore, OwnershipView, Partition, ReplaceOutcome, Replacement, ReplacementIntent,
    Result, ResumePoint, Upload, UploadIntent,
};
use async_trait::async_trait;
use common::{Incarnation, OwnerId, TopicName, TopicPartition};

use super::state::CatalogState;
use crate::forgery::{Forgeries, confirmed};

mod groups;
mod iceberg;
mod tables;

/// A catalog behind some door.
#[derive(Clone, Debug)]
pub struct Client<D> {
    pub(crate) door: D,
    /// Replies that are forged on the way back.
    pub(crate) forgeries: Forgeries,
    /// Commits that were confirmed early, in their order.
    pub(crate) confirmed: Arc<tokio::sync::Mutex<()>>,
}

/// A transaction of commits.
type Commit = fn(&mut CatalogState, &[CommitRequest]) -> Vec<CommitOutcome>;

/// The way of a call to the tables.
pub trait Door: Clone + fmt::Debug + Send + Sync + 'static {
    /// Runs the transaction, or fails on the way. Dropping the caller does not take back a transaction that was sent.
    fn run<T, F>(&self, call: Call, transaction: F) -> impl Future<Output = Result<T, Failure>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&mut CatalogState) -> T + Send + 'static;
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name in the contract.
    pub name: &'static str,
    /// The rows of `partitions` that it locks.
    pub rows: Rows,
}

/// Rows of `partitions`.
#[derive(Clone, Debug)]
pub enum Rows {
    /// None.
    None,
    /// The rows of these partitions.
    These(Vec<TopicPartition>),
    /// The rows of the topic.
    OfTopic(TopicName),
    /// The rows that the agent owns.
    OwnedBy(OwnerId),
}

/// A call without an answer.
#[derive(Clone, Debug)]
pub struct Failure {
    /// True when the transaction may have been applied, or may be later.
    pub maybe_applied: bool,
    /// The error that the caller sees.
    pub error: CatalogError,
}

impl Rows {
    fn of(partition: &TopicPartition) -> Self {
        Self::These(vec![partition.clone()])
    }
}

impl<D: Door> Client<D> {
    /// A client without forgeries.
    pub(crate) fn through(door: D) -> Self {
        Self { door, forgeries: Forgeries::default(), confirmed: Arc::default() }
    }

    /// The same with these replies forged.
    pub(crate) fn forging(self, forgeries: Forgeries) -> Self {
        Self { forgeries, ..self }
    }

    /// Commits all requests in one transaction, and gives their outcomes.
    async fn commit_all(&self, requests: &[CommitRequest], commit: Commit) -> Vec<CommitOutcome> {
        let seen: Vec<_> = requests.iter().map(|request| self.forgeries.request(request)).collect();
        let rows = Rows::These(requests.iter().map(|request| request.partition.clone()).collect());
        let call = Call { name: "commit", rows };
        let failure = match self.door.run(call, move |state| commit(state, &seen)).await {
            Ok(outcomes) => return outcomes,
            Err(failure) => failure,
        };
        let outcome = if failure.maybe_applied { CommitOutcome::Unknown } else { CommitOutcome::NotDone };
        requests.iter().map(|_| outcome(failure.error.clone())).collect()
    }

    /// The same, with the forged outcomes of a writer that lacks guards.
    async fn commit_forging(&self, requests: &[CommitRequest], commit: Commit) -> Vec<CommitOutcome> {
        if self.forgeries.is_commit_confirmed_early {
            let (client, later) = (self.clone(), requests.to_vec());
            // Detached on purpose: the writer does not wait for it. The lock is fair, so that commits stay in order.
            tokio::spawn(async move {
                let _turn = client.confirmed.lock().await;
                client.commit_all(&later, commit).await;
            });
            return requests.iter().map(confirmed).collect();
        }
        let outcomes = self.commit_all(requests, commit).await;
        requests.iter().zip(outcomes).map(|(request, outcome)| self.forgeries.outcome(request, outcome)).collect()
    }

    async fn write<T, F>(&self, name: &'static str, rows: Rows, transaction: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut CatalogState) -> Result<T> + Send + 'static,
    {
        self.door.run(Call { name, rows }, transaction).await.map_err(|failure| failure.error)?
    }

    /// A read locks nothing.
    async fn read<T, F>(&self, name: &'static str, transaction: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&CatalogState) -> Result<T> + Send + 'static,
    {
        self.write(name, Rows::None, |state| transaction(state)).await
    }
}

#[async_trait]
impl<D: Door> MetadataStore for Client<D> {
    async fn check(&self) -> Result<()> {
        self.read("check", |_| Ok(())).await
    }

    async fn close(&self) {}
}

#[async_trait]
impl<D: Door> CommitStore for Client<D> {
    async fn record_intents(&self, intents: &[UploadIntent]) -> Vec<Result<()>> {
        if self.forgeries.is_intent_skipped {
            return intents.iter().map(|_| Ok(())).collect();
        }
        let rows = Rows::These(intents.iter().map(|intent| intent.partition.clone()).collect());
        let seen = self.forgeries.intents(intents);
        let answers = self.write("record_intents", rows, move |state| Ok(state.record_intents(&seen))).await;
        answers.unwrap_or_else(|error| vec![Err(error); intents.len()])
    }

    async fn abandon_intents(&self, intents: &[UploadIntent]) -> Result<()> {
        let intents = self.forgeries.intents(intents);
        self.write("abandon_intents", Rows::None, move |state| state.abandon_intents(&intents)).await
    }

    async fn commit(&self, requests: &[CommitRequest]) -> Vec<CommitOutcome> {
        self.commit_forging(requests, CatalogState::commit).await
    }

    async fn commit_together(&self, requests: &[CommitRequest]) -> Vec<CommitOutcome> {
        self.commit_forging(requests, CatalogState::commit_together).await
    }

    /// Waits for the partition's row, and so for a commit of it that the server has begun.
    async fn resolve(&self, request: &CommitRequest) -> Result<CommitOutcome> {
        let (rows, request) = (Rows::of(&request.partition), self.forgeries.request(request));
        self.write("resolve", rows, move |state| Ok(state.resolve(&request))).await
    }

    async fn record_replacement_intent(&self, intent: &ReplacementIntent) -> Result<()> {
        let intent = intent.clone();
        let record = move |state: &mut CatalogState| state.record_replacement_intent(&intent);
        self.write("record_replacement_intent", Rows::None, record).await
    }

    async fn abandon_replacement(&self, intent: &ReplacementIntent) -> Result<()> {
        let intent = intent.clone();
        self.write("abandon_replacement", Rows::None, move |state| state.abandon_replacement(&intent)).await
    }

    /// Locks rows of objects, which nothing else waits for here: they are locked for one moment.
    async fn replace(&self, replacement: &Replacement) -> ReplaceOutcome {
        let (call, owned) = (Call { name: "replace", rows: Rows::None }, replacement.clone());
        match self.door.run(call, move |state| state.replace(&owned)).await {
            Ok(outcome) => outcome,
            Err(Failure { maybe_applied: true, error }) => ReplaceOutcome::Unknown(error),
            Err(Failure { error, .. }) => ReplaceOutcome::NotDone(error),
        }
    }

    async fn resolve_replacement(&self, replacement: &Replacement) -> Result<ReplaceOutcome> {
        let replacement = replacement.clone();
        self.write("resolve_replacement", Rows::None, move |state| Ok(state.resolve_replacement(&replacement))).await
    }
}

#[async_trait]
impl<D: Door> OwnershipStore for Client<D> {
    async fn heartbeat(&self, agent: &Agent) -> Result<()> {
        let agent = agent.clone();
        self.write("heartbeat", Rows::None, move |state| state.heartbeat(&agent)).await
    }

    async fn acquire(
        &self,
        owner: OwnerId,
        lease: Duration,
        partitions: &[TopicPartition],
    ) -> Result<Vec<AcquireOutcome>> {
        let partitions = partitions.to_vec();
        let rows = Rows::These(partitions.clone());
        self.write("acquire", rows, move |state| state.acquire(owner, lease, &partitions)).await
    }

    async fn release(&self, held: &[Ownership]) -> Result<()> {
        let rows = Rows::These(held.iter().map(|held| held.partition.clone()).collect());
        let held = held.to_vec();
        self.write("release", rows, move |state| state.release(&held)).await
    }

    async fn halt(&self, held: &Ownership, reason: &str) -> Result<()> {
        let (rows, held, reason) = (Rows::of(&held.partition), held.clone(), reason.to_owned());
        self.write("halt", rows, move |state| state.halt(&held, &reason)).await
    }

    async fn remove_agent(&self, owner: OwnerId) -> Result<()> {
        self.write("remove_agent", Rows::OwnedBy(owner), move |state| {
            state.remove_agent(owner);
            Ok(())
        })
        .await
    }

    async fn list_agents(&self, lease: Duration) -> Result<Vec<Agent>> {
        self.read("list_agents", move |state| Ok(state.list_agents(lease))).await
    }

    async fn ownership_view(&self, lease: Duration) -> Result<OwnershipView> {
        self.read("ownership_view", move |state| Ok(state.ownership_view(lease))).await
    }

    async fn mark_suspect(&self, held: &Ownership, offset: u64) -> Result<u32> {
        let (rows, held) = (Rows::of(&held.partition), held.clone());
        self.write("mark_suspect", rows, move |state| state.mark_suspect(&held, offset)).await
    }

    async fn clear_suspect(&self, held: &Ownership) -> Result<()> {
        let (rows, held) = (Rows::of(&held.partition), held.clone());
        self.write("clear_suspect", rows, move |state| state.clear_suspect(&held)).await
    }

    async fn resume(&self, partition: &TopicPartition, seen: Incarnation, at: &ResumePoint) -> Result<Partition> {
        let (rows, partition, at) = (Rows::of(partition), partition.clone(), at.clone());
        self.write("resume", rows, move |state| state.resume(&partition, seen, &at)).await
    }
}

#[async_trait]
impl<D: Door> JanitorStore for Client<D> {
    async fn due_objects(
        &self,
        bucket: &str,
        hold: Duration,
        second_sweep: Duration,
        limit: u32,
    ) -> Result<Vec<Upload>> {
        let bucket = bucket.to_owned();
        self.read("due_objects", move |state| Ok(state.due_objects(&bucket, hold, second_sweep, limit))).await
    }

    async fn swept(&self, objects: &[Upload]) -> Result<()> {
        let objects = objects.to_vec();
        self.write("swept", Rows::None, move |state| state.swept(&objects)).await
    }

    async fn doom_abandoned_replacements(&self, lease: Duration) -> Result<u64> {
        let doom = move |state: &mut CatalogState| Ok(state.doom_abandoned_replacements(lease));
        self.write("doom_abandoned_replacements", Rows::None, doom).await
    }

    async fn fold_history(&self, hold: Duration) -> Result<Folded> {
        self.write("fold_history", Rows::None, move |state| Ok(state.fold_history(hold))).await
    }

    async fn list_shared_uploads(&self, topic: &TopicName) -> Result<Vec<Upload>> {
        let topic = topic.clone();
        self.read("list_shared_uploads", move |state| Ok(state.list_shared_uploads(&topic))).await
    }

    async fn list_uploads(&self, partition: &TopicPartition) -> Result<Vec<Upload>> {
        let partition = partition.clone();
        self.read("list_uploads", move |state| Ok(state.list_uploads(&partition))).await
    }
}
