//! A catalog in a file that its reader may not write: on a read-only mount, and as another user.
//!
//! Owns: what is read with a writer at work, after its end, and after its death. Does not own: what else a reader may
//! do (`reading`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use catalog::{CatalogError, SqliteMetadataStore, connect, connect_to_read};
use common::ErrorKind;
use support::read_only::ReadOnlyView;
use support::small_disk::SmallDisk;

use super::fixture::*;
use super::reading::{fill, reads};

fn url(directory: &Path) -> String {
    format!("sqlite:{}", directory.join("catalog.db").display())
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("listed");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_mount_is_read_with_and_without_a_writer() {
    let directory = tempfile::tempdir().expect("a directory");
    let view = ReadOnlyView::of(directory.path()).expect("mounted");
    let store = connect(&url(directory.path())).await.expect("opens");
    fill(&*store).await;
    reads(&url(view.path())).await;
    store.close().await;
    assert_eq!(names(directory.path()), ["catalog.db"]);
    reads(&url(view.path())).await;
    assert_eq!(names(directory.path()), ["catalog.db"], "a reader leaves nothing behind");
    assert!(connect(&url(view.path())).await.expect_err("for writing").to_string().contains("cannot use"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_begins_is_noticed_by_who_reads_the_file_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = connect(&url(directory.path())).await.expect("opens");
    fill(&*store).await;
    store.close().await;
    let view = ReadOnlyView::of(directory.path()).expect("mounted");
    let reader = connect_to_read(&url(view.path())).await.expect("opens");
    let id = partition("orders", 0);
    assert_eq!(get_partition(&*reader, &id).await.high_watermark, 10);
    let store = connect(&url(directory.path())).await.expect("opens");
    create_topic(&*store, "more", 1).await;
    for error in [
        reader.get_partition(&id).await.expect_err("a writer began"),
        reader.snapshot(&id.topic).await.expect_err("a writer began"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("run the command again"), "{error}");
    }
    store.close().await;
    reader.list_topics().await.expect_err("it has ended, and the file is another");
    let reader = connect_to_read(&url(view.path())).await.expect("opens again");
    assert_eq!(reader.list_topics().await.expect("listed").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_without_its_index_is_refused_with_what_to_do_and_never_left_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteMetadataStore::new(directory.path().join("catalog.db")).await.expect("opens");
    fill(&store).await;
    let copy = tempfile::tempdir().expect("a directory");
    for name in ["catalog.db", "catalog.db-wal"] {
        fs::copy(directory.path().join(name), copy.path().join(name)).expect("copied");
    }
    let view = ReadOnlyView::of(copy.path()).expect("mounted");
    let error = connect_to_read(&url(view.path())).await.expect_err("commits would be missing");
    assert!(matches!(error, CatalogError::Refused(_)), "{error}");
    for part in ["catalog.db-wal holds commits", "catalog.db-shm", "once as a user who may write there"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    reads(&url(copy.path())).await;
    reads(&url(view.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_called_one_and_no_lack_of_a_right() {
    let disk = SmallDisk::mount(8 * 1024).expect("a small disk");
    let store = SqliteMetadataStore::new(disk.path().join("catalog.db")).await.expect("opens");
    fill(&store).await;
    let copy = disk.path().join("copy");
    fs::create_dir(&copy).expect("made");
    for name in ["catalog.db", "catalog.db-wal"] {
        fs::copy(disk.path().join(name), copy.join(name)).expect("copied");
    }
    disk.fill().expect("filled");
    let empty = disk.path().join("new");
    fs::create_dir(&empty).expect("it takes no block");
    for (error, directory) in [
        (connect_to_read(&url(&copy)).await.expect_err("no room for the index of the log"), &copy),
        (connect(&url(&copy)).await.expect_err("no room for the index of the log"), &copy),
        (connect(&url(&empty)).await.expect_err("no room for a table"), &empty),
    ] {
        assert!(matches!(error, CatalogError::DiskFull(_)), "{error}");
        assert_eq!(error.to_string(), format!("the disk that holds {}/catalog.db is full", directory.display()));
    }
    disk.free().expect("freed");
    reads(&url(&copy)).await;
}

/// Set for a process that this test program starts of itself, as another user.
const TO_READ: &str = "SILTSTONE_TEST_CATALOG_TO_READ";
const NOBODY: u32 = 65_534;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_user_who_may_only_read_reads_beside_a_writer_after_its_end_and_after_its_death() {
    const NAME: &str = "another_user_who_may_only_read_reads_beside_a_writer_after_its_end_and_after_its_death";
    if let Ok(url) = std::env::var(TO_READ) {
        return reads(&url).await;
    }
    let read_by_nobody = |directory: &Path, when: &str| {
        let before = names(directory);
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", &format!("conformance::reading_files::{NAME}")]).env(TO_READ, url(directory));
        let output = command.uid(NOBODY).gid(NOBODY).output().expect("starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("1 passed"), "{when}: {text}");
        assert_eq!(names(directory), before, "{when}: a reader makes no file");
    };
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("opened to all");
    let store = connect(&url(directory.path())).await.expect("opens");
    fill(&*store).await;
    read_by_nobody(directory.path(), "beside a writer");
    let dead = tempfile::tempdir().expect("a directory");
    fs::set_permissions(dead.path(), fs::Permissions::from_mode(0o755)).expect("opened to all");
    for name in names(directory.path()) {
        fs::copy(directory.path().join(&name), dead.path().join(&name)).expect("copied");
    }
    read_by_nobody(dead.path(), "after its death");
    store.close().await;
    read_by_nobody(directory.path(), "after its end");
    // A directory that anybody may write, and a file that only its owner may.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("opened to all");
    read_by_nobody(directory.path(), "in a directory of all");
}
