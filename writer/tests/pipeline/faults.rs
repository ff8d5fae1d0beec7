//! A store that fails, lies or loses replies: the batch is kept, no message is lost or doubled, no bad object is
//! listed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use catalog::SegmentKind;
use common::{TopicName, TopicPartition};
use support::fault_store::{Answer, Effect, Fault, FaultStore, Operation};
use writer::{RunningWriter, Storage};

use crate::world::{World, expected};

/// A world on a store without faults yet, with a topic whose batches close at 500 rows.
async fn faulty_world() -> (World, Arc<FaultStore>, TopicName) {
    let store = FaultStore::new(Storage::memory().store);
    let mut world = World::with_storage(Storage::from_store(store.clone())).await;
    world.config.segment_records_max = 500;
    let topic = world.topic("t", 1, "{}").await;
    (world, store, topic)
}

async fn publish(world: &World, topic: &TopicName, count: u64) -> [(TopicPartition, u64); 1] {
    let partition = TopicPartition::new(topic.clone(), 0);
    let end = world.publish(&partition, (0..count).map(|n| format!("payload {n}"))).await;
    [(partition, end)]
}

/// Asserts that all faults occurred, all messages are listed once and in order, and no key was written twice.
async fn assert_settled(world: &World, store: &FaultStore, topic: &TopicName, messages: u64) {
    assert_eq!(store.left(), 0, "every fault was met");
    assert_eq!(world.rows(topic, SegmentKind::Data).await, expected(1, messages));
    world.audit(topic).await;
    let record = store.record();
    assert!(record.stored.values().all(|times| *times == 1), "a key is never used again: {:?}", record.stored);
    let listed: BTreeSet<String> =
        world.segments(topic).await.into_iter().map(|segment| segment.object.key.clone()).collect();
    assert!(listed.iter().all(|key| record.stored.contains_key(key)));
}

/// Commits one batch after the other until all faults occurred, each at a put after one without a fault.
async fn survives(faults: &[Fault]) {
    let (world, store, topic) = faulty_world().await;
    for fault in faults {
        store.rule(Operation::Put, "", 1, 1, *fault);
    }
    let mut writer = world.start().await;
    let mut messages = 0;
    while messages < 1_000 || store.left() > 0 {
        let targets = publish(&world, &topic, 500).await;
        writer.wait_committed(&targets).await.expect("committed");
        messages += 500;
    }
    assert_settled(&world, &store, &topic, messages).await;
    writer.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_put_is_tried_again_and_nothing_overtakes_it() {
    survives(&[Fault::before(Answer::Unavailable), Fault::before(Answer::TimedOut)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_reply_was_lost_is_found_and_not_doubled() {
    survives(&[Fault::after(Answer::Unavailable), Fault::lost_reply()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn already_exists_proves_nothing() {
    survives(&[Fault::after(Answer::Exists), Fault::before(Answer::Exists)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_of_conditional_requests_is_settled_by_looking() {
    survives(&[Fault::before(Answer::Conflict), Fault::after(Answer::Conflict)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_store_no_longer_knows_is_settled_by_looking() {
    survives(&[Fault::before(Answer::NoSuchUpload), Fault::after(Answer::NoSuchUpload)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_never_committed() {
    let wrong = |effect, answer| Fault::wrong(effect, answer);
    survives(&[wrong(Effect::Changed, Answer::Unavailable), wrong(Effect::Cut, Answer::TimedOut)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_stored_less_or_nothing_is_noticed() {
    survives(&[Fault::wrong(Effect::Cut, Answer::Success), Fault::wrong(Effect::None, Answer::Success)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_faults_in_turn() {
    let effects = [Effect::None, Effect::Done, Effect::Cut, Effect::Changed];
    let answers = [Answer::Unavailable, Answer::Throttled, Answer::Exists, Answer::NoSuchUpload, Answer::Denied];
    let fault = |index: usize| Fault::wrong(effects[index % 4], answers[index % 5]);
    for half in [0..5, 5..10] {
        survives(&half.map(fault).collect::<Vec<_>>()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_back_that_fails_is_asked_again_before_anything_is_concluded() {
    let (world, store, topic) = faulty_world().await;
    store.next(Operation::Put, 1, Fault::lost_reply());
    store.next(Operation::Get, 2, Fault::before(Answer::Unavailable));
    let mut writer = world.start().await;
    let targets = publish(&world, &topic, 500).await;
    writer.wait_committed(&targets).await.expect("committed");
    assert_settled(&world, &store, &topic, 500).await;
    assert_eq!(store.record().stored.len(), 1, "the object that was found is the one that is listed");
    writer.shutdown().await.expect("drains");
}

/// Waits until the partition's status is failing, or not failing, as `wanted`.
async fn failing(writer: &RunningWriter, wanted: bool) {
    while writer.status().first().is_none_or(|status| status.failing != wanted) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Asserts the wait and the alarm for a store that gives `answer` to every put for a while and then works again.
async fn is_waited_for_with_an_alarm(answer: Answer) {
    let (world, store, topic) = faulty_world().await;
    let refusals = u64::from(world.config.upload_retries) + 2;
    store.next(Operation::Put, refusals, Fault::before(answer));
    let mut writer = world.start().await;
    let targets = publish(&world, &topic, 2_000).await;
    failing(&writer, true).await;
    assert!(world.segments(&topic).await.is_empty(), "nothing overtakes what cannot be put");
    writer.wait_committed(&targets).await.expect("committed");
    failing(&writer, false).await;
    assert_settled(&world, &store, &topic, 2_000).await;
    assert!(store.record().calls[&Operation::Put] < refusals + 20, "it is not asked without pause");
    writer.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_throttles_is_waited_for_with_an_alarm() {
    is_waited_for_with_an_alarm(Answer::Throttled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_unavailable_is_waited_for_with_an_alarm() {
    is_waited_for_with_an_alarm(Answer::Unavailable).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_denies_writing_is_waited_for_with_an_alarm() {
    is_waited_for_with_an_alarm(Answer::Denied).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_is_given_several_objects_at_once_and_they_are_committed_in_order() {
    let (mut world, store, topic) = faulty_world().await;
    world.config.batch_age_max = Duration::from_secs(3600);
    // The first put of each pair takes longer than the second, so that the second object is stored first.
    for _ in 0..4 {
        store.next(Operation::Put, 1, Fault::slow(Duration::from_millis(500)));
        store.next(Operation::Put, 1, Fault::slow(Duration::from_millis(50)));
    }
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut writer = world.start().await;
    for batch in 1..=8 {
        publish(&world, &topic, 500).await;
        while writer.status().first().is_none_or(|status| status.position < batch * 500) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    writer.wait_committed(&[(partition, 4_000)]).await.expect("committed");
    assert_settled(&world, &store, &topic, 4_000).await;
    assert_eq!(store.record().puts_at_once_max, 2, "as many as one partition may have");
    writer.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_defect_in_the_middle_of_an_upload_leaves_everything_to_the_next_owner() {
    let (world, store, topic) = faulty_world().await;
    store.next(Operation::Put, 1, Fault::after(Answer::Panic));
    let mut writer = world.start().await;
    let targets = publish(&world, &topic, 500).await;
    while !writer.observer().troubles().contains_key("t/0") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(world.segments(&topic).await.is_empty());
    writer.shutdown().await.expect("the others would have gone on");
    let mut next = world.start().await;
    next.wait_committed(&targets).await.expect("committed");
    assert_settled(&world, &store, &topic, 500).await;
    assert_eq!(store.record().stored.len(), 2, "what the defect left behind is not listed");
    next.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_ignores_create_only_is_told_and_does_no_harm() {
    let (world, store, topic) = faulty_world().await;
    assert!(world.storage.honours_create().await.expect("asked"));
    store.ignore_create_only();
    assert!(!world.storage.honours_create().await.expect("asked"));
    store.next(Operation::Put, 1, Fault::lost_reply());
    store.next(Operation::Put, 1, Fault::wrong(Effect::Cut, Answer::Unavailable));
    let mut writer = world.start().await;
    for _ in 0..2 {
        let targets = publish(&world, &topic, 500).await;
        writer.wait_committed(&targets).await.expect("committed");
    }
    assert_eq!(store.left(), 0);
    assert_eq!(world.rows(&topic, SegmentKind::Data).await, expected(1, 1_000));
    world.audit(&topic).await;
    let record = store.record();
    let written_twice = record.stored.iter().filter(|(_, times)| **times > 1);
    assert!(written_twice.clone().all(|(key, _)| key.starts_with("siltstone-probe-")), "{:?}", record.stored);
    assert_eq!(written_twice.count(), 1, "the canary of the second question");
    writer.shutdown().await.expect("drains");
}

#[tokio::test]
async fn the_probe_names_the_step_that_the_store_refuses() {
    for (operation, step) in [
        (Operation::Put, "cannot put an object"),
        (Operation::Head, "cannot find the object just put"),
        (Operation::Delete, "cannot delete an object"),
    ] {
        let store = FaultStore::new(Storage::memory().store);
        store.next(operation, 1, Fault::before(Answer::Denied));
        let storage = Storage::from_store(store.clone());
        let error = storage.probe().await.expect_err("refused").to_string();
        assert!(error.contains(step) && error.contains("credentials"), "{error}");
        storage.probe().await.expect("usable without faults");
    }
    let store = FaultStore::new(Storage::memory().store);
    store.next(Operation::Put, 1, Fault::wrong(Effect::Cut, Answer::Success));
    let error = Storage::from_store(store).probe().await.expect_err("cut").to_string();
    assert!(error.contains("came back with"), "{error}");
}
