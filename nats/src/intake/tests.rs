//! Tests of all rules together, on frames in the server's form, without a server.

use async_nats::{HeaderMap, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::phase::{Event, Phase, PullKind};
use crate::pull_account::PullSize;

fn intake(acks: Acks) -> Intake {
    Intake::new(1, 1, acks, 1_000)
}

fn delivery(stream_sequence: u64, consumer_sequence: u64) -> async_nats::Message {
    async_nats::Message {
        subject: "orders.0".into(),
        reply: Some(format!("$JS.ACK.orders-0.c.1.{stream_sequence}.{consumer_sequence}.5000.0").into()),
        payload: "x".into(),
        headers: None,
        status: None,
        description: None,
        length: 50,
    }
}

fn status(code: u16, words: &str, headers: &[(&str, &str)]) -> async_nats::Message {
    let mut map = HeaderMap::new();
    headers.iter().for_each(|(name, value)| map.append(*name, *value));
    async_nats::Message {
        reply: None,
        status: StatusCode::from_u16(code).ok(),
        description: Some(words.to_owned()),
        headers: Some(map),
        ..delivery(0, 0)
    }
}

#[test]
fn a_message_larger_than_expected_gets_a_larger_pull_and_not_for_ever() {
    let mut intake = intake(Acks::Cumulative);
    let oversized = || {
        let left = [("Nats-Pending-Messages", "5"), ("Nats-Pending-Bytes", "999999999")];
        status(409, "Message Size Exceeds MaxBytes", &left)
    };
    intake.accept(oversized()).expect("a pull ended");
    assert_eq!(intake.message_bytes_max(), 2_000);
    let error = (0..40).find_map(|_| intake.accept(oversized()).err());
    assert!(error.expect("gives up").contains("larger than"));
}

#[test]
fn acks_go_through_the_delivery_of_the_last_message_below() {
    let mut all = intake(Acks::Cumulative);
    let mut none = intake(Acks::None);
    for (consumer_sequence, stream_sequence) in [(1, 3), (2, 4), (3, 9)] {
        all.accept(delivery(stream_sequence, consumer_sequence)).expect("good");
        none.accept(delivery(stream_sequence, consumer_sequence)).expect("good");
    }
    let acked = |intake: &mut Intake, mark| intake.ack_subjects(mark).collect::<Vec<_>>();
    assert_eq!(acked(&mut all, 3), [""; 0], "nothing was delivered below");
    assert_eq!(acked(&mut all, 8), ["$JS.ACK.orders-0.c.1.4.2.5000.0"]);
    assert_eq!(acked(&mut all, 8), [""; 0], "acked already");
    assert_eq!(acked(&mut all, 10), ["$JS.ACK.orders-0.c.1.9.3.5000.0"]);
    assert_eq!(acked(&mut none, 10), [""; 0]);
}

#[test]
fn explicit_acks_name_every_message_once_also_those_that_were_read_before() {
    let mut intake = Intake::new(0, 5, Acks::Explicit, 1_000);
    for (consumer_sequence, stream_sequence) in [(1, 3), (2, 4), (3, 5), (4, 9)] {
        intake.accept(delivery(stream_sequence, consumer_sequence)).expect("good");
    }
    let offsets: Vec<u64> = intake.take(10).0.iter().map(|message| message.offset).collect();
    assert_eq!((offsets, intake.position()), (vec![5, 9], 10));
    let acked = |intake: &mut Intake, mark| intake.ack_subjects(mark).collect::<Vec<_>>();
    let subject = |stream, consumer| format!("$JS.ACK.orders-0.c.1.{stream}.{consumer}.5000.0");
    assert_eq!(acked(&mut intake, 6), [subject(3, 1), subject(4, 2), subject(5, 3)]);
    assert_eq!(acked(&mut intake, 10), [subject(9, 4)]);
}

#[test]
fn a_stored_status_line_is_a_message() {
    let mut intake = intake(Acks::Cumulative);
    let lookalike = async_nats::Message { reply: delivery(1, 1).reply, ..status(409, "Consumer Deleted", &[]) };
    intake.accept(lookalike).expect("a message");
    assert_eq!(intake.take(10).0.len(), 1);
}

proptest! {
    #[test]
    fn frames_lost_anywhere_are_noticed_before_a_later_message_or_heartbeat(
        count in 1_u64..40, lost in prop::collection::btree_set(0_u64..40, 0..4), messages_max in 1_usize..10,
    ) {
        let mut intake = intake(Acks::Cumulative);
        let mut phase = Phase::default();
        phase.apply(Event::Requested { size: PullSize { batch: 100, bytes_max: 100_000 }, kind: PullKind::Long });
        let mut taken = Vec::new();
        let mut is_noticed = false;
        for sequence in (1..=count).filter(|sequence| !lost.contains(sequence)) {
            let Ok(frame) = intake.accept(delivery(sequence, sequence)) else {
                is_noticed = true;
                break;
            };
            prop_assert_eq!(frame, Frame::Delivered { bytes: 50 });
            phase.apply(Event::Delivered { bytes: 50 });
            taken.extend(intake.take(messages_max).0);
        }
        let heartbeat = status(100, "Idle Heartbeat", &[("Nats-Last-Consumer", &count.to_string())]);
        is_noticed |= intake.accept(heartbeat).is_err();
        prop_assert_eq!(is_noticed, (1..=count).any(|sequence| lost.contains(&sequence)));
        let offsets: Vec<u64> = taken.iter().map(|message| message.offset).collect();
        prop_assert_eq!(offsets, (1..=taken.len() as u64).collect::<Vec<_>>());
        prop_assert!(intake.ready_bytes() + phase.credit_bytes() > 0);
    }
}
