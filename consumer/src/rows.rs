//! The rows of a segment from an offset on, as many as wanted.
//!
//! Owns: cutting between messages: one that holds several records is never split. Does not own: decoding (`objects`), the
//! order of rows (`order`), the next segment (`fetch`).

use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_select::interleave::interleave_record_batch;
use lake::schema::OFFSET;

use crate::error::FetchError;
use crate::objects::{Objects, Wanted, unit_of};
use crate::order::{Order, Place, Run};

/// Bounds of an answer, about: the last message is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// Rows that were taken.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) records: usize,
    pub(crate) bytes: usize,
    /// The offset of the last message.
    pub(crate) last_offset: Option<u64>,
    /// There was no room for more.
    pub(crate) is_full: bool,
}

impl Taken {
    /// Adds the rows of a batch, which are in order, as far as there is room. False if the batch was not taken whole.
    pub(crate) fn add(&mut self, rows: &RecordBatch, row_bytes: usize, room: Room) -> bool {
        let offsets = rows.column_by_name(OFFSET).expect("every table has it").as_primitive::<Int64Type>().values();
        let by_bytes = room.bytes.saturating_sub(self.bytes) / row_bytes.max(1);
        let mut wanted = room.records.saturating_sub(self.records).min(by_bytes);
        if self.records == 0 {
            wanted = wanted.max(1);
        }
        // The last message is finished, however many records it has.
        let last = wanted.checked_sub(1).and_then(|at| offsets.get(at)).map(|offset| offset.cast_unsigned());
        let last = last.or(self.last_offset);
        let mut end = wanted.min(rows.num_rows());
        while offsets.get(end).is_some_and(|offset| Some(offset.cast_unsigned()) == last) {
            end += 1;
        }
        if end > 0 {
            self.batches.push(rows.slice(0, end));
            self.records += end;
            self.bytes += end * row_bytes;
            self.last_offset = Some(offsets[end - 1].cast_unsigned());
        }
        self.is_full = end < rows.num_rows();
        !self.is_full
    }
}

/// Takes rows of the segment with offsets of at least `from`, as far as there is room. Returns true at its end.
pub(crate) async fn take(
    objects: &Objects,
    wanted: &Wanted,
    from: u64,
    room: Room,
    taken: &mut Taken,
) -> Result<bool, FetchError> {
    match objects.order(wanted).await?.as_ref() {
        Order::Runs(runs) => take_runs(objects, wanted, (runs, from), room, taken).await,
        Order::Scattered(places) => take_scattered(objects, wanted, (places, from), room, taken).await,
    }
}

async fn take_runs(
    objects: &Objects,
    wanted: &Wanted,
    (runs, from): (&[Run], u64),
    room: Room,
    taken: &mut Taken,
) -> Result<bool, FetchError> {
    let units = objects.file(&wanted.segment).await?.units;
    let first = runs.partition_point(|run| run.last.0 < from);
    for run in &runs[first..] {
        let mut row = run.first_row;
        let end = run.first_row + run.rows;
        while row < end {
            let unit = unit_of(&units, row).ok_or_else(|| FetchError::Failed(format!("row {row} is in no part")))?;
            let unit_end = unit.first_row + unit.rows as u64;
            // Before this one is waited for, so that both are decoded at the same time.
            if let Some(next) = unit_of(&units, unit_end).filter(|_| unit_end < end) {
                objects.decode_ahead(wanted, next).await;
            }
            let rows = objects.unit(wanted, unit).await?;
            let row_bytes = rows.get_array_memory_size() / unit.rows;
            let (start, length) = (row - unit.first_row, end.min(unit_end) - row);
            let part = from_offset(rows.slice(start as usize, length as usize), from);
            if !taken.add(&part, row_bytes, room) {
                return Ok(false);
            }
            row = end.min(unit_end);
        }
    }
    Ok(true)
}

async fn take_scattered(
    objects: &Objects,
    wanted: &Wanted,
    (places, from): (&[Place], u64),
    room: Room,
    taken: &mut Taken,
) -> Result<bool, FetchError> {
    let units = objects.file(&wanted.segment).await?.units;
    let first = places.partition_point(|place| place.key.0 < from);
    let chosen = whole_messages(places, first, room.records.saturating_sub(taken.records).max(1));
    let is_end = chosen.end == places.len();
    let (mut parts, mut firsts): (Vec<RecordBatch>, Vec<u64>) = (Vec::new(), Vec::new());
    let mut indices = Vec::with_capacity(chosen.len());
    let (mut rows_of_parts, mut bytes_of_parts) = (0, 0);
    for place in &places[chosen] {
        let unit = unit_of(&units, place.row);
        let unit = unit.ok_or_else(|| FetchError::Failed(format!("row {} is in no part", place.row)))?;
        let part = match firsts.iter().position(|first| *first == unit.first_row) {
            Some(part) => part,
            None => {
                let rows = objects.unit(wanted, unit).await?;
                rows_of_parts += unit.rows;
                bytes_of_parts += rows.get_array_memory_size();
                parts.push(rows);
                firsts.push(unit.first_row);
                parts.len() - 1
            }
        };
        indices.push((part, (place.row - unit.first_row) as usize));
    }
    if indices.is_empty() {
        return Ok(true);
    }
    let parts: Vec<&RecordBatch> = parts.iter().collect();
    let rows = interleave_record_batch(&parts, &indices).map_err(|error| FetchError::Failed(error.to_string()))?;
    Ok(taken.add(&rows, bytes_of_parts / rows_of_parts, room) && is_end)
}

/// At least `wanted` places from the first one on, up to the end of the last message.
fn whole_messages(places: &[Place], first: usize, wanted: usize) -> Range<usize> {
    let mut end = first.saturating_add(wanted).min(places.len());
    while end > first && end < places.len() && places[end].key.0 == places[end - 1].key.0 {
        end += 1;
    }
    first..end
}

/// The rows without those of smaller offsets.
pub(crate) fn from_offset(rows: RecordBatch, from: u64) -> RecordBatch {
    let offsets = rows.column_by_name(OFFSET).expect("every table has it").as_primitive::<Int64Type>();
    let first = offsets.values().partition_point(|offset| offset.cast_unsigned() < from);
    if first == 0 { rows } else { rows.slice(first, offsets.len() - first) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn rows(offsets: &[i64]) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new(OFFSET, DataType::Int64, false)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(offsets.to_vec()))]).expect("matches")
    }

    fn taken(batches: &[&[i64]], room: Room) -> (usize, Option<u64>, bool) {
        let mut taken = Taken::default();
        let all = batches.iter().all(|offsets| taken.add(&rows(offsets), 10, room));
        assert_eq!(all, !taken.is_full);
        (taken.records, taken.last_offset, all)
    }

    #[test]
    fn an_answer_ends_between_messages() {
        let room = |records, bytes| Room { records, bytes };
        let batches: &[&[i64]] = &[&[3, 4, 4], &[4, 4, 7], &[9]];
        assert_eq!(taken(batches, room(100, 1_000)), (7, Some(9), true));
        assert_eq!(taken(batches, room(1, 1_000)), (1, Some(3), false));
        assert_eq!(taken(batches, room(2, 1_000)), (5, Some(4), false), "the message of five rows is whole");
        assert_eq!(taken(batches, room(3, 1_000)), (5, Some(4), false));
        assert_eq!(taken(batches, room(6, 1_000)), (6, Some(7), false));
        assert_eq!(taken(batches, room(100, 61)), (6, Some(7), false), "by bytes");
        assert_eq!(taken(batches, room(100, 0)), (1, Some(3), false), "one message at least");
        assert_eq!(taken(batches, room(0, 0)), (1, Some(3), false));
        assert_eq!(taken(&[&[5, 5], &[5]], room(1, 10)), (3, Some(5), true));
    }

    #[test]
    fn places_end_between_messages_too() {
        let places: Vec<Place> =
            [(1, 0), (2, 0), (2, 1), (3, 0)].iter().map(|key| Place { key: *key, row: 0 }).collect();
        assert_eq!(whole_messages(&places, 0, 1), 0..1);
        assert_eq!(whole_messages(&places, 0, 2), 0..3);
        assert_eq!(whole_messages(&places, 1, 9), 1..4);
        assert_eq!(whole_messages(&places, 4, 9), 4..4);
        assert_eq!(from_offset(rows(&[3, 4, 4, 7]), 4).num_rows(), 3);
        assert_eq!(from_offset(rows(&[3, 4]), 5).num_rows(), 0);
    }
}
