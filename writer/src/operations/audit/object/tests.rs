//! A store that sends nothing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use lake::storage::SilentStore;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use super::*;
use crate::error::WriterError;
use crate::operations::audit::{Audit, OBJECTS_AT_ONCE};
use crate::test_lake::Lake;

/// Gives every read up, and does nothing else.
#[derive(Debug, Default)]
struct Silent {
    reads: AtomicUsize,
}

impl Silent {
    fn error() -> Error {
        let silent = SilentStore { place: "s3://bucket".to_owned(), seconds: 30 };
        Error::Generic { store: "store", source: Box::new(silent) }
    }
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a silent store")
    }
}

#[async_trait]
impl ObjectStore for Silent {
    async fn get_opts(&self, _: &Path, _: GetOptions) -> object_store::Result<GetResult> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Err(Self::error())
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> object_store::Result<PutResult> {
        Err(Self::error())
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(Self::error())
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        stream::empty().boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        stream::empty().boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> object_store::Result<ListResult> {
        Err(Self::error())
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(Self::error())
    }
}

#[tokio::test]
async fn a_silent_store_ends_the_audit_instead_of_being_asked_for_each_object() {
    let mut lake = Lake::new(60).await;
    for _ in 0..3 * OBJECTS_AT_ONCE {
        lake.commit(2).await;
    }
    let silent = Arc::new(Silent::default());
    let storage = Storage::from_store(Arc::clone(&silent) as _);
    for is_deep in [false, true] {
        let audit = Audit {
            catalog: lake.catalog.as_ref(),
            storage: &storage,
            queue: None,
            partition_id: None,
            is_deep,
            memory_bytes_max: 1 << 20,
        };
        let error = audit.run(&lake.partition.topic, &|_| {}).await.expect_err("silent");
        let WriterError::Lake(error) = error else { panic!("{error}") };
        assert!(error.to_string().contains("s3://bucket has sent nothing for 30 s; is the store up"), "{error}");
    }
    assert!(silent.reads.load(Ordering::Relaxed) <= 2 * OBJECTS_AT_ONCE);
}
