//! Topics that go, come again, or tell another history: nothing that was fetched is lost, nothing is left unread.

use std::time::Duration;

use catalog::{PartitionState, SegmentKind};
use common::TopicPartition;
use writer::RunningWriter;

use crate::world::{World, expected};

/// Waits until so many messages of the first partition are fetched.
async fn fetched(writer: &RunningWriter, position: u64) {
    while writer.status().first().is_none_or(|status| status.position < position) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
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
    writer.shutdown().await.expect("drains");
}
