//! Reading an object, so that every failure names its key.
//!
//! Owns: the error of failed reads; comparing an object with its checksum; caching of footers (an object never changes
//! under its key), without the part of them that is not needed.
//! Does not own: the store, and decoding.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use common::checksum::{Crc32c, crc32c};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::metadata::CachedParquetMetaData;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::parquet::arrow::ARROW_SCHEMA_META_KEY;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::{FileMetaData, ParquetMetaData, ParquetMetaDataBuilder};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::TryStreamExt;
use futures::future::{BoxFuture, FutureExt};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::contained::note_opened;
use super::exact_store::ExactStore;

/// A listed object that cannot be read as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "segment {key} (listed with {size_bytes} bytes) is missing, cut short or damaged: {reason}; `siltstone audit` says more"
)]
pub struct UnreadableSegment {
    /// Key of the object.
    pub key: String,
    /// Its size, as the catalog lists it.
    pub size_bytes: u64,
    /// What was found.
    pub reason: String,
}

/// The segment that a query failed over, if `error`, or a cause of it, is that.
pub fn unreadable_segment<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e UnreadableSegment> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(segment) = error.downcast_ref() {
            return Some(segment);
        }
        cause = error.source();
    }
    None
}

/// CRC-32C of a file's object, as the catalog lists it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListedChecksum(pub(super) u32);

/// An object, and what the catalog says of it.
#[derive(Clone, Debug)]
pub(super) struct ListedObject {
    pub(super) store: Arc<dyn ObjectStore>,
    /// Its key and size are as the catalog says.
    pub(super) meta: ObjectMeta,
    /// CRC-32C, as the catalog says.
    pub(super) checksum: u32,
}

impl ListedObject {
    /// Reads all of the object, a part at a time, and compares it.
    pub(super) async fn check(&self) -> Result<(), UnreadableSegment> {
        let read = async {
            let mut checksum = Crc32c::default();
            let mut parts = self.store.get(&self.meta.location).await?.into_stream();
            while let Some(part) = parts.try_next().await? {
                checksum.update(&part);
            }
            Ok::<_, object_store::Error>(checksum.value())
        };
        self.compare(read.await.map_err(|error| self.unreadable(&error))?)
    }

    fn compare(&self, found: u32) -> Result<(), UnreadableSegment> {
        if found == self.checksum {
            return Ok(());
        }
        Err(self.unreadable(&format!("its CRC-32C is {found:08x} instead of {:08x}", self.checksum)))
    }

    fn unreadable(&self, reason: &dyn fmt::Display) -> UnreadableSegment {
        let ObjectMeta { location, size, .. } = &self.meta;
        UnreadableSegment { key: location.to_string(), size_bytes: *size, reason: reason.to_string() }
    }
}

impl From<UnreadableSegment> for ParquetError {
    fn from(segment: UnreadableSegment) -> Self {
        Self::External(Box::new(segment))
    }
}

/// Makes readers that cache footers and name the key in every error.
#[derive(Debug)]
pub(super) struct NamedReaderFactory {
    store: Arc<dyn ObjectStore>,
    footers: Arc<dyn FileMetadataCache>,
    inner: CachedParquetFileReaderFactory,
    is_verifying: bool,
}

impl NamedReaderFactory {
    pub(super) fn new(store: Arc<dyn ObjectStore>, footers: Arc<dyn FileMetadataCache>, is_verifying: bool) -> Self {
        let exact = Arc::new(ExactStore(Arc::clone(&store)));
        let inner = CachedParquetFileReaderFactory::new(exact, Arc::clone(&footers));
        Self { store, footers, inner, is_verifying }
    }
}

impl ParquetFileReaderFactory for NamedReaderFactory {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let Some(&ListedChecksum(checksum)) = file.extension() else {
            return Err(DataFusionError::Internal(format!("{} has no listed checksum", file.object_meta.location)));
        };
        let object = ListedObject { store: Arc::clone(&self.store), meta: file.object_meta.clone(), checksum };
        note_opened(&object);
        let inner = self.inner.create_reader(partition_index, file, metadata_size_hint, metrics)?;
        let is_verifying = self.is_verifying;
        Ok(Box::new(NamedReader { object, footers: Arc::clone(&self.footers), is_verifying, verified: None, inner }))
    }
}

struct NamedReader {
    object: ListedObject,
    footers: Arc<dyn FileMetadataCache>,
    /// Whether the object is compared before any of it is used.
    is_verifying: bool,
    /// The whole object, once it was compared.
    verified: Option<Bytes>,
    inner: Box<dyn AsyncFileReader + Send>,
}

impl NamedReader {
    fn unreadable(&self, reason: &dyn fmt::Display) -> ParquetError {
        self.object.unreadable(reason).into()
    }

    /// Reads the object whole and compares it, the first time. Nothing to do where that is not wanted.
    async fn verify(&mut self) -> ParquetResult<()> {
        if !self.is_verifying || self.verified.is_some() {
            return Ok(());
        }
        let read = self.inner.get_bytes(0..self.object.meta.size).await;
        let bytes = read.map_err(|error| self.unreadable(&error))?;
        self.object.compare(crc32c(&bytes))?;
        self.verified = Some(bytes);
        Ok(())
    }

    async fn read(&mut self, range: Range<u64>) -> ParquetResult<Bytes> {
        self.verify().await?;
        let Some(whole) = &self.verified else {
            let read = self.inner.get_bytes(range).await;
            return read.map_err(|error| self.unreadable(&error));
        };
        match (usize::try_from(range.start), usize::try_from(range.end)) {
            (Ok(start), Ok(end)) if start <= end && end <= whole.len() => Ok(whole.slice(start..end)),
            _ => Err(self.unreadable(&format!("bytes {range:?} were asked for"))),
        }
    }

    /// The footer without the Arrow schema in it, kept for the next reader like that. The schema is a hint for types that
    /// Parquet does not have, of which tables have none; decoding it costs time at each opening of a file, and damaged
    /// it would stop a reader that needs nothing from it.
    fn without_arrow_schema(&self, footer: Arc<ParquetMetaData>) -> Arc<ParquetMetaData> {
        let described = footer.file_metadata();
        let pairs = described.key_value_metadata().map_or(&[][..], Vec::as_slice);
        if pairs.iter().all(|pair| pair.key != ARROW_SCHEMA_META_KEY) {
            return footer;
        }
        let others = pairs.iter().filter(|pair| pair.key != ARROW_SCHEMA_META_KEY).cloned().collect();
        let described = FileMetaData::new(
            described.version(),
            described.num_rows(),
            described.created_by().map(str::to_owned),
            Some(others),
            described.schema_descr_ptr(),
            described.column_orders().cloned(),
        );
        let without = ParquetMetaDataBuilder::new(described)
            .set_row_groups(footer.row_groups().to_vec())
            .set_column_index(footer.column_index().cloned())
            .set_offset_index(footer.offset_index().cloned())
            .build();
        let without = Arc::new(without);
        let cached = Arc::new(CachedParquetMetaData::new(Arc::clone(&without)));
        let meta = self.object.meta.clone();
        self.footers.put(&self.object.meta.location, CachedFileMetadataEntry::new(meta, cached));
        without
    }
}

impl AsyncFileReader for NamedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.read(range).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move {
            if !self.is_verifying {
                let read = self.inner.get_byte_ranges(ranges).await;
                return read.map_err(|error| self.unreadable(&error));
            }
            let mut parts = Vec::with_capacity(ranges.len());
            for range in ranges {
                parts.push(self.read(range).await?);
            }
            Ok(parts)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            self.verify().await?;
            let footer = self.inner.get_metadata(options).await.map_err(|error| self.unreadable(&error))?;
            Ok(self.without_arrow_schema(footer))
        }
        .boxed()
    }
}
