//! The columns of an answer, before it is there.
//!
//! Owns: the types that a plan has once its operands are alike, and rows in exactly the columns that were announced.
//! Does not own: planning (`lake::query`), who is told (the doors).

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::dataframe::DataFrame;

use crate::error::QueryFailure;

/// The columns of the rows, each of which may hold null: a plan as it is written has other types, and one that is optimised
/// knows of some columns that they hold none.
pub(super) fn announced(frame: DataFrame) -> SchemaRef {
    let (state, plan) = frame.into_parts();
    let written = Arc::clone(plan.schema());
    // What fails here fails with its reason when it is run.
    let analyzed = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {});
    let schema = analyzed.map_or(written, |plan| Arc::clone(plan.schema()));
    let schema = schema.as_arrow();
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// The rows in the columns that were announced.
///
/// # Errors
/// A value has no place in them.
pub(crate) fn conformed(rows: &RecordBatch, announced: &SchemaRef) -> Result<RecordBatch, QueryFailure> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let columns = rows.columns().iter().zip(announced.fields()).map(|(column, field)| {
        match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => cast_with_options(column, field.data_type(), &options),
        }
    });
    let count = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let made = columns.collect::<Result<Vec<_>, _>>();
    let made = made.and_then(|columns| RecordBatch::try_new_with_options(Arc::clone(announced), columns, &count));
    made.map_err(|error| QueryFailure::invalid(format!("the columns of the answer are not those announced: {error}")))
}
