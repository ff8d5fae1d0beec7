//! Patience: the time that a store has for one request.
//!
//! Owns: how long an answer is waited for, and the error of one that does not come. Does not own: what follows (`put`).
//!
//! A connection may be lost without a sign, and a store may take a request and never answer. Waiting ends early, since
//! a segment that waits holds up its partition; it grows with the size and with each failure, so that a slow network
//! is no endless repetition.

use std::time::Duration;

use object_store::Error;

use crate::storage::Storage;

/// Time for the answer to a request that moves no bytes.
const ANSWER: Duration = Duration::from_secs(30);
/// The slowest network that the first attempt allows for.
const BYTES_PER_SEC: u64 = 128 * 1024;
/// Failures after which the time no longer doubles.
const DOUBLINGS: u32 = 2;

/// The time for a request that moves `size_bytes`, after `failed` attempts. `None` for a directory: a call of the system
/// cannot be given up.
pub(super) fn patience(storage: &Storage, size_bytes: u64, failed: u32) -> Option<Duration> {
    let first = ANSWER + Duration::from_secs(size_bytes / BYTES_PER_SEC);
    storage.local_root.is_none().then(|| first * (1_u32 << failed.min(DOUBLINGS)))
}

/// The answer of the store to `request`, or the error that says how long there was none.
pub(super) async fn within<T>(patience: Option<Duration>, request: impl Future<Output = T>) -> Result<T, Error> {
    let Some(patience) = patience else { return Ok(request.await) };
    let silent = |_| {
        let text = format!("the store has not answered for {} s", patience.as_secs());
        Error::Generic { store: "patience", source: text.into() }
    };
    tokio::time::timeout(patience, request).await.map_err(silent)
}
