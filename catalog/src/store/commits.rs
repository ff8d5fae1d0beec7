//! Commits and replacements: the operations that change the list of objects.
//!
//! Owns: the contract of these operations. Does not own: SQL, requests and outcomes as types (`commit`, `replace`).

use async_trait::async_trait;

use crate::commit::{CommitOutcome, CommitRequest};
use crate::error::Result;
use crate::model::{ReplacementIntent, UploadIntent};
use crate::replace::{ReplaceOutcome, Replacement};

/// Intents, commits and replacements.
#[async_trait]
pub trait CommitStore: Send + Sync {
    /// Records that these objects are about to be put, one answer each, in one transaction where possible.
    /// An intent is recorded only while the partition's epoch and owner are those of the intent.
    /// `Err(Fenced)` for an intent means that it is not recorded. Repeating a recorded intent is harmless.
    async fn record_intents(&self, intents: &[UploadIntent]) -> Vec<Result<()>>;

    /// Gives up intents whose object will not be committed under this key; the janitor deletes the object.
    async fn abandon_intents(&self, intents: &[UploadIntent]) -> Result<()>;

    /// Commits the requests in order, one outcome each. They may share a transaction; a refused one does not hold
    /// up the others, except that later requests of the same partition are refused too.
    ///
    /// A request is done if, in one transaction: the partition's watermark, epoch, owner, incarnation and state were
    /// compared and the watermark moved; the intents were consumed; the commit row, gaps, objects, segments and
    /// statistics were inserted. The requests of a transaction that list objects share one lake snapshot with the
    /// change `inserted_into_table:<id>` for each table. The future must be driven to its end once polled: run it in a
    /// task of its own.
    async fn commit(&self, requests: &[CommitRequest]) -> Vec<CommitOutcome>;

    /// Commits requests of different partitions of one topic, by one owner, whose segments share objects: all of them or
    /// none. Each object has its own intent, recorded by [`record_replacement_intent`](Self::record_replacement_intent)
    /// and consumed here; its rows are those of its segments. Otherwise as [`commit`](Self::commit).
    ///
    /// One outcome each: all `Done`, or none. Then those that can never be committed are `Refused`; the rest are `NotDone`
    /// and may be sent again, with objects that leave out the rows of the refused ones. After an `Unknown` outcome every
    /// request is resolved by itself. The future must be driven to its end once polled: run it in a task of its own.
    async fn commit_together(&self, requests: &[CommitRequest]) -> Vec<CommitOutcome>;

    /// Settles an unknown outcome: on a fresh connection, locks the partition and looks for the commit. Never
    /// `Unknown`; `NotDone` means that the request may be sent again. A commit that was folded into a run since then is
    /// refused, as its request can no longer be identified.
    ///
    /// # Errors
    /// If the lookup failed; of kind `Unavailable` if the database is unreachable: then resolve again.
    async fn resolve(&self, request: &CommitRequest) -> Result<CommitOutcome>;

    /// Records that the object of a replacement is about to be put. Repeating a recorded intent is harmless.
    ///
    /// # Errors
    /// `TopicNotFound`; `KeyUsed` if the key was used before: it is listed, retired, or belongs to an intent of another
    /// owner or to one that was given up.
    async fn record_replacement_intent(&self, intent: &ReplacementIntent) -> Result<()>;

    /// Gives up an intent whose object will not be listed; the janitor deletes the object. Does nothing if the intent
    /// is no longer pending.
    async fn abandon_replacement(&self, intent: &ReplacementIntent) -> Result<()>;

    /// Lists one object in place of others, in one transaction: the inputs are locked by number and must all be listed;
    /// the intent, which must be pending and belong to the owner, is consumed; inputs and output must have equal
    /// numbers of rows. The inputs are retired and handed to the janitor. The output gets their bounds, one level above
    /// their highest and [`LAYOUT_NOW`](crate::LAYOUT_NOW); their segments point at it, and neighbours of one partition
    /// and incarnation are joined. The change of the lake snapshot is `compacted_table:<id>`. No offset, commit or
    /// expiration changes.
    ///
    /// `Refused` means that nothing changed: `InputGone`, `IntentLost`, or `Mismatch`: for no inputs, too many or
    /// repeated ones, inputs of another table or bucket than the output or of a newer schema version, and another
    /// number of rows. Of two replacements that share an input one is done. A deleted topic has no inputs. A repeated
    /// request that was done before has the outcome `Done`. The future must be driven to its end once polled: run it in
    /// a task of its own.
    async fn replace(&self, replacement: &Replacement) -> ReplaceOutcome;

    /// Settles the unknown outcome of a replacement, by the key of its output and on a fresh connection: `Done` if the
    /// output is listed or retired, `NotDone` if the intent is still pending, else `Refused(IntentLost)`. Never
    /// `Unknown`.
    ///
    /// # Errors
    /// If the lookup failed; of kind `Unavailable` if the database is unreachable: then resolve again.
    async fn resolve_replacement(&self, replacement: &Replacement) -> Result<ReplaceOutcome>;
}
