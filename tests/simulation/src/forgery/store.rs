//! A store whose replies are forged, around the model.
//!
//! Owns: confirming puts that failed, with the size of their objects, and the keys that the model sees.
//! Does not own: the choice of forgeries (`Forgeries`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::Forgeries;
use crate::store::ModelStore;

/// The store as a writer that lacks guards believes it to be.
#[derive(Clone)]
pub struct ForgingStore {
    inner: ModelStore,
    forgeries: Forgeries,
    // Sizes of objects whose put was confirmed by a forgery. Held for one look, never across an await.
    claimed: Arc<Mutex<BTreeMap<Path, u64>>>,
}

impl ForgingStore {
    /// Around `inner`.
    pub fn new(inner: ModelStore, forgeries: Forgeries) -> Self {
        Self { inner, forgeries, claimed: Arc::default() }
    }

    fn claimed(&self) -> MutexGuard<'_, BTreeMap<Path, u64>> {
        self.claimed.lock().expect("no holder panics")
    }
}

#[async_trait]
impl ObjectStore for ForgingStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let size = payload.content_length() as u64;
        let put = self.inner.put_opts(&self.forgeries.path(location), payload, options).await;
        if put.is_err() && self.forgeries.is_failed_put_confirmed {
            self.claimed().insert(location.clone(), size);
            return Ok(PutResult { e_tag: None, version: None });
        }
        put
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let claimed = self.claimed().get(location).copied().filter(|_| options.head);
        let Some(size) = claimed else { return self.inner.get_opts(&self.forgeries.path(location), options).await };
        let (location, last_modified) = (location.clone(), chrono::DateTime::default());
        let meta = ObjectMeta { location, last_modified, size, e_tag: None, version: None };
        let payload = GetResultPayload::Stream(stream::empty().boxed());
        Ok(GetResult { payload, meta, range: 0..size, attributes: Attributes::default() })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

impl fmt::Display for ForgingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Debug for ForgingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
