//! Reads a segment's rows, only from an object equal to the listed one.
//!
//! Owns: the order of verifying, parsing and decoding, and the choice of columns. Does not own: the comparison itself
//! (`object`), the meaning of rows.

use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use crate::object::{Found, Keep, ListedObject};
use crate::storage::Storage;

/// The columns that are decoded.
#[derive(Clone, Copy, Debug)]
pub enum Columns<'a> {
    /// All of them.
    All,
    /// These, by name; names that the file does not have are passed over.
    Named(&'a [&'a str]),
}

/// An object that was verified and is in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct SegmentFile {
    pub(crate) bytes: Bytes,
    pub(crate) metadata: ArrowReaderMetadata,
}

/// A failure to read a segment's rows.
#[derive(Debug)]
pub enum Unreadable {
    /// The object is not the listed one: any answer but `Same`.
    Object(Found),
    /// The object is the listed one, and no Parquet file.
    File(ParquetError),
}

impl SegmentFile {
    /// Reads the object, compares it and parses its footer.
    ///
    /// # Errors
    /// The failed comparison, or Parquet's error.
    pub async fn open(storage: &Storage, listed: &ListedObject) -> Result<Self, Unreadable> {
        match listed.find(storage.store.as_ref(), Keep::Bytes).await {
            Found::Same(Some(bytes)) => Self::parse(bytes).map_err(Unreadable::File),
            other => Err(Unreadable::Object(other)),
        }
    }

    /// Parses the footer of bytes that were compared already.
    ///
    /// # Errors
    /// When they are no Parquet file.
    pub fn parse(bytes: Bytes) -> Result<Self, ParquetError> {
        let metadata = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new())?;
        Ok(Self { bytes, metadata })
    }

    /// Its footer.
    pub fn metadata(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// The columns that it has.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Its rows in order, at most `batch_rows` at once.
    ///
    /// # Errors
    /// When Parquet refuses; so may each batch.
    pub fn rows(self, columns: Columns<'_>, batch_rows: usize) -> Result<ParquetRecordBatchReader, ParquetError> {
        self.builder(columns).with_batch_size(batch_rows).build()
    }

    /// A reader of these columns, which is not yet bound to rows.
    pub(crate) fn builder(&self, columns: Columns<'_>) -> ParquetRecordBatchReaderBuilder<Bytes> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.metadata.clone());
        match columns {
            Columns::All => builder,
            Columns::Named(names) => {
                let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
                builder.with_projection(mask)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch};
    use arrow_schema::{DataType, Field, Schema};
    use object_store::ObjectStoreExt;
    use object_store::path::Path;

    use super::*;
    use crate::segment::{EncodedSegment, SegmentEncoder};

    fn encoded() -> EncodedSegment {
        let field = |name| Field::new(name, DataType::Int64, false);
        let schema = Arc::new(Schema::new(vec![field("a"), field("b")]));
        let column = || Arc::new(Int64Array::from_iter_values(0..10));
        let rows = RecordBatch::try_new(Arc::clone(&schema), vec![column(), column()]).expect("matches");
        let mut encoder = SegmentEncoder::new(&schema, 1024).expect("a valid schema");
        encoder.write(&rows).expect("fits");
        encoder.finish(vec![]).expect("finishes")
    }

    async fn stored(segment: &EncodedSegment) -> (Storage, ListedObject) {
        let (storage, key) = (Storage::memory(), Path::from("k"));
        storage.store.put(&key, segment.payload.clone()).await.expect("put");
        let listed = ListedObject { key, size_bytes: segment.size_bytes, checksum: segment.checksum };
        (storage, listed)
    }

    #[tokio::test]
    async fn wanted_columns_come_in_batches() {
        let (storage, listed) = stored(&encoded()).await;
        for (columns, width) in [(Columns::All, 2), (Columns::Named(&["b", "c"]), 1)] {
            let file = SegmentFile::open(&storage, &listed).await.unwrap_or_else(|error| panic!("{error:?}"));
            assert_eq!((file.schema().fields().len(), file.metadata().file_metadata().num_rows()), (2, 10));
            let batches: Vec<_> = file.rows(columns, 4).expect("readable").map(|batch| batch.expect("rows")).collect();
            let shape: Vec<_> = batches.iter().map(|batch| (batch.num_rows(), batch.num_columns())).collect();
            assert_eq!(shape, [(4, width), (4, width), (2, width)]);
        }
    }

    #[tokio::test]
    async fn an_altered_object_gives_no_rows() {
        let (storage, listed) = stored(&encoded()).await;
        let other = ListedObject { checksum: listed.checksum ^ 1, ..listed.clone() };
        let found = SegmentFile::open(&storage, &other).await.err();
        assert!(matches!(found, Some(Unreadable::Object(Found::OtherChecksum { .. }))), "{found:?}");
        let text = EncodedSegment {
            payload: "no Parquet".into(),
            size_bytes: 10,
            checksum: common::checksum::crc32c(b"no Parquet"),
            ..EncodedSegment::default()
        };
        let (storage, listed) = stored(&text).await;
        let found = SegmentFile::open(&storage, &listed).await.err();
        assert!(matches!(found, Some(Unreadable::File(_))), "{found:?}");
    }
}
