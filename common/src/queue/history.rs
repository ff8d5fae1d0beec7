//! History: compares the last known message of a partition with its queue as it is now.
//!
//! Owns: the comparison, as a plain rule, and reading the message to compare.
//! Does not own: the consequence of a difference (the writer's `attach`, `ingester::Commits`).

use chrono::{DateTime, SecondsFormat};

use super::{Bounds, Queue, QueueError};
use crate::anchor::Anchor;
use crate::ids::TopicPartition;

/// The anchor of the queue's message at `offset`, if it holds one.
///
/// # Errors
/// Those of the queue.
pub async fn anchor_at(
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

/// The difference between the queue's history and the one in which `anchor` is a message; `None` if there is none to be
/// seen. `held` is what the queue holds at the anchor's offset: a queue that no longer holds the message may still be the
/// same one.
pub fn difference_of(bounds: &Bounds, anchor: Anchor, held: Option<Anchor>) -> Option<String> {
    let offset = anchor.offset;
    if bounds.next_offset <= offset {
        return Some(match bounds.next_offset.checked_sub(1) {
            Some(last) if last > 0 => {
                format!("the queue now ends at offset {last}, but offset {offset} was read before")
            }
            _ => format!("the queue is now empty and counts from the start, but offset {offset} was read before"),
        });
    }
    if let Some(found) = held.filter(|found| *found != anchor) {
        return Some(format!(
            "the message at offset {offset} is not the one that was read before (stored at {} then, at {} now)",
            time(anchor.timestamp_us),
            time(found.timestamp_us)
        ));
    }
    if held.is_none() && bounds.created_us.is_some_and(|created_us| created_us > anchor.timestamp_us) {
        return Some(format!(
            "the stream was made after the message at offset {offset} was stored (at {}), and no longer holds what came \
             in its place",
            time(anchor.timestamp_us)
        ));
    }
    None
}

fn time(timestamp_us: i64) -> String {
    let time = DateTime::from_timestamp_micros(timestamp_us);
    time.map_or_else(|| format!("{timestamp_us} us"), |time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
}
