//! Checks of hot tails, as readers got them.
//!
//! Owns: that a tail has every record from the watermark to its end once, in the queue's rows or in those that were committed
//! since, and all of one history: that of the commits below it.
//! Does not own: reading the tail (`world::readers`), the rows below the watermark (`commits`).
//!
//! Outside the promise: commits that a lagging server never received, and a loss of the stream's tail that nobody can
//! notice, because the stream has discarded the message to compare since.

use std::collections::BTreeMap;

use catalog::Partition;
use common::{Incarnation, OffsetRange, TopicPartition};
use lake::tail::TailEnd;

use super::{Inner, Oracle, Violation, broken};
use crate::rows::{self, PlacedRows};

/// The histories that agreed with the commits at one moment.
#[derive(Clone, Debug)]
pub struct Agreed {
    agreeing: BTreeMap<(TopicPartition, Incarnation), Vec<usize>>,
    begun: BTreeMap<(TopicPartition, Incarnation), usize>,
    failovers: u64,
}

/// A tail that was read to its end.
#[derive(Debug)]
pub struct TailSeen {
    partition: TopicPartition,
    incarnation: Incarnation,
    from: u64,
    /// Exclusive.
    to: u64,
    /// Rows from the queue.
    pub rows: PlacedRows,
    /// Offsets whose rows were committed since the snapshot.
    pub committed: Vec<OffsetRange>,
}

impl TailSeen {
    /// Nothing of the tail between the watermark of `partition` and `end` yet.
    pub fn new(partition: &Partition, end: &TailEnd) -> Self {
        Self {
            partition: TopicPartition::new(partition.topic.clone(), partition.partition_id),
            incarnation: partition.incarnation,
            from: end.first_offset,
            to: end.next_offset,
            rows: PlacedRows::new(),
            committed: Vec::new(),
        }
    }
}

impl Oracle {
    /// The histories that agree with the commits so far.
    pub fn agreed(&self) -> Agreed {
        let inner = self.lock();
        let view = &inner.view;
        Agreed { agreeing: view.agreeing.clone(), begun: view.begun.clone(), failovers: inner.failovers }
    }

    /// A reader read a tail behind a snapshot that is not older than `agreed`.
    pub fn tail_was_read(&self, agreed: &Agreed, seen: &TailSeen) {
        let mut inner = self.lock();
        if agreed.failovers != inner.failovers {
            return;
        }
        inner.figures.tails += 1;
        inner.figures.seams += u64::from(!seen.committed.is_empty());
        if let Err(violation) = inner.tail_holds(agreed, seen) {
            inner.broken(violation.invariant, violation.found);
        }
    }
}

impl Inner {
    /// 22: it is a part of one history, that of the commits.
    fn tail_holds(&self, agreed: &Agreed, seen: &TailSeen) -> Result<(), Violation> {
        let TailSeen { partition, incarnation, from, to, .. } = seen;
        let key = (partition.clone(), *incarnation);
        let what = format!("the tail of {partition} in incarnation {incarnation} from {from} to {to}");
        let watermark = self.view.watermarks.get(&key).copied().unwrap_or_default();
        if let Some(range) = seen.committed.iter().find(|range| range.next() > watermark) {
            return broken(22, format!("{what} takes {range:?} for committed, and the watermark is {watermark}"));
        }
        let histories = self.histories.of(partition);
        let begun = agreed.begun.get(&key).copied().unwrap_or_default();
        let of_commits =
            agreed.agreeing.get(&key).cloned().unwrap_or_else(|| (begun..histories.len().max(1)).collect());
        // A later history goes on where the stream lost only what is above the watermark.
        let goes_on = |number: usize| {
            let lost = |of: &usize| {
                let later = histories.iter().take(number + 1).skip(of + 1);
                later.map(|history| history.same_until).min().is_some_and(|same_until| same_until + 1 < *from)
            };
            of_commits.iter().any(|of| *of <= number && !lost(of))
        };
        let mut findings = Vec::new();
        for number in (0..histories.len()).filter(|number| goes_on(*number)) {
            match self.difference(number, seen) {
                None => return Ok(()),
                Some(finding) => findings.push(format!("history {number}: {finding}")),
            }
        }
        if histories.is_empty() && seen.rows.is_empty() || self.is_loss_unnoticeable(seen) {
            return Ok(());
        }
        broken(22, format!("{what} is of no history of its commits: {findings:?}"))
    }

    /// The first difference between the tail and this history.
    fn difference(&self, number: usize, seen: &TailSeen) -> Option<String> {
        let history = &self.histories.of(&seen.partition)[number];
        let (partition_id, incarnation) = (seen.partition.partition_id, seen.incarnation.0);
        let outside = seen.rows.keys().find(|place| !(seen.from..seen.to).contains(&place.offset));
        if let Some(place) = outside {
            return Some(format!("{place:?} is outside"));
        }
        for offset in seen.from..seen.to {
            let range = OffsetRange::new(offset, offset).expect("one offset");
            let found: Vec<_> =
                seen.rows.range(rows::range(partition_id, incarnation, range)).map(|(_, row)| row).collect();
            let is_committed = seen.committed.iter().any(|range| range.contains(offset));
            let known = history.messages.get(&offset);
            let is_right = match (found.is_empty(), is_committed) {
                (false, true) => false,
                (true, true) => true,
                (true, false) => known.is_none_or(|known| known.is_removed),
                (false, false) => known.is_some_and(|known| known.rows.iter().eq(found.iter().copied())),
            };
            if !is_right {
                return Some(format!("offset {offset} has rows {found:?}, committed {is_committed}, known {known:?}"));
            }
        }
        None
    }

    /// True if the stream lost a tail, and has discarded a message since that might have shown it.
    fn is_loss_unnoticeable(&self, seen: &TailSeen) -> bool {
        let histories = self.histories.of(&seen.partition);
        let lost_some = histories.iter().skip(1).any(|history| !history.is_recreated);
        let mut compared = histories.iter().flat_map(|history| history.messages.range(seen.from.saturating_sub(1)..));
        lost_some && compared.any(|(_, known)| known.is_removed)
    }
}
