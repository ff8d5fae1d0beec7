//! Cutting and checking, into the queue in memory.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use catalog::TopicConfig;
use common::queue::memory::InMemoryQueue;
use common::topic::TopicOptions;
use common::{Queue, TopicPartition};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::sync::Notify;

use super::*;
use crate::producer::tests::{setup, setup_with};

fn options(format: FeedFormat) -> FeedOptions {
    let input_name = "input".to_owned();
    FeedOptions { input_name, format, check: true, key_field: None, partition: None, first_line: 1, id_prefix: None }
}

/// The outcome, and the payloads then in the queue.
async fn fed(input: &str, options: FeedOptions) -> (Result<Tally, String>, Vec<(Option<Bytes>, Bytes)>) {
    fed_bytes(input.as_bytes(), options).await
}

async fn fed_bytes(mut input: &[u8], options: FeedOptions) -> (Result<Tally, String>, Vec<(Option<Bytes>, Bytes)>) {
    let queue = Arc::new(InMemoryQueue::new(1 << 20));
    let catalog = catalog::connect("sqlite::memory:").await.expect("a catalog in memory");
    let name = TopicName::new("t").expect("valid");
    let config =
        TopicConfig { name: name.clone(), partition_count: 1, retention_ms: None, config: TopicOptions::default() };
    catalog.create_topic(config).await.expect("new");
    let producer = Producer::new(Arc::clone(&queue) as Arc<dyn Queue>, catalog);
    let mut tally = Tally::default();
    let feed = Feed { producer: &producer, topic: &name, options: &options, progress: &|_| {} };
    let outcome = feed.run(&mut input, &mut tally).await;
    let messages = match queue.read(&TopicPartition::new(name, 0), 0, u64::MAX).await {
        Ok(messages) => messages.into_iter().map(|message| (message.key, message.payload)).collect(),
        // The topic was never opened.
        Err(_) => Vec::new(),
    };
    (outcome.map(|()| tally).map_err(|error| chain(&error)), messages)
}

/// The error with its causes, as the binary shows it.
fn chain(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

fn payloads(messages: &[(Option<Bytes>, Bytes)]) -> Vec<&[u8]> {
    messages.iter().map(|(_, payload)| &payload[..]).collect()
}

#[tokio::test]
async fn ndjson_skips_blank_lines_and_needs_no_last_line_end() {
    let text = "\u{feff}{\"a\":1}\n\n{\"a\":2}\r\n  \n{\"a\":3}";
    let (tally, messages) = fed(text, options(FeedFormat::Ndjson)).await;
    assert_eq!(payloads(&messages), [&b"{\"a\":1}"[..], b"{\"a\":2}\r", b"{\"a\":3}"]);
    let tally = tally.expect("all valid");
    assert_eq!((tally.messages, tally.partitions[&0].first_offset, tally.partitions[&0].last_offset), (3, 0, 2));
}

#[tokio::test]
async fn a_bad_line_is_named_and_everything_before_it_is_published() {
    for bad in ["{\"a\":", "[1]", "7"] {
        let (outcome, messages) = fed(&format!("{{}}\n{{}}\n{{}}\n{bad}\n{{}}\n"), options(FeedFormat::Ndjson)).await;
        let error = outcome.expect_err(bad);
        assert!(error.contains("input:4") && error.contains("stopped after 3 messages"), "{error}");
        assert_eq!(messages.len(), 3);
    }
    let unchecked = FeedOptions { check: false, ..options(FeedFormat::Ndjson) };
    assert_eq!(fed("{\"a\":\n", unchecked).await.1.len(), 1);
}

#[tokio::test]
async fn keys_come_from_the_named_member() {
    let keyed = FeedOptions { key_field: Some("id".to_owned()), ..options(FeedFormat::Ndjson) };
    let (_, messages) = fed("{\"id\":\"a\"}\n{\"id\":7}\n", keyed.clone()).await;
    let keys: Vec<_> = messages.iter().map(|(key, _)| key.as_deref()).collect();
    assert_eq!(keys, [Some(&b"a"[..]), Some(b"7")]);
    let error = fed("{\"id\":[1]}\n", keyed.clone()).await.0.expect_err("no key");
    assert!(error.contains("input:1") && error.contains("cannot be the key"), "{error}");
    assert!(fed("{}\n", keyed).await.0.expect_err("absent").contains("\"id\""));
}

#[tokio::test]
async fn text_keeps_blank_lines_without_their_ends_and_stops_at_a_line_that_is_no_text() {
    let (tally, messages) = fed("a\r\n\nb\rc\nd\r", options(FeedFormat::Text)).await;
    assert_eq!(payloads(&messages), [&b"a"[..], b"", b"b\rc", b"d\r"]);
    assert_eq!(tally.expect("all text").messages, 4);
    let (outcome, messages) = fed_bytes(b"a\nb\xff\nc\n", options(FeedFormat::Text)).await;
    let error = outcome.expect_err("no text");
    assert!(error.contains("input:2") && error.contains("not UTF-8"), "{error}");
    assert_eq!(payloads(&messages), [b"a"]);
    let unchecked = FeedOptions { check: false, ..options(FeedFormat::Text) };
    assert_eq!(payloads(&fed_bytes(b"b\xff\n", unchecked).await.1), [b"b\xff"]);
}

#[tokio::test]
async fn lines_keep_blank_ones_and_raw_is_one_message() {
    assert_eq!(payloads(&fed("a\n\nb", options(FeedFormat::Lines)).await.1), [&b"a"[..], b"", b"b"]);
    assert_eq!(payloads(&fed("a\n\nb", options(FeedFormat::Raw)).await.1), [&b"a\n\nb"[..]]);
    assert_eq!(fed("", options(FeedFormat::Lines)).await.0.expect("nothing").messages, 0);
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|n| format!("{{\"n\":{n}}}\n")).collect()
}

#[tokio::test]
async fn a_partition_that_fails_is_counted_and_the_others_are_confirmed() {
    let setup = setup().await;
    setup.queue.refuse(Some(1));
    let (options, topic) = (options(FeedFormat::Ndjson), TopicName::new("orders").expect("valid"));
    let feed = Feed { producer: &setup.producer, topic: &topic, options: &options, progress: &|_| {} };
    let mut tally = Tally::default();
    let error = feed.run(&mut lines(0..30).as_bytes(), &mut tally).await.expect_err("partition 1 refuses");
    let expected = "20 messages are published; of 10 more that is not certain; the first failure is that of input:2: \
                    partition 1: queue refused: by the test";
    assert_eq!(chain(&error), expected);
    assert_eq!((tally.messages, tally.failed), (20, 10));
    assert_eq!(tally.partitions.keys().collect::<Vec<_>>(), [&0, &2]);
    assert_eq!(tally.partitions[&2], PartitionTally { messages: 10, first_offset: 0, last_offset: 9 });
    setup.producer.close().await.expect("the feed has reported what failed");
}

#[tokio::test]
async fn a_known_failure_ends_the_feed_although_its_stream_stays_open() {
    let setup = setup().await;
    setup.queue.refuse(Some(0));
    let (options, topic) = (options(FeedFormat::Ndjson), TopicName::new("orders").expect("valid"));
    let feed = Feed { producer: &setup.producer, topic: &topic, options: &options, progress: &|_| {} };
    let (mut source, stream) = tokio::io::duplex(1 << 16);
    source.write_all(lines(0..3).as_bytes()).await.expect("there is room");
    let mut tally = Tally::default();
    let error = feed.run(&mut BufReader::new(stream), &mut tally).await.expect_err("partition 0 refuses");
    // The lines behind it are on their way by then, or not yet.
    let FeedError::Unconfirmed { confirmed, failed: 1, not_sent, .. } = error else { panic!("{error:?}") };
    assert_eq!(confirmed + not_sent, 2);
    source.write_all(b"{}\n").await.expect_err("nobody reads on");
}

#[tokio::test]
async fn outcomes_are_counted_while_the_stream_pauses() {
    let setup = setup().await;
    let (options, topic) = (options(FeedFormat::Ndjson), TopicName::new("orders").expect("valid"));
    let (progress, counted) = (AtomicU64::new(0), Notify::new());
    let count = |bytes| {
        progress.fetch_add(bytes, Ordering::SeqCst);
        counted.notify_one();
    };
    let feed = Feed { producer: &setup.producer, topic: &topic, options: &options, progress: &count };
    let (mut source, stream) = tokio::io::duplex(1 << 16);
    source.write_all(lines(0..3).as_bytes()).await.expect("there is room");
    let (mut tally, mut reader) = (Tally::default(), BufReader::new(stream));
    let all_counted = async {
        while progress.load(Ordering::SeqCst) < 3 * 7 {
            counted.notified().await;
        }
        drop(source);
    };
    let (fed, ()) = tokio::join!(feed.run(&mut reader, &mut tally), all_counted);
    fed.expect("all are published");
    assert_eq!(tally.messages, 3);
}

#[tokio::test]
async fn a_line_that_is_too_large_fails_alone_and_is_named() {
    let setup = setup().await;
    let (options, topic) = (options(FeedFormat::Lines), TopicName::new("orders").expect("valid"));
    let options = FeedOptions { partition: Some(0), ..options };
    let feed = Feed { producer: &setup.producer, topic: &topic, options: &options, progress: &|_| {} };
    let mut input = b"a\nb\n".to_vec();
    input.extend(vec![b'x'; 17 << 20]);
    input.extend(b"\nc\n");
    let mut tally = Tally::default();
    let error = feed.run(&mut &input[..], &mut tally).await.expect_err("larger than the queue");
    let text = chain(&error);
    assert!(text.starts_with("3 messages are published, 1 were not sent; the first of them is input:3: "), "{text}");
    assert!(text.contains("partition 0: a message of 17825792 bytes is larger"), "{text}");
    assert_eq!((tally.messages, tally.failed, tally.not_sent), (3, 0, 1));
}

#[tokio::test]
async fn a_stream_that_is_fed_again_under_its_name_is_stored_once() {
    let setup = setup().await;
    let (options, topic) = (options(FeedFormat::Ndjson), TopicName::new("orders").expect("valid"));
    let named = FeedOptions { id_prefix: Some("import".to_owned()), key_field: Some("n".to_owned()), ..options };
    let mut tallies = Vec::new();
    // The second time the stream has grown.
    for input in [lines(0..30), lines(0..40)] {
        let feed = Feed { producer: &setup.producer, topic: &topic, options: &named, progress: &|_| {} };
        let mut tally = Tally::default();
        feed.run(&mut input.as_bytes(), &mut tally).await.expect("published");
        tallies.push((tally.messages, tally.duplicates));
    }
    assert_eq!(tallies, [(30, 0), (40, 30)]);
    let mut stored = 0;
    for partition in 0..3 {
        let partition = TopicPartition::new(topic.clone(), partition);
        stored += setup.queue.read(&partition, 0, u64::MAX).await.expect("readable").len();
    }
    assert_eq!(stored, 40);
}

#[tokio::test]
async fn a_feed_that_goes_on_at_a_line_sends_it_where_the_first_feed_did() {
    let setup = setup().await;
    let (options, topic) = (options(FeedFormat::Ndjson), TopicName::new("orders").expect("valid"));
    let named = FeedOptions { id_prefix: Some("import".to_owned()), ..options };
    let input = lines(0..5) + "\n" + &lines(5..20);
    let mut tallies = Vec::new();
    for first_line in [1, 8] {
        let producer = Producer::new(Arc::clone(&setup.queue) as Arc<dyn Queue>, Arc::clone(&setup.catalog));
        let options = FeedOptions { first_line, ..named.clone() };
        let feed = Feed { producer: &producer, topic: &topic, options: &options, progress: &|_| {} };
        let mut tally = Tally::default();
        feed.run(&mut input.as_bytes(), &mut tally).await.expect("published");
        tallies.push((tally.messages, tally.duplicates));
    }
    assert_eq!(tallies, [(20, 0), (14, 14)], "line 8 is the seventh message: line 6 is blank");
    let options = FeedOptions { first_line: 23, ..named };
    let feed = Feed { producer: &setup.producer, topic: &topic, options: &options, progress: &|_| {} };
    let error = feed.run(&mut input.as_bytes(), &mut Tally::default()).await.expect_err("21 lines");
    assert!(chain(&error).ends_with("input has 21 lines, so there is no line 23 to begin with"), "{error}");
}

#[tokio::test]
async fn nothing_is_sent_behind_a_message_that_failed() {
    for has_ended in [false, true] {
        thirteen_lines_of_which_the_first_fails(has_ended).await;
    }
}

async fn thirteen_lines_of_which_the_first_fails(has_ended: bool) {
    let setup = setup_with(|builder| builder.batch_size(1)).await;
    setup.queue.refuse(Some(0));
    let (options, topic) = (options(FeedFormat::Lines), TopicName::new("orders").expect("valid"));
    let options = FeedOptions { partition: Some(0), ..options };
    let feed = Feed { producer: &setup.producer, topic: &topic, options: &options, progress: &|_| {} };
    let closed = setup.queue.gate.write().await;
    let (mut source, stream) = tokio::io::duplex(1 << 25);
    let facts = &setup;
    let (mut tally, mut reader) = (Tally::default(), BufReader::new(stream));
    // A request takes three of these.
    let large = "x".repeat(3 << 19) + "\n";
    let script = async move {
        source.write_all(b"first\n").await.expect("there is room");
        while facts.queue.request_sizes().is_empty() {
            tokio::task::yield_now().await;
        }
        source.write_all(large.repeat(12).as_bytes()).await.expect("there is room");
        while facts.producer.unconfirmed_messages() < 13 {
            tokio::task::yield_now().await;
        }
        let source = (!has_ended).then_some(source);
        drop(closed);
        source
    };
    let (fed, _source) = tokio::join!(feed.run(&mut reader, &mut tally), script);
    assert!(matches!(fed, Err(FeedError::Unconfirmed { confirmed: 0, .. })), "{fed:?}");
    // The second request is on its way when the failure of the first becomes known.
    let sizes = setup.queue.request_sizes();
    assert!(sizes == [1] || sizes == [1, 3], "{sizes:?}");
    assert_eq!((tally.failed, tally.not_sent), (sizes.iter().sum::<usize>() as u64, 13 - tally.failed));
}

#[tokio::test]
async fn a_topic_that_is_absent_takes_nothing() {
    let setup = setup().await;
    let topic = TopicName::new("absent").expect("valid");
    let options = options(FeedFormat::Lines);
    let feed = Feed { producer: &setup.producer, topic: &topic, options: &options, progress: &|_| {} };
    let mut tally = Tally::default();
    let error = feed.run(&mut &b"a\nb\n"[..], &mut tally).await.expect_err("no topic");
    assert!(chain(&error).starts_with("0 messages are published; input:1 was not sent: topic absent"), "{error}");
    assert_eq!(tally, Tally { not_sent: 1, ..Tally::default() });
}
