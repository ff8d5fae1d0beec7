//! The store that segments are read from, as plans name it.
//!
//! Owns: its URL, and where tables get their objects from. Does not own: reading (`reader`).

use std::fmt;
use std::sync::Arc;

use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::ObjectStore;
use url::Url;

use super::QueryError;
use super::home::Home;
use super::provider::Sources;
use super::reader::NamedReaderFactory;
use catalog::MetadataStore;

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

/// The sources of tables that are read in this runtime.
pub(super) fn sources(
    catalog: Arc<dyn MetadataStore>,
    store: &QueryStore,
    runtime: &RuntimeEnv,
    is_verifying: bool,
) -> Result<Sources, QueryError> {
    let (home, store_url) = (Home::here(), store_url(&store.url)?);
    runtime.register_object_store(store_url.as_ref(), Arc::clone(&store.store));
    let footers = runtime.cache_manager.get_file_metadata_cache();
    let readers = Arc::new(NamedReaderFactory::new(Arc::clone(&store.store), footers, home.clone(), is_verifying));
    Ok(Sources { catalog, store_url, readers, home })
}

/// Scheme and authority of `url`, by which DataFusion finds stores.
fn store_url(url: &Url) -> Result<ObjectStoreUrl, QueryError> {
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    ObjectStoreUrl::parse(format!("{}://{authority}", url.scheme()))
        .map_err(|error| QueryError::Store { url: common::secret::masked_url(url.as_str()), reason: error.to_string() })
}
