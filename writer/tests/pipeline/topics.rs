//! Topics that are deleted, made again, or have another history: no fetched message is lost, none is left unread.

use std::time::Duration;

use catalog::{PartitionState, SegmentKind};
use common::{TopicName, TopicPartition};
use writer::{RunningWriter, Summary};

use crate::world::{World, expected};

/// Waits until this many messages of the first partition are fetched.
async fn fetched(writer: &RunningWriter, position: u64) {
    while writer.status().first().is_none_or(|status| status.position < position) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn delete(world: &World, topic: &TopicName) {
    let found = world.catalog.get_topic(topic).await.expect("answers").expect("there");
    world.catalog.delete_topic(topic).await.expect("deleted");
    world.queue.delete_topic(&found.definition()).await.expect("deleted in the queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_before_the_history_ended_is_committed_and_then_it_halts() {
    let mut world = World::new().await;
    world.config.batch_age_max = Duration::from_secs(3600);
    let topic = world.topic("t", 1, "{}").await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut writer = world.start().await;
    world.publish(&partition, (0..100).map(|n| format!("payload {n}"))).await;
    fetched(&writer, 100).await;
    let definition = world.catalog.get_topic(&topic).await.expect("answers").expect("there").definition();
    world.queue.delete_topic(&definition).await.expect("deleted");
    world.queue.create_topic(&definition).await.expect("made again");
    loop {
        let stored = world.catalog.get_partition(&partition).await.expect("answers").expect("there");
        if stored.state == PartitionState::Halted {
            assert!(stored.halt_reason.expect("told").starts_with("stream_regressed"));
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.rows(&topic, SegmentKind::Data).await, expected(1, 100));
    world.audit(&topic).await;
    // The halt is recorded in the catalog first, then shown.
    while writer.observer().troubles().get("t/0").is_none_or(|reason| !reason.starts_with("stream_regressed")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    writer.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_again_is_read_as_it_is_now() {
    let world = World::new().await;
    let topic = world.topic("t", 2, "{}").await;
    let mut writer = world.start().await;
    for (partition_count, columns) in [(3, "a"), (1, "b")] {
        delete(&world, &topic).await;
        let options = format!(r#"{{"format":"json","columns":[{{"name":"{columns}","type":"int64"}}]}}"#);
        world.topic("t", partition_count, &options).await;
        let other = world.topic(&format!("beside-{partition_count}"), 1, "{}").await;
        let mut targets = Vec::new();
        let partitions = (0..partition_count).map(|id| TopicPartition::new(topic.clone(), id));
        for partition in partitions.chain([TopicPartition::new(other, 0)]) {
            let end = world.publish(&partition, [format!(r#"{{"{columns}":1}}"#)]).await;
            targets.push((partition, end));
        }
        for (partition, end) in targets {
            while world.catalog.get_partition(&partition).await.expect("answers").expect("there").high_watermark < end {
                writer.refresh_topics();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let segments = world.segments(&topic).await;
        assert!(world.read(&segments[0]).await[0].column_by_name(columns).is_some());
    }
    writer.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_a_deleted_topic_are_given_up() {
    let world = World::new().await;
    let topic = world.topic("t", 2, "{}").await;
    let mut writer = world.start().await;
    world.publish(&TopicPartition::new(topic.clone(), 0), ["fetched".to_owned()]).await;
    fetched(&writer, 1).await;
    delete(&world, &topic).await;
    while !writer.status().is_empty() {
        writer.refresh_topics();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(writer.shutdown().await, Ok(Summary { .. })));
}
