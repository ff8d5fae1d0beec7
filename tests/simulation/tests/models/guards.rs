//! The switches of the compares.
//!
//! Owns: that each takes away its own compare, and no other. Does not own: that the oracle notices (`mutations`).

use std::sync::Arc;
use std::time::Duration;

use catalog::{
    AcquireOutcome, CommitOutcome, CommitRequest, CommitStore, MetadataStore, Ownership, OwnershipStore, Refusal,
    UploadIntent,
};
use common::{Epoch, Incarnation};
use simulation::catalog::{Guards, ModelCatalog};

use crate::fixture::*;

/// A partition that agent 1 holds, watermark 10, in a model without the compare that `off` takes away.
async fn held_without(off: fn(&mut Guards)) -> (ModelCatalog, Ownership) {
    let mut guards = Guards::default();
    off(&mut guards);
    let model = model(guards);
    create_orders(&model).await;
    let held = take(&model, 1).await;
    let first = intended(&model, &held, (0, 9), "first").await;
    assert!(is_done(&commit(&model, &first).await));
    (model, held)
}

/// Outcomes of a good request (10 to 19, intended) that `spoil` changes, with all compares and without one.
async fn with_and_without(off: fn(&mut Guards), spoil: fn(&mut CommitRequest)) -> [CommitOutcome; 2] {
    let mut outcomes = Vec::new();
    for off in [|_: &mut Guards| {}, off] {
        let (model, held) = held_without(off).await;
        let mut request = intended(&model, &held, (10, 19), "next").await;
        spoil(&mut request);
        outcomes.push(commit(&model, &request).await);
    }
    outcomes.try_into().expect("two")
}

#[tokio::test]
async fn the_compares_of_the_partitions_row() {
    let [on, off] = with_and_without(|g| g.watermark_compare = false, |request| request.range = range(12, 19)).await;
    assert!(is_fenced(&on) && is_done(&off), "{on:?} {off:?}");
    let [on, off] = with_and_without(|g| g.incarnation_compare = false, |r| r.incarnation = Incarnation(9)).await;
    assert!(is_fenced(&on) && is_done(&off), "{on:?} {off:?}");
    // Without the epoch's or the owner's compare, the intent's is the next to refuse.
    let [on, off] = with_and_without(|g| g.epoch_compare = false, |request| request.epoch = Epoch(9)).await;
    assert!(is_fenced(&on) && is_intent_lost(&off), "{on:?} {off:?}");
    let [on, off] = with_and_without(|g| g.owner_compare = false, |request| request.owner = owner(9)).await;
    assert!(is_fenced(&on) && is_intent_lost(&off), "{on:?} {off:?}");
    let off = |guards: &mut Guards| (guards.epoch_compare, guards.intent_epoch) = (false, false);
    let [_, off] = with_and_without(off, |request| request.epoch = Epoch(9)).await;
    assert!(is_done(&off), "{off:?}");
}

fn is_intent_lost(outcome: &CommitOutcome) -> bool {
    matches!(outcome, CommitOutcome::Refused(Refusal::IntentLost { .. }))
}

#[tokio::test]
async fn the_compare_of_the_state() {
    for off in [|_: &mut Guards| {}, |guards: &mut Guards| guards.state_compare = false] {
        let (model, held) = held_without(off).await;
        let request = intended(&model, &held, (10, 19), "next").await;
        model.halt(&held, "stream_regressed").await.expect("held");
        let is_on = model.inspect(|state| state.guards.state_compare);
        assert_eq!(is_done(&commit(&model, &request).await), !is_on);
    }
}

#[tokio::test]
async fn the_compares_of_the_intent() {
    let rename =
        |request: &mut CommitRequest| Arc::make_mut(&mut request.segments[0].object).key = "elsewhere".to_owned();
    let [on, off] = with_and_without(|guards| guards.intent_check = false, rename).await;
    assert!(is_intent_lost(&on) && is_done(&off), "{on:?} {off:?}");
    for off in [|_: &mut Guards| {}, |guards: &mut Guards| guards.intent_pending = false] {
        let (model, held) = held_without(off).await;
        let request = intended(&model, &held, (10, 19), "next").await;
        model.abandon_intents(&intents(&request)).await.expect("given up");
        let is_on = model.inspect(|state| state.guards.intent_pending);
        assert_eq!(is_done(&commit(&model, &request).await), !is_on);
    }
}

#[tokio::test]
async fn the_unique_rows() {
    let (model, held) = held_without(|guards| guards.watermark_compare = false).await;
    // Two requests of one transaction: the second one is not unique, so that the first one is taken back too.
    let good = intended(&model, &held, (10, 19), "good").await;
    let twin = intended(&model, &held, (0, 9), "twin").await;
    let before = model.state();
    for outcome in model.commit(&[good.clone(), twin.clone()]).await {
        assert!(matches!(outcome, CommitOutcome::NotDone(_)), "{outcome:?}");
    }
    let after = model.state();
    assert_eq!((&after.partitions, &after.uploads), (&before.partitions, &before.uploads));
    assert_eq!((&after.commits, &after.segments), (&before.commits, &before.segments));
    assert_eq!((&after.listed, &after.segment_ids), (&before.listed, &before.segment_ids));
    model.set_guards(Guards { watermark_compare: false, unique_rows: false, ..Guards::default() });
    assert!(model.commit(&[good, twin]).await.iter().all(is_done));
}

#[tokio::test]
async fn the_checks_of_an_intent_before_its_commit() {
    let (model, held) = held_without(|_| {}).await;
    let stale = UploadIntent { epoch: Epoch(0), ..intents(&request(&held, 10, 19, "stale")).remove(0) };
    let used = intents(&request(&held, 10, 19, "first")).remove(0);
    for intent in [&stale, &used] {
        assert!(model.record_intents(std::slice::from_ref(intent)).await[0].is_err());
    }
    model.set_guards(Guards { intent_fence: false, ..Guards::default() });
    assert!(model.record_intents(std::slice::from_ref(&stale)).await[0].is_ok());
    assert!(model.record_intents(std::slice::from_ref(&used)).await[0].is_err());
    model.set_guards(Guards { key_reuse_check: false, ..Guards::default() });
    assert!(model.record_intents(&[used]).await[0].is_ok());
}

#[tokio::test]
async fn the_checks_of_a_takeover() {
    let (model, held) = held_without(|_| {}).await;
    assert!(matches!(acquire(&model, 2).await, AcquireOutcome::Held { .. }));
    let pending = |model: &ModelCatalog| {
        let is_pending = |upload: &catalog::Upload| upload.state == catalog::UploadState::Pending;
        model.inspect(|state| state.uploads.values().filter(|upload| is_pending(upload)).count())
    };
    intended(&model, &held, (10, 19), "next").await;
    model.set_guards(Guards { lease_check: false, doom_at_takeover: false, ..Guards::default() });
    let robbed = take(&model, 2).await;
    assert_eq!((robbed.epoch, pending(&model)), (Epoch(2), 1));
    model.set_guards(Guards { lease_check: false, epoch_rises: false, ..Guards::default() });
    assert_eq!((take(&model, 3).await.epoch, pending(&model)), (Epoch(2), 0), "the same epoch twice");
    model.set_guards(Guards::default());
    let held = Ownership { owner: owner(3), ..robbed };
    model.halt(&held, "stream_regressed").await.expect("held");
    assert!(matches!(acquire(&model, 3).await, AcquireOutcome::Halted { .. }));
    model.set_guards(Guards { halt_check: false, ..Guards::default() });
    take(&model, 3).await;
}

#[tokio::test(start_paused = true)]
async fn the_checks_of_the_janitor() {
    const HOLD: Duration = Duration::from_secs(60);
    async fn due(store: &dyn MetadataStore) -> Vec<String> {
        let due = store.due_objects("lake", HOLD, 2 * HOLD, 10).await.expect("read");
        due.into_iter().map(|upload| upload.key).collect()
    }
    let (model, held) = held_without(|guards| guards.key_reuse_check = false).await;
    let doomed = intended(&model, &held, (10, 19), "doomed").await;
    model.abandon_intents(&intents(&doomed)).await.expect("given up");
    intended(&model, &held, (10, 19), "pending").await;
    // A listed object that is also doomed, a state that no transaction leaves.
    let listed = intended(&model, &held, (10, 19), "first").await;
    model.abandon_intents(&intents(&listed)).await.expect("given up");
    assert!(due(&model).await.is_empty());
    model.set_guards(Guards { gc_hold: false, ..Guards::default() });
    assert_eq!(due(&model).await, ["orders/doomed.parquet"]);
    model.set_guards(Guards::default());
    tokio::time::sleep(2 * HOLD).await;
    assert_eq!(due(&model).await, ["orders/doomed.parquet"]);
    model.set_guards(Guards { gc_listed_check: false, ..Guards::default() });
    assert_eq!(due(&model).await, ["orders/doomed.parquet", "orders/first.parquet"]);
    model.set_guards(Guards { gc_doomed_only: false, ..Guards::default() });
    assert_eq!(due(&model).await, ["orders/doomed.parquet", "orders/pending.parquet"]);
}
