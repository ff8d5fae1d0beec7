//! Forgery: replies that a server never gave, so that a writer acts as if it lacked a guard.
//!
//! Owns: the choice of forged replies, receipts that the catalog never issued, and keys that are used again.
//! Does not own: the places that a reply passes (`catalog::client`, `store`), guards inside a plain rule
//! (`common::mutation`).
//!
//! A guard that decides about a reply needs no switch in the writer: a writer that believes a forged reply does the same
//! as one that does not ask for the true one.

pub mod store;

use std::sync::Arc;

use catalog::{CommitOutcome, CommitRequest, UploadIntent};
use common::CommitReceipt;
use object_store::path::Path;
use uuid::Uuid;

/// The replies that are forged for a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgeries {
    /// A commit is confirmed before it is sent: acks overtake it.
    pub is_commit_confirmed_early: bool,
    /// A commit whose outcome is unknown is confirmed.
    pub is_unknown_confirmed: bool,
    /// An intent is confirmed and not recorded.
    pub is_intent_skipped: bool,
    /// A put that failed is confirmed, and the size of its object with it.
    pub is_failed_put_confirmed: bool,
    /// A key has nothing in it that makes it unique.
    pub is_key_worn: bool,
}

impl Forgeries {
    /// The forgeries that stand for these missing guards; other names stand for none.
    pub fn of(off: &[&str]) -> Self {
        Self {
            is_commit_confirmed_early: off.contains(&"ack.after_commit"),
            is_unknown_confirmed: off.contains(&"commit.read_back"),
            is_intent_skipped: off.contains(&"upload.intent"),
            is_failed_put_confirmed: off.contains(&"upload.read_back"),
            is_key_worn: off.contains(&"keys.unique"),
        }
    }

    /// The key as the servers see it.
    pub(crate) fn key(self, key: &str) -> String {
        if self.is_key_worn { worn_key(key) } else { key.to_owned() }
    }

    /// The path as the store sees it.
    pub(crate) fn path(self, path: &Path) -> Path {
        if self.is_key_worn { Path::parse(worn_key(path.as_ref())).expect("a key stays one") } else { path.clone() }
    }

    /// Intents as the catalog sees them.
    pub(crate) fn intents(self, intents: &[UploadIntent]) -> Vec<UploadIntent> {
        let seen = |intent: &UploadIntent| UploadIntent { key: self.key(&intent.key), ..intent.clone() };
        intents.iter().map(seen).collect()
    }

    /// A commit as the catalog sees it.
    pub(crate) fn request(self, request: &CommitRequest) -> CommitRequest {
        let mut seen = request.clone();
        for segment in seen.segments.iter_mut().filter(|_| self.is_key_worn) {
            let object = Arc::make_mut(&mut segment.object);
            object.key = worn_key(&object.key);
            segment.id = with_nil_uuid(&segment.id);
        }
        seen
    }

    /// The outcome as the writer sees it.
    pub(crate) fn outcome(self, request: &CommitRequest, outcome: CommitOutcome) -> CommitOutcome {
        match outcome {
            CommitOutcome::Unknown(_) if self.is_unknown_confirmed => confirmed(request),
            outcome => outcome,
        }
    }
}

/// Confirms a commit. The model of the catalog calls this after its transaction; any other call is a forgery.
#[expect(clippy::disallowed_methods, reason = "the model's commit issues receipts, and forgeries imitate it")]
pub(crate) fn confirmed(request: &CommitRequest) -> CommitOutcome {
    CommitOutcome::Done(CommitReceipt::issue(request.partition.clone(), request.epoch, request.range.next()))
}

/// `…/<base>-<end>-<epoch>-<uuid>.<suffix>` with epoch 0 and no uuid; any other key as it is.
pub fn worn_key(key: &str) -> String {
    let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
    let mut parts = name.splitn(4, '-');
    let (Some(base), Some(end), Some(_epoch), Some(rest)) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return key.to_owned();
    };
    let Some((_uuid, suffix)) = rest.split_once('.') else { return key.to_owned() };
    format!("{folder}/{base}-{end}-0-{}.{suffix}", Uuid::nil())
}

/// An id that ends in a uuid, without it.
pub fn with_nil_uuid(id: &str) -> String {
    let nil = Uuid::nil().to_string();
    let kept = id.len().saturating_sub(nil.len());
    format!("{}{nil}", &id[..kept])
}
