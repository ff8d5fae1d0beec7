//! Table: the rows of one kind in a batch.
//!
//! Owns: keeping few rows as they were decoded, so that those of many partitions can go into one object, and the change to
//! an encoder of the batch's own when they are no longer few.
//! Does not own: Parquet (`lake::segment`), the choice for a batch (`assemble`).

use arrow_array::RecordBatch;
use lake::segment::{self, EncodedSegment, Pages, SegmentEncoder};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;

/// Most bytes of rows that are kept without an encoder: those of one chunk.
const KEPT_BYTES_MAX: usize = crate::config::CHUNK_BYTES_MAX;

/// The form in which the rows of a batch wait for its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they were decoded, while they are few.
    Rows,
    /// Encoded.
    Encoded,
}

/// The rows of one kind.
pub(super) enum Table {
    Kept(KeptRows),
    Encoder(Box<SegmentEncoder>),
}

/// Rows as they were decoded, at least one.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptRows {
    batches: Vec<RecordBatch>,
    bytes: usize,
    timestamps_us: Option<(i64, i64)>,
}

impl KeptRows {
    /// The rows, in order.
    pub(crate) fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// Number of rows.
    pub(crate) fn record_count(&self) -> u64 {
        self.batches.iter().map(|batch| batch.num_rows() as u64).sum()
    }

    /// Memory that they occupy, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// Smallest and largest queue time, microseconds UTC.
    pub(crate) fn timestamps_us(&self) -> (i64, i64) {
        self.timestamps_us.unwrap_or_default()
    }

    /// One object of these rows alone.
    pub(crate) fn encode(&self, pages: Pages, footer: Vec<KeyValue>) -> Result<EncodedSegment, ParquetError> {
        self.encoder(pages)?.finish(footer)
    }

    fn push(&mut self, rows: RecordBatch) {
        self.bytes += rows.get_array_memory_size();
        self.timestamps_us = segment::enclosing(self.timestamps_us, &rows);
        self.batches.push(rows);
    }

    fn encoder(&self, pages: Pages) -> Result<SegmentEncoder, ParquetError> {
        let first = self.batches.first().expect("rows are kept once there is one");
        let mut encoder = SegmentEncoder::new(&first.schema(), pages)?;
        encoder.write_all(&self.batches)?;
        Ok(encoder)
    }
}

impl Table {
    /// Adds rows to the table in `slot`.
    pub(super) fn write(
        slot: &mut Option<Self>,
        rows: RecordBatch,
        form: Form,
        pages: Pages,
    ) -> Result<(), ParquetError> {
        match slot.get_or_insert_with(|| Self::Kept(KeptRows::default())) {
            Self::Encoder(encoder) => encoder.write(&rows),
            Self::Kept(kept) if form == Form::Rows && kept.bytes < KEPT_BYTES_MAX => {
                kept.push(rows);
                Ok(())
            }
            Self::Kept(kept) => {
                kept.push(rows);
                *slot = Some(Self::Encoder(Box::new(kept.encoder(pages)?)));
                Ok(())
            }
        }
    }

    /// Estimated size of the object if it ended here, in bytes; of kept rows, their memory.
    pub(super) fn estimated_size(&self) -> usize {
        match self {
            Self::Kept(kept) => kept.bytes,
            Self::Encoder(encoder) => encoder.estimated_size(),
        }
    }

    /// Size of what is complete and compressed, in bytes.
    pub(super) fn complete_size(&self) -> usize {
        match self {
            Self::Kept(_) => 0,
            Self::Encoder(encoder) => encoder.complete_size(),
        }
    }

    pub(super) fn record_count(&self) -> u64 {
        match self {
            Self::Kept(kept) => kept.record_count(),
            Self::Encoder(encoder) => encoder.record_count(),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Kept(kept) => kept.bytes,
            Self::Encoder(encoder) => encoder.memory_bytes(),
        }
    }

    /// One object of the rows.
    pub(super) fn finish(self, pages: Pages, footer: Vec<KeyValue>) -> Result<EncodedSegment, ParquetError> {
        match self {
            Self::Kept(kept) => kept.encode(pages, footer),
            Self::Encoder(encoder) => encoder.finish(footer),
        }
    }
}
