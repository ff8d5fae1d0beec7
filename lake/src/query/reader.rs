//! Reads an object, so that every failure names its key.
//!
//! Owns: comparing an object before its use, if requested; caching of footers (an object never changes under its key),
//! without the part that is not needed.
//! Does not own: the error of failed reads (`object`), the store, decoding.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
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
use futures::future::{BoxFuture, FutureExt};
use object_store::{ObjectMeta, ObjectStore};

use super::contained::note_opened;
use super::exact_store::ExactStore;
use super::home::Home;
use super::object::{ListedChecksum, QueriedObject};

/// Makes readers that cache footers and name the key in every error.
#[derive(Debug)]
pub(super) struct NamedReaderFactory {
    store: Arc<dyn ObjectStore>,
    footers: Arc<dyn FileMetadataCache>,
    inner: CachedParquetFileReaderFactory,
    is_verifying: bool,
    home: Home,
}

impl NamedReaderFactory {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        footers: Arc<dyn FileMetadataCache>,
        home: Home,
        is_verifying: bool,
    ) -> Self {
        let exact = Arc::new(ExactStore(Arc::clone(&store)));
        let inner = CachedParquetFileReaderFactory::new(exact, Arc::clone(&footers));
        Self { store, footers, inner, is_verifying, home }
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
        let Some(&checksum) = file.extension::<ListedChecksum>() else {
            return Err(DataFusionError::Internal(format!("{} has no listed checksum", file.object_meta.location)));
        };
        let object = QueriedObject::new(&self.store, &file.object_meta, checksum);
        note_opened(&object);
        let meta = file.object_meta.clone();
        let inner = self.inner.create_reader(partition_index, file, metadata_size_hint, metrics)?;
        let is_verifying = self.is_verifying;
        let footers = Arc::clone(&self.footers);
        let home = self.home.clone();
        Ok(Box::new(NamedReader { object, meta, footers, is_verifying, home, verified: None, inner }))
    }
}

struct NamedReader {
    object: QueriedObject,
    meta: ObjectMeta,
    footers: Arc<dyn FileMetadataCache>,
    /// True when the object is compared before any of it is used.
    is_verifying: bool,
    home: Home,
    /// The whole object, once it was compared.
    verified: Option<Bytes>,
    inner: Box<dyn AsyncFileReader + Send>,
}

impl NamedReader {
    fn unreadable(&self, reason: &dyn fmt::Display) -> ParquetError {
        self.object.unreadable(reason).into()
    }

    /// Reads the object whole and compares it, the first time. Does nothing unless verification is requested.
    async fn verify(&mut self) -> ParquetResult<()> {
        if !self.is_verifying || self.verified.is_some() {
            return Ok(());
        }
        let read = self.inner.get_bytes(0..self.meta.size).await;
        let bytes = read.map_err(|error| self.unreadable(&error))?;
        self.object.compare(bytes.clone())?;
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

    /// The footer without its Arrow schema, kept for the next reader. The schema is a hint for types that Parquet
    /// lacks, and tables have none of those; decoding it costs time at each opening of a file, and a damaged one would
    /// stop a reader that does not need it.
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
        self.footers.put(&self.meta.location, CachedFileMetadataEntry::new(self.meta.clone(), cached));
        without
    }
}

impl AsyncFileReader for NamedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let home = self.home.clone();
        home.run(self.read(range)).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let home = self.home.clone();
        let read = async move {
            if !self.is_verifying {
                let read = self.inner.get_byte_ranges(ranges).await;
                return read.map_err(|error| self.unreadable(&error));
            }
            let mut parts = Vec::with_capacity(ranges.len());
            for range in ranges {
                parts.push(self.read(range).await?);
            }
            Ok(parts)
        };
        home.run(read).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let home = self.home.clone();
        let read = async move {
            self.verify().await?;
            let footer = self.inner.get_metadata(options).await.map_err(|error| self.unreadable(&error))?;
            Ok(self.without_arrow_schema(footer))
        };
        home.run(read).boxed()
    }
}
