//! Faults of a file: the disk is full; a process is killed, and its files are damaged.
//!
//! Owns: full disks and damaged write-ahead logs. Does not own: failing system calls, which need a process of their
//! own (the integration tests).

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use catalog::{
    AcquireOutcome, CatalogError, CommitOutcome, CommitStore, MetadataStore, OwnershipStore, Partition, SegmentStore,
    SqliteMetadataStore, TopicStore,
};
use common::ErrorKind;
use sqlx::{Connection, SqliteConnection};
use support::small_disk::SmallDisk;

use super::fixture::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_commits_and_space_lets_them_go_on() {
    let disk = SmallDisk::mount(16 * 1024).expect("a small disk");
    let store = SqliteMetadataStore::new(disk.path().join("catalog.db")).await.expect("opens");
    let held = owned(&store, "orders").await;
    commit_range(&store, &held, 0, 0).await;
    // Intents are recorded while there is room, so that the full disk affects the commits.
    let requests: Vec<_> = (1..20).map(|base| request(&held, base, base)).collect();
    for request in &requests {
        intend(&store, request).await;
    }
    disk.fill().expect("filled");
    let mut next = 1;
    let mut refused = None;
    for request in &requests {
        match commit(&store, request).await {
            CommitOutcome::Done(_) => next += 1,
            CommitOutcome::NotDone(error) | CommitOutcome::Unknown(error) => {
                refused = Some(error);
                break;
            }
            CommitOutcome::Refused(refusal) => panic!("{refusal}"),
        }
    }
    let error = refused.expect("no room for all of them");
    assert!(error.to_string().contains("full"), "{error}");
    assert!(!matches!(error, CatalogError::Poisoned(_)), "what was synced is on the disk: {error}");
    assert_eq!(get_partition(&store, &held.partition).await.high_watermark, next, "reading goes on");
    let late = request(&held, 20, 20);
    for _ in 0..3 {
        let error = store.record_intents(&intents(&late)).await.remove(0).expect_err("no room for an intent either");
        assert!(error.to_string().contains("full"), "{error}");
    }
    disk.free().expect("freed");
    for request in requests.iter().filter(|request| request.range.base() >= next) {
        let settled = store.resolve(request).await.expect("looked up");
        assert!(matches!(settled, CommitOutcome::NotDone(_)), "{settled:?}");
        assert_done(&commit(&store, request).await, request.range.next());
    }
    intend(&store, &late).await;
    assert_done(&commit(&store, &late).await, 21);
    assert_chain(&store, &held.partition).await;
    store.close().await;
}

/// Set for a child process of this test program, which commits until it is killed.
const CATALOG_TO_FILL: &str = "SILTSTONE_TEST_CATALOG_TO_FILL";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_of_a_killed_process_gives_an_earlier_state_or_an_error_and_never_a_wrong_answer() {
    if let Ok(path) = std::env::var(CATALOG_TO_FILL) {
        let store = SqliteMetadataStore::new(path).await.expect("opens");
        let held = owned(&store, "orders").await;
        for next in 0.. {
            commit_range(&store, &held, next, next).await;
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("catalog.db");
    let watermark = commit_until_killed(&path, 100).await;
    let states = states_after_damage(&path).await;
    // Killed between the log and its index, it may have committed once more than was read.
    let whole = states[0];
    assert!((watermark..=watermark + 1).contains(&whole), "without damage: {whole}");
    assert!(states.iter().all(|state| *state <= whole), "{states:?}");
    assert!(states.iter().any(|state| *state < whole), "some damage cost commits");
    assert!(states.iter().filter(|state| **state == whole).count() > 1, "some did not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_damaged_after_it_was_copied_to_the_database_is_never_a_wrong_answer() {
    // Many, so that their rows are on many pages, of which the damage spares some.
    const PARTITIONS: u64 = 100;
    const COMMITS: u64 = 8;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("catalog.db");
    let store = SqliteMetadataStore::new(&path).await.expect("opens");
    create_topic(&store, "orders", PARTITIONS as u32).await;
    let owner = agent(&store).await;
    let mut held = Vec::new();
    for id in 0..PARTITIONS as u32 {
        held.push(take(&store, owner, &partition("orders", id)).await);
    }
    for next in 0..COMMITS {
        for held in &held {
            commit_range(&store, held, next, next).await;
        }
    }
    let mut other = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("connects");
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut other).await.expect("copied");
    // Copies of the files now are as a kill would leave them.
    let states = states_after_damage(&path).await;
    assert!(states.iter().all(|state| *state <= PARTITIONS * COMMITS), "{states:?}");
    assert!(states.contains(&(PARTITIONS * COMMITS)), "damage of what is copied costs nothing");
    other.close().await.expect("closed");
    store.close().await;
}

/// The sums of the watermarks after each kind of damage to copies of a catalog that was not closed. A catalog that is
/// refused, or reports the damage in use, is left out.
async fn states_after_damage(path: &Path) -> Vec<u64> {
    let log = std::fs::read(log_of(path)).expect("nobody could tidy up");
    let mut states = Vec::new();
    for damage in damages(log.len()) {
        let copy = tempfile::tempdir().expect("a directory");
        let damaged = copy.path().join("catalog.db");
        copy_catalog(path, &damaged);
        damage.apply(&log, &damaged);
        match check_damaged(&damaged, &damage).await {
            Ok(state) => states.push(state),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Fatal, "{damage:?}: {error}");
                let told = ["malformed", "damaged"].iter().any(|word| error.to_string().contains(word));
                assert!(told, "{damage:?}: {error}");
            }
        }
    }
    states
}

/// Starts a process that commits, kills it when the log holds at least `commits` commits, and returns the watermark
/// then.
async fn commit_until_killed(path: &Path, commits: u64) -> u64 {
    const NAME: &str = "a_damaged_log_of_a_killed_process_gives_an_earlier_state_or_an_error_and_never_a_wrong_answer";
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", &format!("conformance::sqlite_faults::{NAME}")]).env(CATALOG_TO_FILL, path);
    let mut process = Killed(command.spawn().expect("starts"));
    let orders = partition("orders", 0);
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let store = SqliteMetadataStore::new(path).await.expect("opens beside it");
    // While this reader is open, the log is not copied and restarted: every commit from here on stays in it, even if
    // the kill is late.
    let mut reader = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("connects");
    let mut reading = reader.begin().await.expect("begun");
    let begun: Option<i64> =
        sqlx::query_scalar("SELECT max(high_watermark) FROM partitions").fetch_one(&mut *reading).await.expect("read");
    let target = begun.unwrap_or_default().cast_unsigned() + commits;
    loop {
        let seen = store.get_partition(&orders).await.expect("read").map_or(0, |now| now.high_watermark);
        if seen >= target {
            break;
        }
        assert!(process.0.try_wait().expect("its status").is_none(), "it ended early");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    process.0.kill().expect("killed");
    process.0.wait().expect("gone");
    let watermark = get_partition(&store, &orders).await.high_watermark;
    // Copied before this process closes the database, which would copy the killed process's log into it.
    let kept = path.with_extension("kept");
    copy_catalog(path, &kept);
    reading.rollback().await.expect("ended");
    reader.close().await.expect("closed");
    store.close().await;
    copy_catalog(&kept, path);
    watermark
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail only if the process has already been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Debug)]
enum Damage {
    Nothing,
    CutLog(usize),
    FlipLog(usize),
    NoLog,
    NoIndex,
    FlipIndex(usize),
}

fn damages(log_length: usize) -> Vec<Damage> {
    let cuts = (0..24).map(|part| Damage::CutLog(log_length / 24 * part));
    // In headers of frames and in their pages, early and late.
    let flips = (0..24).map(|part| Damage::FlipLog(log_length / 24 * part + 7 * part));
    let index = [Damage::NoIndex, Damage::FlipIndex(10), Damage::FlipIndex(50), Damage::FlipIndex(200)];
    [Damage::Nothing, Damage::NoLog].into_iter().chain(cuts).chain(flips).chain(index).collect()
}

impl Damage {
    fn apply(&self, log: &[u8], path: &Path) {
        let mut log = log.to_vec();
        match self {
            Self::Nothing => {}
            Self::CutLog(length) => std::fs::write(log_of(path), &log[..*length]).expect("written"),
            Self::FlipLog(at) => {
                log[*at] ^= 0x10;
                std::fs::write(log_of(path), &log).expect("written");
            }
            Self::NoLog => std::fs::remove_file(log_of(path)).expect("removed"),
            Self::NoIndex => std::fs::remove_file(index_of(path)).expect("removed"),
            Self::FlipIndex(at) => {
                let mut index = std::fs::read(index_of(path)).expect("read");
                index[*at] ^= 0x10;
                std::fs::write(index_of(path), index).expect("written");
            }
        }
    }
}

/// The sum of the watermarks after the damage, in a consistent state that accepts a commit, or an error.
async fn check_damaged(path: &Path, damage: &Damage) -> Result<u64, CatalogError> {
    let store = SqliteMetadataStore::new(path).await?;
    store.verify().await?;
    let mut sum = 0;
    let partitions = store.list_partitions(&name("orders")).await?;
    for now in &partitions {
        let of = partition("orders", now.partition_id);
        let (mut next, commits, segments) = (0, store.list_commits(&of).await?, store.get_segments(&of).await?);
        for commit in &commits {
            assert_eq!(commit.range.base(), next, "{damage:?}: ranges chain");
            next = commit.range.next();
        }
        assert_eq!(now.high_watermark, next, "{damage:?}: the watermark is the last end + 1");
        let listed = segments.iter().map(|segment| Some(segment.id.clone()));
        assert!(commits.iter().map(|commit| commit.data_segment_id.clone()).eq(listed), "{damage:?}: all are listed");
        sum += next;
    }
    for now in partitions.into_iter().take(1) {
        go_on(&store, &now).await?;
    }
    store.close().await;
    Ok(sum)
}

/// Takes the partition over and commits one more range.
async fn go_on(store: &SqliteMetadataStore, now: &Partition) -> Result<(), CatalogError> {
    if let Some(dead) = now.owner {
        store.remove_agent(dead).await?;
    }
    let of = partition("orders", now.partition_id);
    let owner = agent(store).await;
    let acquired = store.acquire(owner, LONG_LEASE, &[of]).await?.remove(0);
    let AcquireOutcome::Acquired(held) = acquired else { panic!("{acquired:?}") };
    let request = request(&held, now.high_watermark, now.high_watermark);
    for recorded in store.record_intents(&intents(&request)).await {
        recorded?;
    }
    match commit(store, &request).await {
        CommitOutcome::Done(_) => Ok(()),
        CommitOutcome::NotDone(error) | CommitOutcome::Unknown(error) => Err(error),
        CommitOutcome::Refused(refusal) => panic!("{refusal}"),
    }
}

fn log_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

fn index_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-shm", path.display()))
}

fn copy_catalog(from: &Path, to: &Path) {
    std::fs::copy(from, to).expect("copied");
    for part in [log_of, index_of] {
        std::fs::copy(part(from), part(to)).expect("copied");
    }
}
