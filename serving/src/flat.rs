//! Nested values as text in JSON, for protocols without nesting.
//!
//! Owns: which columns are nested, and their text. Does not own: JSON of values (`lake::query`).

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType;

use crate::error::QueryFailure;

/// True for a type that a cell of text cannot hold as it is.
pub(crate) fn is_nested(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_nested(value),
        DataType::RunEndEncoded(_, value) => is_nested(value.data_type()),
        other => other.is_nested(),
    }
}

/// Each value as text in JSON; null stays null.
pub(crate) fn texts(column: &ArrayRef) -> Result<StringArray, QueryFailure> {
    let texts = lake::query::json_texts(column);
    texts.map(StringArray::from).map_err(|error| QueryFailure::invalid(format!("a value has no form in JSON: {error}")))
}
