//! Parts of an object that are decoded one by one.
//!
//! Owns: dividing an object into parts of a bounded size, and decoding one of them. Does not own: the choice of the parts,
//! and keeping them (crate `consumer`).

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::page_index::offset_index::PageLocation;

use crate::read::{Columns, SegmentFile};

/// What a part costs by itself, in bytes of pages: readers, buffers and dictionaries are made for each.
const PART_BYTES: usize = 256 * 1024;

/// Neighbouring rows of one row group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Number of the row group.
    group: usize,
    /// The first row, in the group.
    row_in_group: usize,
    /// The first row, in the file.
    pub first_row: u64,
    /// Number of rows, at least one.
    pub rows: usize,
}

impl SegmentFile {
    /// All rows of the file in parts of at most about `bytes_max` decoded bytes, none of which reaches into a second row group.
    ///
    /// Parts end where pages end, as far as they do: a page that two parts share is decompressed for each.
    pub fn units(&self, bytes_max: usize) -> Vec<Unit> {
        let mut units = Vec::new();
        let mut first_row = 0;
        for (group, metadata) in self.metadata().row_groups().iter().enumerate() {
            let rows_of_group = usize::try_from(metadata.num_rows()).unwrap_or_default();
            let rows_max = (bytes_max / row_bytes(metadata)).max(1);
            let pages = self.pages(group);
            let mut row_in_group = 0;
            while row_in_group < rows_of_group {
                let end = match row_in_group.saturating_add(rows_max) {
                    end if end < rows_of_group => end_of_part(&pages, row_in_group, end),
                    _ => rows_of_group,
                };
                let rows = end - row_in_group;
                units.push(Unit { group, row_in_group, first_row, rows });
                first_row += rows as u64;
                row_in_group = end;
            }
        }
        units
    }

    /// The pages of each column of a row group, if the file says where they are.
    fn pages(&self, group: usize) -> Vec<Vec<PageStart>> {
        let number = |number: i64| usize::try_from(number).unwrap_or_default();
        let columns = self.metadata().offset_index().and_then(|index| index.get(group));
        let pages = columns.into_iter().flatten().map(|column| {
            let start = |page: &PageLocation| PageStart {
                row: number(page.first_row_index),
                bytes: number(page.compressed_page_size.into()),
            };
            column.page_locations().iter().map(start).collect()
        });
        pages.collect()
    }

    /// The rows of a part, in the file's own columns.
    ///
    /// # Errors
    /// When Parquet refuses.
    pub fn decode(&self, unit: &Unit, columns: Columns<'_>) -> Result<RecordBatch, ParquetError> {
        let reader = self.builder(columns).with_row_groups(vec![unit.group]).with_batch_size(unit.rows);
        let mut batches = reader.with_offset(unit.row_in_group).with_limit(unit.rows).build()?;
        let wrong = |rows: usize| ParquetError::General(format!("{rows} rows of a part that has {}", unit.rows));
        let rows = batches.next().unwrap_or_else(|| Err(ArrowError::ParquetError("a part without rows".to_owned())))?;
        if rows.num_rows() == unit.rows { Ok(rows) } else { Err(wrong(rows.num_rows())) }
    }
}

/// Where a page of a column begins.
#[derive(Clone, Copy, Debug)]
struct PageStart {
    /// The row, in the group.
    row: usize,
    bytes: usize,
}

/// Where the part that begins at row `first` ends, at row `end` at the latest: at the start of a page where the fewest bytes of
/// other pages are shared with the next part, for each row.
fn end_of_part(columns: &[Vec<PageStart>], first: usize, end: usize) -> usize {
    let between = columns.iter().flatten().map(|page| page.row).filter(|row| (first + 1..=end).contains(row));
    let candidates: BTreeSet<usize> = between.collect();
    let cost = |row: usize| PART_BYTES + columns.iter().map(|pages| shared_bytes(pages, row)).sum::<usize>();
    let costs = candidates.into_iter().chain([end]).map(|row| (row, cost(row)));
    // a / b < c / d, without fractions.
    let is_less = |a: usize, b: usize, c: usize, d: usize| (a as u128 * d as u128) < (c as u128 * b as u128);
    let best = costs.reduce(|best, next| match is_less(best.1, best.0 - first, next.1, next.0 - first) {
        true => best,
        false => next,
    });
    best.map_or(end, |(row, _)| row)
}

/// Bytes of the page that begins before the row and ends behind it.
fn shared_bytes(pages: &[PageStart], row: usize) -> usize {
    let after = pages.partition_point(|page| page.row <= row);
    let holds = after.checked_sub(1).map(|page| pages[page]).filter(|page| page.row < row);
    holds.map_or(0, |page| page.bytes)
}

/// Decoded bytes of a row, on average. A dictionary may hide the size of texts, which is recorded apart.
fn row_bytes(group: &RowGroupMetaData) -> usize {
    let column = |column: &parquet::file::metadata::ColumnChunkMetaData| {
        column.uncompressed_size().max(column.unencoded_byte_array_data_bytes().unwrap_or_default())
    };
    let bytes: i64 = group.columns().iter().map(column).fold(0, i64::saturating_add);
    usize::try_from(bytes / group.num_rows().max(1)).unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Int64Array, RecordBatch, StringArray};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;
    use crate::segment::{Layout, SegmentEncoder};

    /// A file of small row groups, whose texts repeat.
    fn file(rows: i64) -> SegmentFile {
        let fields = vec![Field::new("n", DataType::Int64, false), Field::new("text", DataType::Utf8, false)];
        let schema = Arc::new(Schema::new(fields));
        let layout = Layout { row_group_bytes: 4096, ..Layout::as_written(1024.into()) };
        let mut encoder = SegmentEncoder::with_layout(&schema, &layout).expect("a valid schema");
        for first in (0..rows).step_by(100) {
            let numbers = Int64Array::from_iter_values(first..(first + 100).min(rows));
            let texts = StringArray::from(vec!["x".repeat(100); numbers.len()]);
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(numbers), Arc::new(texts)]);
            encoder.write(&batch.expect("matches")).expect("fits");
        }
        let encoded = encoder.finish(vec![]).expect("finishes");
        SegmentFile::parse(encoded.payload.into()).expect("a Parquet file")
    }

    #[test]
    fn a_part_ends_where_it_shares_the_fewest_bytes() {
        let pages = |rows: &[usize], bytes| rows.iter().map(|row| PageStart { row: *row, bytes }).collect::<Vec<_>>();
        let narrow = pages(&[0, 1_000, 2_000], 800_000);
        let wide = pages(&[0, 90, 180, 995, 1_010, 1_900], 500_000);
        let columns = [narrow.clone(), narrow.clone(), wide.clone()];
        assert_eq!(end_of_part(&columns, 0, 1_500), 1_000, "one page is shared, and not two");
        assert_eq!(end_of_part(&columns, 1_000, 1_950), 1_900, "two are shared by more rows");
        assert_eq!(end_of_part(&columns, 0, 50), 50, "smaller than a page");
        assert_eq!(end_of_part(&[wide], 0, 1_000), 995, "none is shared");
        assert_eq!(end_of_part(&[], 10, 15), 15, "a file without places of pages");
        assert_eq!((shared_bytes(&narrow, 1_000), shared_bytes(&narrow, 1_001), shared_bytes(&[], 3)), (0, 800_000, 0));
    }

    #[test]
    fn parts_of_any_size_hold_every_row_once_and_in_order() {
        let file = file(2_345);
        assert!(file.metadata().num_row_groups() > 1);
        for bytes_max in [1, 1_000, 12_345, usize::MAX] {
            let units = file.units(bytes_max);
            let mut next = 0;
            for unit in &units {
                assert_eq!(unit.first_row, next);
                let rows = file.decode(unit, Columns::Named(&["n"])).expect("decoded");
                let numbers = rows.column(0).as_primitive::<Int64Type>();
                assert!(numbers.values().iter().copied().eq(next as i64..(next as i64 + unit.rows as i64)));
                next += unit.rows as u64;
            }
            assert_eq!(next, 2_345);
        }
        let most = file.units(10_000).iter().map(|unit| unit.rows).max();
        assert!(most <= Some(100), "a hundred rows of a hundred bytes: {most:?}");
        assert_eq!(file.units(usize::MAX).len(), file.metadata().num_row_groups());
    }
}
