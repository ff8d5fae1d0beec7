//! Janitor: deletes objects that were never listed or are no longer listed; folds old history.
//!
//! Owns: the times of its looks, and deleting. Does not own: the choice of objects: the catalog names each of them, and
//! after any error of the catalog nothing is deleted. The janitor never lists the store, and never judges by the age of
//! an object. Nor does it own the choice of history to fold: the catalog keeps the part that audits, resumes and
//! readers of older snapshots need.
//!
//! An object is deleted after a hold, during which readers of an older snapshot may still read it, and not before the
//! catalog has dropped each lake snapshot that has it. It is deleted once more much later: a put of a writer that died
//! may land after the first deletion. Every writer runs a janitor; two at the same time repeat each other's work, which
//! is harmless.

use std::sync::Arc;
use std::time::Duration;

use catalog::{Folded, MetadataStore, Upload};
use common::failpoint;
use lake::Storage;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};
use tokio::time::Instant;

use crate::service::metrics;

/// Longest pause between two looks; a short hold makes it shorter.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Longest pause between two passes over the history; with a short hold it is shorter. A pass reads every commit that is
/// older than the hold, so it is much rarer than a look for objects.
const FOLD_PAUSE_MAX: Duration = Duration::from_secs(3_600);
/// Most objects of one look.
const OBJECTS_MAX: u32 = 200;

/// The janitor of one process.
pub(crate) struct Janitor {
    pub(crate) catalog: Arc<dyn MetadataStore>,
    pub(crate) storage: Storage,
    /// Time between dooming an object and deleting it. Commits and lake snapshots older than this are folded.
    pub(crate) hold: Duration,
    /// Time between dooming an object and deleting it again.
    pub(crate) second_sweep: Duration,
    /// Time without a heartbeat after which the replacements of a process are doomed.
    pub(crate) lease: Duration,
}

impl Janitor {
    /// Sweeps without end.
    pub(crate) async fn run(self) {
        let mut fold_due = Instant::now();
        loop {
            let pause = PAUSE_MAX.min(self.hold.max(Duration::from_secs(1)));
            // Random, so that writers that started together do not look at the same time.
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            self.give_up_replacements().await;
            // First: an object is not due while a lake snapshot has it.
            if fold_due <= Instant::now() {
                self.fold_history().await;
                fold_due = Instant::now() + FOLD_PAUSE_MAX.min(self.hold);
            }
            while self.sweep().await == Swept::More {}
        }
    }

    /// Dooms the objects of unfinished replacements of dead processes.
    async fn give_up_replacements(&self) {
        match self.catalog.doom_abandoned_replacements(self.lease).await {
            Ok(0) => {}
            Ok(objects) => tracing::info!(objects, "objects of abandoned replacements given up"),
            Err(error) => tracing::warn!(%error, "abandoned replacements not looked for, tried again later"),
        }
    }

    /// Folds commits and lake snapshots older than the hold.
    async fn fold_history(&self) {
        match self.catalog.fold_history(self.hold).await {
            Ok(folded) if folded == Folded::default() => {}
            Ok(Folded { commits, snapshots }) => {
                ::metrics::counter!(metrics::COMMITS_FOLDED).increment(commits);
                ::metrics::counter!(metrics::SNAPSHOTS_DROPPED).increment(snapshots);
                tracing::info!(commits, snapshots, "history folded");
            }
            Err(error) => tracing::warn!(%error, "history not folded, tried again later"),
        }
    }

    /// Deletes the due objects. `More` if there may be more and the catalog recorded the deletions.
    async fn sweep(&self) -> Swept {
        if self.storage.local_root.as_ref().is_some_and(|root| !root.is_dir()) {
            tracing::warn!("the directory of the objects is gone; nothing is called deleted");
            return Swept::Enough;
        }
        let (bucket, hold, second_sweep) = (&self.storage.bucket, self.hold, self.second_sweep);
        let due = match self.catalog.due_objects(bucket, hold, second_sweep, OBJECTS_MAX).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "the catalog does not say what may be deleted; nothing is");
                return Swept::Enough;
            }
        };
        let is_full = due.len() == OBJECTS_MAX as usize;
        let mut deleted = Vec::with_capacity(due.len());
        for object in due {
            if self.delete(&object).await {
                deleted.push(object);
            }
        }
        if deleted.is_empty() {
            return Swept::Enough;
        }
        failpoint::hit("janitor.deleted").await;
        match self.catalog.swept(&deleted).await {
            Ok(()) if is_full => Swept::More,
            Ok(()) => Swept::Enough,
            Err(error) => {
                tracing::warn!(%error, "deletions not noted; they are repeated");
                Swept::Enough
            }
        }
    }

    /// True if the object is certainly gone.
    async fn delete(&self, object: &Upload) -> bool {
        let Upload { key, sweeps, .. } = object;
        let Ok(path) = Path::parse(key) else {
            tracing::warn!(key, "a doomed key is not a path; left alone");
            return false;
        };
        failpoint::hit("janitor.before_delete").await;
        match self.storage.store.delete(&path).await {
            Ok(()) => {
                // Many stores report success for absent objects, so only the first sweep is counted.
                if *sweeps == 0 {
                    ::metrics::counter!(metrics::OBJECTS_DELETED).increment(1);
                    tracing::info!(key, "object that is not listed deleted");
                }
                true
            }
            Err(Error::NotFound { .. }) => true,
            Err(error) => {
                tracing::warn!(key, %error, "object not deleted, tried again later");
                false
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Swept {
    More,
    Enough,
}
