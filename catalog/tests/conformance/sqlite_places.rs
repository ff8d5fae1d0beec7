//! Cases: the files of an SQLite catalog are deleted or replaced while it is in use.
//!
//! Owns: that nothing is committed to a file which no later process will open. Does not own: damage of files
//! (`sqlite_faults`).

use std::fs;
use std::path::Path;

use catalog::{CatalogError, CommitOutcome, SqliteMetadataStore, TopicStore};

use super::fixture::*;

async fn poisons(harm: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("catalog.db");
    let store = SqliteMetadataStore::new(&file).await.expect("opens");
    let held = owned(&store, "orders").await;
    commit_range(&store, &held, 0, 9).await;
    let next = request(&held, 10, 19);
    intend(&store, &next).await;
    harm(&file);
    match commit(&store, &next).await {
        CommitOutcome::NotDone(CatalogError::Poisoned(reason))
        | CommitOutcome::Unknown(CatalogError::Poisoned(reason)) => {
            assert!(reason.contains("was deleted or replaced while it was in use"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(store.list_topics().await, Err(CatalogError::Poisoned(_))), "nothing is read any more");
}

#[tokio::test]
async fn nothing_is_committed_to_a_file_that_was_deleted_or_replaced() {
    poisons(|file| fs::remove_file(file).expect("deleted")).await;
    poisons(|file| fs::remove_file(format!("{}-wal", file.display())).expect("deleted")).await;
    poisons(|file| {
        let copy = file.with_extension("copy");
        fs::copy(file, &copy).expect("copied");
        fs::rename(copy, file).expect("replaced");
    })
    .await;
}
