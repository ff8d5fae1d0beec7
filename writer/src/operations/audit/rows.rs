//! The rows of a commit: are they those that it counted?
//!
//! Owns: decoding the origin of rows, and the rules that hold among them. Pure but for the thread that decodes.
//! Does not own: the bytes (`object`), the queue (`stream`), the topic's own columns: they are as the checksum says.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_schema::DataType;
use bytes::Bytes;
use catalog::{CommitRecord, SegmentInfo};
use common::Epoch;
use lake::footer::Footer;
use lake::read::{Columns, SegmentFile};
use lake::schema::{OFFSET, PARTITION, ROW, TIMESTAMP, timestamp_type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::errors::ParquetError;

pub(super) const ADVICE: &str = "the object is what was committed, but not what it should be: this is a defect of the \
    writer, or the catalog's row was changed by hand; keep both and report it";

const BATCH_ROWS: usize = 8192;

/// The origin of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) offset: u64,
    pub(super) row: u32,
    pub(super) timestamp_us: i64,
}

/// The rows of a segment, in order; or the first thing that is wrong with them.
pub(super) async fn decode(bytes: Bytes, segment: &SegmentInfo, epoch: Epoch) -> Result<Vec<Row>, String> {
    let segment = segment.clone();
    let decoding = tokio::task::spawn_blocking(move || decode_blocking(bytes, &segment, epoch));
    decoding.await.unwrap_or_else(|error| Err(format!("it cannot be decoded: {error}")))
}

fn decode_blocking(bytes: Bytes, segment: &SegmentInfo, epoch: Epoch) -> Result<Vec<Row>, String> {
    let unreadable = |error: ParquetError| format!("it cannot be decoded: {error}");
    let file = SegmentFile::parse(bytes).map_err(unreadable)?;
    Footer::of(segment, epoch).check(file.metadata())?;
    let count = file.metadata().file_metadata().num_rows();
    if u64::try_from(count).ok() != Some(segment.record_count) {
        return Err(format!("it has {count} rows, the catalog counts {}", segment.record_count));
    }
    let columns = Columns::Named(&[PARTITION, OFFSET, ROW, TIMESTAMP]);
    read_rows(file.rows(columns, BATCH_ROWS).map_err(unreadable)?, segment)
}

fn read_rows(reader: ParquetRecordBatchReader, segment: &SegmentInfo) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = Vec::with_capacity(usize::try_from(segment.record_count).unwrap_or_default());
    for batch in reader {
        let batch = batch.map_err(|error| format!("it cannot be decoded: {error}"))?;
        for row in rows_of(&batch, segment.partition_id)? {
            let row = row?;
            if !(segment.base_offset..=segment.end_offset).contains(&row.offset) {
                let range = format!("{}..={}", segment.base_offset, segment.end_offset);
                return Err(format!("it holds offset {}, which is not in {range}", row.offset));
            }
            if let Some(last) = rows.last()
                && (last.offset, last.row) >= (row.offset, row.row)
            {
                return Err(format!(
                    "row {} of offset {} follows row {} of offset {}",
                    row.row, row.offset, last.row, last.offset
                ));
            }
            rows.push(row);
        }
    }
    let times = rows.iter().map(|row| row.timestamp_us);
    let range = (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default());
    if range != (segment.min_timestamp_us, segment.max_timestamp_us) {
        let stored = (segment.min_timestamp_us, segment.max_timestamp_us);
        return Err(format!("its times are {range:?} us, the catalog says {stored:?}"));
    }
    Ok(rows)
}

type RowResults<'b> = Box<dyn Iterator<Item = Result<Row, String>> + 'b>;

fn rows_of(batch: &RecordBatch, partition_id: u32) -> Result<RowResults<'_>, String> {
    let column = |name: &str, data_type: &DataType| {
        let found = batch.column_by_name(name).filter(|column| column.data_type() == data_type);
        found.ok_or_else(|| format!("it has no column {name} of type {data_type}"))
    };
    let partitions = column(PARTITION, &DataType::Int32)?.as_primitive::<Int32Type>().values();
    let offsets = column(OFFSET, &DataType::Int64)?.as_primitive::<Int64Type>().values();
    let numbers = column(ROW, &DataType::Int32)?.as_primitive::<Int32Type>().values();
    let times = column(TIMESTAMP, &timestamp_type())?.as_primitive::<TimestampMicrosecondType>().values();
    Ok(Box::new((0..batch.num_rows()).map(move |index| {
        if u32::try_from(partitions[index]).ok() != Some(partition_id) {
            return Err(format!("it holds a row of partition {}", partitions[index]));
        }
        let negative = |_| format!("it holds a negative offset or row: {} {}", offsets[index], numbers[index]);
        Ok(Row {
            offset: u64::try_from(offsets[index]).map_err(negative)?,
            row: u32::try_from(numbers[index]).map_err(negative)?,
            timestamp_us: times[index],
        })
    })))
}

/// The messages (offset and queue time) that the rows of a commit's segments came from; or the offset where something
/// is wrong, and what. `gaps` are the offsets that the commit recorded as missing.
pub(super) fn messages(
    mut segments: Vec<Vec<Row>>,
    commit: &CommitRecord,
    gaps: &[(u64, u64)],
) -> Result<Vec<(u64, i64)>, (u64, String)> {
    let second = if segments.len() > 1 { segments.pop().unwrap_or_default() } else { Vec::new() };
    let first = segments.pop().unwrap_or_default();
    let mut messages: Vec<(u64, i64)> = Vec::new();
    let mut next_row = 0;
    for row in merged(&first, &second) {
        let refuse = |found: String| Err((row.offset, found));
        let is_new = messages.last().is_none_or(|(offset, _)| *offset != row.offset);
        if is_new {
            next_row = 0;
            messages.push((row.offset, row.timestamp_us));
            if gaps.iter().any(|(base, end)| (*base..=*end).contains(&row.offset)) {
                return refuse(format!("offset {} has rows and is in a recorded gap", row.offset));
            }
        } else if messages.last().is_some_and(|(_, time)| *time != row.timestamp_us) {
            return refuse(format!("the rows of offset {} have different times", row.offset));
        }
        // Records are numbered over both segments: a hole is a lost record, a repetition a doubled one.
        if row.row != next_row {
            return refuse(format!("offset {} has row {} where {next_row} was due", row.offset, row.row));
        }
        next_row += 1;
    }
    if messages.len() as u64 != commit.message_count {
        let found = format!("the rows are of {} messages, the commit counts {}", messages.len(), commit.message_count);
        return Err((commit.base_offset, found));
    }
    let anchor = (commit.anchor.offset, commit.anchor.timestamp_us);
    if messages.last().is_some_and(|last| *last != anchor) {
        let found = format!("the last row is not that of the commit's anchor, {} at {} us", anchor.0, anchor.1);
        return Err((commit.end_offset, found));
    }
    Ok(messages)
}

/// Both in one order; each is in order by itself.
fn merged<'r>(first: &'r [Row], second: &'r [Row]) -> impl Iterator<Item = Row> + 'r {
    let (mut first, mut second) = (first.iter().copied().peekable(), second.iter().copied().peekable());
    std::iter::from_fn(move || {
        let place = |row: &Row| (row.offset, row.row);
        match (first.peek().map(place), second.peek().map(place)) {
            (Some(one), Some(other)) if one <= other => first.next(),
            (Some(_), None) => first.next(),
            (_, _) => second.next(),
        }
    })
}

#[cfg(test)]
mod tests {
    use common::{Anchor, Incarnation, OwnerId};
    use uuid::Uuid;

    use super::*;

    fn rows(places: &[(u64, u32)]) -> Vec<Row> {
        places.iter().map(|(offset, row)| Row { offset: *offset, row: *row, timestamp_us: *offset as i64 }).collect()
    }

    fn commit(message_count: u64) -> CommitRecord {
        CommitRecord {
            incarnation: Incarnation(0),
            commit_no: 1,
            base_offset: 5,
            end_offset: 9,
            epoch: Epoch(1),
            owner: OwnerId(Uuid::nil()),
            message_count,
            data_segment_id: None,
            quarantine_segment_id: None,
            anchor: Anchor { offset: 9, timestamp_us: 9, hash: 0 },
            committed_at: 0,
        }
    }

    fn judged(data: &[(u64, u32)], quarantine: &[(u64, u32)]) -> Result<Vec<(u64, i64)>, (u64, String)> {
        messages(vec![rows(data), rows(quarantine)], &commit(3), &[(6, 7)])
    }

    #[test]
    fn records_are_counted_over_both_segments() {
        let good = judged(&[(5, 0), (8, 1), (9, 0)], &[(8, 0), (8, 2)]);
        assert_eq!(good, Ok(vec![(5, 5), (8, 8), (9, 9)]));
        let alone = messages(vec![rows(&[(5, 0), (8, 0), (9, 0)])], &commit(3), &[]);
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
        assert!(messages(vec![late], &commit(3), &[]).expect_err("another time").1.contains("anchor"));
        let mut torn = rows(&[(5, 0), (5, 1), (8, 0), (9, 0)]);
        torn[1].timestamp_us = 6;
        assert!(messages(vec![torn], &commit(3), &[]).expect_err("two times").1.contains("different times"));
    }
}
