//! Each error that a producer can give.

use std::collections::BTreeMap;

use common::topic::StreamLimits;
use tokio::time::Instant;

use super::*;
use crate::ConfigError;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_producer_without_a_catalog_is_refused() {
    let allowed = "a connected catalog, which is required, unless an address is given";
    let missing = ConfigError { option: "catalog", value: "none".to_owned(), allowed: allowed.to_owned() };
    let error = Producer::builder().build().await.expect_err("nothing is given");
    assert!(matches!(&error, ProducerError::Config(config) if *config == missing), "{error:?}");
    let queue: Arc<dyn Queue> = Arc::new(FaultyQueue::new());
    let error = Producer::builder().queue(queue).build().await.expect_err("no catalog");
    assert_eq!((error.to_string(), error.kind()), (missing.to_string(), ErrorKind::Fatal));
}

#[tokio::test]
async fn an_option_out_of_range_is_refused_at_build() {
    let setup = setup().await;
    let builder = Producer::builder().queue(setup.queue.clone()).catalog(setup.catalog.clone());
    let error = builder.max_attempts(0).build().await.expect_err("no attempt");
    assert_eq!(error.to_string(), "producer option max_attempts = 0: allowed is 1 to 100");
}

#[tokio::test]
async fn a_queue_that_does_not_answer_at_build_has_no_agents_available() {
    let setup = setup().await;
    setup.queue.faults(|faults| faults.is_away = true);
    let builder = Producer::builder().queue(setup.queue.clone()).catalog(setup.catalog.clone());
    let error = builder.build().await.expect_err("away");
    assert!(matches!(error, ProducerError::NoAgentsAvailable { .. }), "{error:?}");
    assert_eq!(
        (error.to_string().as_str(), error.kind()),
        ("no agent is available: the queue does not answer: queue unavailable: it is away", ErrorKind::Unavailable)
    );
}

#[tokio::test]
async fn a_silent_queue_is_a_timeout_after_every_attempt() {
    let setup = setup_with(|builder| builder.request_timeout(5 * SECOND).max_attempts(2)).await;
    know_the_topic_and_pause(&setup).await;
    setup.queue.faults(|faults| faults.silences = 10);
    let begun = Instant::now();
    let error = setup.producer.send(&name("orders"), None, b"x", Some(0)).await.expect_err("silent");
    assert!(matches!(error, ProducerError::Timeout { attempts: 2, .. }), "{error:?}");
    assert_eq!(error.to_string(), "the queue did not answer within 5000 ms (attempt 2)");
    assert_eq!((error.kind(), setup.queue.request_sizes()), (ErrorKind::Unavailable, vec![1, 1, 1]));
    let waited = begun.elapsed();
    let (least, most) = (Duration::from_millis(10_100), Duration::from_millis(10_210));
    assert!((least..most).contains(&waited), "two attempts and a wait of 100 to 200 ms: {waited:?}");
}

#[tokio::test]
async fn a_reply_lost_in_silence_is_repeated_and_stored_once() {
    let setup = setup_with(|builder| builder.request_timeout(SECOND)).await;
    know_the_topic_and_pause(&setup).await;
    setup.queue.faults(|faults| faults.silences = 1);
    let sent = setup.producer.send(&name("orders"), None, b"x", Some(0)).await.expect("the second attempt");
    assert_eq!((sent.offset, sent.duplicate), (1, false));
    assert_eq!(stored(&setup, 0).await.len(), 2);
}

#[tokio::test]
async fn no_attempt_is_made_that_the_duplicate_window_could_not_tell_from_a_new_message() {
    let setup = setup_with(|builder| builder.request_timeout(8 * SECOND).max_attempts(100)).await;
    let mut short = config("short", 1);
    short.config.stream_limits = Some(StreamLimits { duplicate_window_secs: Some(10), ..StreamLimits::default() });
    setup.catalog.create_topic(short).await.expect("new topic");
    setup.producer.send(&name("short"), None, b"first", None).await.expect("sent");
    tokio::time::pause();
    setup.queue.faults(|faults| faults.silences = 100);
    let begun = Instant::now();
    let error = setup.producer.send(&name("short"), None, b"x", None).await.expect_err("silent");
    assert!(matches!(error, ProducerError::Timeout { attempts: 2, .. }), "{error:?}");
    let waited = begun.elapsed();
    assert!((9 * SECOND..9 * SECOND + Duration::from_millis(10)).contains(&waited), "nine tenths of it: {waited:?}");
}

#[tokio::test]
async fn a_value_that_is_no_json_is_not_sent() {
    let setup = setup().await;
    let keys_are_no_text = BTreeMap::from([((1, 2), 3)]);
    let error = setup.producer.send_json(&name("orders"), None, &keys_are_no_text, Some(0)).await.expect_err("no JSON");
    assert!(matches!(error, ProducerError::Serialization(_)) && error.kind() == ErrorKind::Poison, "{error:?}");
    let value = BTreeMap::from([("n", 1)]);
    setup.producer.send_json(&name("orders"), Some(b"k"), &value, Some(0)).await.expect("sent");
    let held = stored(&setup, 0).await;
    assert_eq!((&held[0].payload[..], held.len()), (&b"{\"n\":1}"[..], 1));
}

#[tokio::test]
async fn a_catalog_that_is_closed_sends_nothing() {
    let setup = setup().await;
    setup.catalog.close().await;
    let error = setup.producer.send(&name("orders"), None, b"x", None).await.expect_err("closed");
    assert!(matches!(error, ProducerError::Catalog(_)), "{error:?}");
    assert_eq!(setup.queue.request_sizes(), [0; 0]);
}

#[tokio::test]
async fn a_panic_in_the_queue_fails_what_was_on_its_way_and_the_next_message_is_sent() {
    let setup = setup().await;
    setup.queue.faults(|faults| faults.panics = 1);
    let error = setup.producer.send(&name("orders"), None, b"x", Some(0)).await.expect_err("a panic");
    assert!(matches!(error, ProducerError::Internal) && error.kind() == ErrorKind::Fatal, "{error:?}");
    setup.producer.send(&name("orders"), None, b"y", Some(0)).await.expect("sent");
    setup.queue.faults(|faults| faults.panics = 1);
    setup.producer.enqueue(&name("orders"), Some(0), OutgoingMessage::new("z")).await.expect("buffered");
    let error = setup.producer.close().await.expect_err("a panic");
    assert_eq!((error.failed, error.not_stored), (1, 0));
}

#[tokio::test]
async fn a_queue_without_room_is_told_at_once_and_nothing_is_stored() {
    let setup = setup().await;
    know_the_topic_and_pause(&setup).await;
    setup.queue.faults(|faults| faults.is_full = true);
    let before = setup.queue.request_sizes().len();
    setup.producer.enqueue(&name("orders"), Some(0), OutgoingMessage::new("x")).await.expect("buffered");
    let error = setup.producer.flush().await.expect_err("no room");
    assert_eq!((error.failed, error.not_stored), (1, 1));
    assert!(error.first.error.to_string().contains("maximum messages exceeded"), "{}", error.first.error);
    assert_eq!(setup.queue.request_sizes().len(), before + 1, "the queue waited for room before it said so");
    setup.queue.faults(|faults| faults.is_full = false);
    setup.producer.send(&name("orders"), None, b"y", Some(0)).await.expect("there is room again");
}
