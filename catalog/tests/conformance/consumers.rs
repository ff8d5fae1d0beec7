//! Cases: consumer groups.

use catalog::{CatalogError, ConsumerOffset, MetadataStore};
use common::TopicPartition;

use super::fixture::*;

fn offset(group_id: &str, of: &TopicPartition, committed_offset: u64, metadata: Option<&str>) -> ConsumerOffset {
    ConsumerOffset {
        group_id: group_id.to_owned(),
        topic: of.topic.clone(),
        partition_id: of.partition_id,
        committed_offset,
        metadata: metadata.map(str::to_owned),
    }
}

pub(crate) async fn test_consumer_offset_commit(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    store.ensure_consumer_group("analytics").await.expect("made");
    store.ensure_consumer_group("analytics").await.expect("is there");
    assert_eq!(store.get_committed_offset("analytics", &orders).await.expect("read"), None);
    store.commit_offset(offset("analytics", &orders, 100, Some("a note"))).await.expect("committed");
    assert_eq!(store.get_committed_offset("analytics", &orders).await.expect("read"), Some(100));
    store.commit_offset(offset("analytics", &orders, 200, None)).await.expect("committed");
    assert_eq!(store.get_committed_offset("analytics", &orders).await.expect("read"), Some(200));
    assert_eq!(store.get_consumer_offsets("analytics").await.expect("read")[0].metadata, None, "replaced");
    store.commit_offset(offset("analytics", &orders, 50, None)).await.expect("a group may go back");
    assert_eq!(store.get_committed_offset("analytics", &orders).await.expect("read"), Some(50));
    assert_eq!(store.get_committed_offset("absent", &orders).await.expect("read"), None);
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
    assert_eq!(store.get_committed_offset("g", &orders).await.expect("read"), None);
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
