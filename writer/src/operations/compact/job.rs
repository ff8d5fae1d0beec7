//! One job: objects are merged, the merged object is put, and takes their place in the catalog.
//!
//! Owns: the order of these steps, and settling an unknown outcome. Does not own: the merge (`lake::merge`), the protocol of
//! the put (`lake::put`), the exchange (`catalog`).
//!
//! A job that ends anywhere leaves its inputs listed. Its intent, if there is one, is doomed when its process is silent, so
//! there is nothing to resume: another job takes the same objects.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use catalog::{CatalogError, MetadataStore, ReplaceOutcome, ReplaceRefusal, Replacement};
use common::backoff::Backoff;
use common::memory::{MemoryBudget, MemoryPermit};
use common::{OwnerId, failpoint};
use lake::Storage;
use lake::keys::{NewKey, SharedName};
use lake::merge::{Merge, MergeError, Step};
use lake::put::{Intents, Observer, PutStop, Retry, SegmentPut, SharedIntents};
use lake::segment::EncodedSegment;
use object_store::path::Path;
use tokio_util::sync::CancellationToken;

use super::CompactionConfig;
use super::work::Work;
use crate::pipeline::cpu::Cpu;

/// The parts of the process that jobs use.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) catalog: Arc<dyn MetadataStore>,
    pub(crate) storage: Storage,
    /// The process, which sends heartbeats.
    pub(crate) owner: OwnerId,
    pub(crate) memory: MemoryBudget,
    pub(crate) cpu: Cpu,
    /// Cancelled when the process is to end.
    pub(crate) stop: CancellationToken,
    pub(crate) config: CompactionConfig,
}

/// The end of a job.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The merged object has this size, and is listed.
    Done { bytes: u64 },
    /// There is no memory for it now, or the process is to end.
    NotNow,
    /// Other objects, or none, are to be merged: some of the inputs are no longer listed.
    Refused(ReplaceRefusal),
    /// It may succeed later.
    Failed(String),
    /// Its objects cannot be merged. `key` is that of the only one to blame, if it is known.
    Hopeless { reason: String, key: Option<String> },
}

/// One job under way.
pub(super) struct Run<'a> {
    pub(super) tools: &'a Tools,
    pub(super) work: &'a Work,
}

impl Run<'_> {
    /// Does all of it.
    pub(super) async fn run(&self) -> Outcome {
        let Some(mut permit) = self.tools.memory.try_acquire(self.work.memory_bytes(&self.tools.config)) else {
            return Outcome::NotNow;
        };
        let encoded = match self.merged(&mut permit).await {
            Ok(encoded) => encoded,
            Err(outcome) => return outcome,
        };
        // From now on it holds the merged object alone.
        permit.resize(encoded.size_bytes as usize);
        failpoint::hit("compact.merged").await;
        let key = match self.put(&encoded).await {
            Ok(key) => key,
            Err(outcome) => return outcome,
        };
        failpoint::hit("compact.put").await;
        let replacement = Replacement {
            topic: self.work.topic.name.clone(),
            kind: self.work.kind,
            owner: self.tools.owner,
            inputs: self.work.inputs.iter().map(|input| input.as_ref().into()).collect(),
            output: encoded.object(&self.tools.storage.bucket, &key, self.work.topic.schema_version),
        };
        let outcome = self.replace(&replacement).await;
        failpoint::hit("compact.replaced").await;
        outcome
    }

    /// The merged object.
    async fn merged(&self, permit: &mut MemoryPermit) -> Result<EncodedSegment, Outcome> {
        let inputs = self.work.merge_inputs().map_err(hopeless)?;
        let (storage, reserved) = (&self.tools.storage, permit.bytes());
        let mut merge = Merge::open(storage, &inputs, &self.work.form(&self.tools.config)).await.map_err(ended)?;
        loop {
            if self.tools.stop.is_cancelled() {
                return Err(Outcome::NotNow);
            }
            let work = move || {
                let step = merge.work();
                Ok((merge, step))
            };
            let worked = self.tools.cpu.run(work).await;
            let (back, step) = worked.map_err(|stop| hopeless(format!("a defect of the merge: {stop:?}")))?;
            merge = back;
            permit.resize(reserved.max(merge.memory_bytes()));
            match step.map_err(ended)? {
                Step::Work => {}
                Step::Fetch => merge.fetch(storage).await.map_err(ended)?,
                Step::Finish => break,
            }
        }
        merge.finish(self.work.footer().pairs()).map_err(ended)
    }

    /// Puts the object; returns its key. A stop ends it and gives the object up, as far as the catalog answers.
    async fn put(&self, encoded: &EncodedSegment) -> Result<Path, Outcome> {
        let name = SharedName {
            topic: &self.work.topic.name,
            kind: self.work.kind,
            first_timestamp_us: self.work.first_timestamp_us(),
        };
        let keys = Mutex::new(Vec::new());
        let new_key = || -> NewKey {
            let new = name.new_key(&self.tools.storage.prefix);
            keys.lock().expect("no holder panics").push(new.key.clone());
            new
        };
        let put =
            SegmentPut { storage: &self.tools.storage, encoded, new_key: &new_key, intents: self, observer: &Logged };
        tokio::select! {
            biased;
            stored = put.run() => match stored {
                Ok(stored) => Ok(stored.name.key),
                Err(PutStop::NeighbourGone) => Err(Outcome::Failed("its intent was not recorded".to_owned())),
                Err(stop) => Err(Outcome::Failed(stop.to_string())),
            },
            () = self.tools.stop.cancelled() => {
                for key in keys.into_inner().expect("no holder panics") {
                    self.intents().abandon(&key).await.ok();
                }
                Err(Outcome::NotNow)
            }
        }
    }

    /// Sends the replacement until it is done, or until it certainly never will be. A request that was sent is never
    /// dropped; a stop only ends repeating it.
    async fn replace(&self, replacement: &Replacement) -> Outcome {
        let catalog = self.tools.catalog.as_ref();
        let mut backoff = Backoff::default();
        let mut outcome = catalog.replace(replacement).await;
        let refusal = loop {
            let error = match outcome {
                ReplaceOutcome::Done(_) => return Outcome::Done { bytes: replacement.output.size_bytes },
                ReplaceOutcome::Refused(refusal) => break refusal,
                ReplaceOutcome::NotDone(ref error) | ReplaceOutcome::Unknown(ref error) => error,
            };
            if self.tools.stop.is_cancelled() {
                // Without effect on one that was done.
                catalog.abandon_replacement(&replacement.intent()).await.ok();
                return Outcome::NotNow;
            }
            tracing::warn!(%error, key = replacement.output.key, "replacement without success, tried again");
            tokio::time::sleep(backoff.next_wait()).await;
            outcome = match outcome {
                ReplaceOutcome::Unknown(error) => {
                    let resolved = catalog.resolve_replacement(replacement).await;
                    resolved.unwrap_or(ReplaceOutcome::Unknown(error))
                }
                _ => catalog.replace(replacement).await,
            };
        };
        if !matches!(refusal, ReplaceRefusal::IntentLost { .. }) {
            // An intent that stays is doomed once its owner is silent.
            catalog.abandon_replacement(&replacement.intent()).await.ok();
        }
        match refusal {
            ReplaceRefusal::Mismatch { reason } => hopeless(reason),
            refusal => Outcome::Refused(refusal),
        }
    }

    fn intents(&self) -> SharedIntents<'_> {
        let Tools { catalog, storage, owner, .. } = self.tools;
        SharedIntents { catalog: catalog.as_ref(), storage, topic: &self.work.topic.name, owner: *owner }
    }
}

#[async_trait]
impl Intents for Run<'_> {
    async fn record(&self, key: &Path) -> Option<Result<(), CatalogError>> {
        match self.intents().record(key).await {
            // The topic was deleted, or the database does not allow it.
            Some(Err(CatalogError::TopicNotFound(_) | CatalogError::KeyUsed(_) | CatalogError::Refused(_))) => None,
            answer => answer,
        }
    }

    async fn abandon(&self, key: &Path) -> Result<(), CatalogError> {
        self.intents().abandon(key).await
    }

    fn may_repeat(&self) -> bool {
        self.intents().may_repeat()
    }
}

/// Logs retries.
struct Logged;

impl Observer for Logged {
    fn retrying(&self, retry: &Retry<'_>) {
        let Retry { step, key, attempt, error, .. } = retry;
        tracing::warn!(step, %key, attempt, %error, "put of a merged object failed, tried again");
    }
}

fn ended(error: MergeError) -> Outcome {
    match error {
        // Another process may have merged the same objects, and the janitor deleted them.
        MergeError::Unreadable { .. } => Outcome::Failed(error.to_string()),
        MergeError::Altered { ref key, .. } => Outcome::Hopeless { key: Some(key.clone()), reason: error.to_string() },
        MergeError::Encoding(_) => hopeless(error.to_string()),
    }
}

fn hopeless(reason: String) -> Outcome {
    Outcome::Hopeless { reason, key: None }
}
