//! Derives the messages of a commit, or of a run of commits, from the rows, and compares them with its counts.
//!
//! Owns: the rules for data and quarantine together. Pure.
//! Does not own: decoding (`rows`), the queue (`stream`).

use catalog::CommitRecord;
use common::OffsetRange;

use super::rows::Row;

/// The rows of the data and of the quarantine segments of some commits, each in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Decoded {
    pub(super) data: Vec<Row>,
    pub(super) quarantine: Vec<Row>,
}

/// A message according to its rows: offset and queue time.
pub(crate) type CommittedMessage = (u64, i64);

/// The messages of `range` that have rows; or the offset of the first problem, and its text. `gaps` are the offsets
/// recorded as missing.
fn messages_in(
    decoded: &Decoded,
    range: OffsetRange,
    gaps: &[OffsetRange],
) -> Result<Vec<CommittedMessage>, (u64, String)> {
    let mut messages: Vec<CommittedMessage> = Vec::new();
    let mut next_row = 0;
    for row in merged(within(&decoded.data, range), within(&decoded.quarantine, range)) {
        let refuse = |found: String| Err((row.offset, found));
        let is_new = messages.last().is_none_or(|(offset, _)| *offset != row.offset);
        if is_new {
            next_row = 0;
            messages.push((row.offset, row.timestamp_us));
            if gaps.iter().any(|gap| gap.contains(row.offset)) {
                return refuse(format!("offset {} has rows and is in a recorded gap", row.offset));
            }
        } else if messages.last().is_some_and(|(_, time)| *time != row.timestamp_us) {
            return refuse(format!("the rows of offset {} have different times", row.offset));
        }
        // Records of both kinds share one numbering: a hole is a lost record, a repetition a doubled one.
        if row.row != next_row {
            return refuse(format!("offset {} has row {} where {next_row} was due", row.offset, row.row));
        }
        next_row += 1;
    }
    Ok(messages)
}

/// The messages of a commit or run; or the offset of the first problem, and its text.
pub(super) fn messages_of(
    decoded: &Decoded,
    commit: &CommitRecord,
    gaps: &[OffsetRange],
) -> Result<Vec<CommittedMessage>, (u64, String)> {
    let (base, end) = (commit.range.base(), commit.range.end());
    let messages = messages_in(decoded, commit.range, gaps)?;
    if messages.len() as u64 != commit.message_count {
        let found = format!("the rows are of {} messages, the commit counts {}", messages.len(), commit.message_count);
        return Err((base, found));
    }
    for (rows, counted, word) in [
        (&decoded.data, commit.record_count, "rows"),
        (&decoded.quarantine, commit.quarantined_count, "quarantined rows"),
    ] {
        let count = within(rows, commit.range).len() as u64;
        if let Some(counted) = counted.filter(|counted| *counted != count) {
            return Err((base, format!("there are {count} {word}, the commit counts {counted}")));
        }
    }
    let anchor = (commit.anchor.offset, commit.anchor.timestamp_us);
    if messages.last().is_some_and(|last| *last != anchor) {
        let found = format!("the last row is not that of the commit's anchor, {} at {} us", anchor.0, anchor.1);
        return Err((end, found));
    }
    Ok(messages)
}

/// The rows whose offsets are in `range`.
fn within(rows: &[Row], range: OffsetRange) -> &[Row] {
    let from = rows.partition_point(|row| row.offset < range.base());
    let to = rows.partition_point(|row| row.offset <= range.end());
    &rows[from..to]
}

/// Merges two ordered lists into one.
fn merged<'r>(first: &'r [Row], second: &'r [Row]) -> impl Iterator<Item = Row> + 'r {
    let (mut first, mut second) = (first.iter().copied().peekable(), second.iter().copied().peekable());
    std::iter::from_fn(move || match (first.peek().map(Row::place), second.peek().map(Row::place)) {
        (Some(one), Some(other)) if one <= other => first.next(),
        (Some(_), None) => first.next(),
        (_, _) => second.next(),
    })
}

#[cfg(test)]
mod tests {
    use common::{Anchor, Epoch, Incarnation, OwnerId};
    use uuid::Uuid;

    use super::*;

    fn rows(places: &[(u64, u32)]) -> Vec<Row> {
        places.iter().map(|(offset, row)| Row { offset: *offset, row: *row, timestamp_us: *offset as i64 }).collect()
    }

    fn range(base: u64, end: u64) -> OffsetRange {
        OffsetRange::new(base, end).expect("a range")
    }

    fn only(data: Vec<Row>) -> Decoded {
        Decoded { data, quarantine: Vec::new() }
    }

    fn commit(message_count: u64) -> CommitRecord {
        CommitRecord {
            incarnation: Incarnation(0),
            first_commit_no: 1,
            commit_no: 1,
            range: range(5, 9),
            epoch: Epoch(1),
            owner: OwnerId(Uuid::nil()),
            message_count,
            record_count: None,
            quarantined_count: None,
            data_segment_id: None,
            quarantine_segment_id: None,
            anchor: Anchor { offset: 9, timestamp_us: 9, hash: 0 },
            snapshot_id: None,
            committed_at: 0,
        }
    }

    fn judged(data: &[(u64, u32)], quarantine: &[(u64, u32)]) -> Result<Vec<(u64, i64)>, (u64, String)> {
        messages_of(&Decoded { data: rows(data), quarantine: rows(quarantine) }, &commit(3), &[range(6, 7)])
    }

    #[test]
    fn records_are_counted_over_both_segments() {
        let good = judged(&[(5, 0), (8, 1), (9, 0)], &[(8, 0), (8, 2)]);
        assert_eq!(good, Ok(vec![(5, 5), (8, 8), (9, 9)]));
        let alone = messages_of(&only(rows(&[(5, 0), (8, 0), (9, 0)])), &commit(3), &[]);
        assert_eq!(alone.expect("whole").len(), 3);
    }

    #[test]
    fn lost_and_doubled_records_are_found() {
        for (data, quarantine, part) in [
            (&[(5, 0), (8, 1), (9, 0)][..], &[][..], "offset 8 has row 1 where 0 was due"),
            (&[(5, 0), (8, 0), (9, 0)], &[(8, 0)], "offset 8 has row 0 where 1 was due"),
            (&[(5, 0), (9, 0)], &[], "of 2 messages, the commit counts 3"),
            (&[(5, 0), (8, 0), (8, 1)], &[], "of 2 messages"),
            (&[(5, 0), (6, 0), (9, 0)], &[], "in a recorded gap"),
            (&[(5, 0), (8, 0)], &[(5, 1)], "of 2 messages"),
        ] {
            let (_, found) = judged(data, quarantine).expect_err(part);
            assert!(found.contains(part), "{found}");
        }
        let mut late = rows(&[(5, 0), (8, 0), (9, 0)]);
        late[2].timestamp_us = 10;
        assert!(messages_of(&only(late), &commit(3), &[]).expect_err("another time").1.contains("anchor"));
        let mut torn = rows(&[(5, 0), (5, 1), (8, 0), (9, 0)]);
        torn[1].timestamp_us = 6;
        assert!(messages_of(&only(torn), &commit(3), &[]).expect_err("two times").1.contains("different times"));
    }

    #[test]
    fn rows_are_those_of_the_commit_and_as_many_as_it_counts() {
        let around = only(rows(&[(4, 0), (5, 0), (8, 0), (9, 0), (10, 0)]));
        let counted = |records, quarantined| CommitRecord {
            record_count: Some(records),
            quarantined_count: Some(quarantined),
            ..commit(3)
        };
        assert_eq!(messages_of(&around, &counted(3, 0), &[]), Ok(vec![(5, 5), (8, 8), (9, 9)]));
        for (commit, part) in [(counted(2, 0), "3 rows, the commit counts 2"), (counted(3, 1), "0 quarantined rows")] {
            let (offset, found) = messages_of(&around, &commit, &[]).expect_err(part);
            assert!(offset == 5 && found.contains(part), "{found}");
        }
    }
}
