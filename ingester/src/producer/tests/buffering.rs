//! The buffer of a producer: the time and the order of sending, its bytes, its end.

use futures::FutureExt;
use tokio::time::Instant;

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn numbered(numbers: std::ops::Range<u32>) -> Vec<OutgoingMessage> {
    numbers.map(|n| OutgoingMessage::new(n.to_string())).collect()
}

/// Enqueues messages into partition 0.
async fn enqueue(setup: &Setup, messages: Vec<OutgoingMessage>) -> Vec<SendHandle> {
    let mut handles = Vec::new();
    for message in messages {
        handles.push(setup.producer.enqueue(&name("orders"), Some(0), message).await.expect("buffered"));
    }
    handles
}

/// The payloads in partition 0 behind the one of [`know_the_topic_and_pause`].
async fn payloads(setup: &Setup) -> Vec<String> {
    let messages = stored(setup, 0).await.into_iter().skip(1);
    messages.map(|message| String::from_utf8_lossy(&message.payload).into_owned()).collect()
}

#[tokio::test]
async fn a_full_batch_is_sent_at_once_and_a_small_one_after_its_time() {
    let setup = setup_with(|builder| builder.batch_size(3).batch_timeout(LONG)).await;
    know_the_topic_and_pause(&setup).await;
    let begun = Instant::now();
    for handle in enqueue(&setup, numbered(0..3)).await {
        handle.await.expect("confirmed");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let handle = enqueue(&setup, numbered(3..4)).await.remove(0);
    assert_eq!(handle.await.expect("confirmed").offset, 4);
    assert!((LONG..LONG + Duration::from_millis(10)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(setup.queue.request_sizes(), [1, 3, 1]);
}

#[tokio::test]
async fn what_is_sent_at_once_takes_along_what_was_buffered_before_it() {
    let setup = setup_with(|builder| builder.batch_timeout(LONG)).await;
    know_the_topic_and_pause(&setup).await;
    let begun = Instant::now();
    let handle = enqueue(&setup, numbered(0..1)).await.remove(0);
    setup.producer.send(&name("orders"), None, b"1", Some(0)).await.expect("sent");
    assert_eq!(handle.await.expect("confirmed").offset, 1);
    assert_eq!(payloads(&setup).await, ["0", "1"]);
    assert_eq!((begun.elapsed(), setup.queue.request_sizes()), (Duration::ZERO, vec![1, 2]));
}

#[tokio::test]
async fn one_request_of_a_partition_is_on_its_way_and_the_next_one_gathers_the_rest() {
    let setup = setup_with(|builder| builder.batch_size(2)).await;
    know_the_topic_and_pause(&setup).await;
    let closed = setup.queue.gate.write().await;
    enqueue(&setup, numbered(0..2)).await;
    while setup.queue.request_sizes().len() < 2 {
        tokio::task::yield_now().await;
    }
    enqueue(&setup, numbered(2..9)).await;
    drop(closed);
    setup.producer.flush().await.expect("confirmed");
    assert_eq!((setup.queue.request_sizes(), setup.queue.faults(|faults| faults.in_progress_max)), (vec![1, 2, 7], 1));
}

#[tokio::test]
async fn order_is_kept_when_requests_are_repeated() {
    // Replies are lost eight times in all.
    let setup = setup_with(|builder| builder.batch_size(4).max_attempts(10)).await;
    know_the_topic_and_pause(&setup).await;
    for n in 0..40 {
        if n % 10 == 0 {
            setup.queue.faults(|faults| faults.replies_to_lose = 2);
        }
        enqueue(&setup, numbered(n..n + 1)).await;
        if n % 4 == 3 {
            tokio::task::yield_now().await;
        }
    }
    setup.producer.flush().await.expect("confirmed in the end");
    let expected: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    assert_eq!(payloads(&setup).await, expected);
    assert!(setup.queue.request_sizes().len() > 4, "requests were repeated");
}

#[tokio::test]
async fn the_buffer_is_bounded_in_bytes_and_a_full_one_makes_callers_wait() {
    let setup = setup_with(|builder| builder.buffer_bytes(4096).batch_timeout(LONG)).await;
    know_the_topic_and_pause(&setup).await;
    let large = || OutgoingMessage::new(vec![b'x'; 1000]);
    let closed = setup.queue.gate.write().await;
    enqueue(&setup, vec![large(), large(), large()]).await;
    assert_eq!(setup.producer.buffer.used_bytes(), 3 * 1160);
    let orders = name("orders");
    let mut fourth = Box::pin(setup.producer.enqueue(&orders, Some(0), large()));
    assert!((&mut fourth).now_or_never().is_none(), "the buffer is full");
    drop(closed);
    let begun = Instant::now();
    fourth.await.expect("buffered");
    assert_eq!(begun.elapsed(), Duration::ZERO, "a small batch is sent when its room is needed");
    setup.producer.flush().await.expect("confirmed");
    assert_eq!((stored(&setup, 0).await.len(), setup.producer.buffer.used_bytes()), (5, 0));
    assert!(setup.producer.buffer.used_bytes_peak() <= 4096);
}

#[tokio::test]
async fn a_flush_reports_each_failure_once() {
    let setup = setup().await;
    setup.queue.refuse(Some(0));
    enqueue(&setup, numbered(0..2)).await;
    setup.producer.enqueue(&name("orders"), Some(1), OutgoingMessage::new("x")).await.expect("buffered");
    let error = setup.producer.flush().await.expect_err("partition 0 refuses");
    assert_eq!((error.failed, error.not_stored, error.first.partition), (2, 0, 0));
    assert_eq!(error.to_string(), "2 enqueued messages are not confirmed; 0 of them are certainly not stored");
    setup.producer.flush().await.expect("it was reported");
    setup.producer.send(&name("orders"), None, b"x", Some(0)).await.expect_err("refused");
    setup.producer.close().await.expect("send has returned its error");
}

#[tokio::test]
async fn discarding_takes_back_what_is_not_on_its_way() {
    let setup = setup_with(|builder| builder.batch_size(2).batch_timeout(LONG)).await;
    know_the_topic_and_pause(&setup).await;
    let closed = setup.queue.gate.write().await;
    let mut handles = enqueue(&setup, numbered(0..2)).await;
    while setup.queue.request_sizes().len() < 2 {
        tokio::task::yield_now().await;
    }
    handles.extend(enqueue(&setup, numbered(2..5)).await);
    assert_eq!(setup.producer.discard(), 3);
    drop(closed);
    for (place, handle) in handles.into_iter().enumerate() {
        match handle.await {
            Ok(sent) => assert!(place < 2 && sent.offset == place as u64 + 1, "{sent:?}"),
            Err(failure) => {
                assert!(place >= 2 && failure.is_not_stored, "{failure}");
                assert!(matches!(*failure.error, ProducerError::Discarded), "{failure}");
            }
        }
    }
    assert_eq!(payloads(&setup).await, ["0", "1"]);
    let handle = enqueue(&setup, numbered(5..7)).await.remove(0);
    assert_eq!(handle.await.expect("the lane goes on").offset, 3);
}

#[tokio::test]
async fn closing_sends_what_is_buffered_in_every_partition() {
    let setup = setup_with(|builder| builder.batch_timeout(LONG)).await;
    for message in numbered(0..30) {
        setup.producer.enqueue(&name("orders"), None, message).await.expect("buffered");
    }
    let Setup { queue, producer, .. } = setup;
    producer.close().await.expect("confirmed");
    for partition in 0..3 {
        let partition = TopicPartition::new(name("orders"), partition);
        assert_eq!(queue.read(&partition, 0, u64::MAX).await.expect("readable").len(), 10);
    }
}

/// Notes the member `messages` of the last event.
struct Noting(Arc<AtomicU64>);

impl tracing::field::Visit for Noting {
    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        if field.name() == "messages" {
            self.0.store(value, Ordering::SeqCst);
        }
    }
    fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
}

impl tracing::Subscriber for Noting {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Noting(Arc::clone(&self.0)));
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn a_producer_that_is_dropped_with_messages_logs_their_number_and_fails_their_handles() {
    let setup = setup_with(|builder| builder.batch_timeout(LONG)).await;
    let handles = enqueue(&setup, numbered(0..7)).await;
    let Setup { producer, .. } = setup;
    let noted = Arc::new(AtomicU64::new(0));
    tracing::subscriber::with_default(Noting(Arc::clone(&noted)), || drop(producer));
    assert_eq!(noted.load(Ordering::SeqCst), 7);
    for handle in handles {
        let failure = handle.await.expect_err("nobody sends it");
        assert!(matches!(*failure.error, ProducerError::Internal), "{failure:?}");
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_fails_alone() {
    let setup = setup().await;
    let bad_header =
        OutgoingMessage { headers: vec![("a".to_owned(), "b\nc".to_owned())], ..OutgoingMessage::new("h") };
    let mut messages = numbered(0..20);
    messages[7] = bad_header;
    messages[13] = OutgoingMessage::new(vec![b'x'; 17 * 1024 * 1024]);
    let outcomes = setup.producer.send_batch_to(&name("orders"), Some(0), messages).await.expect("known");
    let failed: Vec<_> = (0..20).filter(|i| outcomes[*i].is_err()).collect();
    assert_eq!(failed, [7, 13]);
    for place in failed {
        let failure = outcomes[place].as_ref().expect_err("failed");
        assert!(failure.is_not_stored, "{failure}");
    }
    let payloads: Vec<_> = stored(&setup, 0).await.into_iter().map(|message| message.payload).collect();
    let expected: Vec<_> = (0..20).filter(|n| ![7, 13].contains(n)).map(|n: u32| Bytes::from(n.to_string())).collect();
    assert_eq!(payloads, expected);
}

#[tokio::test]
async fn many_callers_share_requests_and_each_gets_its_own_place() {
    let setup = Arc::new(setup().await);
    let callers = (0..64_u32).map(|caller| {
        let setup = Arc::clone(&setup);
        tokio::spawn(async move {
            for n in 0..10 {
                let value = format!("{caller}-{n}");
                let sent = setup.producer.send(&name("orders"), None, value.as_bytes(), Some(1)).await.expect("sent");
                let partition = TopicPartition::new(name("orders"), 1);
                let held = setup.queue.read(&partition, sent.offset, sent.offset + 1).await.expect("readable");
                assert_eq!(held[0].payload, value.as_bytes());
            }
        })
    });
    for caller in join_all(callers).await {
        caller.expect("every message is in its place");
    }
    assert_eq!(stored(&setup, 1).await.len(), 640);
    assert!(setup.queue.request_sizes().len() < 640, "requests are shared");
}
