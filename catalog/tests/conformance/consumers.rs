//! Cases: consumer groups.

use catalog::{CatalogError, ConsumerOffset, MetadataStore, Position, ResumePoint};
use common::{Incarnation, TopicPartition};

use super::fixture::*;

fn offset(group_id: &str, of: &TopicPartition, committed_offset: u64, metadata: Option<&str>) -> ConsumerOffset {
    ConsumerOffset {
        group_id: group_id.to_owned(),
        topic: of.topic.clone(),
        partition_id: of.partition_id,
        incarnation: Incarnation(0),
        committed_offset,
        metadata: metadata.map(str::to_owned),
    }
}

/// The offset that the group committed in the first incarnation.
async fn committed(store: &dyn MetadataStore, group_id: &str, of: &TopicPartition) -> Option<u64> {
    let found = store.get_committed_offset(group_id, of).await.expect("read")?;
    assert_eq!(found.incarnation, Incarnation(0));
    Some(found.offset)
}

pub(crate) async fn test_consumer_offset_commit(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    store.ensure_consumer_group("analytics").await.expect("made");
    store.ensure_consumer_group("analytics").await.expect("is there");
    assert_eq!(committed(store, "analytics", &orders).await, None);
    store.commit_offset(offset("analytics", &orders, 100, Some("a note"))).await.expect("committed");
    assert_eq!(committed(store, "analytics", &orders).await, Some(100));
    store.commit_offset(offset("analytics", &orders, 200, None)).await.expect("committed");
    assert_eq!(committed(store, "analytics", &orders).await, Some(200));
    assert_eq!(store.get_consumer_offsets("analytics").await.expect("read")[0].metadata, None, "replaced");
    store.commit_offset(offset("analytics", &orders, 50, None)).await.expect("a group may go back");
    assert_eq!(committed(store, "analytics", &orders).await, Some(50));
    assert_eq!(committed(store, "absent", &orders).await, None);
}

pub(crate) async fn offsets_of_a_group_are_listed_by_topic_and_partition(store: &dyn MetadataStore) {
    create_topic(store, "b", 11).await;
    create_topic(store, "a", 1).await;
    let places = [partition("a", 0), partition("b", 2), partition("b", 10)];
    for place in places.iter().rev() {
        store.commit_offset(offset("g", place, 1, Some("it's"))).await.expect("the group is made");
        store.commit_offset(offset("other", place, 2, None)).await.expect("committed");
    }
    let listed = store.get_consumer_offsets("g").await.expect("listed");
    assert_eq!(listed, places.map(|place| offset("g", &place, 1, Some("it's"))));
}

pub(crate) async fn a_deleted_group_takes_its_offsets_along(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    store.commit_offset(offset("g", &orders, 1, None)).await.expect("committed");
    store.delete_consumer_group("g").await.expect("deleted");
    assert_eq!(committed(store, "g", &orders).await, None);
    let error = store.delete_consumer_group("g").await.expect_err("gone");
    assert!(matches!(&error, CatalogError::GroupNotFound(group) if group == "g"), "{error}");
}

pub(crate) async fn an_offset_of_an_unknown_partition_is_refused_and_makes_no_group(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    for absent in [partition("orders", 1), partition("absent", 0)] {
        let error = store.commit_offset(offset("g", &absent, 1, None)).await.expect_err("absent");
        assert!(matches!(error, CatalogError::PartitionNotFound { .. }), "{error}");
    }
    let orders = partition("orders", 0);
    let error = store.commit_offset(offset("g", &orders, 1 << 63, None)).await.expect_err("too large");
    assert!(matches!(error, CatalogError::InvalidOffset { .. }), "{error}");
    for group in ["", "a\0b"] {
        let error = store.commit_offset(offset(group, &orders, 1, None)).await.expect_err("no name");
        assert!(matches!(error, CatalogError::Refused(_)), "{error}");
    }
    let error = store.commit_offset(offset("g", &orders, 1, Some("\0"))).await.expect_err("cannot be stored");
    assert!(matches!(error, CatalogError::Refused(_)), "{error}");
    assert!(matches!(store.delete_consumer_group("g").await, Err(CatalogError::GroupNotFound(_))));
}

pub(crate) async fn an_offset_counts_in_the_history_that_it_was_read_in(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let orders = &held.partition;
    let of = |incarnation, committed_offset| ConsumerOffset {
        incarnation: Incarnation(incarnation),
        ..offset("g", orders, committed_offset, None)
    };
    store.commit_offset(of(0, 700)).await.expect("committed");
    let ahead = store.commit_offset(of(1, 3)).await.expect_err("no such history yet");
    assert!(matches!(ahead, CatalogError::InvalidOffset { offset: 3, .. }), "{ahead}");
    store.halt(&held, "the stream was made again").await.expect("halted");
    let again = ResumePoint { high_watermark: 0, anchor: None, reason: "from its beginning".to_owned() };
    store.resume(orders, Incarnation(0), &again).await.expect("resumed");
    let read_to = store.get_committed_offset("g", orders).await.expect("read");
    let before = Position { incarnation: Incarnation(0), offset: 700 };
    assert_eq!(read_to, Some(before), "offset 700 of the old history is no offset of the new one");
    store.commit_offset(of(1, 3)).await.expect("committed");
    let read_to = store.get_committed_offset("g", orders).await.expect("read");
    assert_eq!(read_to, Some(Position { incarnation: Incarnation(1), offset: 3 }));
    assert_eq!(store.get_consumer_offsets("g").await.expect("read"), [of(1, 3)]);
    store.commit_offset(of(0, 701)).await.expect("a reader of the old history is late");
    assert_eq!(store.get_consumer_offsets("g").await.expect("read"), [of(0, 701)], "the last one counts");
}
