//! Reading an object, so that every failure names its key.
//!
//! Owns: the error of failed reads; comparing an object with its checksum before any of it is used, where that is wanted;
//! caching of footers (an object never changes under its key).
//! Does not own: the store, and decoding.

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use common::checksum::crc32c;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::error::Result;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::{BoxFuture, FutureExt};
use object_store::ObjectStore;

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

/// Makes readers that cache footers and name the key in every error.
#[derive(Debug)]
pub(super) struct NamedReaderFactory {
    inner: CachedParquetFileReaderFactory,
    is_verifying: bool,
}

impl NamedReaderFactory {
    pub(super) fn new(store: Arc<dyn ObjectStore>, footers: Arc<dyn FileMetadataCache>, is_verifying: bool) -> Self {
        Self { inner: CachedParquetFileReaderFactory::new(Arc::new(ExactStore(store)), footers), is_verifying }
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
        let key = Arc::from(file.object_meta.location.as_ref());
        let size_bytes = file.object_meta.size;
        let checksum = file.extension::<ListedChecksum>().filter(|_| self.is_verifying).map(|listed| listed.0);
        let inner = self.inner.create_reader(partition_index, file, metadata_size_hint, metrics)?;
        Ok(Box::new(NamedReader { key, size_bytes, checksum, verified: None, inner }))
    }
}

struct NamedReader {
    key: Arc<str>,
    /// As the catalog says.
    size_bytes: u64,
    /// What the object must have before any of it is used; absent when that is not wanted.
    checksum: Option<u32>,
    /// The whole object, once it was compared.
    verified: Option<Bytes>,
    inner: Box<dyn AsyncFileReader + Send>,
}

impl NamedReader {
    fn unreadable(&self, reason: &dyn std::fmt::Display) -> ParquetError {
        let (key, size_bytes) = (self.key.to_string(), self.size_bytes);
        ParquetError::External(Box::new(UnreadableSegment { key, size_bytes, reason: reason.to_string() }))
    }

    /// Reads the object whole and compares it, the first time. Nothing to do where that is not wanted.
    async fn verify(&mut self) -> ParquetResult<()> {
        let (Some(listed), None) = (self.checksum, &self.verified) else { return Ok(()) };
        let read = self.inner.get_bytes(0..self.size_bytes).await;
        let bytes = read.map_err(|error| self.unreadable(&error))?;
        let found = crc32c(&bytes);
        if found != listed {
            return Err(self.unreadable(&format!("its CRC-32C is {found:08x} instead of {listed:08x}")));
        }
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
}

impl AsyncFileReader for NamedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.read(range).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move {
            if self.checksum.is_none() {
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
            let read = self.inner.get_metadata(options).await;
            read.map_err(|error| self.unreadable(&error))
        }
        .boxed()
    }
}
