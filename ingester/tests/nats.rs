//! A producer that has the URL of a NATS server: records, errors and TLS, with the real server.

use std::sync::Arc;

use catalog::{MetadataStore, TopicConfig};
use common::topic::TopicOptions;
use common::{ErrorKind, Message, OutgoingMessage, Queue, TopicName, TopicPartition};
use ingester::{Producer, ProducerError};
use nats::{NatsConfig, NatsQueue};
use support::keys::Authority;
use support::nats::{NatsClient, NatsOptions, NatsServer};

fn name() -> TopicName {
    TopicName::new("orders").expect("valid")
}

/// A catalog with the topic `orders` of three partitions, whose streams are on the server.
async fn topic_on(config: NatsConfig) -> (NatsQueue, Arc<dyn MetadataStore>) {
    let queue = NatsQueue::connect(config).await.expect("connected");
    let catalog = catalog::connect("sqlite::memory:").await.expect("a catalog in memory");
    let topic = TopicConfig { name: name(), partition_count: 3, retention_ms: None, config: TopicOptions::default() };
    catalog::create_topic(&queue, catalog.as_ref(), topic).await.expect("created");
    (queue, catalog)
}

async fn stored(queue: &NatsQueue, partition: u32) -> Vec<Message> {
    queue.read(&TopicPartition::new(name(), partition), 0, u64::MAX).await.expect("read")
}

#[tokio::test]
async fn records_arrive_in_the_streams_of_the_topic_and_an_id_counts_once() {
    let server = NatsServer::start().await.expect("a NATS server");
    let config = NatsConfig { url: server.url().into(), ..NatsConfig::default() };
    let (queue, catalog) = topic_on(config).await;
    let builder = || Producer::builder().nats(server.url()).catalog(Arc::clone(&catalog));
    let producer = builder().build().await.expect("connected");
    let keyed = producer.send(&name(), Some(b"customer-7"), br#"{"id":1}"#, None).await.expect("sent");
    let expected = common::partitioner::Partitioner::Siphash.partition_of(b"customer-7", 3);
    assert_eq!((keyed.partition, keyed.offset), (expected, 1));
    let held = stored(&queue, expected).await;
    assert_eq!((&held[0].payload[..], held[0].key.as_deref()), (&br#"{"id":1}"#[..], Some(&b"customer-7"[..])));

    let records = || (0..50).map(|n| OutgoingMessage::new(format!("{{\"n\":{n}}}")).with_message_id(format!("id-{n}")));
    let place = (expected + 1) % 3;
    let sent = producer.send_batch_to(&name(), Some(place), records().collect()).await.expect("the topic is known");
    let offsets: Vec<u64> = sent.iter().map(|sent| sent.as_ref().expect("stored").offset).collect();
    assert_eq!(offsets, (1..=50).collect::<Vec<u64>>());
    producer.close().await.expect("nothing failed");

    // Another process that repeats them stores nothing twice.
    let again = builder().build().await.expect("connected");
    let sent = again.send_batch_to(&name(), Some(place), records().collect()).await.expect("the topic is known");
    assert!(sent.iter().all(|sent| sent.as_ref().expect("known").duplicate));
    let payloads: Vec<_> = stored(&queue, place).await.into_iter().map(|message| message.payload).collect();
    assert_eq!(payloads, records().map(|record| record.payload).collect::<Vec<_>>());
    let absent = again.send(&TopicName::new("absent").expect("valid"), None, b"x", None).await;
    assert!(matches!(absent, Err(ProducerError::TopicNotFound(_))), "{absent:?}");
}

#[tokio::test]
async fn a_server_that_is_away_and_one_that_refuses_the_login_are_told_apart() {
    let closed = Producer::builder().nats("nats://127.0.0.1:1").catalog(catalog().await).build().await;
    let error = closed.expect_err("nobody listens");
    assert!(matches!(error, ProducerError::NoAgentsAvailable { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let lines = vec!["authorization { user: u, password: right }".to_owned()];
    let client = NatsClient::user("u", "right");
    let server =
        NatsServer::start_with(NatsOptions { lines, client, ..NatsOptions::default() }).await.expect("started");
    let url = |password: &str| server.url().replace("nats://", &format!("nats://u:{password}@"));
    Producer::builder().nats(url("right")).catalog(catalog().await).build().await.expect("the login of the URL");
    let error = Producer::builder().nats(url("hush")).catalog(catalog().await).build().await.expect_err("refused");
    assert!(matches!(error, ProducerError::Queue(_)), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Fatal, "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
}

async fn catalog() -> Arc<dyn MetadataStore> {
    catalog::connect("sqlite::memory:").await.expect("a catalog in memory")
}

#[tokio::test]
async fn a_server_with_a_certificate_of_an_authority_of_ones_own_is_trusted_by_its_file() {
    let (authority, other) = (Authority::new().expect("openssl"), Authority::new().expect("openssl"));
    let (certificate, key) = authority.sign("nats", 2).expect("signed");
    let lines = vec![format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}")];
    let ca_file = Some(authority.ca_file());
    let client = NatsClient { ca_file: ca_file.clone(), ..NatsClient::default() };
    let server =
        NatsServer::start_with(NatsOptions { lines, client, ..NatsOptions::default() }).await.expect("started");
    let (queue, catalog) = topic_on(NatsConfig { url: server.url().into(), ca_file, ..NatsConfig::default() }).await;
    let builder = || Producer::builder().nats(server.url()).catalog(Arc::clone(&catalog));
    for (stranger, part) in [
        (builder().ca_file(other.ca_file()), "invalid peer certificate"),
        (builder().ca_file("/absent.pem"), "/absent.pem"),
    ] {
        let error = stranger.build().await.expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
    }
    let producer = builder().ca_file(authority.ca_file()).build().await.expect("it is trusted");
    let sent = producer.send(&name(), None, b"{}", Some(2)).await.expect("sent");
    assert_eq!((sent.partition, sent.offset), (2, 1));
    assert_eq!(stored(&queue, 2).await.len(), 1);
}
