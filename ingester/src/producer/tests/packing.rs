//! Packed messages: which records travel together, the outcome of each, and every attempt stored once.

use common::Message;
use common::packing;
use common::topic::{ColumnSpec, ColumnType, Format};

use super::*;
use crate::SendOutcome;

/// A producer for the topic `packed` of this format, which has one partition.
async fn setup_packed(format: Format, options: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Setup {
    let setup = setup_with(|builder| options(builder.batch_timeout(Duration::from_millis(1)))).await;
    let mut topic = config("packed", 1);
    topic.config.packed = true;
    topic.config.format = format;
    if format == Format::Json {
        topic.config.columns = vec![ColumnSpec::new("n", ColumnType::Int64)];
    }
    setup.catalog.create_topic(topic).await.expect("new topic");
    setup
}

async fn packed_topic() -> Setup {
    setup_packed(Format::Raw, |builder| builder).await
}

async fn send(setup: &Setup, messages: impl IntoIterator<Item = OutgoingMessage>) -> Vec<SendOutcome> {
    let messages = messages.into_iter().collect();
    setup.producer.send_batch(&name("packed"), messages).await.expect("the topic is there")
}

fn messages(payloads: &[&str]) -> Vec<OutgoingMessage> {
    payloads.iter().map(|payload| OutgoingMessage::new((*payload).to_owned())).collect()
}

/// The payloads of each message that the queue has.
async fn held(setup: &Setup) -> Vec<Vec<String>> {
    let partition = TopicPartition::new(name("packed"), 0);
    let held = setup.queue.read(&partition, 0, u64::MAX).await.expect("readable");
    held.iter().map(records_of).collect()
}

fn records_of(message: &Message) -> Vec<String> {
    let text = |payload: &Bytes| String::from_utf8(payload.to_vec()).expect("text");
    match packing::open(message) {
        Some(records) => records.expect("whole").map(|record| text(&record.payload)).collect(),
        None => vec![text(&message.payload)],
    }
}

/// Offset and place of each record.
fn places(outcomes: &[SendOutcome]) -> Vec<(u64, u32)> {
    let place = |outcome: &SendOutcome| {
        let sent = outcome.as_ref().expect("confirmed");
        assert!(!sent.duplicate);
        (sent.offset, sent.record)
    };
    outcomes.iter().map(place).collect()
}

#[tokio::test]
async fn records_of_a_batch_share_one_message_and_each_has_its_place() {
    let setup = packed_topic().await;
    let keyed = OutgoingMessage::new("b").with_key("k");
    let outcomes = send(&setup, [OutgoingMessage::new("a"), keyed, OutgoingMessage::new("")]).await;
    assert_eq!(places(&outcomes), [(0, 0), (0, 1), (0, 2)]);
    assert_eq!(places(&send(&setup, messages(&["alone"])).await), [(1, 0)]);
    assert_eq!(held(&setup).await, [vec!["a", "b", ""], vec!["alone"]]);
    let stored = setup.queue.read(&TopicPartition::new(name("packed"), 0), 0, 2).await.expect("readable");
    let keys: Vec<_> = packing::open(&stored[0]).expect("packed").expect("whole").map(|record| record.key).collect();
    assert_eq!(keys, [None, Some(Bytes::from("k")), None]);
    assert!(stored[1].headers.is_empty(), "one record is a message as always");
}

#[tokio::test]
async fn only_a_topic_and_a_producer_that_both_allow_it_pack() {
    let off = setup_packed(Format::Raw, |builder| builder.compression_enabled(false)).await;
    assert_eq!(places(&send(&off, messages(&["a", "b"])).await), [(0, 0), (1, 0)]);
    assert_eq!(held(&off).await, [["a"], ["b"]]);
    let other = setup().await;
    let sent = other.producer.send_batch_to(&name("orders"), Some(0), messages(&["a", "b"])).await.expect("sent");
    assert_eq!(places(&sent), [(0, 0), (1, 0)]);
    assert!(stored(&other, 0).await.iter().all(|message| message.headers.is_empty()));
}

#[tokio::test]
async fn records_that_cannot_be_packed_keep_their_place_in_the_order() {
    let setup = packed_topic().await;
    let mut all = messages(&["a", "b", "with a header", "c", "d", "with an id", "waits", "e"]);
    all[2].headers = vec![("x".to_owned(), "1".to_owned())];
    all[5].message_id = Some("import-1".to_owned());
    all[6].is_awaited = true;
    all.push(OutgoingMessage::new("x".repeat(16 * 1024)));
    let outcomes = send(&setup, all).await;
    assert_eq!(
        places(&outcomes),
        [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (3, 0), (4, 0), (5, 0), (6, 0)],
        "neighbours share a message"
    );
    let held = held(&setup).await;
    assert_eq!(held[..5], [vec!["a", "b"], vec!["with a header"], vec!["c", "d"], vec!["with an id"], vec!["waits"]]);
    let again = send(&setup, [OutgoingMessage::new("with an id").with_message_id("import-1")]).await;
    assert!(again[0].as_ref().expect("known").duplicate, "an id of the caller stays that of its record");
}

#[tokio::test]
async fn a_json_or_text_record_is_packed_if_it_is_one_row() {
    let json = setup_packed(Format::Json, |builder| builder).await;
    let rows = [
        "{\"n\":1}",
        " {\n\"n\": \"x\" }\n",
        "{\"n\":1}{\"n\":2}",
        "{\"n\":1}\n{\"n\":2}",
        "[{\"n\":1}]",
        "",
        "{",
        "7",
    ];
    send(&json, messages(&rows)).await;
    let held_json = held(&json).await;
    assert_eq!(held_json[0], rows[..2]);
    assert_eq!(held_json[1..], rows[2..].iter().map(|row| vec![(*row).to_owned()]).collect::<Vec<_>>());

    let text = setup_packed(Format::Text, |builder| builder).await;
    let lines = ["one", "", "ended\n", "\n", "two\nlines", "\n\n"];
    send(&text, messages(&lines)).await;
    let held_text = held(&text).await;
    assert_eq!(held_text[0], lines[..4]);
    assert_eq!(held_text[1..], [[lines[4]], [lines[5]]]);
}

#[tokio::test]
async fn a_packed_message_whose_reply_was_lost_is_repeated_and_stored_once() {
    let setup = packed_topic().await;
    send(&setup, messages(&["first"])).await;
    tokio::time::pause();
    setup.queue.faults(|faults| faults.replies_to_lose = 2);
    assert_eq!(places(&send(&setup, messages(&["a", "b"])).await), [(1, 0), (1, 1)]);
    assert_eq!(held(&setup).await, [vec!["first"], vec!["a", "b"]]);
    let requests = setup.queue.faults(|faults| std::mem::take(&mut faults.requests));
    assert!(requests.len() == 4 && requests[1] == requests[3], "each attempt sends the same message");
}

#[tokio::test]
async fn a_pack_that_the_queue_refuses_as_too_large_is_sent_as_single_messages_in_order() {
    let setup = packed_topic().await;
    setup.queue.faults(|faults| faults.bytes_max = Some(1000));
    // Bytes that no compression makes fewer.
    let noise = |seed: u32| (0..400_u32).map(move |n| (seed + n).wrapping_mul(0x9E37_79B9).rotate_left(n) as u8);
    let payloads: Vec<Vec<u8>> = (0..5).map(|seed| noise(seed).collect()).collect();
    let outcomes = send(&setup, payloads.iter().cloned().map(OutgoingMessage::new)).await;
    assert_eq!(places(&outcomes), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]);
    let stored = setup.queue.read(&TopicPartition::new(name("packed"), 0), 0, 9).await.expect("readable");
    assert_eq!(stored.iter().map(|message| message.payload.to_vec()).collect::<Vec<_>>(), payloads);
}

#[tokio::test]
async fn a_refused_pack_fails_each_of_its_records() {
    let setup = packed_topic().await;
    setup.queue.refuse(Some(0));
    let outcomes = send(&setup, messages(&["a", "b", "c"])).await;
    assert_eq!(outcomes.len(), 3);
    for outcome in &outcomes {
        let failure = outcome.as_ref().expect_err("refused");
        assert_eq!((failure.error.kind(), failure.is_not_stored), (ErrorKind::Fatal, false));
    }
}

#[tokio::test]
async fn many_records_become_several_messages_of_bounded_size() {
    let setup = setup_packed(Format::Raw, |builder| builder.batch_size(1000)).await;
    let record = "x".repeat(1000);
    let outcomes = send(&setup, messages(&vec![record.as_str(); 1000])).await;
    let held = held(&setup).await;
    assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [131, 131, 131, 131, 131, 131, 131, 83]);
    assert_eq!(places(&outcomes)[130..133], [(0, 130), (1, 0), (1, 1)]);
}
