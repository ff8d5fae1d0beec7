//! Columns that change while a writer works: what is published after the change is a row, at once.

use std::time::Duration;

use catalog::SegmentKind;
use common::topic::{ColumnChange, ColumnSpec, ColumnType, Member};
use common::{OutgoingMessage, TopicName, TopicPartition};
use writer::quarantine::replay::REPLAY_OF;

use crate::world::World;

const JSON: &str = r#"{"format":"json","columns":[{"name":"n","type":"int64"}]}"#;

/// Lets another column read the member `n`.
async fn read_by(world: &World, topic: &TopicName, name: &str, column_type: ColumnType) {
    let seen = world.catalog.get_topic(topic).await.expect("answers").expect("there");
    let column = ColumnSpec { from: Member::Named("n".to_owned()), ..ColumnSpec::new(name, column_type) };
    let change = ColumnChange { declare: vec![column], ..ColumnChange::default() };
    let options = seen.config.evolve(&change).expect("taken over");
    world.catalog.update_topic_config(topic, seen.schema_version, None, options).await.expect("updated");
}

fn replayed(payload: &str) -> OutgoingMessage {
    let headers = vec![(REPLAY_OF.to_owned(), "0/0/0/0".to_owned())];
    OutgoingMessage { headers, ..OutgoingMessage::new(payload.to_owned()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_replayed_right_after_a_change_is_decoded_by_it() {
    let mut world = World::new().await;
    // The regular look at the topics comes too late for this test.
    world.config.lease = Duration::from_secs(3600);
    let topic = world.topic("t", 1, JSON).await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut writer = world.start().await;
    let end = world.publish(&partition, [r#"{"n":1}"#, r#"{"n":"two"}"#].map(str::to_owned)).await;
    writer.wait_committed(&[(partition.clone(), end)]).await.expect("committed");
    assert_eq!(world.rows(&topic, SegmentKind::Quarantine).await, [(0, 1, 0)]);

    let (text, number) = (r#"{"n":"two"}"#, r#"{"n":2}"#);
    for (name, column_type, fits, refused) in [
        ("text", ColumnType::String, text, number),
        ("number", ColumnType::Int64, number, text),
        ("text2", ColumnType::String, text, number),
    ] {
        read_by(&world, &topic, name, column_type).await;
        let acks = world.queue.publish(&partition, vec![replayed(fits)]).await.expect("published");
        writer.wait_committed(&[(partition.clone(), acks[0].offset + 1)]).await.expect("committed");
        assert!(world.rows(&topic, SegmentKind::Data).await.contains(&(0, acks[0].offset as i64, 0)), "{name}");
        let end = world.publish(&partition, [refused.to_owned()]).await;
        writer.wait_committed(&[(partition.clone(), end)]).await.expect("committed");
    }
    let refused = world.rows(&topic, SegmentKind::Quarantine).await;
    assert_eq!(refused, [(0, 1, 0), (0, 3, 0), (0, 5, 0), (0, 7, 0)]);
    let versions: Vec<u32> = world.segments(&topic).await.iter().map(|segment| segment.schema_version).collect();
    assert_eq!(versions.iter().max(), Some(&4));
    world.audit(&topic).await;
    writer.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_refusal_after_a_change_is_decoded_by_it() {
    let mut world = World::new().await;
    world.config.lease = Duration::from_secs(3600);
    let topic = world.topic("t", 1, JSON).await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut writer = world.start().await;
    let end = world.publish(&partition, [r#"{"n":1}"#.to_owned()]).await;
    writer.wait_committed(&[(partition.clone(), end)]).await.expect("committed");
    read_by(&world, &topic, "text", ColumnType::String).await;
    let end = world.publish(&partition, [r#"{"n":"two"}"#.to_owned()]).await;
    writer.wait_committed(&[(partition.clone(), end)]).await.expect("committed");
    assert_eq!(world.rows(&topic, SegmentKind::Quarantine).await, []);
    assert_eq!(world.rows(&topic, SegmentKind::Data).await, [(0, 0, 0), (0, 1, 0)]);
    world.audit(&topic).await;
    writer.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_two_versions_is_two_segments_that_follow_each_other() {
    let mut world = World::new().await;
    world.config.lease = Duration::from_secs(3600);
    // Two chunks in one batch: the second is refused at first.
    world.config.batch_age_max = Duration::from_secs(3600);
    let topic = world.topic("t", 1, JSON).await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut writer = world.start().await;
    let chunk = 8_192;
    world.publish(&partition, (0..chunk).map(|n| format!(r#"{{"n":{n}}}"#))).await;
    while writer.status().first().is_none_or(|status| status.position < chunk) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    read_by(&world, &topic, "text", ColumnType::String).await;
    let end = world.publish(&partition, (0..10).map(|n| format!(r#"{{"n":"{n}"}}"#))).await;
    writer.flush().await.expect("committed");
    writer.wait_committed(&[(partition.clone(), end)]).await.expect("committed");
    assert_eq!(world.rows(&topic, SegmentKind::Quarantine).await, []);
    assert_eq!(world.rows(&topic, SegmentKind::Data).await.len() as u64, chunk + 10);
    let segments = world.segments(&topic).await;
    let versions: Vec<(u64, u32)> = segments.iter().map(|s| (s.range.base(), s.schema_version)).collect();
    assert_eq!(versions, [(0, 1), (chunk, 2)]);
    world.audit(&topic).await;
    writer.shutdown().await.expect("drains");
}
