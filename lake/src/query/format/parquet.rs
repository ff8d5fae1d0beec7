//! Rows as a Parquet file.
//!
//! Owns: writing batches as they come. Does not own: the output, and the objects of topics (`segment`).

use std::fmt;
use std::io::Write;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;

/// Encoded bytes of one row group, which is in memory until it is whole.
const ROW_GROUP_BYTES: usize = 16 << 20;

/// A Parquet file of the rows of an answer, compressed with zstd.
pub struct ParquetRows<W: Write + Send> {
    writer: ArrowWriter<W>,
}

impl<W: Write + Send> fmt::Debug for ParquetRows<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetRows").finish_non_exhaustive()
    }
}

impl<W: Write + Send> ParquetRows<W> {
    /// A file of these columns.
    ///
    /// # Errors
    /// When a column has no form in Parquet; of `output`.
    pub fn new(output: W, schema: SchemaRef) -> Result<Self> {
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties =
            WriterProperties::builder().set_compression(compression).set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
        Ok(Self { writer: ArrowWriter::try_new(output, schema, Some(properties.build()))? })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// Of the output.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        Ok(self.writer.write(rows)?)
    }

    /// Ends the file; without it, it is none.
    ///
    /// # Errors
    /// Of the output.
    pub fn finish(self) -> Result<()> {
        self.writer.close()?;
        Ok(())
    }
}
