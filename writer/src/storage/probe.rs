//! The start-up probe: a canary object is put, found and deleted.
//!
//! Owns: turning a store's refusal into an error that says what to change. Does not own: retrying; a writer that
//! cannot pass the probe does not start.

use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutPayload};
use uuid::Uuid;

use super::{PutError, Storage};
use crate::error::{Result, WriterError};

const CANARY: &[u8] = b"siltstone probe; safe to delete";

pub(super) async fn probe(storage: &Storage) -> Result<()> {
    let key = storage.prefix.clone().join(format!("siltstone-probe-{}", Uuid::now_v7()));
    let failed = |step: &str, error: &Error| WriterError::Storage {
        url: storage.display_url(),
        reason: format!("cannot {step}: {}; {}", root_cause(error), advice(error)),
    };
    storage.put_new(&key, PutPayload::from_static(CANARY)).await.map_err(|error| match error {
        PutError::Ambiguous(error) => failed("put an object", &error),
        PutError::NotDurable(error) => failed("sync an object to disk", &error),
    })?;
    let found = storage.store.head(&key).await.map_err(|e| failed("find the object just put", &e));
    let deleted = delete(storage, &key).await.map_err(|e| failed("delete an object", &e));
    let found = found?;
    deleted?;
    if found.size == CANARY.len() as u64 {
        return Ok(());
    }
    let reason = format!("an object of {} bytes came back with {}", CANARY.len(), found.size);
    Err(WriterError::Storage { url: storage.display_url(), reason })
}

async fn delete(storage: &Storage, key: &Path) -> object_store::Result<()> {
    storage.store.delete(key).await
}

/// The innermost cause: the outer layers only repeat the request.
fn root_cause(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let (text, inner) = (error.to_string(), cause.to_string());
    if text.contains(&inner) { text } else { format!("{text}: {inner}") }
}

fn advice(error: &Error) -> &'static str {
    match error {
        Error::NotFound { .. } => "does the bucket exist, and is its name right in STORAGE_URL?",
        Error::Unauthenticated { .. } => "are the access key and its secret right?",
        Error::PermissionDenied { .. } => "may this key put, read and delete objects here?",
        Error::NotImplemented { .. } | Error::NotSupported { .. } => {
            "the store lacks an operation that Siltstone needs"
        }
        _ => "is the address right, the store up, the place writable?",
    }
}
