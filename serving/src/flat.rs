//! Rows for forms without nesting: objects, lists and maps become text in JSON.
//!
//! Owns: which columns are nested, and their text. Does not own: JSON of values (`lake::query`).

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};

use crate::error::{FailureKind, QueryFailure};

/// True for a type that a cell of text cannot hold as it is.
pub(crate) fn is_nested(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_nested(value),
        DataType::RunEndEncoded(_, value) => is_nested(value.data_type()),
        other => other.is_nested(),
    }
}

/// The same rows with text in JSON in place of nested values.
///
/// # Errors
/// A value has no JSON form.
pub(crate) fn flattened(batch: &RecordBatch) -> Result<RecordBatch, QueryFailure> {
    let schema = batch.schema();
    if !schema.fields().iter().any(|field| is_nested(field.data_type())) {
        return Ok(batch.clone());
    }
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if is_nested(field.data_type()) {
            columns.push(Arc::new(texts(column)?));
            fields.push(Field::new(field.name(), DataType::Utf8, field.is_nullable()));
        } else {
            columns.push(Arc::clone(column));
            fields.push(Field::clone(field));
        }
    }
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    rows.map_err(|error| QueryFailure::new(FailureKind::Internal, error.to_string()))
}

/// Each value as text in JSON; null stays null.
pub(crate) fn texts(column: &ArrayRef) -> Result<StringArray, QueryFailure> {
    let texts = lake::query::json_texts(column);
    texts.map(StringArray::from).map_err(|error| QueryFailure::invalid(format!("a value has no form in JSON: {error}")))
}
