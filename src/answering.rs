//! Answering queries: the parts of `up` and `serve` that all doors share.
//!
//! Owns: joining the executor of queries with the HTTP service. Does not own: both (`serving`, `ingester::http`).

use std::sync::Arc;

use catalog::MetadataStore;
use common::config::Settings;
use ingester::http::QueryEndpoint;
use lake::Storage;
use lake::query::{HotTail, HotTailSettings, QueryOptions, QuerySession, QueryStore};
use serving::{Executor, Limits};

/// The executor of queries over what the catalog lists in the store, and over the tails from `hot_tail`.
pub(crate) fn executor(
    settings: &Settings,
    catalog: &Arc<dyn MetadataStore>,
    storage: &Storage,
    hot_tail: HotTail,
) -> anyhow::Result<Arc<Executor>> {
    serving::describe_metrics();
    let store = QueryStore { url: storage.url.clone(), store: Arc::clone(&storage.store) };
    let limits = Limits::of(settings);
    let mode = HotTailSettings { mode: settings.hot_tail, ..HotTailSettings::default() };
    let options = QueryOptions { hot_tail: mode, ..limits.options() };
    let session = QuerySession::open_with(Arc::clone(catalog), store, options)?.with_hot_tail(hot_tail);
    Ok(Executor::over(session, limits))
}

/// The executor as the endpoint of the HTTP service.
pub(crate) fn endpoint(executor: &Arc<Executor>) -> QueryEndpoint {
    let executor = Arc::clone(executor);
    QueryEndpoint::new(move |request, caller| Box::pin(serving::http::answer(Arc::clone(&executor), request, caller)))
}
