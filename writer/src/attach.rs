//! Attach: is the queue's history still the one that was committed, and where does reading begin?
//!
//! Owns: the comparison of the anchor with what the queue holds now, and the gap before the first message.
//! The decision is a plain function; asking the queue is a few lines around it.
//! Does not own: the subscription (`fetch`).

use catalog::Gap;
use common::queue::Bounds;
use common::{Anchor, Message, Queue, QueueError, TopicPartition};

/// What attaching found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    /// Read from this offset, after recording the gap, if any.
    From {
        /// First offset to read.
        offset: u64,
        /// What the queue no longer holds.
        gap: Option<Gap>,
        /// Offset that the queue's next message will get.
        queue_end: u64,
    },
    /// The queue's history is not the one that was committed.
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
        Some(anchor) if (bounds.first_offset..bounds.next_offset).contains(&anchor.offset) => {
            queue.read(partition, anchor.offset, anchor.offset + 1).await?.pop()
        }
        _ => None,
    };
    Ok(decide(&bounds, position, anchor, held.as_ref()))
}

fn decide(bounds: &Bounds, position: u64, anchor: Option<Anchor>, held: Option<&Message>) -> Attach {
    if let Some(anchor) = anchor {
        if bounds.next_offset <= anchor.offset {
            return Attach::Regressed(format!(
                "the queue ends at offset {} but offset {} was read before; the stream was deleted and made again, or \
                 restored from an older copy",
                bounds.next_offset, anchor.offset
            ));
        }
        if let Some(found) = held.map(Anchor::of).filter(|found| *found != anchor) {
            return Attach::Regressed(format!(
                "the message at offset {} is not the one that was read before (time {} us then, {} us now); the stream \
                 was deleted and made again, or restored from an older copy",
                anchor.offset, anchor.timestamp_us, found.timestamp_us
            ));
        }
    }
    let gap = missing_before(bounds.first_offset, position);
    Attach::From { offset: position.max(bounds.first_offset), gap, queue_end: bounds.next_offset }
}

/// What lies between the position and the first message held. Offset 0 alone is never missing: JetStream counts
/// from 1.
fn missing_before(first_offset: u64, position: u64) -> Option<Gap> {
    let base_offset = position.max(1);
    (first_offset > base_offset).then(|| Gap {
        base_offset,
        end_offset: first_offset - 1,
        reason: "discarded by the queue before the writer came".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;

    fn message(offset: u64, payload: &'static str) -> Message {
        let payload = Bytes::from_static(payload.as_bytes());
        Message { offset, timestamp_us: 7, key: None, headers: vec![], subject: Arc::from("t.0"), payload }
    }

    fn bounds(first_offset: u64, next_offset: u64) -> Bounds {
        Bounds { first_offset, next_offset, history: String::new() }
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
        assert!(matches!(shorter, Attach::Regressed(reason) if reason.contains("ends at offset 9")));
    }

    #[test]
    fn what_the_queue_discarded_is_a_gap() {
        let anchor = Anchor::of(&message(9, "x"));
        let Attach::From { offset, gap: Some(gap), .. } = decide(&bounds(15, 20), 10, Some(anchor), None) else {
            panic!("a gap")
        };
        assert_eq!((offset, gap.base_offset, gap.end_offset), (15, 10, 14));
    }

    #[test]
    fn a_new_stream_has_no_gap_before_its_first_message() {
        assert_eq!(decide(&bounds(1, 1), 0, None, None), Attach::From { offset: 1, gap: None, queue_end: 1 });
        assert_eq!(decide(&bounds(0, 5), 0, None, None), Attach::From { offset: 0, gap: None, queue_end: 5 });
    }
}
