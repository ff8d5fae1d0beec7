//! Offsets that a reader passed because they have no records, with the reason.
//!
//! Owns: finding the reasons for the offsets between two places. Does not own: passing over them (`fetch`).

use catalog::{GapKind, Position, ReadAhead, RecordedGap};
use common::{Incarnation, OffsetRange, TopicPartition};
use serde::Serialize;

use super::Fetcher;
use crate::error::FetchError;

/// Offsets without records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The incarnation that they count in.
    pub incarnation: Incarnation,
    /// The offsets.
    #[serde(flatten)]
    pub range: OffsetRange,
    /// `expired`, or the kind of a gap.
    pub kind: &'static str,
    /// The reason, in words.
    pub reason: String,
}

impl Fetcher {
    /// The reasons of offsets between two places: gaps, and what retention took. Quarantined messages are neither: the
    /// quarantine has them.
    pub(super) async fn skipped(
        &self,
        of: &TopicPartition,
        ahead: &ReadAhead,
        (from, to): (Position, Position),
    ) -> Result<Vec<Skipped>, FetchError> {
        let mut skipped = expired(ahead, from, to);
        let now = ahead.partition.incarnation;
        if from.incarnation == now {
            // Gaps are recorded below the watermark.
            let end = to.offset.min(ahead.partition.high_watermark);
            let range = end.checked_sub(1).and_then(|end| OffsetRange::new(from.offset, end));
            let Some(range) = range else { return Ok(skipped) };
            let found = self.catalog.exceptions(of, range).await?;
            let gaps = found.map(|found| found.gaps).unwrap_or_default();
            let recorded = |gap| RecordedGap { incarnation: now, gap, created_at: 0 };
            skipped.extend(gaps.into_iter().filter_map(|gap| part_of(recorded(gap), from, to)));
        } else {
            let gaps = self.catalog.list_gaps(of).await?;
            skipped.extend(gaps.into_iter().filter_map(|gap| part_of(gap, from, to)));
        }
        skipped.sort_by_key(|skipped| (skipped.incarnation, skipped.range.base()));
        Ok(skipped)
    }
}

/// The part of a gap between two places.
fn part_of(recorded: RecordedGap, from: Position, to: Position) -> Option<Skipped> {
    let RecordedGap { incarnation, gap, .. } = recorded;
    let range = between(incarnation, gap.range, from, to)?;
    let kind = match gap.kind {
        GapKind::Lost => "lost",
        GapKind::Compacted => "compacted",
        GapKind::Skipped => "skipped",
    };
    Some(Skipped { incarnation, range, kind, reason: gap.reason })
}

/// The parts that retention took between two places.
fn expired(ahead: &ReadAhead, from: Position, to: Position) -> Vec<Skipped> {
    let part = |expiration: &catalog::Expiration| {
        let incarnation = expiration.incarnation;
        let range = OffsetRange::new(ahead.start_of(incarnation), expiration.before_offset.checked_sub(1)?)?;
        let range = between(incarnation, range, from, to)?;
        Some(Skipped { incarnation, range, kind: "expired", reason: "retention took them".to_owned() })
    };
    ahead.expirations.iter().filter_map(part).collect()
}

/// The offsets of the range from one place on and before the other.
fn between(incarnation: Incarnation, range: OffsetRange, from: Position, to: Position) -> Option<OffsetRange> {
    let first = Position { incarnation, offset: range.base() }.max(from);
    let end = Position { incarnation, offset: range.next() }.min(to);
    let is_of = first.incarnation == incarnation && end.incarnation == incarnation;
    if is_of && first < end { OffsetRange::new(first.offset, end.offset - 1) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_between_two_places_counts() {
        let at = |incarnation, offset| Position { incarnation: Incarnation(incarnation), offset };
        let range = OffsetRange::new(10, 19).expect("in order");
        let part = |from, to| between(Incarnation(1), range, from, to).map(|range| (range.base(), range.end()));
        assert_eq!(part(at(1, 0), at(1, 50)), Some((10, 19)));
        assert_eq!(part(at(1, 12), at(1, 15)), Some((12, 14)));
        assert_eq!(part(at(0, 700), at(2, 0)), Some((10, 19)));
        assert_eq!(part(at(1, 20), at(1, 50)), None);
        assert_eq!(part(at(1, 0), at(1, 10)), None);
        assert_eq!(part(at(2, 0), at(2, 50)), None);
        assert_eq!(part(at(0, 0), at(0, 50)), None);
    }
}
