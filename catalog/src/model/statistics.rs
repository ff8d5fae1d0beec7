//! The statistics of a column as a type.
//!
//! Owns: its shape and the rules of its texts. Does not own: computing it from a Parquet footer (`lake`), parsing the
//! texts (`audit`).

use serde::{Deserialize, Serialize};

/// Statistics of one column of an object.
///
/// Bounds are texts that every reader of the catalog parses as a value of the column's type: integers as digits,
/// booleans `0` and `1`, doubles in the shortest form, decimals `-50.00`, dates `2026-11-20`, times `2026-11-20
/// 00:01:39.000099+00`, strings unchanged, binary as upper-case hexadecimal digits. They enclose the values, and need
/// not be values themselves. A bound is absent rather than guessed: for NaN, for times outside the years 1 to 9999, and
/// for strings with a NUL. A bound that a reader cannot parse would hide the object from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// The column's field id in Parquet.
    pub field_id: i32,
    /// Bytes of the column in the object.
    pub compressed_bytes: u64,
    /// Values that are not null.
    pub value_count: u64,
    /// Nulls.
    pub null_count: u64,
    /// No value is less.
    pub min: Option<String>,
    /// No value is greater.
    pub max: Option<String>,
}
