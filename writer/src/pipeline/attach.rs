//! Attach: decides if the queue's history is still the committed one, and finds the offset to read from.
//!
//! Owns: the comparison of the anchor with the queue's messages, and the gap before the first message.
//! The decision is a plain function; a few lines around it query the queue.
//! Does not own: the subscription (`fetch`).

use catalog::Gap;
use chrono::{DateTime, SecondsFormat};
use common::queue::Bounds;
use common::{Anchor, OffsetRange, Queue, QueueError, TopicPartition, mutation};

/// The outcome of attaching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    /// Read from this offset, after recording the gap, if any.
    From {
        /// First offset to read.
        offset: u64,
        /// Offsets that the queue no longer holds.
        gap: Option<Gap>,
        /// Offset that the queue's next message will get.
        queue_end: u64,
    },
    /// The queue's history is not the committed one.
    Regressed(String),
}

/// Compares `anchor`, the last message read or committed, with the queue; `position` is the offset after it.
pub(crate) async fn attach(
    queue: &dyn Queue,
    partition: &TopicPartition,
    position: u64,
    anchor: Option<Anchor>,
) -> Result<Attach, QueueError> {
    let bounds = queue.bounds(partition).await?;
    let held = match anchor {
        Some(anchor) => anchor_at(queue, partition, &bounds, anchor.offset).await?,
        None => None,
    };
    Ok(decide(partition, &bounds, position, anchor, held))
}

/// The anchor of the queue's message at `offset`, if it holds one.
pub(crate) async fn anchor_at(
    queue: &dyn Queue,
    partition: &TopicPartition,
    bounds: &Bounds,
    offset: u64,
) -> Result<Option<Anchor>, QueueError> {
    if !(bounds.first_offset..bounds.next_offset).contains(&offset) {
        return Ok(None);
    }
    let held = queue.read(partition, offset, offset + 1).await?;
    Ok(held.first().map(Anchor::of))
}

fn decide(
    partition: &TopicPartition,
    bounds: &Bounds,
    position: u64,
    anchor: Option<Anchor>,
    held: Option<Anchor>,
) -> Attach {
    if let Some(anchor) = anchor.filter(|_| !mutation::is_off("attach.anchor")) {
        let offset = anchor.offset;
        if bounds.next_offset <= offset {
            let what = match bounds.next_offset.checked_sub(1) {
                Some(last) if last > 0 => {
                    format!("the queue now ends at offset {last}, but offset {offset} was read before")
                }
                _ => format!("the queue is now empty and counts from the start, but offset {offset} was read before"),
            };
            return Attach::Regressed(regressed(partition, bounds, &what));
        }
        if let Some(found) = held.filter(|found| *found != anchor) {
            let what = format!(
                "the message at offset {offset} is not the one that was read before (stored at {} then, at {} now)",
                time(anchor.timestamp_us),
                time(found.timestamp_us)
            );
            return Attach::Regressed(regressed(partition, bounds, &what));
        }
        if held.is_none() && bounds.created_us.is_some_and(|created_us| created_us > anchor.timestamp_us) {
            let what = format!(
                "the stream was made after the message at offset {offset} was stored (at {}), and no longer holds what came \
                 in its place",
                time(anchor.timestamp_us)
            );
            return Attach::Regressed(regressed(partition, bounds, &what));
        }
    }
    if position > bounds.next_offset {
        // Also without an anchor, as after a resume: new messages below the position would be skipped.
        let (end, first) = (bounds.next_offset, position);
        let what = format!("the queue's next message gets offset {end}, but reading is to go on at offset {first}");
        return Attach::Regressed(regressed(partition, bounds, &what));
    }
    let gap = missing_before(bounds.first_offset, position);
    Attach::From { offset: position.max(bounds.first_offset), gap, queue_end: bounds.next_offset }
}

/// The whole explanation of a halt, for an operator who does not know the term attach.
fn regressed(partition: &TopicPartition, bounds: &Bounds, what: &str) -> String {
    let shown = if bounds.history.is_empty() { String::new() } else { format!(" ({})", bounds.history) };
    // A topic's name may hold blanks and quotes, and the command is meant for copying.
    let topic = partition.topic.as_str();
    let is_plain = topic.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let topic = if is_plain { topic.to_owned() } else { format!("'{}'", topic.replace('\'', r"'\''")) };
    format!(
        "{what}{shown}. The stream was deleted and made again, or restored from an older copy, so that its offsets no \
         longer mean what the catalog knows. All committed rows stay as they are. Restore the stream it was, or read \
         this one as a new history beside the old rows: siltstone topic resume {topic} --partition {}",
        partition.partition_id
    )
}

fn time(timestamp_us: i64) -> String {
    let time = DateTime::from_timestamp_micros(timestamp_us);
    time.map_or_else(|| format!("{timestamp_us} us"), |time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// The gap between the position and the first message held. Offset 0 alone is never missing: JetStream counts from 1.
fn missing_before(first_offset: u64, position: u64) -> Option<Gap> {
    let base_offset = position.max(1);
    if mutation::is_off("fetch.gaps") {
        return None;
    }
    OffsetRange::until(base_offset, first_offset).map(|range| Gap {
        range,
        reason: "discarded by the queue before the writer came: purged, deleted, or beyond its limits".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use common::{Message, TopicName};

    use super::*;

    fn message(offset: u64, payload: &'static str) -> Message {
        let payload = Bytes::from_static(payload.as_bytes());
        Message { offset, timestamp_us: 7, key: None, headers: vec![], subject: Arc::from("t.0"), payload }
    }

    fn bounds(first_offset: u64, next_offset: u64) -> Bounds {
        let history = "stream t-0 created then".to_owned();
        Bounds { first_offset, next_offset, history, limits: None, created_us: None }
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
        assert_eq!(found, Attach::From { offset: 10, gap: None, queue_end: 20 });
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

    fn at_ten(queue_end: u64) -> Attach {
        Attach::From { offset: 10, gap: None, queue_end }
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
        assert!(
            matches!(shorter, Attach::Regressed(reason) if reason.contains("offset 3, but") && reason.contains("39"))
        );
        assert!(matches!(decide(&bounds(1, 39), 39, None, None), Attach::From { offset: 39, .. }));
    }

    #[test]
    fn a_new_stream_has_no_gap_before_its_first_message() {
        assert_eq!(decide(&bounds(1, 1), 0, None, None), Attach::From { offset: 1, gap: None, queue_end: 1 });
        assert_eq!(decide(&bounds(0, 5), 0, None, None), Attach::From { offset: 0, gap: None, queue_end: 5 });
    }
}
