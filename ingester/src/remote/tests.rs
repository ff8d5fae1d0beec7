//! Producers that send over HTTP: real services in this process, with faults between.

mod errors;
mod fleet;
mod service;
mod tls;

use std::time::Duration;

use common::OutgoingMessage;
use futures::FutureExt;
use support::proxy::{Direction, Mode};

use self::fleet::{Fleet, Running};
use crate::producer::tests::committed::World;
use crate::producer::tests::name;
use crate::{Acks, Producer, ProducerError, SendHandle, SendOutcome};

const DEADLINE: Duration = Duration::from_secs(60);

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Enqueues these numbers for every partition.
async fn enqueue(producer: &Producer, partitions: u32, range: std::ops::Range<u32>) -> Vec<SendHandle> {
    let mut handles = Vec::new();
    for number in numbers(range) {
        for partition in 0..partitions {
            let message = OutgoingMessage::new(number.clone());
            handles.push(producer.enqueue(&name("orders"), Some(partition), message).await.expect("buffered"));
        }
    }
    handles
}

/// Waits until so many requests have come to the queue.
async fn until_requested(fleet: &Fleet, requests: usize) {
    while fleet.queue.request_sizes().len() < requests {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn records_arrive_as_they_are_and_an_id_counts_once_whatever_the_way() {
    let fleet = Fleet::new(3).await;
    let agent = fleet.start().await;
    let producer = fleet.producer_at(&agent).build().await.expect("it answers");
    let mut message = OutgoingMessage::new(vec![0, 255, b'\n']).with_key(vec![1, 0]).with_message_id("id-1");
    message.headers = vec![("source".to_owned(), "shop 1".to_owned())];
    let sent = producer.send_batch_to(&name("orders"), Some(2), vec![message.clone()]).await.expect("sent");
    let first = sent[0].as_ref().expect("stored");
    assert_eq!((first.partition, first.offset, first.duplicate), (2, 0, false));
    let again = producer.send_batch_to(&name("orders"), Some(2), vec![message.clone()]).await.expect("sent");
    assert!(again[0].as_ref().expect("known").duplicate);
    let stored = fleet.stored(2).await;
    assert_eq!(stored.len(), 1);
    assert_eq!((&stored[0].payload, stored[0].key.as_ref()), (&message.payload, message.key.as_ref()));
    assert_eq!(stored[0].headers, message.headers);
    let keyed = producer.send(&name("orders"), Some(b"customer-7"), b"x", None).await.expect("sent");
    let expected = common::partitioner::Partitioner::Siphash.partition_of(b"customer-7", 3);
    assert_eq!(keyed.partition, expected, "the topic comes from the agent");
    producer.close().await.expect("nothing failed");
}

#[tokio::test]
async fn an_agent_that_dies_in_mid_batch_loses_nothing_doubles_nothing_and_keeps_the_order() {
    let fleet = Fleet::new(24).await;
    let (dying, lasting) = (fleet.join().await, fleet.join().await);
    let producer = fleet.producer().build().await.expect("agents are there");
    producer.send_batch(&name("orders"), vec![]).await.expect("the topic is known");

    // The replies of one agent are lost, after the queue has stored what it was sent.
    dying.proxy.set(Mode::DropReplies);
    let handles = enqueue(&producer, 24, 0..50).await;
    dying.proxy.lost_at_least(1).await;
    // It dies while it has requests that the queue has not stored.
    let gate = fleet.queue.gate.write().await;
    let before = fleet.queue.request_sizes().len();
    let more = enqueue(&producer, 24, 50..200).await;
    until_requested(&fleet, before + 1).await;
    drop(dying);
    drop(gate);

    for handle in handles.into_iter().chain(more) {
        let sent = handle.await.expect("the other agent took it");
        assert!(!sent.duplicate, "an id of the producer's own is no duplicate of a caller");
    }
    for partition in 0..24 {
        assert_eq!(fleet.payloads(partition).await, numbers(0..200), "partition {partition}");
    }
    assert!(lasting.proxy.connections() > 0);
    producer.close().await.expect("nothing failed");
}

#[tokio::test]
async fn when_all_agents_die_each_record_says_that_none_is_available() {
    let fleet = Fleet::new(2).await;
    let agents = [fleet.join().await, fleet.join().await];
    let producer = fleet.producer().max_attempts(2).build().await.expect("agents are there");
    producer.send(&name("orders"), None, b"first", Some(0)).await.expect("sent");
    drop(agents);
    let records = (0..5).map(|_| OutgoingMessage::new("x")).collect();
    let outcomes: Vec<SendOutcome> = producer.send_batch(&name("orders"), records).await.expect("the topic is known");
    assert_eq!(outcomes.len(), 5);
    for outcome in outcomes {
        let failure = outcome.expect_err("nobody is there");
        assert!(matches!(*failure.error, ProducerError::NoAgentsAvailable { .. }), "{failure:?}");
        let text = failure.to_string();
        assert!(text.contains("none of 2 in the group default answers") && text.contains("refused"), "{text}");
        assert_eq!(failure.error.kind(), common::ErrorKind::Unavailable);
    }
    assert_eq!(fleet.payloads(0).await, ["first"]);
    assert!(fleet.payloads(1).await.is_empty());
}

#[tokio::test]
async fn an_agent_that_joins_is_used_after_the_refresh() {
    let fleet = Fleet::new(16).await;
    let _first = fleet.join().await;
    let builder = fleet.producer().agent_refresh_interval(Duration::from_millis(100));
    let producer = builder.build().await.expect("an agent is there");
    let second = fleet.join().await;
    let mut rounds = 0;
    let used = async {
        while second.proxy.connections() == 0 {
            enqueue(&producer, 16, rounds..rounds + 1).await;
            producer.flush().await.expect("sent");
            rounds += 1;
        }
    };
    tokio::time::timeout(DEADLINE, used).await.expect("the second agent is used");
    for partition in 0..16 {
        assert_eq!(fleet.payloads(partition).await, numbers(0..rounds), "the order is kept when a partition moves");
    }
}

#[tokio::test]
async fn an_agent_that_is_replaced_is_found_after_the_failure() {
    let fleet = Fleet::new(1).await;
    let first = fleet.join().await;
    let producer = fleet.producer().max_attempts(10).build().await.expect("an agent is there");
    producer.send(&name("orders"), None, b"0", None).await.expect("sent");
    fleet.catalog.withdraw(first.ingester.id).await.expect("removed");
    drop(first);
    let _second = fleet.join().await;
    let other_group = fleet.start().await;
    let mut ingester = other_group.ingester.clone();
    ingester.contact.group = "other".parse().expect("valid");
    fleet.catalog.announce(&ingester).await.expect("registered");
    // The age of the list decides if it is read again, so that many partitions read it once.
    let sent = producer.send(&name("orders"), None, b"1", None).await.expect("the second agent took it");
    assert_eq!(sent.offset, 1);
    assert_eq!(other_group.proxy.connections(), 0, "another group is left alone");
}

#[tokio::test]
async fn an_agent_that_answers_again_is_used_again() {
    let fleet = Fleet::new(16).await;
    let (first, _second) = (fleet.join().await, fleet.join().await);
    let builder = fleet.producer().agent_refresh_interval(Duration::from_millis(100));
    let producer = builder.build().await.expect("agents are there");
    first.vanish();
    enqueue(&producer, 16, 0..1).await;
    producer.flush().await.expect("the other agent took everything");
    first.proxy.set(Mode::Pass);
    let before = first.proxy.connections();
    let again = async {
        let mut round = 1;
        // One connection is that of the question; records need another, or more bytes on it.
        while first.proxy.passed(Direction::ToServer) < 2_000 || first.proxy.connections() == before {
            enqueue(&producer, 16, round..round + 1).await;
            producer.flush().await.expect("sent");
            round += 1;
        }
    };
    tokio::time::timeout(DEADLINE, again).await.expect("it is used again");
}

#[tokio::test]
async fn a_batch_that_is_larger_than_a_body_may_be_goes_in_parts_and_a_record_that_is_fails_alone() {
    let mut fleet = Fleet::new(1).await;
    fleet.options.body_bytes_max = 4096;
    let agent = fleet.start().await;
    let producer = fleet.producer_at(&agent).build().await.expect("it answers");
    let mut records: Vec<_> = (0..100).map(|n| OutgoingMessage::new(format!("{n:0>200}"))).collect();
    records.insert(50, OutgoingMessage::new("x".repeat(5_000)));
    let mut outcomes = producer.send_batch(&name("orders"), records).await.expect("the topic is known");
    let failure = outcomes.remove(50).expect_err("too large");
    assert!(failure.is_not_stored);
    let ProducerError::AgentError { status: 413, code, .. } = &*failure.error else { panic!("{failure:?}") };
    assert_eq!(code, "too_large");
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let expected: Vec<String> = (0..100).map(|n| format!("{n:0>200}")).collect();
    assert_eq!(fleet.payloads(0).await, expected);
}

/// An agent over the queue and the catalog of `world`, which waits for a commit so long.
async fn agent_of(world: &World, timeout: Duration) -> Running {
    let parts = fleet::parts(world.queue.clone(), world.catalog.clone());
    let options = crate::http::ApiOptions { timeout, ..Default::default() };
    let api = crate::http::Api::open(parts, options).await.expect("queue and catalog answer");
    fleet::serve(api.router()).await
}

#[tokio::test]
async fn a_result_comes_after_the_commit_even_if_the_agent_waits_for_less_long() {
    let world = World::new().await;
    let agent = agent_of(&world, Duration::from_millis(100)).await;
    let builder = Producer::builder().address(agent.url()).acks(Acks::Committed).commit_timeout(DEADLINE);
    let producer = builder.build().await.expect("it answers");
    let mut handle = producer.enqueue(&name("orders"), Some(0), OutgoingMessage::new("a")).await.expect("buffered");
    world.until_stored(1).await;
    let once = agent.proxy.passed(Direction::ToServer);
    while agent.proxy.passed(Direction::ToServer) == once {
        tokio::task::yield_now().await;
    }
    assert!((&mut handle).now_or_never().is_none(), "it is asked for again, and not committed");
    let held = world.take().await;
    world.commit(&held, 0, 0).await;
    let sent = handle.await.expect("committed");
    assert_eq!((sent.offset, sent.duplicate), (0, false));
}

#[tokio::test]
async fn a_commit_that_does_not_come_is_an_error_and_the_record_is_stored_once() {
    let world = World::new().await;
    let agent = agent_of(&world, Duration::from_millis(50)).await;
    let limit = Duration::from_millis(300);
    let builder = Producer::builder().address(agent.url()).acks(Acks::Committed).commit_timeout(limit);
    let producer = builder.retry_backoff(Duration::from_millis(1)).build().await.expect("it answers");
    let error = producer.send(&name("orders"), None, b"a", Some(0)).await.expect_err("there is no writer");
    let ProducerError::AgentError { code, status: 504, .. } = &error else { panic!("{error:?}") };
    assert_eq!((code.as_str(), error.kind()), ("not_committed", common::ErrorKind::Unavailable));
    world.until_stored(1).await;
}
