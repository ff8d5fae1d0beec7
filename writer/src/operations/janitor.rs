//! Janitor: deletes objects that were put and never listed, and those that were listed once.
//!
//! Owns: when it looks, and deleting. Does not own: what may be deleted; the catalog says so, object by object, and any
//! error of it means that nothing is deleted. It never lists the store, and never goes by the age of an object.
//!
//! An object is deleted after a hold, during which readers of an older snapshot may still read it, and once more much
//! later: a put that was under way when its writer died may land after the first time. Every writer runs a janitor;
//! two at once do the same twice, which is harmless.

use std::sync::Arc;
use std::time::Duration;

use catalog::Upload;
use common::failpoint;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};

use crate::pipeline::context::Context;
use crate::service::metrics;

/// Longest pause between two looks; with a short hold it is shorter.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Objects of one look.
const OBJECTS_MAX: u32 = 200;

/// Sweeps for ever.
pub(crate) async fn run(context: Arc<Context>) {
    loop {
        let pause = PAUSE_MAX.min(context.config.janitor_hold.max(Duration::from_secs(1)));
        // Writers that started together do not look together.
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        while sweep(&context).await == Swept::More {}
    }
}

#[derive(PartialEq, Eq)]
enum Swept {
    More,
    Enough,
}

/// Deletes what is due. `More` when there may be more and everything went well.
async fn sweep(context: &Context) -> Swept {
    if context.storage.local_root.as_ref().is_some_and(|root| !root.is_dir()) {
        tracing::warn!("the directory of the objects is gone; nothing is called deleted");
        return Swept::Enough;
    }
    let hold = context.config.janitor_hold;
    let second = context.config.janitor_second_sweep;
    let due = match context.catalog.due_objects(&context.storage.bucket, hold, second, OBJECTS_MAX).await {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(%error, "the catalog does not say what may be deleted; nothing is");
            return Swept::Enough;
        }
    };
    let is_full = due.len() == OBJECTS_MAX as usize;
    let mut deleted = Vec::with_capacity(due.len());
    for object in due {
        if delete(context, &object).await {
            deleted.push(object);
        }
    }
    if deleted.is_empty() {
        return Swept::Enough;
    }
    failpoint::hit("janitor.deleted").await;
    match context.catalog.swept(&deleted).await {
        Ok(()) if is_full => Swept::More,
        Ok(()) => Swept::Enough,
        Err(error) => {
            tracing::warn!(%error, "deletions not noted; they are repeated");
            Swept::Enough
        }
    }
}

/// Whether the object is certainly gone.
async fn delete(context: &Context, object: &Upload) -> bool {
    let Upload { key, sweeps, .. } = object;
    let Ok(path) = Path::parse(key) else {
        tracing::warn!(key, "a doomed key is not a path; left alone");
        return false;
    };
    failpoint::hit("janitor.before_delete").await;
    match context.storage.store.delete(&path).await {
        Ok(()) => {
            // Many stores say so of an absent object as well: the second time counts for nothing.
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
