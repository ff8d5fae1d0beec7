//! Answering queries: the parts of `up` and `serve` that all doors share.
//!
//! Owns: joining the executor of queries with the HTTP service. Does not own: both (`serving`, `ingester::http`).

use std::sync::Arc;

use catalog::MetadataStore;
use common::config::Settings;
use ingester::http::QueryEndpoint;
use lake::Storage;
use lake::query::QueryStore;
use serving::{Executor, Limits};

/// The executor of queries over what the catalog lists in the store.
pub(crate) fn executor(
    settings: &Settings,
    catalog: &Arc<dyn MetadataStore>,
    storage: &Storage,
) -> anyhow::Result<Arc<Executor>> {
    serving::describe_metrics();
    let store = QueryStore { url: storage.url.clone(), store: Arc::clone(&storage.store) };
    Ok(Executor::open(Arc::clone(catalog), store, Limits::of(settings))?)
}

/// The executor as the endpoint of the HTTP service.
pub(crate) fn endpoint(executor: &Arc<Executor>) -> QueryEndpoint {
    let executor = Arc::clone(executor);
    QueryEndpoint::new(move |request, caller| Box::pin(serving::http::answer(Arc::clone(&executor), request, caller)))
}
