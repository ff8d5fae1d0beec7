//! Cases: the intent of a replacement.
//!
//! Owns: recording, giving up, dooming and consuming it. Does not own: the replacement itself (`replacing`).

use std::sync::Arc;

use std::time::Duration;

use catalog::{CatalogError, CommitOutcome, MetadataStore, ReplaceRefusal, Replacement, UploadState};
use common::{ErrorKind, OwnerId, TopicName};
use uuid::Uuid;

use super::fixture::*;
use super::replacing::*;

pub(crate) async fn a_replacement_needs_its_intent(store: &dyn MetadataStore) {
    let [held, _] = two_partitions(store).await;
    let objects = live_objects(store, "orders").await;
    let before = state(store).await;
    assert_intent_lost(store.replace(&replacement(held.owner, &objects[..2])).await);
    let given_up = intended(store, held.owner, &objects[..2]).await;
    store.abandon_replacement(&given_up.intent()).await.expect("given up");
    assert_intent_lost(store.replace(&given_up).await);
    let resolved = store.resolve_replacement(&given_up).await.expect("looked up");
    assert_intent_lost(resolved);
    let stolen = Replacement { owner: OwnerId(Uuid::now_v7()), ..intended(store, held.owner, &objects[..2]).await };
    assert_intent_lost(store.replace(&stolen).await);
    assert_eq!(state(store).await, before, "nothing changed");
    // A commit cannot use a replacement's intent, nor a replacement a commit's.
    let next = request(&held, 30, 39);
    intend(store, &next).await;
    let mut of_commit = replacement(held.owner, &objects[..2]);
    of_commit.output.key = next.segments[0].object.key.clone();
    assert_intent_lost(store.replace(&of_commit).await);
    let mut of_replacement = request(&held, 30, 39);
    Arc::make_mut(&mut of_replacement.segments[0].object).key =
        intended(store, held.owner, &objects[..2]).await.output.key;
    let outcome = commit(store, &of_replacement).await;
    assert!(matches!(outcome, CommitOutcome::Refused(catalog::Refusal::IntentLost { .. })), "{outcome:?}");
    assert_done(&commit(store, &next).await, 40);
}

pub(crate) async fn the_intent_of_a_replacement_needs_a_topic_and_a_new_key(store: &dyn MetadataStore) {
    let [held, _] = two_partitions(store).await;
    let objects = live_objects(store, "orders").await;
    let first = replacement(held.owner, &objects[..2]);
    let with_key = |key: &str| {
        let mut intent = first.intent();
        intent.key = key.to_owned();
        intent
    };
    store.record_replacement_intent(&first.intent()).await.expect("recorded");
    store.record_replacement_intent(&first.intent()).await.expect("again is harmless");
    let pending = store.list_shared_uploads(&name("orders")).await.expect("read");
    assert_eq!(pending.iter().map(|upload| &upload.key).collect::<Vec<_>>(), [&first.output.key]);
    let upload = &pending[0];
    assert_eq!((upload.partition_id, upload.owner, upload.state), (None, Some(held.owner), UploadState::Pending));
    assert_eq!(upload.epoch, Some(common::Epoch(0)));
    let mut of_other = first.intent();
    of_other.owner = OwnerId(Uuid::now_v7());
    let pending_key = request(&held, 30, 39);
    intend(store, &pending_key).await;
    for used in [of_other, with_key(&objects[0].key), with_key(&pending_key.segments[0].object.key)] {
        let error = store.record_replacement_intent(&used).await.expect_err("used before");
        assert!(matches!(error, CatalogError::KeyUsed(_)), "{error}");
    }
    done(store.replace(&first).await);
    for used in [first.intent(), with_key(&objects[0].key)] {
        let error = store.record_replacement_intent(&used).await.expect_err("live or retired");
        assert!(matches!(error, CatalogError::KeyUsed(_)), "{error}");
    }
    let mut absent = with_key("absent/new.parquet");
    absent.topic = TopicName::new("absent").expect("valid");
    let error = store.record_replacement_intent(&absent).await.expect_err("no such topic");
    assert!(matches!(&error, CatalogError::TopicNotFound(topic) if topic == "absent"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

pub(crate) async fn intents_of_silent_owners_are_doomed_and_those_of_live_ones_stay(store: &dyn MetadataStore) {
    let [held, _] = two_partitions(store).await;
    let (silent, objects) = (agent(store).await, live_objects(store, "orders").await);
    let (alive, lost) =
        (intended(store, held.owner, &objects[..2]).await, intended(store, silent, &objects[..2]).await);
    let next = request(&held, 30, 39);
    intend(store, &next).await;
    assert_eq!(store.doom_abandoned_replacements(LONG_LEASE).await.expect("asked"), 0, "both sent heartbeats");
    store.remove_agent(silent).await.expect("removed");
    assert_eq!(store.doom_abandoned_replacements(LONG_LEASE).await.expect("asked"), 0, "doomed as it left");
    let (stays, unregistered) = (live_objects(store, "orders").await, OwnerId(Uuid::now_v7()));
    let never = intended(store, unregistered, &stays[..2]).await;
    assert_eq!(store.doom_abandoned_replacements(LONG_LEASE).await.expect("doomed"), 1, "it never sent a heartbeat");
    assert_eq!(store.doom_abandoned_replacements(LONG_LEASE).await.expect("asked"), 0);
    assert_intent_lost(store.replace(&never).await);
    assert_intent_lost(store.replace(&lost).await);
    done(store.replace(&alive).await);
    assert_done(&commit(store, &next).await, 40);
    // A heartbeat that is older than the lease does not count.
    let late = intended(store, held.owner, &live_objects(store, "orders").await).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while store.doom_abandoned_replacements(Duration::ZERO).await.expect("asked") == 0 {
        assert!(tokio::time::Instant::now() < deadline, "the database's clock shows another millisecond");
        tokio::task::yield_now().await;
    }
    assert_intent_lost(store.replace(&late).await);
}

pub(crate) async fn a_deleted_topic_dooms_intents_and_retires_everything(store: &dyn MetadataStore) {
    let [held, _] = two_partitions(store).await;
    let objects = live_objects(store, "orders").await;
    let pending = intended(store, held.owner, &objects[..2]).await;
    replace(store, held.owner, &objects[2..4]).await;
    let tables = state(store).await.tables;
    store.delete_topic(&name("orders")).await.expect("deleted");
    let newest = store.list_snapshots().await.expect("read").pop().expect("kept");
    assert_eq!(newest.changes, format!("dropped_table:{},dropped_table:{}", tables.data, tables.quarantine));
    assert!(store.list_retired(&name("orders")).await.expect("read").is_empty(), "no topic, no list of it");
    let refusal = refusal(store.replace(&pending).await);
    assert!(matches!(refusal, ReplaceRefusal::InputGone { .. }), "{refusal:?}");
    create_topic(store, "orders", 2).await;
    let again = state(store).await;
    assert!(again.objects.is_empty() && again.segments.is_empty(), "{again:?}");
    assert!(again.tables.data > tables.quarantine, "numbers of tables are never used again");
    assert!(store.list_retired(&name("orders")).await.expect("read").is_empty(), "those were of another table");
    let error = store.record_replacement_intent(&pending.intent()).await.expect_err("doomed");
    assert!(matches!(error, CatalogError::KeyUsed(_)), "{error}");
}
