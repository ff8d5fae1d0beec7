//! One replacement, as a product would do it: read, write one object with the put protocol, replace, settle.
//!
//! Owns: the choice of objects, and the order of the steps. Does not own: the put (`lake::put`).
//!
//! Sometimes it loses a row on the way, as a faulty program would: the catalog must refuse that.

use std::sync::Arc;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use catalog::{
    CatalogError, CommitStore, ObjectInfo, ReplaceOutcome, ReplaceRefusal, Replacement, ReplacementIntent, SegmentKind,
    SegmentStore,
};
use lake::keys::NewKey;
use lake::object::{Found, Keep, ListedObject};
use lake::put::{Intents, Observer, Retry, SegmentPut};
use lake::schema::{quarantine_schema, table_schema};
use lake::segment::{EncodedSegment, Pages, SegmentEncoder};
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use uuid::Uuid;

use super::work::Worker;
use crate::rows;

/// Most inputs of one replacement.
const INPUTS_MAX: u64 = 6;
const PAGE_BYTES: usize = 4_096;

/// An observer that ignores retries.
struct Unwatched;

impl Observer for Unwatched {
    fn retrying(&self, _retry: &Retry<'_>) {}
}

impl Worker {
    /// Replaces some live objects of one kind by one, unless something comes in between.
    pub(super) async fn replace_some(&self) {
        let topic = &self.compactor.topic;
        let Ok(snapshot) = self.catalog.snapshot(topic).await else { return };
        let kind = if self.chance.below(4) == 0 { SegmentKind::Quarantine } else { SegmentKind::Data };
        let live: Vec<Arc<ObjectInfo>> = snapshot.objects.into_iter().filter(|object| object.kind == kind).collect();
        let inputs = self.choose(live);
        if inputs.is_empty() {
            return;
        }
        let Some(encoded) = self.encode(kind, &inputs).await else { return };
        let new_key = || self.new_key();
        let put = SegmentPut {
            storage: &self.storage,
            encoded: &encoded,
            new_key: &new_key,
            intents: self,
            observer: &Unwatched,
        };
        let Ok(stored) = put.run().await else { return };
        let replacement = Replacement {
            topic: topic.clone(),
            kind,
            owner: self.owner,
            inputs: inputs.iter().map(|input| input.as_ref().into()).collect(),
            output: encoded.object("", &stored.name.key, snapshot.topic.schema_version),
        };
        self.settle(&replacement).await;
    }

    /// Some of them: neighbours in the order in which they were listed, or any.
    fn choose(&self, mut live: Vec<Arc<ObjectInfo>>) -> Vec<Arc<ObjectInfo>> {
        let most = self.chance.between(1..INPUTS_MAX + 1) as usize;
        if self.chance.below(2) == 0 {
            let first = self.chance.below(live.len().max(1) as u64) as usize;
            return live.into_iter().skip(first).take(most).collect();
        }
        let mut chosen = Vec::new();
        while chosen.len() < most && !live.is_empty() {
            chosen.push(live.swap_remove(self.chance.below(live.len() as u64) as usize));
        }
        chosen
    }

    /// All rows of the inputs in one object; `None` when one of them cannot be read.
    async fn encode(&self, kind: SegmentKind, inputs: &[Arc<ObjectInfo>]) -> Option<EncodedSegment> {
        let schema = match kind {
            SegmentKind::Data => table_schema(&rows::options(self.compactor.format)),
            SegmentKind::Quarantine => quarantine_schema(),
        };
        let mut encoder = SegmentEncoder::new(&schema, Pages { bytes: PAGE_BYTES, is_compressed: false })
            .expect("the schema of a valid topic");
        let is_faulty = self.chance.below(10) == 0;
        for input in inputs {
            let bytes = self.read(input).await?;
            for batch in batches(bytes) {
                let kept = batch.num_rows() - usize::from(is_faulty && batch.num_rows() > 1);
                encoder.write(&batch.slice(0, kept)).expect("rows of the same schema");
            }
        }
        Some(encoder.finish(vec![]).expect("memory cannot fail"))
    }

    /// An object exactly as it is listed. One that was replaced or expired meanwhile may be gone.
    async fn read(&self, input: &ObjectInfo) -> Option<Bytes> {
        let listed = ListedObject::of(input).expect("the catalog lists keys of the store");
        loop {
            match listed.find(self.storage.store.as_ref(), Keep::Bytes).await {
                Found::Same(bytes) => return bytes,
                Found::Unreadable(_) => self.wait(50..500).await,
                Found::Absent(_) | Found::OtherSize { .. } | Found::OtherChecksum { .. } => return None,
            }
        }
    }

    /// Sends the replacement until it is done, or until it certainly never will be.
    async fn settle(&self, replacement: &Replacement) {
        let mut outcome = self.catalog.replace(replacement).await;
        let refusal = loop {
            outcome = match outcome {
                ReplaceOutcome::Done(_) => return,
                ReplaceOutcome::Refused(refusal) => break refusal,
                ReplaceOutcome::NotDone(_) => {
                    self.wait(50..800).await;
                    self.catalog.replace(replacement).await
                }
                ReplaceOutcome::Unknown(error) => {
                    self.wait(50..800).await;
                    let resolved = self.catalog.resolve_replacement(replacement).await;
                    resolved.unwrap_or(ReplaceOutcome::Unknown(error))
                }
            };
        };
        self.trace.note(format!("c {}", replacement.output.key), &refusal);
        if !matches!(refusal, ReplaceRefusal::IntentLost { .. }) {
            // An intent that stays is doomed once its owner is silent.
            let _unless_out_of_reach = self.catalog.abandon_replacement(&replacement.intent()).await;
        }
    }

    fn new_key(&self) -> NewKey {
        let halves = [0, 1].map(|_| u128::from(self.chance.below(u64::MAX)));
        let uuid = Uuid::from_u128(halves[0] << 64 | halves[1]);
        let key = format!("{}/replaced/{uuid}.parquet", self.compactor.topic.encoded());
        NewKey { id: uuid.to_string(), key: Path::parse(key).expect("plain parts") }
    }

    fn intent(&self, key: &Path) -> ReplacementIntent {
        let (topic, owner) = (self.compactor.topic.clone(), self.owner);
        ReplacementIntent { topic, owner, bucket: String::new(), key: key.to_string() }
    }
}

#[async_trait]
impl Intents for Worker {
    async fn record(&self, key: &Path) -> Option<Result<(), CatalogError>> {
        match self.catalog.record_replacement_intent(&self.intent(key)).await {
            // It was recorded by an attempt whose answer was lost, and doomed since: there is nothing more to record.
            Err(CatalogError::KeyUsed(_)) => None,
            answer => Some(answer),
        }
    }

    async fn abandon(&self, key: &Path) -> Result<(), CatalogError> {
        self.catalog.abandon_replacement(&self.intent(key)).await
    }

    fn may_repeat(&self) -> bool {
        false
    }
}

/// The rows of an object, which was compared with its listing.
fn batches(bytes: Bytes) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(ParquetRecordBatchReaderBuilder::build);
    let batches = reader.expect("a listed object is a Parquet file").collect::<Result<Vec<_>, _>>();
    batches.expect("a listed object holds rows")
}
