//! Comparing the queue's history with the one in which a watermark counts, and with an earlier look.
//!
//! Owns: the looks at the queue, at once, and the differences that refuse a tail. Does not own: the rule of one message
//! (`common::queue::history`), the moment of a compare (`QueueTail`).

use catalog::{Partition, PartitionState};
use common::queue::history::difference_of;
use common::queue::{Bounds, Omits};
use common::{Anchor, Queue, QueueError, TopicPartition, mutation};
use futures::future::{join, join_all};
use lake::tail::{TailEnd, TailError};

/// The bounds of the partition's queue, if its history is the one in which the watermark counts and `anchors` were read.
pub(super) async fn compared(
    queue: &dyn Queue,
    of: &TopicPartition,
    partition: &Partition,
    anchors: &[Anchor],
) -> Result<Bounds, TailError> {
    let other = |reason: String| TailError::OtherHistory { partition: of.clone(), reason };
    if mutation::is_off("tail.history") {
        return Ok(queue.bounds(of).await?);
    }
    if partition.state == PartitionState::Halted {
        // The writer saw another history. The queue may have dropped the message since that shows it.
        let reason = partition.halt_reason.as_deref().unwrap_or("no reason is known");
        return Err(other(format!("the partition is halted: {reason}")));
    }
    let looks: Vec<_> = anchors.iter().copied().map(|anchor| held(queue, of, anchor)).collect();
    let (bounds, held) = join(queue.bounds(of), join_all(looks)).await;
    let bounds = bounds?;
    if let Some(Omits::Older(kept)) = bounds.omits {
        let reason = format!(
            "its stream keeps only the last {kept} messages of each subject, so that it may forget one that the writer \
             has read and not yet committed"
        );
        return Err(TailError::Unsupported { partition: of.clone(), reason });
    }
    for (anchor, held) in anchors.iter().zip(held) {
        let is_within = (bounds.first_offset..bounds.next_offset).contains(&anchor.offset);
        let held = if is_within { held? } else { None };
        if let Some(difference) = difference_of(&bounds, *anchor, held) {
            return Err(other(difference));
        }
    }
    let (end, watermark) = (bounds.next_offset, partition.high_watermark);
    if watermark > end {
        // Also without an anchor, as after a resume.
        return Err(other(format!(
            "the queue's next message gets offset {end}, but everything below {watermark} is committed"
        )));
    }
    Ok(bounds)
}

/// The anchor of the message that the queue has at the offset of `anchor`.
pub(super) async fn held(queue: &dyn Queue, of: &TopicPartition, anchor: Anchor) -> Result<Option<Anchor>, QueueError> {
    let held = queue.read(of, anchor.offset, anchor.offset + 1).await?;
    Ok(held.first().map(Anchor::of))
}

/// Refuses messages that were read in another history than that of the earlier look.
pub(super) fn check_same(of: &TopicPartition, end: &TailEnd, now: &Bounds) -> Result<(), TailError> {
    let other = |reason: String| Err(TailError::OtherHistory { partition: of.clone(), reason });
    if mutation::is_off("tail.history") {
        return Ok(());
    }
    if end.history != now.history {
        let (then, now) = (&end.history, &now.history);
        return other(format!("the queue was \"{then}\" when the reader looked first, and is \"{now}\" now"));
    }
    if now.next_offset < end.next_offset {
        let (then, now) = (end.next_offset, now.next_offset);
        return other(format!("the queue went back: its next message got offset {then}, and gets offset {now} now"));
    }
    Ok(())
}
