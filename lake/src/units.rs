//! Parts of an object that are decoded one by one.
//!
//! Owns: dividing an object into parts of a bounded size, and decoding one of them. Does not own: the choice of the parts,
//! and keeping them (crate `consumer`).

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;

use crate::read::{Columns, SegmentFile};

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
    /// All rows of the file in parts of about `bytes_max` decoded bytes, none of which reaches into a second row group.
    pub fn units(&self, bytes_max: usize) -> Vec<Unit> {
        let mut units = Vec::new();
        let mut first_row = 0;
        for (group, metadata) in self.metadata().row_groups().iter().enumerate() {
            let rows_of_group = usize::try_from(metadata.num_rows()).unwrap_or_default();
            let rows_max = (bytes_max / row_bytes(metadata)).max(1);
            for row_in_group in (0..rows_of_group).step_by(rows_max) {
                let rows = rows_max.min(rows_of_group - row_in_group);
                units.push(Unit { group, row_in_group, first_row, rows });
                first_row += rows as u64;
            }
        }
        units
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
