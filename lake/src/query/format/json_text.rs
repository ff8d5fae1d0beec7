//! Values as text in JSON, for forms without nesting.
//!
//! Owns: the text of each value of a column. Does not own: the forms (`csv`, the protocols of other crates).

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::error::{DataFusionError, Result};

use super::write_json_lines;

/// Each value of the column as JSON; `None` for null.
///
/// # Errors
/// When a value has no JSON form.
pub fn json_texts(column: &ArrayRef) -> Result<Vec<Option<String>>> {
    let schema = Schema::new(vec![Field::new("v", column.data_type().clone(), true)]);
    let alone = RecordBatch::try_new(Arc::new(schema), vec![Arc::clone(column)])?;
    let mut lines = Vec::new();
    write_json_lines(&mut lines, &[alone])?;
    let lines = String::from_utf8(lines).map_err(|error| DataFusionError::External(Box::new(error)))?;
    let value = |line: &str| {
        let value = line.strip_prefix("{\"v\":").and_then(|rest| rest.strip_suffix('}')).unwrap_or(line);
        (value != "null").then(|| value.to_owned())
    };
    Ok(lines.lines().map(value).collect())
}
