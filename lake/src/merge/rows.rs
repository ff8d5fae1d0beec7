//! The rows of one input, batch after batch, in the columns of today's table.
//!
//! Owns: decoding a row group that is in memory, and the size of batches. Does not own: reading bytes (`window`), the
//! columns (`projection`), the order of rows (`sources`).

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;

use super::MergeError;
use super::window::{StoredGroup, StoredObject, Window};
use crate::projection::Projection;
use crate::storage::Storage;

/// Decoded bytes of one batch, about. Each input holds one.
pub(super) const BATCH_BYTES: usize = 512 * 1024;
/// The same of a run, of which there may be many.
const RUN_BATCH_BYTES: usize = 128 * 1024;
/// Most rows of one batch.
pub(super) const BATCH_ROWS_MAX: usize = 8_192;

/// Rows that are there, or the reason why there are none.
#[derive(Debug)]
pub(super) enum Next {
    /// Some rows, at least one.
    Rows(RecordBatch),
    /// The next row group is to be fetched first.
    NeedsBytes,
    /// There are no more.
    End,
}

/// One input.
pub(super) struct InputRows {
    /// Key of the object, for errors; empty for rows that are in memory.
    key: Path,
    /// The object; absent when all of its bytes are read, or were in memory from the start.
    object: Option<StoredObject>,
    projection: Option<Projection>,
    /// Decodes the row group in memory.
    reader: Option<ParquetRecordBatchReader>,
    window_bytes: usize,
}

impl InputRows {
    /// Rows of a stored object.
    pub(super) fn stored(key: Path, object: StoredObject, projection: Projection) -> Self {
        let (object, projection) = (Some(object), Some(projection));
        Self { key, object, projection, reader: None, window_bytes: 0 }
    }

    /// Rows of a whole file in memory, in the table's columns.
    pub(super) fn in_memory(file: Window) -> Result<Self, ParquetError> {
        let window_bytes = file.len_in_memory();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let batch_rows =
            builder.metadata().row_groups().iter().map(|group| batch_rows(group, RUN_BATCH_BYTES)).min().unwrap_or(1);
        let reader = Some(builder.with_batch_size(batch_rows).build()?);
        Ok(Self { key: Path::default(), object: None, projection: None, reader, window_bytes })
    }

    /// The next rows.
    pub(super) fn next(&mut self) -> Result<Next, MergeError> {
        loop {
            let Some(reader) = &mut self.reader else {
                return Ok(if self.object.is_some() { Next::NeedsBytes } else { Next::End });
            };
            match reader.next() {
                None => (self.reader, self.window_bytes) = (None, 0),
                Some(rows) => {
                    let rows = rows.and_then(|rows| self.projected(rows));
                    let rows = rows.map_err(|error| MergeError::altered(&self.key, &error))?;
                    if rows.num_rows() > 0 {
                        return Ok(Next::Rows(rows));
                    }
                }
            }
        }
    }

    /// Reads the next row group, or compares the whole object with its listing after the last one.
    pub(super) async fn fetch(&mut self, storage: &Storage) -> Result<(), MergeError> {
        let Some(object) = &mut self.object else { return Ok(()) };
        match object.next(storage).await? {
            Some(group) => {
                self.window_bytes = group.window.len_in_memory();
                self.reader = Some(reader(group).map_err(|error| MergeError::altered(&self.key, &error))?);
            }
            None => self.object = None,
        }
        Ok(())
    }

    /// Bytes that are read and not decoded yet, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.window_bytes
    }

    /// The object's key, for errors.
    pub(super) fn key(&self) -> &Path {
        &self.key
    }

    fn projected(&self, rows: RecordBatch) -> Result<RecordBatch, ArrowError> {
        self.projection.as_ref().map_or_else(|| Ok(rows.clone()), |projection| projection.apply(&rows))
    }
}

fn reader(group: StoredGroup) -> Result<ParquetRecordBatchReader, ParquetError> {
    let StoredGroup { metadata, number, window } = group;
    let rows = batch_rows(metadata.metadata().row_group(number), BATCH_BYTES);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(window, metadata);
    builder.with_row_groups(vec![number]).with_batch_size(rows).build()
}

/// Rows that make a batch of the wanted size. A dictionary may hide the size of texts, which is recorded apart.
fn batch_rows(group: &RowGroupMetaData, bytes_max: usize) -> usize {
    let column = |column: &parquet::file::metadata::ColumnChunkMetaData| {
        column.uncompressed_size().max(column.unencoded_byte_array_data_bytes().unwrap_or_default())
    };
    let bytes: i64 = group.columns().iter().map(column).fold(0, i64::saturating_add);
    let row_bytes = usize::try_from(bytes / group.num_rows().max(1)).unwrap_or_default().max(1);
    (bytes_max / row_bytes).clamp(1, BATCH_ROWS_MAX)
}
