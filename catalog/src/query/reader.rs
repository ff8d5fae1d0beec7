//! Reading an object, so that every failure names its key.
//!
//! Owns: the error text of failed reads; caching of footers (an object never changes under its key).
//! Does not own: the store, and decoding.

use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
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
use futures::future::{BoxFuture, FutureExt, TryFutureExt};
use object_store::ObjectStore;

use super::exact_store::ExactStore;

/// Makes readers that cache footers and name the key in every error.
#[derive(Debug)]
pub(super) struct NamedReaderFactory {
    inner: CachedParquetFileReaderFactory,
}

impl NamedReaderFactory {
    pub(super) fn new(store: Arc<dyn ObjectStore>, footers: Arc<dyn FileMetadataCache>) -> Self {
        Self { inner: CachedParquetFileReaderFactory::new(Arc::new(ExactStore(store)), footers) }
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
        let inner = self.inner.create_reader(partition_index, file, metadata_size_hint, metrics)?;
        Ok(Box::new(NamedReader { key, size_bytes, inner }))
    }
}

struct NamedReader {
    key: Arc<str>,
    /// As the catalog says.
    size_bytes: u64,
    inner: Box<dyn AsyncFileReader + Send>,
}

impl NamedReader {
    fn name(&self) -> impl Fn(ParquetError) -> ParquetError + Send + use<> {
        let (key, size_bytes) = (Arc::clone(&self.key), self.size_bytes);
        move |error| unreadable(&key, size_bytes, &error)
    }
}

fn unreadable(key: &str, size_bytes: u64, error: &dyn Display) -> ParquetError {
    ParquetError::General(format!(
        "segment {key} (listed with {size_bytes} bytes) is missing, cut short or damaged: {error}"
    ))
}

impl AsyncFileReader for NamedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let name = self.name();
        self.inner.get_bytes(range).map_err(name).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let name = self.name();
        self.inner.get_byte_ranges(ranges).map_err(name).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let name = self.name();
        self.inner.get_metadata(options).map_err(name).boxed()
    }
}
