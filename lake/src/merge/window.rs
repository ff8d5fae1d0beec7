//! A listed object, read once from its beginning to its end, one row group at a time.
//!
//! Owns: the pieces that are read, and comparing all of them with the listing. Does not own: decoding (`rows`).
//!
//! Memory holds the footer and one row group. The checksum of the object is known after the last byte, so whoever uses
//! rows of a window must not make anything of them public before [`StoredObject::next`] has returned `None`.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes, buf};
use common::checksum::Crc32c;
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};

use super::MergeError;
use crate::object::ListedObject;
use crate::storage::Storage;

/// The end of an object that is read first. Most footers fit.
const TAIL_BYTES: u64 = 64 * 1024;

/// An object between its first and its last row group.
#[derive(Debug)]
pub(super) struct StoredObject {
    listed: ListedObject,
    metadata: ArrowReaderMetadata,
    next_group: usize,
    /// Everything below is read.
    read_to: u64,
    sum: Crc32c,
}

/// Some bytes of a file, under their offsets in the whole file.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Offset of the first byte.
    start: u64,
    bytes: Bytes,
    file_bytes: u64,
}

/// A row group in memory.
#[derive(Debug)]
pub(super) struct StoredGroup {
    /// The file's metadata.
    pub(super) metadata: ArrowReaderMetadata,
    /// Its number in the file.
    pub(super) number: usize,
    /// Its bytes.
    pub(super) window: Window,
}

impl StoredObject {
    /// Reads the footer.
    ///
    /// # Errors
    /// When the object cannot be read, or is no Parquet file.
    pub(super) async fn open(storage: &Storage, listed: ListedObject) -> Result<Self, MergeError> {
        let size = listed.size_bytes;
        let mut tail_bytes = TAIL_BYTES.min(size);
        loop {
            let bytes = read(storage, &listed, size - tail_bytes..size).await?;
            let mut reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Skip);
            match reader.try_parse_sized(&bytes, size) {
                Ok(()) => {
                    let parsed = reader.finish().and_then(|metadata| Self::with_footer(&listed, metadata));
                    return parsed.map_err(|error| MergeError::altered(&listed.key, &error));
                }
                Err(ParquetError::NeedMoreData(needed)) if (needed as u64) > tail_bytes && (needed as u64) <= size => {
                    tail_bytes = needed as u64;
                }
                Err(error) => return Err(MergeError::altered(&listed.key, &error)),
            }
        }
    }

    fn with_footer(listed: &ListedObject, metadata: ParquetMetaData) -> Result<Self, ParquetError> {
        let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())?;
        Ok(Self { listed: listed.clone(), metadata, next_group: 0, read_to: 0, sum: Crc32c::default() })
    }

    /// Its footer.
    pub(super) fn metadata(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// Its next row group. `None` after the last one, when all bytes were compared with the listing.
    ///
    /// # Errors
    /// When the object cannot be read, or is not the listed one.
    pub(super) async fn next(&mut self, storage: &Storage) -> Result<Option<StoredGroup>, MergeError> {
        let number = self.next_group;
        let end = self.metadata().row_groups().get(number).map(end_of);
        let Some(end) = end else {
            self.compare_rest(storage).await?;
            return Ok(None);
        };
        if end < self.read_to || end > self.listed.size_bytes {
            return Err(MergeError::altered(&self.listed.key, &"its row groups do not follow each other"));
        }
        let start = self.read_to;
        let bytes = self.read_up_to(storage, end).await?;
        self.next_group += 1;
        let window = Window { start, bytes, file_bytes: self.listed.size_bytes };
        Ok(Some(StoredGroup { metadata: self.metadata.clone(), number, window }))
    }

    async fn compare_rest(&mut self, storage: &Storage) -> Result<(), MergeError> {
        if self.read_to < self.listed.size_bytes {
            self.read_up_to(storage, self.listed.size_bytes).await?;
        }
        let (found, listed) = (self.sum.value(), self.listed.checksum);
        if found == listed {
            return Ok(());
        }
        let difference = format!("its bytes have the checksum {found:08x}, the catalog lists {listed:08x}");
        Err(MergeError::altered(&self.listed.key, &difference))
    }

    async fn read_up_to(&mut self, storage: &Storage, end: u64) -> Result<Bytes, MergeError> {
        let bytes = read(storage, &self.listed, self.read_to..end).await?;
        self.sum.update(&bytes);
        self.read_to = end;
        Ok(bytes)
    }
}

impl Window {
    /// A whole file in memory.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { start: 0, file_bytes: bytes.len() as u64, bytes }
    }

    /// Bytes in memory.
    pub(super) fn len_in_memory(&self) -> usize {
        self.bytes.len()
    }

    fn from(&self, offset: u64) -> Result<Bytes, ParquetError> {
        let at = offset.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let at = at.filter(|at| *at <= self.bytes.len());
        let at = at.ok_or_else(|| ParquetError::EOF(format!("byte {offset} is outside of its row group")))?;
        Ok(self.bytes.slice(at..))
    }
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.file_bytes
    }
}

impl ChunkReader for Window {
    type T = buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} on are outside of their row group")));
        }
        Ok(bytes.slice(..length))
    }
}

/// The end of the last column of a row group.
fn end_of(group: &RowGroupMetaData) -> u64 {
    let end = |column: &parquet::file::metadata::ColumnChunkMetaData| {
        let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
        u64::try_from(start.saturating_add(column.compressed_size())).unwrap_or(u64::MAX)
    };
    group.columns().iter().map(end).max().unwrap_or_default()
}

async fn read(storage: &Storage, listed: &ListedObject, range: Range<u64>) -> Result<Bytes, MergeError> {
    let wanted = range.end - range.start;
    let read = storage.store.get_range(&listed.key, range).await;
    let bytes = read.map_err(|source| MergeError::Unreadable { key: listed.key.to_string(), source })?;
    if bytes.len() as u64 != wanted {
        return Err(MergeError::altered(&listed.key, &"it is shorter than the catalog lists"));
    }
    Ok(bytes)
}
