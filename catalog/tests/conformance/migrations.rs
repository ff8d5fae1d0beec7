//! A process that dies while it creates or migrates a catalog.
//!
//! Owns: killing it at every step, and the state that the next start finds. Does not own: the schema.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use catalog::connect;
use support::strace;

use super::backend::Backend;
use super::fixture::*;

/// Set for a child process of this test program, which runs under a tracer that kills it.
const CATALOG_TO_MAKE: &str = "SILTSTONE_TEST_CATALOG_TO_MAKE";
const SIGKILL: i32 = 9;

/// Opens the catalog in a process that is killed when one of its threads begins its `step`th `call`; true if it was
/// killed.
fn killed_at(test: &str, url: &str, call: &str, step: usize) -> bool {
    let mut command = strace::inject(&format!("{call}:signal=KILL:when={step}")).expect("strace");
    command.arg(std::env::current_exe().expect("this program"));
    command.args(["--exact", &format!("conformance::migrations::{test}")]).env(CATALOG_TO_MAKE, url);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("starts");
    assert!(status.success() || status.signal() == Some(SIGKILL), "{call} {step}: {status}");
    !status.success()
}

/// Asserts that the next start has the whole schema and a working catalog.
async fn check(backend: &Backend, what: &str) {
    const VERSIONS: &str = "SELECT CAST(version AS TEXT) FROM _sqlx_migrations ORDER BY version";
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    let mut versions: Vec<u32> = std::fs::read_dir(directory)
        .expect("listed")
        .map(|file| file.expect("listed").file_name().to_string_lossy()[..3].parse().expect("a number"))
        .collect();
    versions.sort_unstable();
    let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
    let store = backend.open_again().await;
    store.verify().await.expect(what);
    let held = owned(&*store, "orders").await;
    commit_range(&*store, &held, 0, 9).await;
    assert_chain(&*store, &held.partition).await;
    store.close().await;
    assert_eq!(backend.texts(VERSIONS).await, versions, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_any_step_of_making_a_sqlite_catalog_leaves_one_that_opens() {
    const NAME: &str = "a_process_killed_at_any_step_of_making_a_sqlite_catalog_leaves_one_that_opens";
    if let Ok(url) = std::env::var(CATALOG_TO_MAKE) {
        connect(&url).await.expect("opens").close().await;
        return;
    }
    let mut kills = 0;
    for (call, between) in [("fdatasync", 1), ("pwrite64", 4)] {
        for step in (1..).step_by(between) {
            let directory = tempfile::tempdir().expect("a directory");
            let backend = Backend::at(format!("sqlite:{}", directory.path().join("catalog.db").display())).await;
            if !killed_at(NAME, backend.url(), call, step) {
                break;
            }
            kills += 1;
            check(&backend, &format!("killed at {call} {step}")).await;
        }
    }
    assert!(kills > 5, "killed {kills} times");
    println!("killed {kills} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_any_step_of_making_a_postgres_catalog_leaves_one_that_opens() {
    const NAME: &str = "a_process_killed_at_any_step_of_making_a_postgres_catalog_leaves_one_that_opens";
    if let Ok(url) = std::env::var(CATALOG_TO_MAKE) {
        connect(&url).await.expect("opens").close().await;
        return;
    }
    let mut kills = 0;
    for step in 1.. {
        let backend = Backend::at(support::postgres::fresh_database().await.expect("a database")).await;
        if !killed_at(NAME, backend.url(), "sendto", step) {
            break;
        }
        kills += 1;
        check(&backend, &format!("killed at message {step}")).await;
    }
    assert!(kills > 5, "killed {kills} times");
    println!("killed {kills} times");
}
