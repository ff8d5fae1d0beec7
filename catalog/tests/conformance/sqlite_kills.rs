//! Several processes on one SQLite file, killed with SIGKILL again and again.
//!
//! Owns: the process that is killed (this test binary, selected by a variable) and the state afterwards: the file is
//! intact, the ranges chain, and every commit that a process saw done is listed, once.
//! Does not own: writers (the crash runs of the whole program).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use catalog::{AcquireOutcome, CommitOutcome, CommitStore, MetadataStore, SegmentStore, SqliteMetadataStore};
use support::process::Process;
use tokio::time::sleep;

use super::fixture::*;

/// Makes this binary such a process, and names the folder of the file.
const FOLDER: &str = "SILTSTONE_SQLITE_KILLS_FOLDER";
/// Number of kills; `SILTSTONE_SQLITE_KILLS` sets another.
const KILLS: u64 = 150;
const PROCESSES: usize = 4;
/// Short, so that another process takes over at once from a killed owner.
const LEASE: Duration = Duration::from_millis(40);
const COMMITS_PER_TURN: u64 = 4;

/// Takes the partition as soon as it can and commits a few ranges, `turns` times; writes a note of every done commit.
async fn work(folder: &Path, turns: u64) {
    let store = SqliteMetadataStore::new(folder.join("catalog.db")).await.expect("opens");
    let mut notes = std::fs::File::options().create(true).append(true).open(folder.join("notes")).expect("opens");
    let (owner, of) = (agent(&store).await, partition("orders", 0));
    for _ in 0..turns {
        beat(&store, owner).await;
        let AcquireOutcome::Acquired(held) = acquire_expired(&store, owner, LEASE, &of).await else {
            sleep(LEASE / 8).await;
            continue;
        };
        let mut base = held.high_watermark;
        for _ in 0..COMMITS_PER_TURN {
            let request = request(&held, base, base + 2);
            let is_intended = store.record_intents(&intents(&request)).await.remove(0).is_ok();
            if !is_intended || !matches!(commit(&store, &request).await, CommitOutcome::Done(_)) {
                break;
            }
            // One write, which a kill cannot divide.
            notes.write_all(format!("{base} {}\n", request.segments[0].id).as_bytes()).expect("noted");
            base += 3;
        }
    }
}

fn spawn_process(folder: &Path) -> Process {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args(["--exact", "conformance::sqlite_kills::one_process_alone_commits", "--nocapture"])
        .env(FOLDER, folder);
    Process::spawn("worker", command, &folder.join("log")).expect("it starts")
}

/// Asserts that every noted range is listed, once, under the same id, that the file is intact and the ranges chain.
/// Returns the number of notes.
async fn check(folder: &Path) -> usize {
    let store = SqliteMetadataStore::new(folder.join("catalog.db")).await.expect("opens");
    let of = partition("orders", 0);
    assert_chain(&store, &of).await;
    let listed = store.get_segments(&of).await.expect("listed");
    let notes = std::fs::read_to_string(folder.join("notes")).expect("notes");
    for note in notes.lines() {
        let (base, id) = note.split_once(' ').expect("two words");
        let base: usize = base.parse().expect("a number");
        assert_eq!(listed[base / 3].id, id, "a commit that was done is gone");
    }
    store.close().await;
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", folder.join("catalog.db").display())).await;
    let pool = pool.expect("opens");
    let intact: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&pool).await.expect("checked");
    assert_eq!(intact, "ok");
    pool.close().await;
    notes.lines().count()
}

async fn new_catalog(folder: &Path) {
    let store = SqliteMetadataStore::new(folder.join("catalog.db")).await.expect("opens");
    create_topic(&store, "orders", 1).await;
    store.close().await;
}

/// Also the process that the other test kills, which then never ends by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_alone_commits() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        work(&PathBuf::from(folder), u64::MAX).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    new_catalog(folder.path()).await;
    work(folder.path(), 5).await;
    assert_eq!(check(folder.path()).await as u64, 5 * COMMITS_PER_TURN, "it takes its own partition again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_on_one_file_that_are_killed_at_any_moment_lose_no_commit() {
    let kills = std::env::var("SILTSTONE_SQLITE_KILLS").map_or(KILLS, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    new_catalog(folder.path()).await;
    let mut processes: Vec<Process> = (0..PROCESSES).map(|_| spawn_process(folder.path())).collect();
    for kill in 0..kills {
        // Different moments, the same in every run; the point that a kill hits is random.
        sleep(Duration::from_millis(20 + kill * 7 % 61)).await;
        let victim = &mut processes[(kill * 5 % 7) as usize % PROCESSES];
        let log = || support::process::log_tail(&folder.path().join("log"));
        assert!(victim.exited().expect("its status").is_none(), "it ended by itself: {}", log());
        victim.kill().await.expect("killed");
        *victim = spawn_process(folder.path());
    }
    drop(processes);
    let commits = check(folder.path()).await;
    println!("{kills} kills, {commits} commits");
    assert!(commits as u64 > kills / 10, "hardly anything was committed: {commits}");
}
