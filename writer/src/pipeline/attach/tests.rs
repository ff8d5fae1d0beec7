//! Attaching to histories of every kind.

use std::sync::Arc;

use bytes::Bytes;
use catalog::GapKind;
use common::{Message, TopicName};

use super::*;

fn message(offset: u64, payload: &'static str) -> Message {
    let payload = Bytes::from_static(payload.as_bytes());
    Message {
        offset,
        timestamp_us: 7,
        key: None,
        headers: vec![],
        subject: Arc::from("t.0"),
        payload,
        is_awaited: false,
    }
}

fn bounds(first_offset: u64, next_offset: u64) -> Bounds {
    let history = "stream t-0 created then".to_owned();
    Bounds { first_offset, next_offset, history, limits: None, created_us: None, duplicate_window: None, omits: None }
}

fn decide(bounds: &Bounds, position: u64, anchor: Option<Anchor>, held: Option<&Message>) -> Attach {
    super::decide(&partition("orders"), bounds, position, anchor, held.map(Anchor::of))
}

fn partition(topic: &str) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).expect("valid"), 3)
}

#[test]
fn the_same_history_goes_on_where_it_stopped() {
    let last = message(9, "x");
    let found = decide(&bounds(1, 20), 10, Some(Anchor::of(&last)), Some(&last));
    assert_eq!(found, at_ten(20));
}

#[test]
fn another_history_is_a_halt() {
    let anchor = Anchor::of(&message(9, "x"));
    let changed = decide(&bounds(1, 20), 10, Some(anchor), Some(&message(9, "y")));
    assert!(matches!(changed, Attach::Regressed(reason) if reason.contains("offset 9")));
    let shorter = decide(&bounds(1, 9), 10, Some(anchor), None);
    assert!(matches!(shorter, Attach::Regressed(reason) if reason.contains("ends at offset 8")));
    let empty = decide(&bounds(1, 1), 10, Some(anchor), None);
    assert!(matches!(empty, Attach::Regressed(reason) if reason.contains("is now empty")));
}

#[test]
fn a_halt_says_what_happened_and_the_one_command_to_go_on() {
    let anchor = Anchor::of(&message(9, "x"));
    for (topic, command) in [
        ("orders", "siltstone topic resume orders --partition 3"),
        ("my orders", "siltstone topic resume 'my orders' --partition 3"),
        ("o'clock", r"siltstone topic resume 'o'\''clock' --partition 3"),
    ] {
        let halted =
            super::decide(&partition(topic), &bounds(1, 20), 10, Some(anchor), Some(Anchor::of(&message(9, "y"))));
        let Attach::Regressed(reason) = halted else { panic!("another message") };
        assert!(reason.ends_with(command), "{reason}");
        assert!(reason.contains("stream t-0 created then") && reason.contains("1970-01-01T00:00:00.000007Z"));
    }
}

#[test]
fn a_halt_over_a_queue_in_memory_names_the_other_process() {
    let here = Bounds { history: format!("{}1", memory::HISTORY), ..bounds(1, 20) };
    let halted = decide(&here, 10, Some(Anchor::of(&message(9, "x"))), Some(&message(9, "y")));
    let Attach::Regressed(reason) = halted else { panic!("another message") };
    assert!(reason.contains("(memory 1)") && reason.contains("another process"), "{reason}");
    assert!(reason.contains("siltstone topic resume") && !reason.contains("Restore the stream"), "{reason}");
}

fn at_ten(queue_end: u64) -> Attach {
    Attach::From { offset: 10, gap: None, queue_end, omits: None }
}

#[test]
fn another_creation_time_alone_proves_nothing() {
    let last = message(9, "x");
    let again = Bounds { history: "stream t-0 created later".to_owned(), ..bounds(1, 20) };
    assert_eq!(decide(&again, 10, Some(Anchor::of(&last)), Some(&last)), at_ten(20));
}

#[test]
fn an_anchor_that_was_acked_away_is_no_other_history() {
    let anchor = Anchor::of(&message(9, "x"));
    assert_eq!(decide(&bounds(10, 20), 10, Some(anchor), None), at_ten(20));
    assert_eq!(decide(&bounds(10, 10), 10, Some(anchor), None), at_ten(10));
    let lost_ack = decide(&bounds(4, 20), 10, Some(anchor), None);
    assert_eq!(lost_ack, at_ten(20), "an earlier message waits for its ack");
}

#[test]
fn a_stream_made_after_the_anchor_is_another_history_even_when_the_anchor_is_gone() {
    let anchor = Anchor::of(&message(9, "x"));
    let made = |created_us| Bounds { created_us: Some(created_us), ..bounds(15, 20) };
    let later = decide(&made(anchor.timestamp_us + 1), 10, Some(anchor), None);
    assert!(matches!(later, Attach::Regressed(reason) if reason.contains("made again")));
    assert!(matches!(decide(&made(anchor.timestamp_us), 10, Some(anchor), None), Attach::From { .. }));
}

#[test]
fn what_the_queue_discarded_is_a_gap() {
    let anchor = Anchor::of(&message(9, "x"));
    let Attach::From { offset, gap: Some(gap), .. } = decide(&bounds(15, 20), 10, Some(anchor), None) else {
        panic!("a gap")
    };
    assert_eq!((offset, gap.range.base(), gap.range.end()), (15, 10, 14));
}

#[test]
fn a_queue_that_ends_before_the_position_is_another_history_even_without_an_anchor() {
    let shorter = decide(&bounds(1, 3), 39, None, None);
    assert!(matches!(shorter, Attach::Regressed(reason) if reason.contains("offset 3, but") && reason.contains("39")));
    assert!(matches!(decide(&bounds(1, 39), 39, None, None), Attach::From { offset: 39, .. }));
}

#[test]
fn a_new_stream_has_no_gap_before_its_first_message() {
    let from = |offset, queue_end| Attach::From { offset, gap: None, queue_end, omits: None };
    assert_eq!(decide(&bounds(1, 1), 0, None, None), from(1, 1));
    assert_eq!(decide(&bounds(0, 5), 0, None, None), from(0, 5));
}

#[test]
fn what_a_queue_is_meant_to_forget_is_a_gap_of_its_own_kind() {
    let compacted = Bounds { omits: Some(Omits::Older(1)), ..bounds(15, 20) };
    let Attach::From { gap: Some(gap), .. } = decide(&compacted, 0, None, None) else { panic!("a gap") };
    assert_eq!((gap.kind, gap.range.base(), gap.range.end()), (GapKind::Compacted, 1, 14));
    let part = Bounds { omits: Some(Omits::OtherSubjects), ..bounds(15, 20) };
    assert!(matches!(decide(&part, 0, None, None), Attach::From { offset: 15, gap: None, .. }));
}

#[test]
fn a_chosen_beginning_skips_what_is_held_before_it() {
    let Attach::From { offset, gap: Some(gap), .. } = begin_at(&partition("orders"), &bounds(4, 20), 0, 20) else {
        panic!("a gap")
    };
    assert_eq!((offset, gap.kind, gap.range.base(), gap.range.end()), (20, GapKind::Skipped, 1, 19));
    let first = begin_at(&partition("orders"), &bounds(1, 1), 0, 1);
    assert!(matches!(first, Attach::From { offset: 1, gap: None, .. }), "{first:?}");
    let recreated = begin_at(&partition("orders"), &bounds(1, 6), 0, 20);
    assert!(matches!(recreated, Attach::Regressed(reason) if reason.contains("was to begin at offset 20")));
}
