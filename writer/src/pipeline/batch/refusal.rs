//! A refusal: the first record of a batch that could not be decoded, for a notice.
//!
//! Owns: finding it among the rows of a quarantine. Does not own: the rows (`decode`), the notice (`commit`).

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use lake::schema::{OFFSET, REASON};

/// A record that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) offset: i64,
    pub(crate) reason: String,
}

impl Refusal {
    /// The first one of these rows of a quarantine.
    pub(super) fn first_of(rows: &RecordBatch) -> Option<Self> {
        let offset = rows.column_by_name(OFFSET)?.as_primitive_opt::<Int64Type>()?;
        let reason = rows.column_by_name(REASON)?.as_string_opt::<i32>()?;
        (rows.num_rows() > 0).then(|| Self { offset: offset.value(0), reason: reason.value(0).to_owned() })
    }
}
