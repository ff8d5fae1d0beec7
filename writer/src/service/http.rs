//! The service's pages: `/healthz`, `/readyz`, `/metrics`.
//!
//! Owns: what "ready" means and its JSON. Does not own: the checks themselves (queue, catalog, store, status).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::service::running::Observer;

/// A check that takes longer counts as failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Clone)]
struct Pages {
    observer: Arc<Observer>,
    metrics: PrometheusHandle,
}

/// Serves the pages until dropped.
pub(crate) async fn serve(listener: TcpListener, observer: Observer, metrics: PrometheusHandle) {
    let pages = Pages { observer: Arc::new(observer), metrics };
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .with_state(pages);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the HTTP server ended");
    }
}

async fn scrape(State(pages): State<Pages>) -> Response {
    pages.observer.observe();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], pages.metrics.render()).into_response()
}

/// 200 when queue, catalog and store answer, no partition keeps failing and none is halted; else 503. The body says
/// which.
async fn readyz(State(pages): State<Pages>) -> Response {
    let observer = &pages.observer;
    let (queue, catalog, store) =
        tokio::join!(check(observer.check_queue()), check(observer.check_catalog()), check(observer.check_store()));
    let (failing, troubles) = (observer.failing_partitions(), observer.troubles());
    let answered = [&queue, &catalog, &store].iter().all(|state| *state == "ok");
    let ready = answered && failing.is_empty() && troubles.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body: Value = json!({
        "ready": ready, "queue": queue, "catalog": catalog, "store": store, "failing_partitions": failing,
        "troubles": troubles, "partitions": observer.statuses().len(),
    });
    (status, Json(body)).into_response()
}

async fn check(work: impl Future<Output = Result<(), String>>) -> String {
    match tokio::time::timeout(CHECK_TIMEOUT, work).await {
        Ok(Ok(())) => "ok".to_owned(),
        Ok(Err(reason)) => reason,
        Err(_) => format!("no answer within {} s", CHECK_TIMEOUT.as_secs()),
    }
}
