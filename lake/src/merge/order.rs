//! The order of rows in a merged object.
//!
//! Owns: the columns that rows are sorted by, and recording and recognising that order in a file.
//! Does not own: sorting (`runs`, `sources`), the topic's option (`common`).

use arrow_array::{ArrayRef, RecordBatch};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{ArrowError, Schema, SortOptions};
use parquet::arrow::ArrowSchemaConverter;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, SortingColumn};

use crate::schema::{INCARNATION, OFFSET, PARTITION, ROW, TIMESTAMP, field_id};

/// The columns that rows of a table are sorted by: rising, nulls last. The last five identify a row.
const ALWAYS: [&str; 5] = [TIMESTAMP, PARTITION, INCARNATION, OFFSET, ROW];

/// The order of the rows of one table.
#[derive(Debug)]
pub(super) struct RowOrder {
    /// Places of the columns in the table, the most significant first.
    places: Vec<usize>,
    /// Field ids of the same columns.
    ids: Vec<i32>,
    /// The same as leaves of a Parquet file of the table.
    leaves: Vec<SortingColumn>,
    converter: RowConverter,
}

/// Every column rises, and nulls come last.
const RISING: SortOptions = SortOptions { descending: false, nulls_first: false };

impl RowOrder {
    /// The order of `table` by these columns first, then by those that identify a row. Columns that the table does not
    /// have are passed over.
    pub(super) fn new(table: &Schema, first: &[String]) -> Result<Self, ParquetError> {
        let mut places: Vec<usize> = Vec::new();
        for name in first.iter().map(String::as_str).chain(ALWAYS) {
            if let Ok(place) = table.index_of(name)
                && !places.contains(&place)
            {
                places.push(place);
            }
        }
        let ids: Option<Vec<i32>> = places.iter().map(|place| field_id(table.field(*place))).collect();
        let ids = ids.ok_or_else(|| ParquetError::General("a column has no field id".to_owned()))?;
        let described = ArrowSchemaConverter::new().convert(table)?;
        let is_at = |leaf: usize, name: &str| described.column(leaf).path().parts() == [name];
        let leaf = |place: &usize| {
            let name = table.field(*place).name();
            let at = (0..described.num_columns()).find(|leaf| is_at(*leaf, name));
            let at = at.and_then(|at| i32::try_from(at).ok());
            let at = at.ok_or_else(|| ParquetError::General(format!("column {name:?} has no single leaf")))?;
            Ok(SortingColumn { column_idx: at, descending: false, nulls_first: false })
        };
        let leaves = places.iter().map(leaf).collect::<Result<_, ParquetError>>()?;
        let sorted = |place: &usize| SortField::new_with_options(table.field(*place).data_type().clone(), RISING);
        let converter = RowConverter::new(places.iter().map(sorted).collect())?;
        Ok(Self { places, ids, leaves, converter })
    }

    /// The order for the metadata of a file.
    pub(super) fn leaves(&self) -> Vec<SortingColumn> {
        self.leaves.clone()
    }

    /// Appends the keys of these rows, which compare as the rows are sorted.
    pub(super) fn append(&self, keys: &mut Rows, rows: &RecordBatch) -> Result<(), ArrowError> {
        self.converter.append(keys, &self.columns(rows))
    }

    /// The keys of these rows.
    pub(super) fn keys(&self, rows: &RecordBatch) -> Result<Rows, ArrowError> {
        self.converter.convert_columns(&self.columns(rows))
    }

    /// Keys of no rows yet.
    pub(super) fn no_keys(&self) -> Rows {
        self.converter.empty_rows(0, 0)
    }

    /// True if the file says that its rows are in this order. Columns are known by their ids: they may have been renamed.
    pub(super) fn is_that_of(&self, file: &ParquetMetaData) -> bool {
        let described = file.file_metadata().schema_descr();
        let id = |leaf: &SortingColumn| {
            let column = usize::try_from(leaf.column_idx).ok().filter(|at| *at < described.num_columns())?;
            let basics = described.column(column);
            let basics = basics.self_type().get_basic_info();
            (basics.has_id() && !leaf.descending && !leaf.nulls_first).then(|| basics.id())
        };
        file.row_groups().iter().all(|group| {
            let said = group.sorting_columns().map(|leaves| leaves.iter().map(id).collect::<Option<Vec<i32>>>());
            said.flatten().as_deref() == Some(&self.ids[..])
        })
    }

    fn columns(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.places.iter().map(|place| rows.column(*place).clone()).collect()
    }
}
