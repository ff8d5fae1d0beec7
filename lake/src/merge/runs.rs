//! Rows in any order become sorted runs: small Parquet files in memory.
//!
//! Owns: gathering rows up to a bound, sorting them, and the form of a run. Does not own: merging runs (`sources`).

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave_record_batch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::MergeError;
use super::order::RowOrder;
use super::rows::{BATCH_BYTES, BATCH_ROWS_MAX};
use super::window::Window;

/// Bytes of one row group of a run. Each run that is merged holds decoded pages of one.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of one page of a run.
const PAGE_BYTES: usize = 64 * 1024;

/// Rows that wait to be sorted.
#[derive(Default)]
pub(super) struct Unsorted {
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl Unsorted {
    /// Adds rows.
    pub(super) fn push(&mut self, rows: RecordBatch) {
        self.bytes += rows.get_array_memory_size();
        self.batches.push(rows);
    }

    /// True without rows.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Bytes of the rows.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// All rows, sorted, as a file in memory; leaves none behind.
    pub(super) fn sorted(&mut self, table: &SchemaRef, order: &RowOrder) -> Result<Window, MergeError> {
        let batches = std::mem::take(&mut self.batches);
        let bytes = std::mem::take(&mut self.bytes);
        let (mut keys, mut places) = (order.no_keys(), Vec::new());
        for (number, batch) in batches.iter().enumerate() {
            order.append(&mut keys, batch)?;
            places.extend((0..batch.num_rows()).map(|row| (number, row)));
        }
        let mut sorted: Vec<usize> = (0..places.len()).collect();
        sorted.sort_unstable_by(|one, other| keys.row(*one).cmp(&keys.row(*other)));
        let row_bytes = (bytes / places.len().max(1)).max(1);
        let rows = (BATCH_BYTES / row_bytes).clamp(1, BATCH_ROWS_MAX);
        let references: Vec<&RecordBatch> = batches.iter().collect();
        let mut writer = ArrowWriter::try_new(Vec::new(), table.clone(), Some(properties()))?;
        for piece in sorted.chunks(rows) {
            let chosen: Vec<(usize, usize)> = piece.iter().map(|at| places[*at]).collect();
            writer.write(&interleave_record_batch(&references, &chosen)?)?;
        }
        Ok(Window::whole(Bytes::from(writer.into_inner()?)))
    }
}

fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_page_size_limit(PAGE_BYTES)
        .set_max_row_group_bytes(Some(GROUP_BYTES))
        .set_statistics_enabled(EnabledStatistics::None)
        .build()
}
