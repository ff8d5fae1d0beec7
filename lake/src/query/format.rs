//! Record batches as text.
//!
//! Owns: the table for people and JSON lines for programs.
//! Does not own: the other forms (`csv`, `expanded`, `parquet`), the output.

mod csv;
mod expanded;
mod json_text;
mod parquet;

use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::json::writer::{LineDelimited, WriterBuilder};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::error::Result;

pub use self::csv::{write_csv, write_csv_header};
pub use self::expanded::format_expanded;
pub use self::json_text::json_texts;
pub use self::parquet::ParquetRows;

/// The rows as a table with borders, no newline at the end. A binary column is shown as text where all of it is
/// UTF-8, else in hexadecimal.
///
/// # Errors
/// When a value cannot be formatted, for example a time outside the calendar.
pub fn format_table(batches: &[RecordBatch]) -> Result<String> {
    let batches = with_readable_binary(batches)?;
    Ok(pretty_format_batches(&batches)?.to_string())
}

/// The rows as one JSON object per line, each with all columns: nulls are written. Binary values are hexadecimal, and
/// decimals numbers with all their digits.
///
/// # Errors
/// Of `output`, or when a value has no JSON form.
pub fn write_json_lines(output: impl Write, batches: &[RecordBatch]) -> Result<()> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(output);
    writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
    Ok(writer.finish()?)
}

fn with_readable_binary(batches: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let mut fields: Vec<Arc<Field>> = first.schema().fields().iter().cloned().collect();
    let mut columns: Vec<Vec<ArrayRef>> = batches.iter().map(|batch| batch.columns().to_vec()).collect();
    for (index, field) in fields.iter_mut().enumerate() {
        if !matches!(field.data_type(), DataType::Binary | DataType::BinaryView | DataType::LargeBinary) {
            continue;
        }
        let texts: Option<Vec<ArrayRef>> = columns.iter().map(|batch| text(&batch[index])).collect();
        if let Some(texts) = texts {
            *field = Arc::new(Field::clone(field).with_data_type(DataType::Utf8));
            columns.iter_mut().zip(texts).for_each(|(batch, text)| batch[index] = text);
        }
    }
    let schema = Arc::new(Schema::new(fields));
    columns.into_iter().map(|columns| Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)).collect()
}

fn text(binary: &ArrayRef) -> Option<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(binary, &DataType::Utf8, &options).ok()
}
