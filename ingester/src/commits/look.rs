//! A look: one reading of the catalog on behalf of all who wait for a partition.
//!
//! Owns: the order of the readings, and the answers that follow from them.
//! Does not own: who waits (`places`), when to look (`pace`), the rows of partitions (`rows`).
//!
//! The order matters: the exceptions are read after the watermark was seen above the offsets, and the queue's history is
//! compared last, with the anchor of that reading.

use std::collections::{BTreeMap, BTreeSet};

use catalog::{Exceptions, Partition, PartitionState, SegmentInfo};
use common::queue::history::{anchor_at, difference_of};
use common::{OffsetRange, QueueError, TopicPartition, mutation};
use lake::Storage;
use lake::quarantine::{QuarantineReader, QuarantinedRecord};

use super::error::WaitError;
use super::found::{Answers, Found, Shown, Trouble};
use super::places::{Place, is_below};
use super::{Commits, Fate};

/// Most offsets from the first to the last that one reading answers; the next look goes on behind them.
const SPAN_MAX: u64 = 65_536;

/// Quarantined records that are decoded before other tasks get their turn.
const RECORDS_AT_ONCE: usize = 256;

/// The queue's history, compared with the committed one.
struct Compared {
    /// The queue's description of its history.
    history: Option<String>,
    difference: Option<String>,
}

impl Commits {
    /// Looks at the partition, and shows what it found.
    pub(super) async fn look(&self, place: &Place) {
        let look = place.begin_look();
        let found = match self.row(&place.partition).await {
            Ok(Some(row)) => self.settle(place, row).await,
            Ok(None) => Ok(Found::Gone.into()),
            Err(error) => Err(error),
        };
        match found {
            Ok(shown) => place.show(look, shown),
            Err(error) => match Trouble::is_of(&error) {
                Some(trouble) => place.show_trouble(trouble),
                None => place.show(look, Found::Failed(error).into()),
            },
        }
    }

    /// The answers for the offsets below the watermark of `row`.
    async fn settle(&self, place: &Place, row: Partition) -> catalog::Result<Shown> {
        let (partition, due) = (&place.partition, place.due(&row));
        let (Some(first), Some(last)) = (due.first(), due.last()) else { return Ok(Found::Row(Box::new(row)).into()) };
        let end = (*last).min(first.saturating_add(SPAN_MAX - 1));
        let span = OffsetRange::new(*first, end).expect("the first is not behind the last");
        let Some(exceptions) = self.catalog.exceptions(partition, span).await? else { return Ok(Found::Gone.into()) };
        let now = &exceptions.partition;
        let shown = Shown::from(Found::Row(Box::new(now.clone())));
        if (now.created_at, now.incarnation) != (row.created_at, row.incarnation) {
            return Ok(shown);
        }
        // A replica that lags behind the one that answered before knows less.
        let is_settled = |offset: &u64| span.contains(*offset) && is_below(*offset, now.high_watermark);
        let due: BTreeSet<u64> = due.into_iter().filter(is_settled).collect();
        let Compared { history, difference } = match self.compare(partition, now).await {
            Ok(compared) => compared,
            Err(trouble) => return Ok(Shown { trouble: Some(trouble), ..shown }),
        };
        if let Some(reason) = difference {
            let other = |offset: u64| {
                let (partition, reason) = (partition.clone(), reason.clone());
                (offset, Err(WaitError::OtherHistory { partition, offset, reason }))
            };
            return Ok(Shown { answers: due.into_iter().map(other).collect(), history, ..shown });
        }
        let (answers, trouble) = self.fates(partition, &exceptions, due).await;
        Ok(Shown { answers, history, trouble, ..shown })
    }

    /// Compares the queue's history with that of the last committed message.
    async fn compare(&self, partition: &TopicPartition, now: &Partition) -> Result<Compared, Trouble> {
        let other = |difference: String| Ok(Compared { history: None, difference: Some(difference) });
        if now.state == PartitionState::Halted {
            // The writer saw another history. The queue may have discarded the message since that shows it.
            return other(format!(
                "the partition is halted: {}",
                now.halt_reason.as_deref().unwrap_or("no reason is known")
            ));
        }
        let Some(anchor) = now.anchor else {
            return other("nothing of the queue's history is committed in this incarnation".to_owned());
        };
        let Some(queue) = &self.queue else { return Ok(Compared { history: None, difference: None }) };
        let unavailable = |error: QueueError| {
            Trouble::Unavailable(format!("the queue does not say if its history is still the committed one: {error}"))
        };
        let bounds = queue.bounds(partition).await.map_err(unavailable)?;
        let held = anchor_at(queue.as_ref(), partition, &bounds, anchor.offset).await.map_err(unavailable)?;
        let difference = difference_of(&bounds, anchor, held).filter(|_| !mutation::is_off("commits.history"));
        Ok(Compared { history: Some(bounds.history), difference })
    }

    /// The fates of offsets that are below the watermark.
    async fn fates(
        &self,
        partition: &TopicPartition,
        found: &Exceptions,
        due: BTreeSet<u64>,
    ) -> (Answers, Option<Trouble>) {
        let mut answers: Answers = BTreeMap::new();
        let mut suspects: BTreeSet<u64> = BTreeSet::new();
        for offset in due {
            let gap = holding(&found.gaps, offset, |gap| gap.range);
            let partition = partition.clone();
            if offset < found.start_offset {
                let reason = format!("incarnation {} begins behind it", found.partition.incarnation);
                answers.insert(offset, Err(WaitError::OtherHistory { partition, offset, reason }));
            } else if let Some(gap) = gap {
                answers.insert(offset, Err(WaitError::Lost { partition, offset, reason: gap.reason.clone() }));
            } else if offset < found.expired_before {
                let reason = "retention has taken its batch off the list".to_owned();
                answers.insert(offset, Err(WaitError::QuarantineUnread { partition, offset, reason }));
            } else if holding(&found.quarantine, offset, |segment| segment.range).is_some() {
                suspects.insert(offset);
            } else {
                answers.insert(offset, Ok(Fate::Committed));
            }
        }
        if suspects.is_empty() {
            return (answers, None);
        }
        let Some(storage) = &self.storage else {
            let unread = |offset: u64| WaitError::QuarantineUnread {
                partition: partition.clone(),
                offset,
                reason: "this process was given no object store to read it from".to_owned(),
            };
            answers.extend(suspects.into_iter().map(|offset| (offset, Err(unread(offset)))));
            return (answers, None);
        };
        let mut reasons: BTreeMap<u64, String> = BTreeMap::new();
        let first = |record: QuarantinedRecord| {
            reasons.entry(record.origin.offset).or_insert(record.reason);
        };
        match read_quarantined(storage, &found.quarantine, &suspects, first).await {
            Ok(()) => {
                answers.extend(suspects.into_iter().map(|offset| {
                    let fate = reasons.remove(&offset).map(|reason| Fate::Quarantined { reason });
                    (offset, Ok(fate.unwrap_or(Fate::Committed)))
                }));
                (answers, None)
            }
            // The object may have been replaced since the list was read.
            Err(error) => (answers, Some(Trouble::Quarantine(error.to_string()))),
        }
    }
}

/// The one that holds the offset; they are in order and do not overlap.
fn holding<T>(of: &[T], offset: u64, range: impl Fn(&T) -> OffsetRange) -> Option<&T> {
    let first = of.partition_point(|one| range(one).end() < offset);
    of.get(first).filter(|one| range(one).contains(offset))
}

/// Shows `see` the quarantined records of the segments that hold one of the offsets, in order.
pub(super) async fn read_quarantined(
    storage: &Storage,
    segments: &[SegmentInfo],
    offsets: &BTreeSet<u64>,
    mut see: impl FnMut(QuarantinedRecord),
) -> lake::Result<()> {
    for segment in segments {
        if !offsets.iter().any(|offset| segment.range.contains(*offset)) {
            continue;
        }
        for (count, record) in QuarantineReader::open(storage, segment).await?.enumerate() {
            let record = record?;
            if offsets.contains(&record.origin.offset) {
                see(record);
            }
            if count % RECORDS_AT_ONCE == RECORDS_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(())
}
