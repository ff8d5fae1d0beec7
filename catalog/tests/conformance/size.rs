//! A month of a catalog with replacement, retention and folding: its size stops growing after some days.
//!
//! Owns: the course of such a month, and the number of rows of every table. Does not own: the operations themselves.
//!
//! Time passes by ageing every row: the database's clock cannot be set, but an older row has the same effect.

use std::collections::BTreeMap;
use std::time::Duration;

use catalog::{Agent, MetadataStore, Ownership, Scope, SegmentKind};

use super::backend::Backend;
use super::fixture::*;
use super::replacing;

const HOUR: Duration = Duration::from_secs(3_600);
/// Time that passes in one round.
const ROUND: Duration = Duration::from_secs(4 * 3_600);
const ROUNDS_PER_DAY: u64 = 6;
const DAYS: u64 = 30;
/// Time for which history is not folded, and objects are kept after they left the list.
const HOLD: Duration = HOUR;
/// Number of rounds for which segments are kept.
const ROUNDS_KEPT: u64 = 3 * ROUNDS_PER_DAY;
const COMMITS_PER_ROUND: u64 = 3;
const OFFSETS_PER_COMMIT: u64 = 10;

/// One round of writers, replacements, retention, folding and the janitor.
async fn round(store: &dyn MetadataStore, held: &[Ownership; 2], number: u64) {
    let owner = held[0].owner;
    store
        .heartbeat(&Agent { owner, name: "host-1".to_owned(), scope: Scope::All, contact: Default::default() })
        .await
        .expect("sent");
    let mut group = Vec::new();
    for commit in 0..COMMITS_PER_ROUND {
        let base = (number * COMMITS_PER_ROUND + commit) * OFFSETS_PER_COMMIT;
        let end = base + OFFSETS_PER_COMMIT - 1;
        group.push(request(&held[0], base, end));
        // Every third range of the other partition is missing in the queue.
        group.push(if commit == 2 { gap_request(&held[1], base, end) } else { request(&held[1], base, end) });
    }
    let (base, end) = (group[0].range.base(), group[0].range.end());
    group[0].segments.push(new_segment(&held[0], SegmentKind::Quarantine, base, end));
    let intents: Vec<_> = group.iter().flat_map(intents).collect();
    store.record_intents(&intents).await.into_iter().for_each(|answer| answer.expect("recorded"));
    for outcome in store.commit(&group).await {
        assert!(matches!(outcome, catalog::CommitOutcome::Done(_)), "{outcome:?}");
    }
    // This round's objects become one; once a day those of the day do. The owner gives up one replacement in between.
    let level = u32::from(number % ROUNDS_PER_DAY == ROUNDS_PER_DAY - 1);
    for most in 0..=level {
        let live = replacing::live_objects(store, "orders").await;
        let inputs: Vec<_> = live.into_iter().filter(|object| object.level == most).collect();
        replacing::replace(store, owner, &inputs).await;
    }
    let lost = replacing::intended(store, owner, &replacing::live_objects(store, "orders").await).await;
    store.abandon_replacement(&lost.intent()).await.expect("given up");
    let kept_from = number.saturating_sub(ROUNDS_KEPT) * COMMITS_PER_ROUND * OFFSETS_PER_COMMIT;
    let before = [0, 1].map(|partition_id| catalog::ExpiredBefore { partition_id, offset: kept_from });
    store.expire_segments(&name("orders"), &before).await.expect("deleted");
    store.doom_abandoned_replacements(HOUR).await.expect("doomed");
    store.fold_history(HOLD).await.expect("folded");
    let due = store.due_objects("lake", HOLD, 2 * HOLD, 10_000).await.expect("read");
    store.swept(&due).await.expect("noted");
}

type Sizes = BTreeMap<String, u64>;

fn most(sizes: &[Sizes]) -> Sizes {
    let mut most = Sizes::new();
    for (table, rows) in sizes.iter().flatten() {
        let known = most.entry(table.clone()).or_default();
        *known = (*rows).max(*known);
    }
    most
}

async fn a_month(backend: &Backend) {
    let store = backend.store();
    create_topic(store, "orders", 2).await;
    let owner = agent(store).await;
    let held = [take(store, owner, &partition("orders", 0)).await, take(store, owner, &partition("orders", 1)).await];
    let mut sizes = Vec::new();
    for number in 0..DAYS * ROUNDS_PER_DAY {
        round(store, &held, number).await;
        backend.age(ROUND).await;
        sizes.push(backend.sizes().await);
    }
    let commits = get_partition(store, &held[0].partition).await.commit_no;
    assert_eq!(commits, DAYS * ROUNDS_PER_DAY * COMMITS_PER_ROUND);
    let third = sizes.len() / 3;
    let (middle, end) = (most(&sizes[third..2 * third]), most(&sizes[2 * third..]));
    println!("{}: {end:?}", backend.url());
    for (table, rows) in &end {
        // Gaps are never deleted, one row for each: they record the month's losses.
        if table == "partition_gaps" || table == "gaps" {
            continue;
        }
        assert!(*rows <= middle[table], "{table} grows from {} to {rows} rows: {middle:?}, {end:?}", middle[table]);
        assert!(*rows < commits / 2, "{table} follows the number of commits: {end:?}");
    }
    for table in ["commits", "objects", "retired_objects", "segments", "segment_stats", "uploads", "lake_snapshots"] {
        assert!(end[table] > 0, "{table} is looked at: {end:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_in_sqlite_stays_as_small_over_a_month() {
    a_month(&Backend::sqlite_file().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_in_postgres_stays_as_small_over_a_month() {
    a_month(&Backend::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_modelled_catalog_stays_as_small_over_a_month() {
    a_month(&Backend::model().await).await;
}
