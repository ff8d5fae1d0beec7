//! The store that segments are read from, as plans name it.
//!
//! Owns: its URL. Does not own: reading (`reader`).

use std::fmt;
use std::sync::Arc;

use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::ObjectStore;
use url::Url;

use super::QueryError;

/// The store that segments are read from.
#[derive(Clone)]
pub struct QueryStore {
    /// Names the store in plans; only scheme and authority are used, for example `s3://bucket` or `siltstone://data`.
    pub url: Url,
    /// The store; keys in the catalog are full keys in it.
    pub store: Arc<dyn ObjectStore>,
}

impl fmt::Debug for QueryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueryStore({})", common::secret::masked_url(self.url.as_str()))
    }
}

/// Scheme and authority of `url`, by which DataFusion finds stores.
pub(super) fn store_url(url: &Url) -> Result<ObjectStoreUrl, QueryError> {
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    ObjectStoreUrl::parse(format!("{}://{authority}", url.scheme()))
        .map_err(|error| QueryError::Store { url: common::secret::masked_url(url.as_str()), reason: error.to_string() })
}
