//! Payloads and names of every kind: each message becomes rows or quarantined records once, and no file leaves its
//! directory.

use std::path::Path;

use catalog::SegmentKind;
use common::{OutgoingMessage, TopicName, TopicPartition};
use lake::Storage;

use crate::world::World;

const MIB: usize = 1024 * 1024;

/// Empty, only headers, binary, not UTF-8, not JSON, larger than the memory budget.
fn odd_messages() -> Vec<OutgoingMessage> {
    let headers = vec![("trace".to_owned(), "1".to_owned()), (String::new(), "\u{fffd}".to_owned())];
    let mut random = fastrand::Rng::with_seed(1);
    let mut binary = vec![0; MIB];
    random.fill(&mut binary);
    let large = format!("{{\"n\":1,\"s\":\"{}\"}}", "x".repeat(20 * MIB));
    vec![
        OutgoingMessage::default(),
        OutgoingMessage { headers, ..OutgoingMessage::default() },
        OutgoingMessage::new(binary),
        OutgoingMessage::new(b"\xff\xfe{\"n\":1}".to_vec()),
        OutgoingMessage::new("not JSON"),
        OutgoingMessage::new(large),
        OutgoingMessage::new("{\"n\":2}").with_key(vec![0, 255]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_any_kind_and_size_are_rows_or_in_quarantine_once() {
    const JSON: &str = r#"{"format":"json","columns":[{"name":"n","type":"int64"},{"name":"s","type":"string"}]}"#;
    for (options, rows, quarantined) in [("{}", 0..7, vec![]), (JSON, 5..7, vec![0, 1, 2, 3, 4])] {
        let mut world = World::new().await;
        world.config.memory_budget_bytes = 16 * MIB;
        let topic = world.topic("t", 1, options).await;
        let partition = TopicPartition::new(topic.clone(), 0);
        let mut writer = world.start().await;
        let acks = world.queue.publish(&partition, odd_messages()).await.expect("published");
        let end = acks.last().expect("published").offset + 1;
        writer.wait_committed(&[(partition, end)]).await.expect("committed");
        assert_eq!(messages(&world, &topic, SegmentKind::Data).await, rows.collect::<Vec<_>>());
        assert_eq!(messages(&world, &topic, SegmentKind::Quarantine).await, quarantined);
        world.audit(&topic).await;
        writer.shutdown().await.expect("drains");
    }
}

/// The messages with rows of a kind. The rows of one message, which may have several lines, count from 0.
async fn messages(world: &World, topic: &TopicName, kind: SegmentKind) -> Vec<i64> {
    let rows = world.rows(topic, kind).await;
    for pair in rows.windows(2) {
        let ((_, offset, row), (_, next_offset, next_row)) = (pair[0], pair[1]);
        let follows = if offset == next_offset { next_row == row + 1 } else { next_row == 0 };
        assert!(follows, "{pair:?}");
    }
    rows.into_iter().filter(|(_, _, row)| *row == 0).map(|(_, offset, _)| offset).collect()
}

fn files_below(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_of_any_name_have_their_own_directory_and_stay_in_it() {
    let long = "x".repeat(200);
    let names = ["..", ".", "/", "../../etc/passwd", "%2e%2e", "a'b\"c", "日志", " ", "a\\b", "-rf", "$(id)", &long];
    let outside = tempfile::tempdir().expect("a directory");
    let root = outside.path().join("lake");
    let world = World::with_storage(Storage::local(root.clone()).expect("created")).await;
    let mut writer = world.start().await;
    for name in names {
        let topic = world.topic(name, 1, "{}").await;
        writer.refresh_topics();
        let partition = TopicPartition::new(topic.clone(), 0);
        let end = world.publish(&partition, [name.to_owned()]).await;
        writer.wait_committed(&[(partition, end)]).await.expect("committed");
        assert_eq!(world.rows(&topic, SegmentKind::Data).await, [(0, 0, 0)], "{name}");
        world.audit(&topic).await;
        let file = root.join(&world.segments(&topic).await[0].object.key);
        let below = file.strip_prefix(&root).expect("below the root");
        assert_eq!(below.components().count(), 4, "{}", below.display());
    }
    writer.shutdown().await.expect("drains");
    let (all, inside) = (files_below(outside.path()), files_below(&root));
    assert_eq!((all.len(), inside.len()), (names.len(), names.len()), "{all:?}");
    assert_eq!(std::fs::read_dir(&root).expect("a directory").count(), names.len(), "one directory each");
}
