//! Statistics of a segment's columns, as text that other engines read.
//!
//! Owns: the choice of bounds that are true and that every reader can parse, their text (DuckLake's), and comparing
//! recorded ones with a file.
//! Does not own: the statistics that Parquet computes, and storing them (`catalog`).
//!
//! A bound may be loose, never wrong: a reader skips a file whose bounds exclude a value. A bound that a reader cannot
//! parse hides the file. So a doubtful bound is absent.

mod nans;
mod text;

use catalog::ColumnStatistics;
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescriptor;

pub(crate) use self::nans::Nans;
use self::text::{Kind, Value};

/// Columns with statistics: the first leaves of a schema. More cost a row each for every object.
pub const LEAVES_MAX: usize = 32;

/// The statistics of a file's first leaves; leaves without a field id are passed over. A column in `nans` holds NaN.
pub(crate) fn of_file(metadata: &ParquetMetaData, nans: &Nans) -> Vec<ColumnStatistics> {
    let leaves = metadata.file_metadata().schema_descr().columns().iter().enumerate().take(LEAVES_MAX);
    let chunks = |leaf: usize| metadata.row_groups().iter().map(move |group| group.column(leaf));
    leaves.filter_map(|(leaf, column)| of_leaf(column, chunks(leaf), nans.has(leaf))).collect()
}

/// Compares the statistics that the catalog records of a file with its own. An absent bound is right: it excludes nothing.
///
/// # Errors
/// Names the first difference.
pub fn check_recorded(recorded: &[ColumnStatistics], metadata: &ParquetMetaData) -> Result<(), String> {
    // Bounds next to NaN are never recorded, so that they are never compared.
    let own = of_file(metadata, &Nans::default());
    for column in recorded {
        let id = column.field_id;
        let Some(own) = own.iter().find(|own| own.field_id == id) else {
            return Err(format!("the catalog records statistics of a column {id}, which it has not"));
        };
        let counts = (column.value_count, column.null_count);
        if counts != (own.value_count, own.null_count) {
            let (values, nulls) = (own.value_count, own.null_count);
            return Err(format!("column {id} has {values} values and {nulls} nulls, the catalog records {counts:?}"));
        }
        for (end, recorded, own) in [("lower", &column.min, &own.min), ("upper", &column.max, &own.max)] {
            if recorded.is_some() && recorded != own {
                return Err(format!("the {end} bound of column {id} is {own:?}, the catalog records {recorded:?}"));
            }
        }
    }
    Ok(())
}

fn of_leaf<'m>(
    column: &ColumnDescriptor,
    chunks: impl Iterator<Item = &'m ColumnChunkMetaData>,
    has_nan: bool,
) -> Option<ColumnStatistics> {
    let basics = column.self_type().get_basic_info();
    let field_id = basics.has_id().then(|| basics.id())?;
    let kind = Kind::of(column).filter(|_| !has_nan);
    let mut found =
        ColumnStatistics { field_id, compressed_bytes: 0, value_count: 0, null_count: 0, min: None, max: None };
    let (mut min, mut max) = (Bound::Nothing, Bound::Nothing);
    for chunk in chunks {
        let statistics = chunk.statistics();
        let places = unsigned(chunk.num_values());
        // Without a count of nulls, nothing is known about the values either.
        let nulls = statistics.and_then(Statistics::null_count_opt);
        found.compressed_bytes += unsigned(chunk.compressed_size());
        found.null_count += nulls.unwrap_or_default();
        found.value_count += places.saturating_sub(nulls.unwrap_or_default());
        if nulls == Some(places) {
            continue;
        }
        let bounds = kind.and_then(|kind| Some((kind, bounds(statistics?)?)));
        let (low, high) = match bounds {
            Some((kind, (low, high))) => (Value::read(kind, low), Value::read(kind, high)),
            None => (None, None),
        };
        min = min.with(low, |new, old| new < old);
        max = max.with(high, |new, old| new > old);
    }
    (found.min, found.max) = (min.text(), max.text());
    Some(found)
}

/// Both bounds as stored, if present.
fn bounds(statistics: &Statistics) -> Option<(&[u8], &[u8])> {
    // Deprecated bounds were written with another order; int96 has none.
    if statistics.is_min_max_deprecated() || statistics.physical_type() == PhysicalType::INT96 {
        return None;
    }
    Some((statistics.min_bytes_opt()?, statistics.max_bytes_opt()?))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// One bound over the row groups so far.
enum Bound {
    /// No values yet.
    Nothing,
    /// All values are within.
    Known(Value),
    /// Some row group has values and no bound.
    Unknown,
}

impl Bound {
    fn with(self, value: Option<Value>, is_wider: impl Fn(&Value, &Value) -> bool) -> Self {
        match (self, value) {
            (Self::Unknown, _) | (_, None) => Self::Unknown,
            (Self::Known(old), Some(new)) if !is_wider(&new, &old) => Self::Known(old),
            (_, Some(new)) => Self::Known(new),
        }
    }

    fn text(self) -> Option<String> {
        match self {
            Self::Known(value) => value.text(),
            Self::Nothing | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests;
