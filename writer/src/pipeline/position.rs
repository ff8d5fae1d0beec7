//! Position: the place of reading in one partition's queue. Pure.
//!
//! Owns: advancing over a delivery, and finding the offsets that are missing before and in it.
//! Does not own: the gap found by attaching (`attach`), reading (`fetch`).

use catalog::{Gap, Ownership};
use common::queue::{Delivery, Omits};
use common::{Anchor, OffsetRange, mutation};

use crate::pipeline::assemble::Fetched;
use crate::pipeline::attach::gap;

/// The place of reading in the queue.
#[derive(Debug)]
pub(crate) struct Position {
    /// Offset after the last message read.
    pub(crate) next_offset: u64,
    /// The last message read.
    pub(crate) last_read: Option<Anchor>,
    /// Offsets missing before the next message, found when attaching.
    pub(crate) gap: Option<Gap>,
    /// The offsets that the queue lacks by its own settings.
    pub(crate) omits: Option<Omits>,
    /// Every offset of the queue belongs to this partition, so that a missing one is a loss and no filter's work.
    dense: bool,
}

impl Position {
    /// The position at which a partition's owner starts.
    pub(crate) fn of(held: &Ownership, dense: bool) -> Self {
        Self { next_offset: held.high_watermark, last_read: held.anchor, gap: None, omits: None, dense }
    }

    /// Advances over `delivery` and finds the offsets that are missing before and in it.
    pub(crate) fn advance(&mut self, delivery: Delivery) -> Fetched {
        let mut gaps: Vec<Gap> = self.gap.take().into_iter().collect();
        // JetStream counts from 1, so offset 0 alone is never missing.
        let mut expected = gaps.first().map_or(self.next_offset, |gap| gap.range.next()).max(1);
        for message in &delivery.messages {
            // A message read twice would be stored twice.
            assert!(message.offset >= self.next_offset, "the queue delivers in order, each message once");
            let missing = OffsetRange::until(expected, message.offset);
            if let Some(range) = missing.filter(|_| self.dense && !mutation::is_off("fetch.gaps")) {
                gaps.extend(gap(range, self.omits, "deleted in the queue before the writer came"));
            }
            expected = message.offset + 1;
            self.next_offset = expected;
        }
        if let Some(last) = delivery.messages.last() {
            self.last_read = Some(Anchor::of(last));
        }
        Fetched { delivery, gaps }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use catalog::GapKind;
    use common::Message;
    use common::memory::MemoryBudget;

    use super::*;

    fn delivery(offsets: &[u64]) -> Delivery {
        let message = |offset: &u64| Message {
            offset: *offset,
            timestamp_us: 0,
            key: None,
            headers: vec![],
            subject: Arc::from("t.0"),
            payload: Bytes::new(),
            is_awaited: false,
        };
        let memory = MemoryBudget::new(100).try_acquire(10).expect("free");
        Delivery { messages: offsets.iter().map(message).collect(), memory }
    }

    fn gaps(position: u64, dense: bool, before: Option<(u64, u64)>, offsets: &[u64]) -> Vec<(u64, u64)> {
        let before = before.and_then(|(base, end)| OffsetRange::new(base, end));
        let before = before.map(|range| Gap::lost(range, ""));
        let mut position = Position { next_offset: position, last_read: None, gap: before, omits: None, dense };
        let fetched = position.advance(delivery(offsets));
        assert_eq!(position.next_offset, offsets.last().expect("some") + 1);
        assert_eq!(position.last_read.map(|anchor| anchor.offset), offsets.last().copied());
        assert_eq!(position.gap, None, "a gap is handed on once");
        fetched.gaps.iter().map(|gap| (gap.range.base(), gap.range.end())).collect()
    }

    #[test]
    fn missing_offsets_of_a_dense_stream_are_gaps() {
        assert_eq!(gaps(5, true, None, &[5, 6, 9, 10]), [(7, 8)]);
        assert_eq!(gaps(5, true, Some((5, 7)), &[8, 9]), [(5, 7)]);
        assert_eq!(gaps(5, true, Some((5, 7)), &[9]), [(5, 7), (8, 8)]);
        assert_eq!(gaps(0, true, None, &[1, 2]), [], "JetStream counts from 1");
        assert_eq!(gaps(0, true, None, &[0, 1]), []);
    }

    #[test]
    fn holes_of_a_stream_that_forgets_are_compaction() {
        let mut position =
            Position { next_offset: 5, last_read: None, gap: None, omits: Some(Omits::Older(3)), dense: true };
        let fetched = position.advance(delivery(&[6, 9]));
        let kinds: Vec<_> = fetched.gaps.iter().map(|gap| (gap.kind, gap.range.count())).collect();
        assert_eq!(kinds, [(GapKind::Compacted, 1), (GapKind::Compacted, 2)]);
        position.omits = Some(Omits::OtherSubjects);
        assert_eq!(position.advance(delivery(&[12])).gaps, []);
    }

    #[test]
    fn offsets_passed_over_by_a_filter_are_no_gaps() {
        assert_eq!(gaps(5, false, None, &[7, 20]), []);
    }

    #[test]
    #[should_panic(expected = "each message once")]
    fn a_message_below_the_position_is_a_defect_of_the_queue() {
        gaps(5, true, None, &[5, 6, 6]);
    }
}
