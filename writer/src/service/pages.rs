//! The writer's part of the pages: the checks of its readiness, and its gauges.
//!
//! Owns: the names of the checks and facts. Does not own: the pages (`service::Pages`), the checks themselves (queue,
//! catalog, store), the state of the partitions (`status`).

use std::sync::Arc;

use serde_json::json;
use service::{Fact, Pages};

use crate::service::running::Observer;

/// Ready if queue, catalog and store answer, no partition keeps failing, and there is no trouble: no halt, no defect,
/// no topic that cannot be opened.
pub(crate) fn pages(observer: Observer) -> Pages {
    let observer = Arc::new(observer);
    let shared = || Arc::clone(&observer);
    let (queue, catalog, store) = (shared(), shared(), shared());
    let (failing, troubles, partitions, scraped) = (shared(), shared(), shared(), shared());
    Pages::default()
        .check("queue", move || {
            let observer = Arc::clone(&queue);
            async move { observer.check_queue().await }
        })
        .check("catalog", move || {
            let observer = Arc::clone(&catalog);
            async move { observer.check_catalog().await }
        })
        .check("store", move || {
            let observer = Arc::clone(&store);
            async move { observer.check_store().await }
        })
        .fact("failing_partitions", move || {
            let failing = failing.failing_partitions();
            Fact { is_ready: failing.is_empty(), value: json!(failing) }
        })
        .fact("troubles", move || {
            let troubles = troubles.troubles();
            Fact { is_ready: troubles.is_empty(), value: json!(troubles) }
        })
        .fact("partitions", move || Fact { is_ready: true, value: json!(partitions.statuses().len()) })
        .before_scrape(move || scraped.observe())
}
