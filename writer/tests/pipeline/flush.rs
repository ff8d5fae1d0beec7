//! A flush of an embedded writer: it returns when everything fetched is committed, or says what could not be.

use std::sync::Arc;
use std::time::Duration;

use catalog::{AcquireOutcome, Agent, Scope};
use common::{OwnerId, TopicName, TopicPartition};
use support::fault_store::{Answer, Fault, FaultStore, Operation};
use writer::{RunningWriter, Storage, WriterError};

use crate::world::World;

const POLL: Duration = Duration::from_millis(1);
/// Longer than any test runs.
const LONG: Duration = Duration::from_secs(3_600);

/// A world in which only a flush closes a batch, with a topic `t` of one partition.
async fn world() -> (World, Arc<FaultStore>, TopicName) {
    let store = FaultStore::new(Storage::memory().store);
    let mut world = World::with_storage(Storage::from_store(store.clone())).await;
    world.config.batch_age_max = LONG;
    // No look at the owners during a test: only a flush finds out about another one.
    world.config.lease = LONG;
    let topic = world.topic("t", 1, "{}").await;
    (world, store, topic)
}

/// Publishes ten messages and waits until they are fetched.
async fn fetched(world: &World, running: &RunningWriter, topic: &TopicName) {
    let end = world.publish(&TopicPartition::new(topic.clone(), 0), (0..10).map(|n| n.to_string())).await;
    while running.status().first().is_none_or(|status| status.position < end) {
        tokio::time::sleep(POLL).await;
    }
}

/// The reason that the flush gives for the place.
fn reason(flushed: writer::Result<()>, place: &str) -> String {
    let error = flushed.expect_err("it could not be committed");
    assert!(error.to_string().contains(place), "{error}");
    let WriterError::NotCommitted { reasons } = error else { panic!("{error}") };
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    reasons[place].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_while_the_store_refuses_says_so_and_one_after_it_commits_everything() {
    let (world, store, topic) = world().await;
    let mut running = world.start().await;
    fetched(&world, &running, &topic).await;
    store.next(Operation::Put, 5, Fault::before(Answer::Unavailable));
    assert!(reason(running.flush().await, "t/0").contains("keep failing"));
    while store.left() > 0 {
        tokio::time::sleep(POLL).await;
    }
    while running.status().iter().any(|status| status.failing) {
        tokio::time::sleep(POLL).await;
    }
    running.flush().await.expect("the store is back");
    assert_eq!(running.summary().messages, 10);
    running.shutdown().await.expect("drains");
    running.flush().await.expect("nothing is left after a drain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_of_a_partition_that_another_writer_took_says_so() {
    let (world, _store, topic) = world().await;
    let mut running = world.start().await;
    fetched(&world, &running, &topic).await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let stored = world.catalog.get_partition(&partition).await.expect("answers").expect("exists");
    // As after a pause that was longer than the lease.
    world.catalog.remove_agent(stored.owner.expect("owned")).await.expect("removed");
    let other = Agent {
        owner: OwnerId(uuid::Uuid::now_v7()),
        name: "other".to_owned(),
        scope: Scope::All,
        contact: Default::default(),
    };
    world.catalog.heartbeat(&other).await.expect("registered");
    let taken = world.catalog.acquire(other.owner, LONG, std::slice::from_ref(&partition)).await.expect("asked");
    assert!(matches!(taken[..], [AcquireOutcome::Acquired(_)]), "{taken:?}");
    assert!(reason(running.flush().await, "t/0").contains("pipeline ended first"));
    running.shutdown().await.expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_beside_a_halted_partition_gives_the_reason_of_the_halt() {
    let (world, _store, topic) = world().await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let first = Agent {
        owner: OwnerId(uuid::Uuid::now_v7()),
        name: "first".to_owned(),
        scope: Scope::All,
        contact: Default::default(),
    };
    world.catalog.heartbeat(&first).await.expect("registered");
    let taken = world.catalog.acquire(first.owner, LONG, std::slice::from_ref(&partition)).await.expect("asked");
    let [AcquireOutcome::Acquired(held)] = &taken[..] else { panic!("{taken:?}") };
    world.catalog.halt(held, "stream_regressed: another history").await.expect("halted");
    world.catalog.remove_agent(first.owner).await.expect("removed");
    let mut running = world.start().await;
    assert!(reason(running.flush().await, "t/0").contains("another history"));
    running.shutdown().await.expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_given_offsets_names_what_does_not_get_on_and_ends_with_the_topic() {
    let (world, store, topic) = world().await;
    let mut running = world.start().await;
    let handle = running.handle();
    let partition = TopicPartition::new(topic.clone(), 0);
    store.next(Operation::Put, 5, Fault::before(Answer::Unavailable));
    // Nothing waits until the messages are fetched: unlike a flush, it counts them.
    let end = world.publish(&partition, (0..10).map(|n| n.to_string())).await;
    let targets = [(partition.clone(), end)];
    assert!(reason(handle.commit_up_to(&targets).await, "t/0").contains("keep failing"));
    while store.left() > 0 || running.status().iter().any(|status| status.failing) {
        tokio::time::sleep(POLL).await;
    }
    handle.commit_up_to(&targets).await.expect("the store is back");
    assert_eq!(handle.summary().messages, 10);
    world.catalog.delete_topic(&topic).await.expect("deleted");
    running.refresh_topics();
    let later = [(partition.clone(), end + 1)];
    let gone = handle.wait_committed(&later).await.expect_err("nobody will publish to it");
    assert!(matches!(gone, WriterError::TopicNotFound(_)), "{gone}");
    assert!(reason(handle.commit_up_to(&later).await, "t/0").contains("topic not found: t"));
    running.shutdown().await.expect("ends");
}
