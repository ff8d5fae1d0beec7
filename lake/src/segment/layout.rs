//! The Parquet settings of an object.
//!
//! Owns: pages, row groups, compression, encodings, the recorded order of rows, bloom filters.
//! Does not own: the rows, and the choice of an order (`merge`).

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::schema::{OFFSET, TIMESTAMP};

/// Encoded bytes of one row group: large enough for good compression, small enough for a reader's memory.
const ROW_GROUP_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The fastest level: the writer shares its cores with the queue.
const ZSTD_LEVEL: i32 = 1;

/// Narrow columns end their pages here, for the page index. Each page costs a compression context of its own, so the
/// usual 20,000 rows would cost more than they save.
const PAGE_ROWS_MAX: usize = 100_000;

/// The data pages of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// Target size of a page, in bytes.
    pub bytes: usize,
    /// Compressed, as all of them are outside of simulations: a compressor is made for each column of a row group, and
    /// asks the processor for its features, which takes long in a virtual machine.
    pub is_compressed: bool,
}

impl From<usize> for Pages {
    fn from(bytes: usize) -> Self {
        Self { bytes, is_compressed: true }
    }
}

/// The settings that differ between objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its data pages.
    pub pages: Pages,
    /// Level of compression, 1 to 22.
    pub zstd_level: i32,
    /// Encoded bytes of one row group.
    pub row_group_bytes: usize,
    /// The order of the rows, if they have one. The writer is given them in it.
    pub sorting: Option<Vec<SortingColumn>>,
    /// Columns of plain values that get bloom filters, by name.
    pub bloom: Vec<String>,
}

impl Layout {
    /// The layout in which the pipeline writes.
    pub fn as_written(pages: Pages) -> Self {
        let (zstd_level, row_group_bytes) = (ZSTD_LEVEL, ROW_GROUP_BYTES_MAX);
        Self { pages, zstd_level, row_group_bytes, sorting: None, bloom: Vec::new() }
    }

    pub(super) fn properties(&self) -> WriterProperties {
        let compression = match self.pages.is_compressed {
            true => Compression::ZSTD(ZstdLevel::try_new(self.zstd_level).expect("a valid level")),
            false => Compression::UNCOMPRESSED,
        };
        let mut builder = WriterProperties::builder()
            .set_created_by(format!("siltstone {}", env!("CARGO_PKG_VERSION")))
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_compression(compression)
            .set_data_page_size_limit(self.pages.bytes)
            .set_data_page_row_count_limit(PAGE_ROWS_MAX)
            .set_max_row_group_bytes(Some(self.row_group_bytes))
            .set_sorting_columns(self.sorting.clone())
            .set_statistics_enabled(EnabledStatistics::Page);
        // Rising numbers: a dictionary would be as large as the column, differences are a few bits.
        for name in [OFFSET, TIMESTAMP].map(ColumnPath::from) {
            builder = builder
                .set_column_dictionary_enabled(name.clone(), false)
                .set_column_encoding(name, Encoding::DELTA_BINARY_PACKED);
        }
        for name in &self.bloom {
            builder = builder.set_column_bloom_filter_enabled(ColumnPath::from(vec![name.clone()]), true);
        }
        builder.build()
    }
}
