//! Cases: tables for readers of Iceberg.

use std::time::Duration;

use catalog::{
    CatalogError, MetadataStore, Publication, PublishOutcome, PublishScope, PublishedTable, SegmentKind, UploadState,
};
use common::{OwnerId, TopicName};

use super::fixture::*;
use super::publishing::*;
use super::replacing::{live_objects, replace};

const DATA: SegmentKind = SegmentKind::Data;

async fn listed(store: &dyn MetadataStore, kind: SegmentKind) -> PublishedTable {
    let tables = store.list_published().await.expect("read");
    tables.into_iter().find(|table| table.kind == kind).expect("listed")
}

async fn publish(store: &dyn MetadataStore, publication: &Publication) -> PublishOutcome {
    store.publish(publication).await.expect("answered")
}

async fn next(store: &dyn MetadataStore, topic: &TopicName, owner: OwnerId) -> Publication {
    let publication = publication(store, (topic, DATA), owner, false).await.expect("the topic exists");
    intend_publication(store, &publication).await;
    publication
}

/// Keys of objects that are due without any hold.
async fn due(store: &dyn MetadataStore) -> Vec<String> {
    until_all_is_past(store).await;
    // Nor may a kept lake snapshot have them.
    store.fold_history(Duration::ZERO).await.expect("folded");
    let due = store.due_objects("lake", Duration::ZERO, Duration::ZERO, 100).await.expect("read");
    let mut keys: Vec<String> = due.into_iter().map(|upload| upload.key).collect();
    keys.sort();
    keys
}

pub(crate) async fn a_table_is_behind_until_it_is_published(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let topic = &held.partition.topic;
    for kind in SegmentKind::ALL {
        let table = listed(store, kind).await;
        assert!(table.behind.is_some() && table.metadata_location.is_none() && table.age.is_none(), "{table:?}");
        assert!(store.find_published(topic, kind).await.expect("read").is_none());
        let published = publish_now(store, (topic, kind), held.owner).await;
        let table = listed(store, kind).await;
        assert!(table.behind.is_none() && table.age.is_some() && !table.has_expired, "{table:?}");
        assert_eq!(table.metadata_location.as_deref(), Some(published.head.metadata_location.as_str()));
        assert_eq!(store.find_published(topic, kind).await.expect("read"), Some(published.head));
        assert_eq!(store.metadata_objects(topic, kind).await.expect("read"), published.objects);
    }
    // Rows that come and go, columns, another address.
    commit_range(store, &held, 0, 9).await;
    assert!(listed(store, DATA).await.behind.is_some());
    assert!(listed(store, SegmentKind::Quarantine).await.behind.is_none());
    publish_now(store, (topic, DATA), held.owner).await;
    store.delete_segments_before(&held.partition, 10).await.expect("expired");
    assert!(listed(store, DATA).await.behind.is_some());
    publish_now(store, (topic, DATA), held.owner).await;
    let text = r#"{"format":"json","columns":[{"name":"a","type":"int32"}]}"#;
    let options = serde_json::from_str(text).expect("parses");
    store.update_topic_config(topic, 1, None, options).await.expect("updated");
    assert!(listed(store, DATA).await.behind.is_some());
    publish_now(store, (topic, DATA), held.owner).await;
    assert!(listed(store, DATA).await.behind.is_none());
    store.record_root("lake", "s3://moved/").await.expect("recorded");
    assert!(listed(store, DATA).await.behind.is_some());
}

pub(crate) async fn a_publication_needs_its_intents_live_objects_and_the_newest_version(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let topic = &held.partition.topic;
    commit_range(store, &held, 0, 9).await;
    let unintended = publication(store, (topic, DATA), held.owner, false).await.expect("the topic exists");
    assert_eq!(publish(store, &unintended).await, PublishOutcome::IntentLost);
    let given_up = next(store, topic, held.owner).await;
    for intent in given_up.intents() {
        store.abandon_replacement(&intent).await.expect("given up");
    }
    assert_eq!(publish(store, &given_up).await, PublishOutcome::IntentLost);
    let (first, second) = (next(store, topic, held.owner).await, next(store, topic, held.owner).await);
    assert_eq!(publish(store, &first).await, PublishOutcome::Published);
    assert_eq!(publish(store, &second).await, PublishOutcome::Overtaken);
    assert_eq!(publish(store, &first).await, PublishOutcome::IntentLost, "the same again");
    assert_eq!(store.find_published(topic, DATA).await.expect("read"), Some(first.head.clone()));
    // The intents of the loser are still there to be given up; those of the winner are not.
    let pending = store.list_shared_uploads(topic).await.expect("read");
    let is_pending = |key: &str| pending.iter().any(|upload| upload.key == key && upload.state == UploadState::Pending);
    assert!(is_pending(&second.objects[0].key) && !is_pending(&first.objects[0].key), "{pending:?}");

    commit_range(store, &held, 10, 19).await;
    let late = next(store, topic, held.owner).await;
    assert_eq!(late.added.len(), 1);
    let objects = live_objects(store, "orders").await;
    replace(store, held.owner, &objects[1..]).await;
    assert_eq!(publish(store, &late).await, PublishOutcome::ObjectGone);
    store.delete_topic(topic).await.expect("deleted");
    assert_eq!(publish(store, &late).await, PublishOutcome::TableGone);
    create_topic(store, "orders", 1).await;
    assert_eq!(publish(store, &late).await, PublishOutcome::TableGone);
    assert!(store.find_published(topic, DATA).await.expect("read").is_none());
}

pub(crate) async fn a_publication_of_a_state_that_the_catalog_never_had_is_refused(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let topic = &held.partition.topic;
    commit_range(store, &held, 0, 9).await;
    let known = next(store, topic, held.owner).await;
    let (number, time_us) = (known.head.lake_snapshot.0, known.snapshot_time_us);
    for (number, time_us) in
        [(number, time_us - 1), (number, time_us + 1), (number + 1, time_us + 1), (number - 1, time_us)]
    {
        let mut lost = Publication { snapshot_time_us: time_us, ..known.clone() };
        lost.head.lake_snapshot.0 = number;
        assert_eq!(publish(store, &lost).await, PublishOutcome::StateLost, "{number} of {time_us}");
    }
    assert!(store.find_published(topic, DATA).await.expect("read").is_none());
    // What the catalog had counts, also when it keeps that snapshot no more.
    commit_range(store, &held, 10, 19).await;
    commit_range(store, &held, 20, 29).await;
    until_all_is_past(store).await;
    store.fold_history(Duration::ZERO).await.expect("folded");
    assert_eq!(publish(store, &known).await, PublishOutcome::Published);
}

pub(crate) async fn nothing_that_a_kept_snapshot_has_is_due(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let topic = &held.partition.topic;
    commit_range(store, &held, 0, 9).await;
    commit_range(store, &held, 10, 19).await;
    let objects = live_objects(store, "orders").await;
    let keys: Vec<String> = objects.iter().map(|object| object.key.clone()).collect();
    let first = publish_now(store, (topic, DATA), held.owner).await;
    replace(store, held.owner, &objects).await;
    assert!(due(store).await.is_empty(), "the published snapshot has them");
    // The next version keeps the last one's snapshot, the one after it does not.
    let mut second = next(store, topic, held.owner).await;
    assert_eq!((second.added.len(), second.removed.len()), (1, 2));
    second.oldest_version = first.head.version;
    assert_eq!(publish(store, &second).await, PublishOutcome::Published);
    assert!(due(store).await.is_empty(), "a kept snapshot has them");
    let third = publish_now(store, (topic, DATA), held.owner).await;
    let mut gone = keys;
    gone.extend([&first, &second].map(|of| of.objects[0].key.clone()));
    gone.sort();
    assert_eq!(due(store).await, gone);
    assert_eq!(store.metadata_objects(topic, DATA).await.expect("read"), third.objects);
    let intent = first.intents().next().expect("one");
    assert!(matches!(store.record_replacement_intent(&intent).await, Err(CatalogError::KeyUsed(_))), "used before");
    let intent = third.intents().next().expect("one");
    assert!(matches!(store.record_replacement_intent(&intent).await, Err(CatalogError::KeyUsed(_))), "in use");
}

pub(crate) async fn a_table_that_is_not_published_any_more_keeps_nothing(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let topic = &held.partition.topic;
    commit_range(store, &held, 0, 9).await;
    let key = live_objects(store, "orders").await[0].key.clone();
    let first = publish_now(store, (topic, DATA), held.owner).await;
    store.delete_segments_before(&held.partition, 10).await.expect("expired");
    assert!(due(store).await.is_empty());
    assert_eq!(store.unpublish(topic).await.expect("done"), 1);
    assert_eq!(store.unpublish(topic).await.expect("done"), 0);
    assert!(store.find_published(topic, DATA).await.expect("read").is_none());
    let mut gone = vec![key, first.objects[0].key.clone()];
    gone.sort();
    assert_eq!(due(store).await, gone);
    let again = publish_now(store, (topic, DATA), held.owner).await;
    assert_eq!(again.head.version, 1);
    store.delete_topic(topic).await.expect("deleted");
    gone.push(again.objects[0].key.clone());
    gone.sort();
    assert_eq!(due(store).await, gone);
    let missing = store.unpublish(topic).await;
    assert!(matches!(missing, Err(CatalogError::TopicNotFound(_))), "{missing:?}");
}

pub(crate) async fn the_state_of_a_table_has_what_came_and_went_and_its_days(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let topic = &held.partition.topic;
    store.record_root("lake", "s3://lake/").await.expect("recorded");
    for base in [0, 10, 20] {
        commit_range(store, &held, base, base + 9).await;
    }
    let read = async |scope| store.table_state(topic, DATA, scope).await.expect("read").expect("exists");
    let all = read(PublishScope::Changes).await;
    assert_eq!((all.files.len(), all.head.is_none()), (3, true), "nothing is published: all objects");
    assert_eq!(all.roots, [("lake".to_owned(), "s3://lake/".to_owned())]);
    publish_now(store, (topic, DATA), held.owner).await;
    assert!(read(PublishScope::Changes).await.files.is_empty());
    commit_range(store, &held, 30, 39).await;
    store.delete_segments_before(&held.partition, 10).await.expect("expired");
    let state = read(PublishScope::Changes).await;
    let told: Vec<_> =
        state.files.iter().map(|file| (file.object.min_offset, file.is_live, file.published.is_some())).collect();
    // All are of one day: 1969-12-31.
    assert_eq!(told, [(0, false, true), (10, true, true), (20, true, true), (30, true, false)]);
    assert_eq!(read(PublishScope::All).await.files.len(), 3);
    publish_now(store, (topic, DATA), held.owner).await;
    let other_day = imported(&partition("orders", 0), 100, 109);
    store.add_segment(other_day).await.expect("listed");
    let files = read(PublishScope::Changes).await.files;
    assert_eq!(files.iter().map(|file| file.object.min_offset).collect::<Vec<_>>(), [100], "of another day");
    assert!(store.table_state(&name("absent"), DATA, PublishScope::All).await.expect("read").is_none());
}
