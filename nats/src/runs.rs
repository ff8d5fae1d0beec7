//! Runs: the delivery of the consumer that carried each unacked message.
//!
//! Owns: the compact record. A stream without holes costs one entry for any number of messages; each hole costs one
//! more (24 bytes). Does not own: sending the ack. A wrong record would ack an uncommitted message, so its invariants
//! are asserted in release builds as well.

use std::collections::VecDeque;

/// Deliveries whose stream and consumer sequences rise together by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    stream_start: u64,
    consumer_start: u64,
    length: u64,
}

impl Run {
    /// Stream and consumer sequence of each delivery.
    pub(super) fn each(self) -> impl Iterator<Item = (u64, u64)> {
        (0..self.length).map(move |index| (self.stream_start + index, self.consumer_start + index))
    }

    /// Only its last delivery.
    pub(super) fn last(self) -> Self {
        assert!(self.length > 0, "a run has at least one delivery: {self:?}");
        let before = self.length - 1;
        Self { stream_start: self.stream_start + before, consumer_start: self.consumer_start + before, length: 1 }
    }
}

/// The unacked deliveries of one consumer.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: VecDeque<Run>,
}

impl Runs {
    /// Adds a delivery.
    ///
    /// # Panics
    /// If one of the sequences is not higher than those before.
    pub(super) fn push(&mut self, stream_sequence: u64, consumer_sequence: u64) {
        if let Some(last) = self.runs.back_mut() {
            let (stream_next, consumer_next) = (last.stream_start + last.length, last.consumer_start + last.length);
            assert!(
                stream_sequence >= stream_next && consumer_sequence >= consumer_next,
                "delivery {consumer_sequence} of offset {stream_sequence} comes after {last:?}"
            );
            if (stream_sequence, consumer_sequence) == (stream_next, consumer_next) {
                last.length += 1;
                return;
            }
        }
        self.runs.push_back(Run { stream_start: stream_sequence, consumer_start: consumer_sequence, length: 1 });
    }

    /// Removes and returns every delivery with a stream sequence below `high_watermark`, in order.
    pub(super) fn take_below(&mut self, high_watermark: u64) -> Vec<Run> {
        let mut taken = Vec::new();
        while let Some(run) = self.runs.front_mut() {
            let count = high_watermark.saturating_sub(run.stream_start).min(run.length);
            if count == 0 {
                break;
            }
            taken.push(Run { length: count, ..*run });
            if count < run.length {
                run.stream_start += count;
                run.consumer_start += count;
                run.length -= count;
                break;
            }
            self.runs.pop_front();
        }
        let is_below = taken.last().is_none_or(|run: &Run| run.stream_start + run.length <= high_watermark);
        assert!(is_below, "a delivery at or above {high_watermark} would be acked: {taken:?}");
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_dense_stream_is_one_run() {
        let mut runs = Runs::default();
        (1..=1_000).for_each(|n| runs.push(500 + n, n));
        assert_eq!(runs.runs.len(), 1);
        let last = |taken: Vec<Run>| taken.last().and_then(|run| run.last().each().next());
        assert_eq!(last(runs.take_below(601)), Some((600, 100)));
        assert_eq!(last(runs.take_below(601)), None, "acked already");
        assert_eq!(last(runs.take_below(9_999)), Some((1_500, 1_000)));
    }

    #[test]
    #[should_panic(expected = "comes after")]
    fn a_delivery_that_goes_back_is_a_defect() {
        let mut runs = Runs::default();
        runs.push(7, 1);
        runs.push(7, 2);
    }

    proptest! {
        #[test]
        fn the_deliveries_below_the_watermark_are_taken_once(
            steps in prop::collection::vec(1_u64..4, 1..100), marks in prop::collection::vec(0_u64..300, 1..10)
        ) {
            let mut runs = Runs::default();
            let mut model = Vec::new();
            let mut stream_sequence = 0;
            for (index, step) in steps.iter().enumerate() {
                stream_sequence += step;
                runs.push(stream_sequence, index as u64 + 1);
                model.push((stream_sequence, index as u64 + 1));
            }
            for mark in marks {
                let below: Vec<_> = model.iter().copied().filter(|(stream, _)| *stream < mark).collect();
                let taken: Vec<_> = runs.take_below(mark).into_iter().flat_map(Run::each).collect();
                prop_assert_eq!(taken, below);
                model.retain(|(stream, _)| *stream >= mark);
            }
        }
    }
}
