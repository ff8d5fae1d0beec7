//! The HTTP pages of a service: `/healthz`, `/readyz`, `/metrics`, and those that the service adds.
//!
//! Owns: the three pages. Does not own: connections (`connections`), the verdict of readiness (`readiness`), the recorder
//! (`metrics`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::FutureExt;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use crate::connections::{self, Limits};
use crate::readiness::{Fact, Readiness};

/// The pages of a service. Without checks it is ready as soon as it listens.
pub struct Pages {
    readiness: Readiness,
    before_scrape: Box<dyn Fn() + Send + Sync>,
    more: Router,
}

struct Shown {
    pages: Pages,
    metrics: PrometheusHandle,
    is_draining: Arc<AtomicBool>,
}

impl Default for Pages {
    fn default() -> Self {
        Self { readiness: Readiness::default(), before_scrape: Box::new(|| ()), more: Router::new() }
    }
}

impl Pages {
    /// Adds a check of readiness: `Err` holds the reason that `/readyz` shows under `name`. Every request of the page
    /// runs it anew; without an answer within three seconds it counts as failed.
    #[must_use]
    pub fn check<F>(mut self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.readiness.add_check(name, Box::new(move || ask().boxed()));
        self
    }

    /// Adds a fact, which `/readyz` shows under `name` and counts in its verdict.
    #[must_use]
    pub fn fact(mut self, name: &'static str, look: impl Fn() -> Fact + Send + Sync + 'static) -> Self {
        self.readiness.add_fact(name, Box::new(look));
        self
    }

    /// Sets the work before each rendering of `/metrics`, such as setting gauges.
    #[must_use]
    pub fn before_scrape(mut self, work: impl Fn() + Send + Sync + 'static) -> Self {
        self.before_scrape = Box::new(work);
        self
    }

    /// Adds the service's own pages. Their paths must differ from those of this crate's pages.
    #[must_use]
    pub fn merge(mut self, pages: Router) -> Self {
        self.more = self.more.merge(pages);
        self
    }

    /// Serves the pages until dropped.
    pub(crate) async fn serve(
        mut self,
        listener: TcpListener,
        metrics: PrometheusHandle,
        is_draining: Arc<AtomicBool>,
    ) {
        let more = std::mem::take(&mut self.more);
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(scrape))
            .with_state(Arc::new(Shown { pages: self, metrics, is_draining }))
            .merge(more);
        connections::serve(listener, router, Limits::default()).await;
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("readiness", &self.readiness).field("more", &self.more).finish_non_exhaustive()
    }
}

async fn scrape(State(shown): State<Arc<Shown>>) -> Response {
    (shown.pages.before_scrape)();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], shown.metrics.render()).into_response()
}

/// 200 if the service is ready, else 503. The body states the reason.
async fn readyz(State(shown): State<Arc<Shown>>) -> Response {
    let (mut is_ready, mut body) = shown.pages.readiness.verdict().await;
    // Whoever distributes requests must look elsewhere, whatever still answers.
    if shown.is_draining.load(Ordering::Relaxed) {
        is_ready = false;
        body["ready"] = false.into();
        body["draining"] = true.into();
    }
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}
