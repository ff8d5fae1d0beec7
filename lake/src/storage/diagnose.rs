//! Findings about the object store for an operator.
//!
//! Owns: the properties of the store that matter for the promise. Does not own: the canaries (`probe`).

use common::clock::{Clock, SystemClock};
use common::config::StorageType;
use common::diagnosis::{self, Area, Finding, filesystem};
use object_store::{ObjectStoreExt, PutPayload};

use super::{Storage, probe};

/// Most stores give whole seconds.
const RESOLUTION_MS: i64 = 1_000;

pub(super) async fn diagnose(storage: &Storage) -> Vec<Finding> {
    let place = storage.display_url();
    if let Err(error) = storage.probe().await {
        return vec![Finding::fail(Area::Store, "put, find, delete", error.to_string(), "")];
    }
    let mut findings = vec![Finding::ok(Area::Store, "put, find, delete", format!("a canary in {place}"))];
    findings.push(create_only(storage).await);
    match &storage.local_root {
        Some(root) => findings.push(filesystem::finding(Area::Store, "the store", root)),
        None if storage.kind == StorageType::Memory => findings.push(Finding::reduced(
            Area::Store,
            "durability",
            "in memory",
            "segments are gone with the process; set STORAGE_TYPE or STORAGE_URL",
        )),
        None => findings.push(clock(storage).await),
    }
    findings
}

async fn create_only(storage: &Storage) -> Finding {
    let check = "create-only put";
    match storage.honours_create().await {
        Ok(true) => Finding::ok(Area::Store, check, "a second put of a key is refused"),
        Ok(false) => Finding::reduced(
            Area::Store,
            check,
            "a second put of a key replaces the object",
            "keys are never used twice, so nothing is known to go wrong by it, but the store no longer guards against \
             it; use a store that honours If-None-Match: *",
        ),
        Err(error) => Finding::fail(Area::Store, check, error.to_string(), ""),
    }
}

/// The store dates its objects. A local disk's dates are this machine's.
async fn clock(storage: &Storage) -> Finding {
    let key = probe::canary_key(storage);
    let before_ms = SystemClock.now_ms();
    let put = storage.store.put(&key, PutPayload::from_static(probe::CANARY)).await;
    let after_ms = SystemClock.now_ms();
    let found = match put {
        Ok(_) => storage.store.head(&key).await,
        Err(error) => Err(error),
    };
    // A canary that stays is harmless, and its name shows its purpose.
    let _deleted = storage.store.delete(&key).await;
    match found {
        Ok(found) => {
            let dated_ms = found.last_modified.timestamp_millis();
            diagnosis::clock("store", dated_ms, before_ms, after_ms, RESOLUTION_MS)
        }
        Err(error) => {
            Finding::warn(Area::Clock, "store", format!("unknown: {error}"), "the store did not date a canary")
        }
    }
}

#[cfg(test)]
mod tests {
    use common::diagnosis::Verdict;

    use super::*;

    #[tokio::test]
    async fn a_directory_is_sound_and_memory_does_not_last() {
        let directory = tempfile::tempdir().expect("a directory");
        let storage = Storage::local(directory.path().to_owned()).expect("opens");
        let findings = diagnose(&storage).await;
        let verdict = |check: &str| findings.iter().find(|finding| finding.check == check).expect(check).verdict;
        assert_eq!((verdict("put, find, delete"), verdict("create-only put")), (Verdict::Ok, Verdict::Ok));
        assert!(findings.iter().any(|finding| finding.check == "file system"), "{findings:#?}");
        assert!(std::fs::read_dir(directory.path()).expect("there").next().is_none(), "no canary stays");
        assert!(diagnose(&Storage::memory()).await.iter().any(|finding| finding.reduces));
    }

    #[tokio::test]
    async fn a_directory_that_is_gone_fails() {
        let directory = tempfile::tempdir().expect("a directory");
        let storage = Storage::local(directory.path().join("data")).expect("opens");
        std::fs::remove_dir(directory.path().join("data")).expect("empty");
        std::fs::write(directory.path().join("data"), "not a directory").expect("written");
        let findings = diagnose(&storage).await;
        assert_eq!(findings[0].verdict, Verdict::Fail, "{findings:#?}");
    }
}
