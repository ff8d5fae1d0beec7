//! The model of a stream.
//!
//! Owns: what purges, limits, lost tails and message ids do to it. Does not own: consumers, the network.

use common::queue::PublishAck;
use common::{OutgoingMessage, TopicName, TopicPartition};
use simulation::queue::{DUPLICATE_WINDOW_US, Stream};

fn stream_of(count: u64) -> Stream {
    let mut stream = Stream::new(&TopicPartition::new(TopicName::new("t").expect("valid"), 0), 0);
    for number in 0..count {
        stream.publish(OutgoingMessage::new(number.to_string()).with_message_id(number.to_string()), 0);
    }
    stream
}

#[test]
fn a_lost_tail_uses_its_sequences_again_and_a_purge_does_not() {
    let mut stream = stream_of(10);
    let created = stream.bounds().history;
    stream.lose_tail(6);
    let (ack, _) = stream.publish(OutgoingMessage::new("new"), 0);
    assert_eq!((ack.offset, stream.bounds().history), (7, created));
    let (ack, stored) = stream.publish(OutgoingMessage::new("8").with_message_id("8"), 0);
    assert!(stored.is_some(), "the id was lost with its message: {ack:?}");
    stream.remove(1..=8);
    let bounds = stream.bounds();
    assert_eq!((bounds.first_offset, bounds.next_offset), (9, 9));
}

#[test]
fn the_oldest_go_beyond_the_limit() {
    let mut stream = stream_of(10);
    stream.set_messages_max(Some(4));
    assert_eq!(stream.discard_old(), (1..=6).collect::<Vec<_>>());
    assert_eq!(stream.bounds().first_offset, 7);
}

#[test]
fn an_id_is_known_for_the_window() {
    let mut stream = stream_of(3);
    let again = |stream: &mut Stream, now_us| stream.publish(OutgoingMessage::new("x").with_message_id("1"), now_us);
    assert_eq!(again(&mut stream, DUPLICATE_WINDOW_US).0, PublishAck { offset: 2, duplicate: true });
    assert_eq!(again(&mut stream, DUPLICATE_WINDOW_US + 1).0, PublishAck { offset: 4, duplicate: false });
}
