//! An object that is not, or no longer, listed is deleted after its hold; a listed one never is.

use std::time::Duration;

use catalog::{AcquireOutcome, Agent, MetadataStore, Scope, SegmentKind, UploadIntent};
use common::{OwnerId, TopicPartition};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutPayload};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::world::{World, expected};

const DEADLINE: Duration = Duration::from_secs(60);

async fn exists(world: &World, key: &str) -> bool {
    match world.storage.store.head(&Path::parse(key).expect("a key")).await {
        Ok(_) => true,
        Err(Error::NotFound { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// An object that a writer put under an intent before it died.
async fn orphan(catalog: &dyn MetadataStore, world: &World, partition: &TopicPartition, key: &str) {
    let owner = OwnerId(Uuid::now_v7());
    catalog
        .heartbeat(&Agent { owner, name: "dead".to_owned(), scope: Scope::All, contact: Default::default() })
        .await
        .expect("registered");
    let acquired = catalog.acquire(owner, Duration::from_secs(60), std::slice::from_ref(partition)).await;
    let AcquireOutcome::Acquired(held) = acquired.expect("asked").remove(0) else { panic!("it is free") };
    let (bucket, key) = (String::new(), key.to_owned());
    let intent = UploadIntent { partition: partition.clone(), epoch: held.epoch, owner, bucket, key: key.clone() };
    catalog.record_intents(&[intent]).await.remove(0).expect("recorded");
    let put = world.storage.store.put(&Path::parse(&key).expect("a key"), PutPayload::from_static(b"orphan")).await;
    put.expect("stored");
    catalog.remove_agent(owner).await.expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_deleted_after_the_hold_twice_and_listed_objects_stay() {
    let mut world = World::new().await;
    world.config.janitor_hold = Duration::from_millis(300);
    world.config.janitor_second_sweep = Duration::from_millis(2_000);
    let topic = world.topic("t", 1, "{}").await;
    let partition = TopicPartition::new(topic.clone(), 0);
    orphan(world.catalog.as_ref(), &world, &partition, "t/orphan.parquet").await;
    let mut writer = world.start().await;
    let end = world.publish(&partition, (0..100).map(|n| format!("payload {n}"))).await;
    writer.wait_committed(&[(partition.clone(), end)]).await.expect("committed");
    let deadline = Instant::now() + DEADLINE;
    while exists(&world, "t/orphan.parquet").await {
        assert!(Instant::now() < deadline, "the orphan stays");
        sleep(Duration::from_millis(20)).await;
    }
    // The late put of a dead writer lands only now.
    let late = Path::parse("t/orphan.parquet").expect("a key");
    world.storage.store.put(&late, PutPayload::from_static(b"late")).await.expect("stored");
    while exists(&world, "t/orphan.parquet").await
        || !world.catalog.list_uploads(&partition).await.expect("read").is_empty()
    {
        assert!(Instant::now() < deadline, "what landed late stays");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.rows(&topic, SegmentKind::Data).await, expected(1, 100));
    world.audit(&topic).await;
    writer.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_partition_that_was_lost_is_given_up_without_a_message() {
    let mut world = World::new().await;
    world.config.lease = Duration::from_secs(1);
    let topic = world.topic("t", 1, "{}").await;
    let partition = TopicPartition::new(topic, 0);
    let mut writer = world.start().await;
    assert_eq!(writer.status().len(), 1);
    // Another owner takes the partition over unnoticed, as after a pause longer than the lease.
    let owner = OwnerId(Uuid::now_v7());
    world
        .catalog
        .heartbeat(&Agent { owner, name: "other".to_owned(), scope: Scope::All, contact: Default::default() })
        .await
        .expect("registered");
    let deadline = Instant::now() + DEADLINE;
    loop {
        let taken =
            world.catalog.acquire(owner, Duration::ZERO, std::slice::from_ref(&partition)).await.expect("asked");
        if matches!(taken[0], AcquireOutcome::Acquired(_)) {
            break;
        }
        assert!(Instant::now() < deadline, "a lease of nothing expires at once");
    }
    while !writer.status().is_empty() {
        assert!(Instant::now() < deadline, "it is still held: {:?}", writer.status());
        world
            .catalog
            .heartbeat(&Agent { owner, name: "other".to_owned(), scope: Scope::All, contact: Default::default() })
            .await
            .expect("renewed");
        sleep(Duration::from_millis(20)).await;
    }
    writer.shutdown().await.expect("drains");
}
