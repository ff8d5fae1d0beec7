//! Columns that hold NaN lose their bounds in the file, those of row groups and of pages.
//!
//! Parquet's writer leaves NaN out of bounds. Readers that order NaN above every number, as DuckDB does, would leave out its
//! rows by them. The writer's settings can only name columns before their values are known, so the file's end is written a
//! second time: a file without NaN costs nothing and keeps all bounds.
//!
//! Owns: the end of the file. Does not own: finding NaN, the catalog's bounds (`statistics`).

use std::io::{self, Write};

use parquet::basic::Type;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataWriter, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::TrackedWrite;

use super::sink::ChunkSink;
use crate::statistics::Nans;

/// The file with its end written anew, and its metadata.
pub(super) fn rewritten(
    file: ChunkSink,
    metadata: ParquetMetaData,
    nans: &Nans,
) -> Result<(ChunkSink, ParquetMetaData)> {
    let end = end_of_pages(&metadata)?;
    let metadata = without_bounds(metadata, nans)?;
    let mut behind = Behind { file: file.cut_to(end), left: end };
    let mut tracked = TrackedWrite::new(&mut behind);
    // The places of the indexes count from the begin of the file.
    io::copy(&mut io::Read::take(io::repeat(0), end as u64), &mut tracked)?;
    ParquetMetaDataWriter::new_with_tracked(tracked, &metadata).finish()?;
    Ok((behind.file, metadata))
}

/// The byte behind the last page and bloom filter: there the page indexes begin.
fn end_of_pages(metadata: &ParquetMetaData) -> Result<usize> {
    let chunks = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    let places = chunks.flat_map(|chunk| [chunk.column_index_offset(), chunk.offset_index_offset()]);
    let first = places.flatten().min().and_then(|place| usize::try_from(place).ok());
    first.ok_or_else(|| ParquetError::General("the file has no page index".to_owned()))
}

fn without_bounds(metadata: ParquetMetaData, nans: &Nans) -> Result<ParquetMetaData> {
    let mut builder = metadata.into_builder();
    let mut indexes = builder.take_column_index();
    for group in indexes.iter_mut().flatten() {
        for (leaf, index) in group.iter_mut().enumerate() {
            if nans.has(leaf) {
                *index = ColumnIndexMetaData::NONE;
            }
        }
    }
    let groups = builder.take_row_groups().into_iter().map(|group| group_without_bounds(group, nans));
    let groups = groups.collect::<Result<Vec<_>>>()?;
    Ok(builder.set_row_groups(groups).set_column_index(indexes).build())
}

fn group_without_bounds(group: RowGroupMetaData, nans: &Nans) -> Result<RowGroupMetaData> {
    let mut builder = group.into_builder();
    let chunks = builder.take_columns().into_iter().enumerate();
    let chunks = chunks.map(|(leaf, chunk)| if nans.has(leaf) { chunk_without_bounds(chunk) } else { Ok(chunk) });
    let chunks = chunks.collect::<Result<Vec<_>>>()?;
    builder.set_column_metadata(chunks).build()
}

/// Keeps the count of nulls.
fn chunk_without_bounds(chunk: ColumnChunkMetaData) -> Result<ColumnChunkMetaData> {
    let nulls = chunk.statistics().and_then(Statistics::null_count_opt);
    let counts = match chunk.column_type() {
        Type::FLOAT => Statistics::float(None, None, None, nulls, false),
        _ => Statistics::double(None, None, None, nulls, false),
    };
    let builder = chunk.into_builder().set_statistics(counts);
    builder.set_column_index_offset(None).set_column_index_length(None).build()
}

/// Writes behind the first bytes of a file, which it passes over.
struct Behind {
    file: ChunkSink,
    left: usize,
}

impl Write for Behind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return self.file.write(bytes);
        }
        let passed = bytes.len().min(self.left);
        self.left -= passed;
        Ok(passed)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch};
    use bytes::Bytes;
    use common::checksum::crc32c;
    use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
    use parquet::file::metadata::PageIndexPolicy;

    use super::super::{Layout, SegmentEncoder};

    /// Some pages and row groups of numbers, with NaN at `f` of these rows.
    fn file(rows: i64, nan_at: &[i64]) -> (RecordBatch, Bytes, u32) {
        let value = |n: i64| if nan_at.contains(&n) { f64::NAN } else { n as f64 };
        let columns: [(&str, ArrayRef); 4] = [
            ("n", Arc::new(Int64Array::from_iter_values(0..rows))),
            ("f", Arc::new((0..rows).map(|n| (n % 3 != 0).then(|| value(n))).collect::<Float64Array>())),
            ("g", Arc::new((0..rows).map(|n| Some(n as f64)).collect::<Float64Array>())),
            ("h", Arc::new((0..rows).map(|n| Some(value(n) as f32)).collect::<Float32Array>())),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true)));
        let batch = batch.expect("columns");
        let mut layout = Layout::as_written(1_000.into());
        layout.row_group_bytes = 40_000;
        layout.bloom = vec!["n".to_owned()];
        let mut encoder = SegmentEncoder::with_layout(&batch.schema(), &layout).expect("a schema");
        for begin in (0..batch.num_rows()).step_by(500) {
            encoder.write(&batch.slice(begin, 500.min(batch.num_rows() - begin))).expect("rows");
        }
        let encoded = encoder.finish(Vec::new()).expect("in memory");
        let bytes = Bytes::from(encoded.payload.iter().flatten().copied().collect::<Vec<u8>>());
        assert_eq!(encoded.size_bytes, bytes.len() as u64);
        (batch, bytes, encoded.checksum)
    }

    #[test]
    fn columns_with_nan_have_no_bounds_and_the_others_all_of_them() {
        for (nan_at, has_bounds) in [(&[7, 4_001][..], false), (&[], true)] {
            let (rows, bytes, checksum) = file(5_000, nan_at);
            assert_eq!(checksum, crc32c(&bytes));
            let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
            let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).expect("a Parquet file");
            let metadata = Arc::clone(reader.metadata());
            assert!(metadata.num_row_groups() > 1);
            for (number, group) in metadata.row_groups().iter().enumerate() {
                for (leaf, chunk) in group.columns().iter().enumerate() {
                    let statistics = chunk.statistics().expect("counts at least");
                    let expected = has_bounds || [0, 2].contains(&leaf);
                    let ends = [statistics.min_bytes_opt(), statistics.max_bytes_opt()];
                    assert_eq!(ends.map(|end| end.is_some()), [expected; 2], "column {leaf}");
                    assert_eq!(chunk.column_index_offset().is_some(), expected, "column {leaf}");
                    assert_eq!(statistics.null_count_opt().is_some_and(|nulls| nulls > 0), leaf == 1, "column {leaf}");
                    assert!(!metadata.offset_index().expect("read")[number][leaf].page_locations().is_empty());
                    assert_eq!(chunk.bloom_filter_offset().is_some(), leaf == 0);
                }
            }
            let read =
                reader.with_batch_size(5_000).build().expect("readable").next().expect("rows").expect("readable");
            for (column, expected) in read.columns().iter().zip(rows.columns()) {
                assert_eq!(format!("{column:?}"), format!("{expected:?}"));
            }
        }
    }
}
