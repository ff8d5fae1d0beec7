//! Columns in types that the encoder writes as they are.
//!
//! Owns: what a column becomes before it is written: narrow numbers become wider ones, times with a zone those of UTC, and
//! packed columns the values that they stand for. Does not own: the types that clients are told, the writing (`rows`).

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use pgwire::error::PgWireResult;

use crate::error::QueryFailure;

/// The offset of the zone that `SHOW TimeZone` names.
const UTC: &str = "+00:00";

/// The column in its [`written_type`].
///
/// # Errors
/// A value has no place in that type.
pub(super) fn written(array: &ArrayRef) -> PgWireResult<ArrayRef> {
    let wanted = written_type(array.data_type());
    if wanted == *array.data_type() {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let written = cast_with_options(array, &wanted, &options);
    Ok(written.map_err(|error| QueryFailure::invalid(format!("a value has no form in the protocol: {error}")))?)
}

/// The type in which the values of a type are written.
pub(super) fn written_type(data_type: &DataType) -> DataType {
    match data_type {
        // In binary, the encoder writes one byte where the protocol has two.
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::FixedSizeBinary(_) => DataType::Binary,
        // As text, the encoder writes the hours of a zone without its minutes.
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some(UTC.into())),
        // The encoder counts microseconds past the largest number.
        DataType::Duration(_) => DataType::Duration(TimeUnit::Microsecond),
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            let written = written_type(element.data_type());
            DataType::List(Arc::new(element.as_ref().clone().with_data_type(written)))
        }
        DataType::Dictionary(_, value) => written_type(value),
        DataType::RunEndEncoded(_, value) => written_type(value.data_type()),
        other => other.clone(),
    }
}
