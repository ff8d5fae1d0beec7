//! Mirrors, sources, sealed streams.

use common::queue::Omits;
use support::nats::recreate_stream;

use super::*;

async fn mirror(harness: &NatsHarness) -> TopicPartition {
    let source = Source { name: "L".to_owned(), ..Source::default() };
    let copy = Config { mirror: Some(source), subjects: vec![], ..config("M", RetentionPolicy::Limits) };
    harness.jetstream().await.create_stream(copy).await.expect("makes");
    opened(harness).await
}

async fn opened(harness: &NatsHarness) -> TopicPartition {
    let definition = bound("copied", "M", &[]);
    harness.queue.open_topic(&definition, None, &[]).await.expect("opens");
    partition(&definition, 0)
}

#[tokio::test]
async fn a_mirror_is_read_with_the_sequences_of_its_origin_and_cannot_be_published_to() {
    let harness = NatsHarness::start().await;
    let jetstream = harness.jetstream().await;
    let origin = jetstream.create_stream(config("L", RetentionPolicy::Limits)).await.expect("makes");
    for number in 0..50 {
        jetstream.publish("L", number.to_string().into()).await.expect("sent").await.expect("stored");
    }
    origin.purge().sequence(21).await.expect("purges");
    let partition = mirror(&harness).await;
    let mut subscription = subscribe(&harness.queue, &partition, 0).await;
    let messages = take(&mut *subscription, 30).await;
    assert_eq!((numbers(&messages), offsets(&messages)), ((20..50).collect(), (21..=50).collect()));
    jetstream.publish("L.more", "50".into()).await.expect("sent").await.expect("stored");
    assert_eq!(offsets(&take(&mut *subscription, 1).await), [51]);
    step(subscription.ack(&receipt(&partition, 52))).await.expect("acks");
    let bounds = step(harness.queue.bounds(&partition)).await.expect("bounds");
    assert_eq!((bounds.first_offset, bounds.next_offset), (21, 52));
    let refused = step(harness.queue.publish(&partition, vec![OutgoingMessage::new("x")])).await.expect_err("a mirror");
    assert!(matches!(&refused, QueueError::Unsendable { reason } if reason.contains("mirror of L")), "{refused}");
}

#[tokio::test]
async fn a_mirror_of_some_subjects_says_that_it_lacks_the_others() {
    let harness = NatsHarness::start().await;
    let jetstream = harness.jetstream().await;
    jetstream.create_stream(config("L", RetentionPolicy::Limits)).await.expect("makes");
    for subject in ["L.b", "L.a", "L.b", "L.a"] {
        jetstream.publish(subject, "7".into()).await.expect("sent").await.expect("stored");
    }
    let source = Source { name: "L".to_owned(), filter_subject: Some("L.a".to_owned()), ..Source::default() };
    let copy = Config { mirror: Some(source), subjects: vec![], ..config("M", RetentionPolicy::Limits) };
    jetstream.create_stream(copy).await.expect("makes");
    let partition = opened(&harness).await;
    let mut subscription = subscribe(&harness.queue, &partition, 0).await;
    assert_eq!(offsets(&take(&mut *subscription, 2).await), [2, 4]);
    let bounds = step(harness.queue.bounds(&partition)).await.expect("bounds");
    assert_eq!((bounds.first_offset, bounds.omits), (2, Some(Omits::OtherSubjects)));
}

#[tokio::test]
async fn a_mirror_that_is_made_anew_is_waited_for_and_never_taken_for_a_shorter_history() {
    let harness = NatsHarness::start().await;
    let jetstream = harness.jetstream().await;
    jetstream.create_stream(config("L", RetentionPolicy::Limits)).await.expect("makes");
    for number in 0..200 {
        jetstream.publish("L", number.to_string().into()).await.expect("sent").await.expect("stored");
    }
    let partition = mirror(&harness).await;
    let ends = async || harness.queue.bounds(&partition).await.ok().map(|bounds| bounds.next_offset);
    until("it is copied", async || ends().await == Some(201)).await;
    recreate_stream(&jetstream, "M").await.expect("made anew");
    opened(&harness).await;
    // From its first moment on, it answers with the origin's end, or with an error for the missing end.
    until("it is copied again", async || {
        let bounds = harness.queue.bounds(&partition).await;
        let read = harness.queue.read(&partition, 200, 201).await;
        match bounds {
            Ok(bounds) => assert_eq!(bounds.next_offset, 201),
            Err(error) => assert!(matches!(error, QueueError::Unavailable { .. }), "{error}"),
        }
        read.is_ok_and(|read| read.len() == 1)
    })
    .await;
}

#[tokio::test]
async fn a_stream_with_sources_has_sequences_of_its_own_and_a_sealed_one_is_read_and_not_written() {
    let harness = NatsHarness::start().await;
    let jetstream = harness.jetstream().await;
    let mut sources = Vec::new();
    for name in ["A", "B"] {
        jetstream.create_stream(config(name, RetentionPolicy::Limits)).await.expect("makes");
        sources.push(Source { name: name.to_owned(), ..Source::default() });
        for number in 0..20 {
            jetstream.publish(name, number.to_string().into()).await.expect("sent").await.expect("stored");
        }
    }
    let sum = Config { sources: Some(sources), subjects: vec![], ..config("S", RetentionPolicy::Limits) };
    jetstream.create_stream(sum).await.expect("makes");
    let definition = bound("sum", "S", &[]);
    harness.queue.open_topic(&definition, None, &[]).await.expect("opens");
    let partition = partition(&definition, 0);
    let mut subscription = subscribe(&harness.queue, &partition, 0).await;
    let messages = take(&mut *subscription, 40).await;
    assert_eq!(offsets(&messages), (1..=40).collect::<Vec<_>>());
    for name in ["A", "B"] {
        let of_one: Vec<_> = messages.iter().filter(|message| &*message.subject == name).cloned().collect();
        assert_eq!(numbers(&of_one), (0..20).collect::<Vec<_>>(), "each source in its order");
    }
    let refused = step(harness.queue.publish(&partition, vec![OutgoingMessage::new("x")])).await.expect_err("sources");
    assert!(refused.to_string().contains("publish to its sources"), "{refused}");

    let sealed =
        Config { sealed: true, ..jetstream.get_stream("A").await.expect("exists").cached_info().config.clone() };
    jetstream.update_stream(sealed).await.expect("seals");
    let definition = bound("sealed", "A", &[]);
    harness.queue.open_topic(&definition, None, &[]).await.expect("opens");
    let partition = common::TopicPartition::new(definition.name, 0);
    let mut subscription = subscribe(&harness.queue, &partition, 0).await;
    assert_eq!(numbers(&take(&mut *subscription, 20).await), (0..20).collect::<Vec<_>>());
    let refused = step(harness.queue.publish(&partition, vec![OutgoingMessage::new("x")])).await.expect_err("sealed");
    assert!(matches!(&refused, QueueError::Unsendable { reason } if reason.contains("sealed")), "{refused}");
}
