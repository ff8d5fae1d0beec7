//! Attach: decides if the queue's history is still the committed one, and finds the offset to read from.
//!
//! Owns: the gap before the first message, and the explanation of a halt. The decision is a plain function; a few lines
//! around it query the queue.
//! Does not own: the comparison of the anchor with the queue's messages (`common::queue::history`), the subscription
//! (`fetch`).

use catalog::Gap;
use common::queue::history::{anchor_at, difference_of};
use common::queue::{Bounds, Omits, memory};
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
        /// The offsets that the queue lacks by its own settings.
        omits: Option<Omits>,
    },
    /// The queue's history is not the committed one.
    Regressed(String),
}

/// Compares `anchor`, the last message read or committed, with the queue; `position` is the offset after it. Nothing
/// below `start` is read.
pub(crate) async fn attach(
    queue: &dyn Queue,
    partition: &TopicPartition,
    position: u64,
    anchor: Option<Anchor>,
    start: u64,
) -> Result<Attach, QueueError> {
    let bounds = queue.bounds(partition).await?;
    let held = match anchor {
        Some(anchor) => anchor_at(queue, partition, &bounds, anchor.offset).await?,
        None => None,
    };
    Ok(match decide(partition, &bounds, position, anchor, held) {
        Attach::From { offset, .. } if offset < start => begin_at(partition, &bounds, position, start),
        decided => decided,
    })
}

/// Begins at `start`, as an operator chose, which is above the position and the first message held.
fn begin_at(partition: &TopicPartition, bounds: &Bounds, position: u64, start: u64) -> Attach {
    if start > bounds.next_offset {
        let end = bounds.next_offset;
        let what = format!("the queue's next message gets offset {end}, but reading was to begin at offset {start}");
        return Attach::Regressed(regressed(partition, bounds, &what));
    }
    Attach::From {
        offset: start,
        gap: OffsetRange::until(position.max(1), start).map(Gap::skipped),
        queue_end: bounds.next_offset,
        omits: bounds.omits,
    }
}

fn decide(
    partition: &TopicPartition,
    bounds: &Bounds,
    position: u64,
    anchor: Option<Anchor>,
    held: Option<Anchor>,
) -> Attach {
    let anchor = anchor.filter(|_| !mutation::is_off("attach.anchor"));
    if let Some(what) = anchor.and_then(|anchor| difference_of(bounds, anchor, held)) {
        return Attach::Regressed(regressed(partition, bounds, &what));
    }
    if position > bounds.next_offset {
        // Also without an anchor, as after a resume: new messages below the position would be skipped.
        let (end, first) = (bounds.next_offset, position);
        let what = format!("the queue's next message gets offset {end}, but reading is to go on at offset {first}");
        return Attach::Regressed(regressed(partition, bounds, &what));
    }
    Attach::From {
        offset: position.max(bounds.first_offset),
        gap: missing_before(bounds, position),
        queue_end: bounds.next_offset,
        omits: bounds.omits,
    }
}

/// The whole explanation of a halt, for an operator who does not know the term attach.
fn regressed(partition: &TopicPartition, bounds: &Bounds, what: &str) -> String {
    let shown = if bounds.history.is_empty() { String::new() } else { format!(" ({})", bounds.history) };
    // A topic's name may hold blanks and quotes, and the command is meant for copying.
    let topic = partition.topic.as_str();
    let is_plain = topic.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let topic = if is_plain { topic.to_owned() } else { format!("'{}'", topic.replace('\'', r"'\''")) };
    let id = partition.partition_id;
    if bounds.history.starts_with(memory::HISTORY) {
        return format!(
            "{what}{shown}. This queue is in the memory of one process, and another process with a queue of its own committed \
             to the partition: the same offsets are of different messages. All committed rows stay as they are. End the other \
             process, or use QUEUE_TYPE=nats; then begin a new history beside the old rows, with what this process still \
             holds: siltstone topic resume {topic} --partition {id}"
        );
    }
    format!(
        "{what}{shown}. The stream was deleted and made again, or restored from an older copy, or a process with another \
         queue (QUEUE_TYPE) committed to the partition, so that its offsets no longer mean what the catalog knows. All \
         committed rows stay as they are. Restore the stream it was, if it is another one, or read this one as a new history \
         beside the old rows: siltstone topic resume {topic} --partition {id}"
    )
}

/// What lies between the position and the first message held. Offset 0 alone is never missing: JetStream counts
/// from 1.
fn missing_before(bounds: &Bounds, position: u64) -> Option<Gap> {
    let base_offset = position.max(1);
    if mutation::is_off("fetch.gaps") {
        return None;
    }
    let range = OffsetRange::until(base_offset, bounds.first_offset)?;
    gap(range, bounds.omits, "discarded by the queue before the writer came: purged, deleted, or beyond its limits")
}

/// The gap that missing offsets are, if they are one: `lost` says why, where they are not missing by the queue's settings.
pub(crate) fn gap(range: OffsetRange, omits: Option<Omits>, lost: &str) -> Option<Gap> {
    match omits {
        Some(Omits::Older(kept_per_subject)) => Some(Gap::compacted(range, kept_per_subject)),
        Some(Omits::OtherSubjects) => None,
        None => Some(Gap::lost(range, lost)),
    }
}

#[cfg(test)]
mod tests;
