//! Rows as a Parquet file.
//!
//! Owns: writing batches as they come; times in whole seconds, which Parquet does not know, are milliseconds there.
//! Does not own: the output, and the objects of topics (`segment`).

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, Schema, SchemaRef, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;

/// Encoded bytes of one row group, which is in memory until it is whole.
const ROW_GROUP_BYTES: usize = 16 << 20;

/// A Parquet file of the rows of an answer, compressed with zstd.
pub struct ParquetRows<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
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
        let fields = schema.fields().iter().map(writable).collect::<Result<Vec<_>>>()?;
        let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties =
            WriterProperties::builder().set_compression(compression).set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
        let writer = ArrowWriter::try_new(output, Arc::clone(&schema), Some(properties.build()))?;
        Ok(Self { writer, schema })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// Of the output.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let columns = rows.columns().iter().zip(self.schema.fields()).map(|(column, field)| {
            match column.data_type() == field.data_type() {
                true => Ok(Arc::clone(column)),
                false => cast(column, field.data_type()),
            }
        });
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<_, _>>()?)?;
        Ok(self.writer.write(&rows)?)
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

/// The column as Parquet has it.
fn writable(field: &FieldRef) -> Result<FieldRef> {
    let data_type = match field.data_type() {
        DataType::Timestamp(TimeUnit::Second, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            return Err(DataFusionError::Plan(format!(
                "column {:?} is an interval, which has no form in Parquet; CAST it to varchar",
                field.name()
            )));
        }
        DataType::Struct(members) => DataType::Struct(members.iter().map(writable).collect::<Result<_>>()?),
        DataType::List(element) => DataType::List(writable(element)?),
        DataType::LargeList(element) => DataType::LargeList(writable(element)?),
        DataType::FixedSizeList(element, size) => DataType::FixedSizeList(writable(element)?, *size),
        DataType::Map(entries, is_sorted) => DataType::Map(writable(entries)?, *is_sorted),
        _ => return Ok(Arc::clone(field)),
    };
    Ok(Arc::new(Field::clone(field).with_data_type(data_type)))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Array, AsArray, TimestampSecondArray};
    use datafusion::arrow::datatypes::TimestampMillisecondType;
    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn schema(data_type: DataType) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("x", data_type, true)]))
    }

    #[test]
    fn whole_seconds_are_times() {
        let times = TimestampSecondArray::from(vec![Some(7), None]);
        let rows = RecordBatch::try_new(schema(times.data_type().clone()), vec![Arc::new(times)]).expect("rows");
        let mut file = Vec::new();
        let mut writer = ParquetRows::new(&mut file, rows.schema()).expect("a file");
        writer.write(&rows).and_then(|()| writer.finish()).expect("written");
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).expect("Parquet");
        let read = reader.build().expect("reader").next().expect("a batch").expect("rows");
        assert_eq!(read.column(0).as_primitive::<TimestampMillisecondType>().value(0), 7_000);
        assert!(read.column(0).is_null(1));
    }

    #[test]
    fn an_interval_is_refused_before_any_row() {
        let interval = DataType::Interval(IntervalUnit::MonthDayNano);
        let list = DataType::List(Arc::new(Field::new("item", interval.clone(), true)));
        for data_type in [interval, list] {
            let error = ParquetRows::new(Vec::new(), schema(data_type)).expect_err("refused").to_string();
            assert!(error.contains("interval") && error.contains("CAST"), "{error}");
        }
    }
}
