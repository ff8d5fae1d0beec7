//! Cases: many owners whose leases are shorter than their work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use catalog::{AcquireOutcome, CommitOutcome, MetadataStore};
use common::{ErrorKind, OwnerId};
use futures::future::join_all;
use tokio::time::sleep;

use super::fixture::*;

const OWNERS: u64 = 20;
const LEASE: Duration = Duration::from_millis(50);
/// The storm ends after this number of commits.
const COMMITS: u64 = 60;

/// Takes the partition when the lease of its owner has expired, and commits, more slowly than its own lease allows.
async fn rival(store: &dyn MetadataStore, number: u64, owner: OwnerId, done: &AtomicU64) -> u64 {
    let (orders, mut takeovers) = (partition("orders", 0), 0);
    while done.load(Ordering::Relaxed) < COMMITS {
        let asked_at = Instant::now();
        beat(store, owner).await;
        // On a slow disk a commit takes longer than the shortest lease, and nobody would ever finish one.
        let lease = LEASE.max(asked_at.elapsed() * 4);
        let AcquireOutcome::Acquired(held) = acquire_expired(store, owner, lease, &orders).await else {
            sleep(Duration::from_millis(1 + number)).await;
            continue;
        };
        takeovers += 1;
        for base in [held.high_watermark, held.high_watermark + 5] {
            let request = request(&held, base, base + 4);
            if store.record_intents(&intents(&request)).await[0].is_err() {
                break;
            }
            // Some sleep past their lease with an intent recorded.
            sleep(Duration::from_millis((number * 17 + base) % 70)).await;
            match commit(store, &request).await {
                CommitOutcome::Done(_) => {
                    done.fetch_add(1, Ordering::Relaxed);
                }
                CommitOutcome::NotDone(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
                CommitOutcome::Refused(_) => break,
                CommitOutcome::Unknown(error) => panic!("nothing was lost on the way: {error}"),
            }
        }
    }
    takeovers
}

pub(crate) async fn a_storm_of_takeovers_makes_progress_and_one_chain(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let mut owners = Vec::new();
    for _ in 0..OWNERS {
        owners.push(agent(store).await);
    }
    let done = AtomicU64::new(0);
    let rivals = (0..).zip(owners).map(|(number, owner)| rival(store, number, owner, &done));
    let takeovers: u64 = join_all(rivals).await.into_iter().sum();
    let orders = partition("orders", 0);
    assert_chain(store, &orders).await;
    let now = get_partition(store, &orders).await;
    assert_eq!(now.commit_no, done.into_inner(), "every commit that was answered with done is there, once");
    assert_eq!(now.epoch.0, takeovers, "every takeover has its epoch");
    assert!(takeovers > 1, "{takeovers}");
}
