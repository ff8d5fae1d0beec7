//! Rows as blocks with a line for each column, for rows that are wider than a screen.
//!
//! Owns: the form of a block. Does not own: the output.

use std::fmt::Write;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::Result;

/// The rows as blocks, numbered from 1 on. A further line of a value stands below its first. Binary values are shown as in
/// [`format_table`](super::format_table).
///
/// # Errors
/// When a value cannot be formatted, for example a time outside the calendar.
pub fn format_expanded(batches: &[RecordBatch]) -> Result<String> {
    let batches = super::with_readable_binary(batches)?;
    let mut text = String::new();
    let mut number = 0;
    for batch in &batches {
        let options = FormatOptions::default();
        let shown = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
        let shown = shown.collect::<Result<Vec<_>, _>>()?;
        let schema = batch.schema();
        let width = schema.fields().iter().map(|field| field.name().chars().count()).max().unwrap_or_default();
        for row in 0..batch.num_rows() {
            number += 1;
            writeln!(text, "-[ row {number} ]{}", "-".repeat(width.saturating_sub(4).max(4)))?;
            for (field, column) in schema.fields().iter().zip(&shown) {
                let value = column.value(row).try_to_string()?;
                let value = value.replace('\n', &format!("\n{} | ", " ".repeat(width)));
                let name = field.name();
                writeln!(text, "{name:<width$} | {value}")?;
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn each_row_is_a_block_of_its_columns() {
        let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let name: ArrayRef = Arc::new(StringArray::from(vec!["two\nlines", "b"]));
        let rows = RecordBatch::try_from_iter_with_nullable([("n", n, true), ("name", name, true)]).expect("columns");
        let expected = "-[ row 1 ]----\nn    | 1\nname | two\n     | lines\n-[ row 2 ]----\nn    | \nname | b\n";
        assert_eq!(format_expanded(&[rows]).expect("shown"), expected);
    }
}
