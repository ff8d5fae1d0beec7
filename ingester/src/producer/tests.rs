//! The producer against the queue in memory and a catalog in memory.

mod buffering;
pub(crate) mod committed;
mod errors;
pub(crate) mod faulty_queue;
mod packing;

use std::time::Duration;

use catalog::TopicConfig;
use common::partitioner::Partitioner;
use common::topic::TopicOptions;
use common::{ErrorKind, QueueError, TopicDefinition};

use self::faulty_queue::FaultyQueue;
use super::*;

pub(crate) struct Setup {
    pub(crate) queue: Arc<FaultyQueue>,
    pub(crate) catalog: Arc<dyn MetadataStore>,
    pub(crate) producer: Producer,
}

pub(crate) fn name(text: &str) -> TopicName {
    TopicName::new(text).expect("valid")
}

pub(crate) fn config(topic: &str, partition_count: u32) -> TopicConfig {
    TopicConfig { name: name(topic), partition_count, retention_ms: None, config: TopicOptions::default() }
}

/// A producer for the topic `orders`, which has three partitions.
pub(crate) async fn setup() -> Setup {
    setup_with(|builder| builder).await
}

/// The same with options.
pub(crate) async fn setup_with(options: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Setup {
    let queue = Arc::new(FaultyQueue::new());
    let catalog = catalog::connect("sqlite::memory:").await.expect("a catalog in memory");
    catalog.create_topic(config("orders", 3)).await.expect("new topic");
    let builder = Producer::builder().queue(Arc::clone(&queue) as Arc<dyn Queue>).catalog(Arc::clone(&catalog));
    let producer = options(builder).build().await.expect("valid options");
    Setup { queue, catalog, producer }
}

async fn stored(setup: &Setup, partition: u32) -> Vec<common::Message> {
    let partition = TopicPartition::new(name("orders"), partition);
    setup.queue.read(&partition, 0, u64::MAX).await.expect("readable")
}

/// From here on waits cost no time; the catalog is not used again, since its own time-outs would fire.
async fn know_the_topic_and_pause(setup: &Setup) {
    setup.producer.send(&name("orders"), None, b"first", Some(0)).await.expect("sent");
    tokio::time::pause();
}

#[tokio::test]
async fn test_compute_partition_with_key() {
    let setup = setup().await;
    let expected = Partitioner::Siphash.partition_of(b"customer-7", 3);
    for _ in 0..3 {
        let sent = setup.producer.send(&name("orders"), Some(b"customer-7"), b"x", None).await.expect("sent");
        assert_eq!(sent.partition, expected, "the same key always has the same partition");
    }
    let mut nats = config("nats-mapped", 3);
    nats.config.partitioner = Partitioner::Nats;
    setup.catalog.create_topic(nats).await.expect("new topic");
    for key in [&b"a"[..], b"b", b"customer-7"] {
        let sent = setup.producer.send(&name("nats-mapped"), Some(key), b"x", None).await.expect("sent");
        assert_eq!(sent.partition, Partitioner::Nats.partition_of(key, 3), "the topic chooses the partitioner");
    }
}

#[tokio::test]
async fn test_producer_send_basic() {
    let setup = setup().await;
    let mut partitions = Vec::new();
    for offset in 0..2 {
        for _ in 0..3 {
            let sent = setup.producer.send(&name("orders"), None, b"hello", None).await.expect("sent");
            assert_eq!((sent.offset, sent.duplicate), (offset, false));
            partitions.push(sent.partition);
        }
    }
    assert_eq!(partitions, [0, 1, 2, 0, 1, 2], "without a key, partitions take turns");
    assert_eq!(&stored(&setup, 0).await[0].payload[..], b"hello");
}

#[tokio::test]
async fn test_producer_explicit_partition() {
    let setup = setup().await;
    let sent = setup.producer.send(&name("orders"), Some(b"any key"), b"x", Some(2)).await.expect("sent");
    assert_eq!((sent.partition, sent.offset), (2, 0));
    assert_eq!(stored(&setup, 2).await[0].key.as_deref(), Some(&b"any key"[..]), "the key is kept");
}

#[tokio::test]
async fn test_producer_invalid_partition() {
    let setup = setup().await;
    let error = setup.producer.send(&name("orders"), None, b"x", Some(3)).await.expect_err("0 to 2");
    assert!(matches!(error, ProducerError::InvalidPartition { partition: 3, partition_count: 3, .. }), "{error:?}");
    assert_eq!(error.to_string(), "partition 3 does not exist: topic orders has partitions 0 to 2");
    assert_eq!(error.kind(), ErrorKind::Fatal);
}

#[tokio::test]
async fn test_producer_topic_not_found() {
    let setup = setup().await;
    let error = setup.producer.send(&name("absent"), None, b"x", None).await.expect_err("absent");
    assert!(matches!(&error, ProducerError::TopicNotFound(topic) if topic.as_str() == "absent"), "{error:?}");
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order_and_keeps_the_order_of_each_partition() {
    let setup = setup().await;
    let messages = (0..30).map(|i| OutgoingMessage::new(format!("{i}")).with_key(format!("key-{i}"))).collect();
    let sent = setup.producer.send_batch(&name("orders"), messages).await.expect("sent");
    for (i, outcome) in sent.iter().enumerate() {
        let result = outcome.as_ref().expect("confirmed");
        let expected = Partitioner::Siphash.partition_of(format!("key-{i}").as_bytes(), 3);
        let message = &stored(&setup, expected).await[usize::try_from(result.offset).expect("small")];
        assert_eq!((result.partition, &message.payload[..]), (expected, i.to_string().as_bytes()));
    }
}

#[tokio::test]
async fn a_message_whose_reply_was_lost_is_repeated_and_stored_once() {
    let setup = setup().await;
    know_the_topic_and_pause(&setup).await;
    setup.queue.faults(|faults| faults.replies_to_lose = 2);
    let sent = setup.producer.send(&name("orders"), None, b"x", Some(0)).await.expect("the third attempt");
    assert_eq!((sent.offset, sent.duplicate), (1, false));
    assert_eq!(stored(&setup, 0).await.len(), 2);
}

#[tokio::test]
async fn a_queue_that_stays_away_is_reported_after_three_attempts() {
    let setup = setup().await;
    know_the_topic_and_pause(&setup).await;
    setup.queue.faults(|faults| faults.replies_to_lose = 10);
    let error = setup.producer.send(&name("orders"), None, b"x", Some(0)).await.expect_err("unavailable");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(setup.queue.faults(|faults| faults.replies_to_lose), 7);
}

#[tokio::test]
async fn an_id_of_the_caller_that_the_queue_knows_is_reported_as_a_duplicate() {
    let setup = setup().await;
    let message = || vec![OutgoingMessage::new("x").with_message_id("order-1")];
    let first = setup.producer.send_batch_to(&name("orders"), Some(1), message()).await.expect("sent");
    let again = setup.producer.send_batch_to(&name("orders"), Some(1), message()).await.expect("sent");
    let [first, again] = [first, again].map(|outcomes| outcomes[0].clone().expect("confirmed"));
    assert_eq!((first.duplicate, again.duplicate), (false, true));
    assert_eq!(first.offset, again.offset);
    assert_eq!(stored(&setup, 1).await.len(), 1);
}

#[tokio::test]
async fn a_topic_that_was_deleted_is_noticed_after_the_refresh_time() {
    let setup = setup().await;
    setup.producer.send(&name("orders"), None, b"x", None).await.expect("sent");
    setup.catalog.delete_topic(&name("orders")).await.expect("deleted");
    setup.producer.send(&name("orders"), None, b"x", None).await.expect("still remembered");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(30)).await;
    tokio::time::resume();
    let error = setup.producer.send(&name("orders"), None, b"x", None).await.expect_err("deleted");
    assert!(matches!(error, ProducerError::TopicNotFound(_)), "{error:?}");
}

#[tokio::test]
async fn a_topic_that_the_queue_lost_sight_of_is_opened_again() {
    let setup = setup().await;
    setup.producer.send(&name("orders"), None, b"x", Some(0)).await.expect("sent");
    let definition = config("orders", 3);
    let definition = TopicDefinition::new(definition.name, definition.partition_count);
    setup.queue.delete_topic(&definition).await.expect("deleted");
    setup.producer.send(&name("orders"), None, b"x", Some(0)).await.expect("opened again");
}

#[tokio::test]
async fn a_partition_that_fails_hides_no_place_of_the_others() {
    let setup = setup().await;
    setup.queue.refuse(Some(0));
    let messages = (0..9).map(|i| OutgoingMessage::new(format!("{i}"))).collect();
    let outcomes = setup.producer.send_batch(&name("orders"), messages).await.expect("the topic is there");
    assert_eq!(outcomes.len(), 9);
    for (i, outcome) in (0_u64..).zip(&outcomes) {
        match (i % 3, outcome) {
            (0, Err(failure)) => {
                assert_eq!((failure.partition, failure.error.kind()), (0, ErrorKind::Fatal));
                assert_eq!(failure.to_string(), "partition 0: queue refused: by the test");
            }
            (turn, Ok(sent)) if turn != 0 => assert_eq!((u64::from(sent.partition), sent.offset), (turn, i / 3)),
            other => panic!("message {i}: {other:?}"),
        }
    }
    assert_eq!((stored(&setup, 1).await.len(), stored(&setup, 2).await.len()), (3, 3));
    let error = setup.producer.send(&name("orders"), None, b"x", Some(0)).await.expect_err("refused");
    assert!(matches!(error, ProducerError::Queue(QueueError::Refused { .. })), "{error:?}");
}

#[tokio::test]
async fn a_batch_without_an_answer_is_uncertain_and_stored_once() {
    let setup = setup().await;
    know_the_topic_and_pause(&setup).await;
    setup.queue.faults(|faults| faults.replies_to_lose = 3);
    let messages = ["a", "b"].map(OutgoingMessage::new).to_vec();
    let outcomes = setup.producer.send_batch_to(&name("orders"), Some(2), messages).await.expect("known");
    let kinds = outcomes.iter().map(|outcome| outcome.as_ref().map_err(|failure| failure.error.kind()).err());
    assert_eq!(kinds.collect::<Vec<_>>(), [Some(ErrorKind::Unavailable); 2], "three attempts, no more");
    let sent = setup.producer.send(&name("orders"), None, b"x", Some(0)).await.expect("the queue is back");
    assert_eq!(sent.offset, 1);
    assert_eq!(stored(&setup, 2).await.len(), 2, "the attempts stored each message once");
}
