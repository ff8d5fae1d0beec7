//! The order of a segment's rows: by offset and row, wherever they lie in the object.
//!
//! Owns: finding the rows of one segment among those of an object, and their order. Does not own: decoding other columns
//! (`objects`), the choice of rows (`rows`).
//!
//! Almost every object holds them in that order already, in one run for each partition. An object that is sorted by other
//! columns has no such runs: then the place of each row is kept.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use catalog::SegmentInfo;
use lake::read::{Columns, SegmentFile};
use lake::schema::{INCARNATION, OFFSET, PARTITION, PARTITION_IN_LAYOUT_1, ROW};
use lake::units::Unit;

/// Offset of the message, and number of the record in it.
type RowKey = (u64, u32);

/// Neighbouring rows of an object, of one segment and in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: RowKey,
    pub(crate) last: RowKey,
    /// The first row, in the file.
    pub(crate) first_row: u64,
    pub(crate) rows: u64,
}

/// The place of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) key: RowKey,
    /// The row, in the file.
    pub(crate) row: u64,
}

/// The rows of a segment, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// One run after the other.
    Runs(Vec<Run>),
    /// Each row by itself.
    Scattered(Vec<Place>),
}

impl Order {
    /// Reads the columns that identify rows. Blocks.
    ///
    /// # Errors
    /// When Parquet refuses, or a column is not there.
    pub(crate) fn read(file: &SegmentFile, units: &[Unit], segment: &SegmentInfo) -> Result<Self, String> {
        let names = [PARTITION, PARTITION_IN_LAYOUT_1, INCARNATION, OFFSET, ROW];
        let mut found = Found::default();
        for unit in units {
            let rows = file.decode(unit, Columns::Named(&names)).map_err(|error| error.to_string())?;
            found.add(&rows, unit.first_row, segment)?;
        }
        if found.count != segment.record_count {
            return Err(format!("{} rows of a segment that has {}", found.count, segment.record_count));
        }
        Ok(found.finish())
    }

    /// Bytes that it takes, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Runs(runs) => size_of_val(runs.as_slice()),
            Self::Scattered(places) => size_of_val(places.as_slice()),
        }
    }
}

/// Rows of the segment that were found so far, in the order of the file.
#[derive(Debug, Default)]
struct Found {
    runs: Vec<Run>,
    count: u64,
    /// The place of each, from the first row on that is in no long run.
    places: Vec<Place>,
}

impl Found {
    fn add(&mut self, rows: &RecordBatch, first_row: u64, segment: &SegmentInfo) -> Result<(), String> {
        let column = |name: &str| rows.column_by_name(name);
        let partitions = column(PARTITION).or_else(|| column(PARTITION_IN_LAYOUT_1));
        let partitions = partitions.map(|column| column.as_primitive::<Int32Type>().values());
        // An object of layout 1 holds one segment, and does not say its incarnation.
        let incarnations = column(INCARNATION).map(|column| column.as_primitive::<Int32Type>().values());
        let absent = |name| format!("column {name} is not there");
        let offsets = column(OFFSET).ok_or_else(|| absent(OFFSET))?.as_primitive::<Int64Type>();
        let numbers = column(ROW).ok_or_else(|| absent(ROW))?.as_primitive::<Int32Type>();
        let (partition, incarnation) = (segment.partition_id as i32, segment.incarnation.0 as i32);
        for at in 0..offsets.len() {
            let offset = offsets.value(at).cast_unsigned();
            let is_of = partitions.is_none_or(|partitions| partitions[at] == partition)
                && incarnations.is_none_or(|incarnations| incarnations[at] == incarnation)
                && segment.range.contains(offset);
            if is_of {
                self.push((offset, numbers.value(at).cast_unsigned()), first_row + at as u64);
            }
        }
        Ok(())
    }

    fn push(&mut self, key: RowKey, row: u64) {
        self.count += 1;
        match self.runs.last_mut() {
            Some(run) if run.first_row + run.rows == row && run.last < key => {
                run.last = key;
                run.rows += 1;
            }
            _ => self.runs.push(Run { first: key, last: key, first_row: row, rows: 1 }),
        }
        self.places.push(Place { key, row });
    }

    fn finish(mut self) -> Order {
        self.runs.sort_by_key(|run| run.first);
        if self.runs.windows(2).all(|pair| pair[0].last < pair[1].first) {
            return Order::Runs(self.runs);
        }
        self.places.sort_unstable();
        Order::Scattered(self.places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(keys: &[(u64, RowKey)]) -> Order {
        let mut found = Found::default();
        keys.iter().for_each(|(row, key)| found.push(*key, *row));
        found.finish()
    }

    fn run(first: RowKey, last: RowKey, first_row: u64, rows: u64) -> Run {
        Run { first, last, first_row, rows }
    }

    #[test]
    fn rows_in_order_are_runs() {
        let written = order(&[(10, (5, 0)), (11, (5, 1)), (12, (9, 0)), (20, (11, 0))]);
        assert_eq!(written, Order::Runs(vec![run((5, 0), (9, 0), 10, 3), run((11, 0), (11, 0), 20, 1)]));
        let swapped = order(&[(0, (7, 0)), (1, (8, 0)), (2, (5, 0)), (3, (6, 0))]);
        assert_eq!(swapped, Order::Runs(vec![run((5, 0), (6, 0), 2, 2), run((7, 0), (8, 0), 0, 2)]));
        assert_eq!(order(&[]), Order::Runs(vec![]));
    }

    #[test]
    fn rows_without_runs_are_places() {
        let mixed = order(&[(0, (5, 1)), (1, (9, 0)), (2, (5, 0)), (3, (7, 0))]);
        let place = |key, row| Place { key, row };
        let places = vec![place((5, 0), 2), place((5, 1), 0), place((7, 0), 3), place((9, 0), 1)];
        assert_eq!(mixed, Order::Scattered(places));
    }
}
