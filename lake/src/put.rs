//! Put: an encoded segment becomes an object that is certainly stored.
//!
//! Owns: the intent before the put, the meaning of an ambiguous answer, a new key where the old one is spoiled, and
//! repeating a failed step until it succeeds. Only this module makes a [`StoredSegment`].
//! Does not own: recording intents, the moment of a put (`writer`), the commit that lists the object (`catalog`).
//!
//! Intent first: the janitor never lists a bucket, so it would not find an object without an intent. A put whose answer
//! is lost, or reports an existing object, proves nothing either way, so the object itself is read and compared.
//!
//! Each step is an `attempt_…`, which holds the failpoints, and a plain loop around it.

mod patience;
mod shared;

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use catalog::CatalogError;
use common::backoff::Backoff;
use common::{ErrorKind, failpoint, mutation};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::keys::NewKey;
use crate::object::{Found, Keep, ListedObject};
use crate::segment::EncodedSegment;
use crate::storage::{PutError, Storage};
use patience::{patience, within};
pub use shared::SharedIntents;

/// Records the intents of one owner.
#[async_trait]
pub trait Intents: Send + Sync {
    /// Records that an object is about to be put under `key`. `None` when the process is stopping and records nothing more.
    ///
    /// # Errors
    /// The catalog's. `Conflict` and `Poisoned` end the put; every other error is tried again.
    async fn record(&self, key: &Path) -> Option<Result<(), CatalogError>>;

    /// Gives `key` up: the janitor deletes its object.
    ///
    /// # Errors
    /// The catalog's. Harmless: the next takeover gives up the intents that stay pending.
    async fn abandon(&self, key: &Path) -> Result<(), CatalogError>;

    /// True if a request without an answer may be repeated under its key, however late: whoever gives the key up refuses
    /// the repetition. Otherwise the janitor may have deleted and forgotten it by then, and a late deletion would find
    /// the object.
    fn may_repeat(&self) -> bool;
}

/// A step that failed and is tried again.
#[derive(Debug)]
pub struct Retry<'a> {
    /// The step: `intent`, `put`, `check`, `sync`, `read back` or `abandon`.
    pub step: &'static str,
    /// Key of the object.
    pub key: &'a Path,
    /// Number of steps of this put that failed so far, from 1.
    pub attempt: u32,
    /// Time until the next one.
    pub wait: Duration,
    /// Error of the step.
    pub error: &'a (dyn Error + Send + Sync),
}

/// Sees each failed step before it is tried again.
pub trait Observer: Send + Sync {
    /// A step failed.
    fn retrying(&self, retry: &Retry<'_>);
}

/// One segment to be put.
pub struct SegmentPut<'a> {
    /// Storage that the object goes to.
    pub storage: &'a Storage,
    /// Its bytes with their size and checksum.
    pub encoded: &'a EncodedSegment,
    /// Gives a key that was never used before, at each call.
    pub new_key: &'a (dyn Fn() -> NewKey + Send + Sync),
    /// Records its intents.
    pub intents: &'a dyn Intents,
    /// Sees the retries.
    pub observer: &'a dyn Observer,
}

/// An object that is stored, durable, and exactly what was encoded.
#[derive(Debug)]
pub struct StoredSegment {
    /// Its id and key.
    pub name: NewKey,
    /// Number of steps that failed on the way.
    pub retries: u32,
}

/// Reason to end a put without an object.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PutStop {
    /// The intent was refused: the partition has another owner, or none.
    #[error(transparent)]
    Fenced(CatalogError),
    /// The catalog can take nothing more from this process.
    #[error(transparent)]
    Poisoned(CatalogError),
    /// The process is stopping and records no more intents.
    #[error("nobody records intents any more")]
    NeighbourGone,
}

impl SegmentPut<'_> {
    /// Stores the segment, however long it takes.
    ///
    /// # Errors
    /// The reason to end without an object.
    pub async fn run(&self) -> Result<StoredSegment, PutStop> {
        let mut tries = Tries { observer: self.observer, backoff: Backoff::default() };
        loop {
            let name = self.record_intent(&mut tries).await?;
            match self.store(&name.key, &mut tries).await {
                Key::Holds => return Ok(StoredSegment { name, retries: tries.backoff.attempts() }),
                // The object under this key is another one or not durable: the janitor deletes it.
                Key::Spoiled => self.abandon(&name.key, &mut tries).await,
            }
        }
    }

    /// A new key, whose intent is recorded.
    async fn record_intent(&self, tries: &mut Tries<'_>) -> Result<NewKey, PutStop> {
        let (mut name, mut unanswered) = ((self.new_key)(), Vec::new());
        let recorded = loop {
            match self.attempt_intent(&name.key).await {
                Intent::Recorded => break Ok(name),
                Intent::Failed(error) => tries.wait("intent", &name.key, error.as_ref()).await,
                Intent::Stop(stop) => break Err(stop),
            }
            if !self.intents.may_repeat() && !mutation::is_off("intent.new_key") {
                unanswered.push(std::mem::replace(&mut name, (self.new_key)()).key);
            }
        };
        for key in unanswered {
            // One that stays, or comes later still, is without an object, and given up with its process.
            self.intents.abandon(&key).await.ok();
        }
        recorded
    }

    /// Puts the object until it is certainly there, or until its key must not be used.
    async fn store(&self, key: &Path, tries: &mut Tries<'_>) -> Key {
        loop {
            match self.attempt_put(key, tries.backoff.attempts()).await {
                Put::Stored => return Key::Holds,
                Put::NotDurable(error) => return tries.spoiled_by_sync(key, &error).await,
                Put::Unclear { step, error } => tries.wait(step, key, &error).await,
            }
            match self.read_back(key, tries).await {
                ReadBack::Same => match self.storage.sync(key).await {
                    Ok(()) => return Key::Holds,
                    Err(error) => return tries.spoiled_by_sync(key, &error).await,
                },
                ReadBack::Absent => {}
                ReadBack::Other => return Key::Spoiled,
            }
        }
    }

    /// Compares the object under `key` with the encoded bytes.
    async fn read_back(&self, key: &Path, tries: &mut Tries<'_>) -> ReadBack {
        let (size_bytes, checksum) = (self.encoded.size_bytes, self.encoded.checksum);
        let wanted = ListedObject { key: key.clone(), size_bytes, checksum };
        loop {
            let patience = patience(self.storage, size_bytes, tries.backoff.attempts());
            let found = within(patience, wanted.find(self.storage.store.as_ref(), Keep::Nothing)).await;
            match found.unwrap_or_else(Found::Unreadable) {
                Found::Same(_) => return ReadBack::Same,
                Found::Absent(_) => return ReadBack::Absent,
                Found::OtherSize { .. } | Found::OtherChecksum { .. } => return ReadBack::Other,
                Found::Unreadable(error) => tries.wait("read back", key, &error).await,
            }
        }
    }

    async fn abandon(&self, key: &Path, tries: &mut Tries<'_>) {
        // An intent that stays pending is doomed by the next takeover: a failure here loses nothing.
        if let Err(error) = self.intents.abandon(key).await {
            tries.wait("abandon", key, &error).await;
        }
    }

    /// Requests the intent once.
    async fn attempt_intent(&self, key: &Path) -> Intent {
        failpoint::hit("intent.before").await;
        let recorded = self.intents.record(key).await;
        match recorded {
            None => Intent::Stop(PutStop::NeighbourGone),
            Some(Ok(())) if failpoint::fails("intent.reply").await => Intent::Failed(lost_reply().into()),
            Some(Ok(())) => {
                failpoint::hit("intent.done").await;
                Intent::Recorded
            }
            Some(Err(error @ CatalogError::Poisoned(_))) => Intent::Stop(PutStop::Poisoned(error)),
            Some(Err(error)) if error.kind() == ErrorKind::Conflict => Intent::Stop(PutStop::Fenced(error)),
            Some(Err(error)) => Intent::Failed(error.into()),
        }
    }

    /// Puts once, after `failed` attempts, and checks the size of the confirmed object.
    async fn attempt_put(&self, key: &Path, failed: u32) -> Put {
        failpoint::hit("put.before").await;
        let patience = patience(self.storage, self.encoded.size_bytes, failed);
        let put = within(patience, self.storage.put_new(key, self.encoded.payload.clone())).await;
        match put.unwrap_or_else(|silent| Err(PutError::Ambiguous(silent))) {
            // The failpoint loses only a success: every other reply is a failure already.
            Ok(()) if failpoint::fails("put.reply").await => return Put::Unclear { step: "put", error: lost_reply() },
            Ok(()) => {}
            Err(PutError::NotDurable(error)) => return Put::NotDurable(error),
            Err(PutError::Ambiguous(error)) => return Put::Unclear { step: "put", error },
        }
        match self.check_size(key, failed).await {
            Ok(()) => {
                failpoint::hit("put.done").await;
                Put::Stored
            }
            Err(error) => Put::Unclear { step: "check", error },
        }
    }

    /// A success alone proves little: a proxy or a disk on the way may have dropped the object or cut it. The request
    /// costs little compared with the put.
    async fn check_size(&self, key: &Path, failed: u32) -> object_store::Result<()> {
        let found = within(patience(self.storage, 0, failed), self.storage.store.head(key)).await??;
        if found.size == self.encoded.size_bytes {
            return Ok(());
        }
        let text = format!("the store took {} bytes with success and holds {}", self.encoded.size_bytes, found.size);
        Err(object_store::Error::Generic { store: "check", source: text.into() })
    }
}

/// The outcome of one request for an intent.
enum Intent {
    Recorded,
    Failed(Box<dyn Error + Send + Sync>),
    Stop(PutStop),
}

/// The outcome of one put.
enum Put {
    Stored,
    NotDurable(object_store::Error),
    Unclear { step: &'static str, error: object_store::Error },
}

/// The object under a key, compared with the one that was put.
enum ReadBack {
    Same,
    Absent,
    Other,
}

/// The final verdict on a key.
enum Key {
    /// It holds the object.
    Holds,
    /// It must not be used.
    Spoiled,
}

/// Counts and spaces the attempts of one put.
struct Tries<'a> {
    observer: &'a dyn Observer,
    backoff: Backoff,
}

impl Tries<'_> {
    async fn wait(&mut self, step: &'static str, key: &Path, error: &(dyn Error + Send + Sync)) {
        let wait = self.backoff.next_wait();
        self.observer.retrying(&Retry { step, key, attempt: self.backoff.attempts(), wait, error });
        tokio::time::sleep(wait).await;
    }

    async fn spoiled_by_sync(&mut self, key: &Path, error: &object_store::Error) -> Key {
        self.wait("sync", key, error).await;
        Key::Spoiled
    }
}

/// The error that a failpoint gives in place of a reply.
fn lost_reply() -> object_store::Error {
    object_store::Error::Generic { store: "failpoint", source: "the reply was lost".into() }
}

#[cfg(test)]
mod tests;
