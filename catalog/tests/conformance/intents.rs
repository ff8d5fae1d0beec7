//! Cases: intents before their commit.

use catalog::{CatalogError, MetadataStore, Ownership, UploadIntent};
use common::{Epoch, OwnerId};
use uuid::Uuid;

use super::fixture::*;

pub(crate) async fn an_intent_needs_the_ownership_it_names(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let wrong = [
        Ownership { epoch: Epoch(0), ..held.clone() },
        Ownership { epoch: Epoch(2), ..held.clone() },
        Ownership { owner: OwnerId(Uuid::now_v7()), ..held.clone() },
        Ownership { partition: partition("orders", 1), ..held.clone() },
        Ownership { partition: partition("absent", 0), ..held.clone() },
    ];
    for wrong in wrong {
        let answers = store.record_intents(&intents(&request(&wrong, 0, 9))).await;
        assert!(matches!(&answers[..], [Err(CatalogError::Fenced { .. })]), "{wrong:?}: {answers:?}");
    }
    intend(store, &request(&held, 0, 9)).await;
}

pub(crate) async fn a_repeated_intent_is_harmless(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let request = request(&held, 0, 9);
    intend(store, &request).await;
    intend(store, &request).await;
    let twice = [intents(&request), intents(&request)].concat();
    assert!(store.record_intents(&twice).await.iter().all(Result::is_ok));
    assert_done(&commit(store, &request).await, 10);
    assert!(store.record_intents(&[]).await.is_empty());
}

pub(crate) async fn a_key_is_never_used_twice(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let committed = commit_range(store, &held, 0, 9).await;
    let abandoned = request(&held, 10, 19);
    intend(store, &abandoned).await;
    store.abandon_intents(&intents(&abandoned)).await.expect("given up");
    store.abandon_intents(&intents(&abandoned)).await.expect("again is harmless");
    for used in [&committed, &abandoned] {
        let answer = store.record_intents(&intents(used)).await.remove(0);
        assert!(matches!(&answer, Err(CatalogError::Fenced { reason, .. }) if reason.contains("key")), "{answer:?}");
    }
    let pending = request(&held, 10, 19);
    intend(store, &pending).await;
    let next = fail_over(store, &held).await;
    let stolen = UploadIntent { epoch: next.epoch, owner: next.owner, ..intents(&pending).remove(0) };
    assert!(store.record_intents(&[stolen]).await[0].is_err());
    store.abandon_intents(&intents(&committed)).await.expect("a committed key is not given up");
    assert_eq!(store.get_segments(&held.partition).await.expect("read").len(), 1);
}

pub(crate) async fn each_intent_of_a_group_has_its_own_answer(store: &dyn MetadataStore) {
    let (one, two) = (owned(store, "b").await, owned(store, "a").await);
    let lost = fail_over(store, &two).await;
    let (first, second, third) = (request(&one, 0, 9), request(&two, 0, 9), request(&lost, 0, 9));
    let group = [intents(&first), intents(&second), intents(&third)].concat();
    let answers = store.record_intents(&group).await;
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    let error = answers[1].as_ref().expect_err("the epoch is over");
    assert!(matches!(error, CatalogError::Fenced { partition, .. } if *partition == two.partition), "{error}");
    assert_done(&commit(store, &first).await, 10);
    assert_done(&commit(store, &third).await, 10);
}
