//! Commits and replacements: what changes the list of objects in operation.
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
    /// `Err(Fenced)` for an intent means that it is not. Repeating a recorded intent is harmless.
    async fn record_intents(&self, intents: &[UploadIntent]) -> Vec<Result<()>>;

    /// Gives up intents whose object will not be committed under this key; the janitor deletes the object.
    async fn abandon_intents(&self, intents: &[UploadIntent]) -> Result<()>;

    /// Commits the requests in order, one outcome each. They may share a transaction; a refused one does not hold
    /// up the others, except that later requests of the same partition are refused too.
    ///
    /// A request is done when, in one transaction: the partition's watermark, epoch, owner, incarnation and state
    /// were compared and the watermark moved; the intents were consumed; the commit row, gaps, objects, segments and
    /// statistics were inserted. The requests of a transaction that list objects share one lake snapshot, which says
    /// `inserted_into_table:<id>` for each table. The future must be driven to its end once polled: run it in a task of
    /// its own.
    async fn commit(&self, requests: &[CommitRequest]) -> Vec<CommitOutcome>;

    /// Settles an unknown outcome: on a fresh connection, locks the partition and looks for the commit.
    /// Never `Unknown`; `NotDone` means that the request may be sent again. A commit that was folded into a run since
    /// then is refused, as nobody can tell any more whose it was.
    ///
    /// # Errors
    /// It could not be looked up; of kind `Unavailable` when the database is away: then resolve again.
    async fn resolve(&self, request: &CommitRequest) -> Result<CommitOutcome>;

    /// Records that the object of a replacement is about to be put. Repeating a recorded intent is harmless.
    ///
    /// # Errors
    /// `TopicNotFound`; `Refused` when the key was used before: it is listed, retired, or an intent of somebody else or
    /// one that was given up.
    async fn record_replacement_intent(&self, intent: &ReplacementIntent) -> Result<()>;

    /// Gives up an intent whose object will not be listed; the janitor deletes the object. Nothing happens when it is
    /// not pending any more.
    async fn abandon_replacement(&self, intent: &ReplacementIntent) -> Result<()>;

    /// Lists one object in place of others, in one transaction: the inputs are locked by number and must all be listed;
    /// the intent, which must be pending and the owner's, is consumed; the rows of inputs and output must be as many.
    /// The inputs are retired and handed to the janitor. The output gets their bounds, the level above the highest of
    /// theirs and [`LAYOUT_NOW`](crate::LAYOUT_NOW); their segments point at it, and neighbours of one partition and
    /// incarnation become one segment. The lake snapshot says `compacted_table:<id>`. No offset, commit or expiration
    /// changes.
    ///
    /// `Refused` means that nothing changed: `InputGone`, `IntentLost`, or `Mismatch` for inputs that are none, too
    /// many, doubled, of another table or bucket than the output, or of a newer schema version, and for another number
    /// of rows. Of two replacements that share an input one is done. A topic that is gone has no inputs. Sent again
    /// after it was done, it is done. The future must be driven to its end once polled: run it in a task of its own.
    async fn replace(&self, replacement: &Replacement) -> ReplaceOutcome;

    /// Settles the unknown outcome of a replacement, by the key of its output and on a fresh connection: `Done` when it
    /// is listed or retired, `NotDone` when the intent is still pending, else `Refused(IntentLost)`. Never `Unknown`.
    ///
    /// # Errors
    /// It could not be looked up; of kind `Unavailable` when the database is away: then resolve again.
    async fn resolve_replacement(&self, replacement: &Replacement) -> Result<ReplaceOutcome>;
}
