//! Cases: several writers at once.

use catalog::{
    AcquireOutcome, CatalogError, CommitOutcome, CommitRequest, MetadataStore, Ownership, ReplaceOutcome,
    ReplaceRefusal, Replacement,
};
use common::ErrorKind;

use super::fixture::*;
use super::replacing;

const ITERATIONS: u64 = 40;

fn is_done(outcome: &CommitOutcome) -> bool {
    matches!(outcome, CommitOutcome::Done(_))
}

/// Sends the group until no answer in it is a passing error, as a writer does.
async fn commit_group(store: &dyn MetadataStore, group: &[CommitRequest]) -> Vec<CommitOutcome> {
    loop {
        let outcomes = store.commit(group).await;
        let again = |outcome: &CommitOutcome| match outcome {
            CommitOutcome::NotDone(error) => error.kind() == ErrorKind::Unavailable,
            _ => false,
        };
        if !outcomes.iter().any(again) {
            return outcomes;
        }
    }
}

pub(crate) async fn of_two_owners_that_commit_at_once_exactly_one_wins(store: &dyn MetadataStore) {
    let mut held = owned(store, "orders").await;
    for number in 0..ITERATIONS {
        let (base, end) = (number * 10, number * 10 + 9);
        let old = request(&held, base, end);
        intend(store, &old).await;
        let next = agent(store).await;
        // The old owner commits while the new one takes over and commits the same range.
        let (old_outcome, next_held) = tokio::join!(commit(store, &old), async {
            store.remove_agent(held.owner).await.expect("removed");
            take(store, next, &held.partition).await
        });
        let new = request(&next_held, base, end);
        intend(store, &new).await;
        let (again, new_outcome) = tokio::join!(commit(store, &old), commit(store, &new));
        assert_eq!(is_done(&old_outcome), is_done(&again), "{old_outcome:?} and then {again:?}");
        assert_ne!(is_done(&old_outcome), is_done(&new_outcome), "{old_outcome:?} and {new_outcome:?}");
        assert_eq!(next_held.high_watermark == end + 1, is_done(&old_outcome));
        held = next_held;
    }
    assert_chain(store, &held.partition).await;
}

pub(crate) async fn of_two_commits_of_one_owner_at_the_same_base_exactly_one_wins(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    for number in 0..ITERATIONS {
        let (one, two) = (request(&held, number, number), request(&held, number, number));
        intend(store, &one).await;
        intend(store, &two).await;
        let (first, second) = tokio::join!(commit(store, &one), commit(store, &two));
        assert_ne!(is_done(&first), is_done(&second), "{first:?} and {second:?}");
    }
    assert_chain(store, &held.partition).await;
}

pub(crate) async fn of_many_agents_that_acquire_at_once_one_gets_each_partition(store: &dyn MetadataStore) {
    create_topic(store, "orders", 8).await;
    let wanted: Vec<_> = (0..8).map(|partition_id| partition("orders", partition_id)).collect();
    let backwards: Vec<_> = wanted.iter().rev().cloned().collect();
    let (one, two, three) = (agent(store).await, agent(store).await, agent(store).await);
    let (a, b, c) = tokio::join!(
        store.acquire(one, LONG_LEASE, &wanted),
        store.acquire(two, LONG_LEASE, &backwards),
        store.acquire(three, LONG_LEASE, &wanted),
    );
    let mut taken: Vec<Ownership> = Vec::new();
    for outcome in [a, b, c].into_iter().flat_map(|outcomes| outcomes.expect("asked")) {
        if let AcquireOutcome::Acquired(held) = outcome {
            taken.push(held);
        }
    }
    taken.sort_by_key(|held| held.partition.partition_id);
    assert!(taken.iter().map(|held| held.partition.partition_id).eq(0..8), "{taken:?}");
    for held in taken {
        let now = get_partition(store, &held.partition).await;
        assert_eq!((now.owner, now.epoch.0), (Some(held.owner), 1));
    }
}

pub(crate) async fn groups_over_the_same_partitions_in_opposite_order_all_end(store: &dyn MetadataStore) {
    create_topic(store, "orders", 6).await;
    let owner = agent(store).await;
    let mut held = Vec::new();
    for partition_id in 0..6 {
        held.push(take(store, owner, &partition("orders", partition_id)).await);
    }
    for number in 0..10 {
        let forwards: Vec<_> = held.iter().map(|held| request(held, number, number)).collect();
        let backwards: Vec<_> = held.iter().rev().map(|held| request(held, number, number)).collect();
        let (one, two): (Vec<_>, Vec<_>) =
            (forwards.iter().flat_map(intents).collect(), backwards.iter().flat_map(intents).collect());
        let (one, two) = tokio::join!(store.record_intents(&one), store.record_intents(&two));
        assert!(one.iter().chain(&two).all(Result::is_ok), "{one:?} {two:?}");
        let (one, two) = tokio::join!(commit_group(store, &forwards), commit_group(store, &backwards));
        for (first, second) in one.iter().zip(two.iter().rev()) {
            assert_ne!(is_done(first), is_done(second), "{first:?} and {second:?}");
        }
    }
    for held in &held {
        assert_chain(store, &held.partition).await;
    }
}

pub(crate) async fn a_takeover_at_any_moment_leaves_one_chain(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    let rivals = [agent(store).await, agent(store).await, agent(store).await];
    // Each rival takes the partition as soon as it can (leases expire at once), and commits until it is fenced.
    let rival = |owner| {
        let orders = orders.clone();
        async move {
            let mut done = 0_u64;
            for _ in 0..ITERATIONS {
                let outcome = acquire_expired(store, owner, std::time::Duration::ZERO, &orders).await;
                let AcquireOutcome::Acquired(held) = outcome else {
                    continue;
                };
                let mut base = held.high_watermark;
                for _ in 0..3 {
                    let request = request(&held, base, base + 4);
                    if store.record_intents(&intents(&request)).await[0].is_err() {
                        break;
                    }
                    if !is_done(&commit(store, &request).await) {
                        break;
                    }
                    done += 1;
                    base += 5;
                }
            }
            done
        }
    };
    let (one, two, three) = tokio::join!(rival(rivals[0]), rival(rivals[1]), rival(rivals[2]));
    assert_chain(store, &orders).await;
    let now = get_partition(store, &orders).await;
    assert_eq!(now.commit_no, one + two + three, "every commit that was answered with done is there, once");
    assert!(now.commit_no > 0);
}

pub(crate) async fn no_epoch_is_given_twice_while_a_topic_is_deleted_and_made_again(store: &dyn MetadataStore) {
    let orders = partition("orders", 0);
    let owner = agent(store).await;
    let passes = |error: CatalogError| {
        use CatalogError::{PartitionNotFound, TopicAlreadyExists, TopicNotFound};
        assert!(matches!(error, PartitionNotFound { .. } | TopicAlreadyExists(_) | TopicNotFound(_)), "{error}");
    };
    let deletes = async || {
        for _ in 0..ITERATIONS {
            store.delete_topic(&orders.topic).await.unwrap_or_else(passes);
        }
    };
    let creates = async || {
        for _ in 0..2 * ITERATIONS {
            store.create_topic(topic_config("orders", 1)).await.map(drop).unwrap_or_else(passes);
        }
    };
    // One owner, which may take its own partition again: only the epoch distinguishes its ownerships.
    let takes = async || {
        let mut epochs = Vec::new();
        for _ in 0..2 * ITERATIONS {
            match store.acquire(owner, LONG_LEASE, std::slice::from_ref(&orders)).await {
                Ok(outcomes) => match &outcomes[..] {
                    [AcquireOutcome::Acquired(held)] => epochs.push(held.epoch),
                    other => panic!("{other:?}"),
                },
                Err(error) => passes(error),
            }
        }
        epochs
    };
    let ((), (), (), (), one, two) = tokio::join!(deletes(), deletes(), creates(), creates(), takes(), takes());
    let mut epochs = [one, two].concat();
    let given = epochs.len();
    epochs.sort();
    epochs.dedup();
    assert!(given > 0 && epochs.len() == given, "{given} ownerships, {} epochs", epochs.len());
}

/// Sends the replacement until the answer is no passing error, as its sender does.
async fn replace(store: &dyn MetadataStore, replacement: &Replacement) -> ReplaceOutcome {
    loop {
        match store.replace(replacement).await {
            ReplaceOutcome::NotDone(error) if error.kind() == ErrorKind::Unavailable => {}
            outcome => return outcome,
        }
    }
}

pub(crate) async fn of_two_replacements_at_once_with_a_common_input_exactly_one_is_done(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    for number in 0..ITERATIONS {
        for base in [number * 30, number * 30 + 10, number * 30 + 20] {
            commit_range(store, &held, base, base + 9).await;
        }
        let live = replacing::live_objects(store, "orders").await;
        let new = &live[live.len() - 3..];
        let one = replacing::intended(store, held.owner, &new[..2]).await;
        let two = replacing::intended(store, held.owner, &new[1..]).await;
        let (first, second) = tokio::join!(replace(store, &one), replace(store, &two));
        let (winner, loser) = match (&first, &second) {
            (ReplaceOutcome::Done(_), loser) => (&one, loser),
            (loser, _) => (&two, loser),
        };
        let gone = ReplaceRefusal::InputGone { file_id: new[1].file_id };
        assert!(matches!(loser, ReplaceOutcome::Refused(refusal) if *refusal == gone), "{first:?} and {second:?}");
        let keys: Vec<String> =
            replacing::live_objects(store, "orders").await.iter().map(|object| object.key.clone()).collect();
        assert!(keys.contains(&winner.output.key), "{first:?} and {second:?}");
        assert_eq!(keys.len(), live.len() - 1);
    }
}

pub(crate) async fn replacement_retention_commits_and_folding_at_once_leave_one_whole_list(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let mut next = 0;
    for _ in 0..ITERATIONS {
        for _ in 0..4 {
            commit_range(store, &held, next, next + 9).await;
            next += 10;
        }
        let live = replacing::live_objects(store, "orders").await;
        let swap = replacing::intended(store, held.owner, &live[live.len() - 3..]).await;
        let new = request(&held, next, next + 9);
        intend(store, &new).await;
        let retained = next - 50_u64.min(next);
        let (swapped, deleted, committed, folded) = tokio::join!(
            replace(store, &swap),
            store.delete_segments_before(&held.partition, retained),
            commit_group(store, std::slice::from_ref(&new)),
            store.fold_history(std::time::Duration::ZERO),
        );
        assert!(is_done(&committed[0]), "{committed:?}");
        next += 10;
        let passing = |error: CatalogError| assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        deleted.map_or_else(passing, |_| ());
        folded.map_or_else(passing, |_| ());
        let is_settled =
            matches!(swapped, ReplaceOutcome::Done(_) | ReplaceOutcome::Refused(ReplaceRefusal::InputGone { .. }));
        assert!(is_settled, "{swapped:?}");
        assert_whole(store, &held).await;
    }
}

/// Objects, segments and runs of the only partition of topic `orders` agree.
async fn assert_whole(store: &dyn MetadataStore, held: &Ownership) {
    let snapshot = store.snapshot(&held.partition.topic).await.expect("read");
    let mut rows = 0;
    for object in &snapshot.objects {
        let of = snapshot.segments.iter().filter(|segment| segment.object.file_id == object.file_id);
        assert_eq!(of.map(|segment| segment.record_count).sum::<u64>(), object.record_count, "{object:?}");
        rows += object.record_count;
    }
    let expired = store.list_expirations(&held.partition).await.expect("read");
    let from = expired.first().map_or(0, |expired| expired.before_offset);
    let watermark = get_partition(store, &held.partition).await.high_watermark;
    assert_eq!(rows, watermark - from, "everything behind retention is listed once");
    let runs = store.list_commits(&held.partition).await.expect("read");
    let mut end = 0;
    for run in &runs {
        assert_eq!(run.range.base(), end, "runs chain: {runs:?}");
        end = run.range.next();
    }
    assert_eq!(end, watermark);
    for segment in &snapshot.segments {
        let of = runs.iter().filter(|run| segment.range.encloses(run.range));
        let count: u64 = of.map(|run| run.record_count.expect("counted")).sum();
        assert_eq!(count, segment.record_count, "runs end where {segment:?} does: {runs:?}");
    }
}

pub(crate) async fn snapshots_become_visible_in_the_order_of_their_numbers(store: &dyn MetadataStore) {
    create_topic(store, "orders", 4).await;
    let owner = agent(store).await;
    let mut held = Vec::new();
    for partition_id in 0..4 {
        held.push(take(store, owner, &partition("orders", partition_id)).await);
    }
    let writers = async {
        tokio::join!(
            commit_many(store, &held[0]),
            commit_many(store, &held[1]),
            commit_many(store, &held[2]),
            commit_many(store, &held[3]),
        )
    };
    let reader = async {
        let mut seen = Vec::new();
        loop {
            let now = store.list_snapshots().await.expect("read");
            assert_eq!(now[..seen.len()], seen, "what is seen once is seen for good, and nothing comes before it");
            assert!(now.windows(2).all(|two| two[0].snapshot_id.0 + 1 == two[1].snapshot_id.0), "{now:?}");
            assert!(now.windows(2).all(|two| two[0].time_us < two[1].time_us), "{now:?}");
            if now.len() == 3 + 4 * ITERATIONS as usize {
                return;
            }
            seen = now;
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(writers, reader);
}

async fn commit_many(store: &dyn MetadataStore, held: &Ownership) {
    for number in 0..ITERATIONS {
        let request = request(held, number, number);
        intend(store, &request).await;
        assert!(is_done(&commit_group(store, &[request]).await[0]));
    }
}
