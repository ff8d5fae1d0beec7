//! The metrics recorder of a process.
//!
//! Owns: the Prometheus recorder, the buckets of its histograms, and its upkeep.
//! Does not own: the metrics themselves (each service), the page that shows them (`pages`).

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Histograms with this suffix are in seconds.
const SECONDS_SUFFIX: &str = "_seconds";

// From one millisecond (a local commit) to a minute (retries of a slow store).
const SECONDS_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Installs the process's recorder and returns the handle that renders it. Run [`upkeep`] while it is in use. After a
/// second call in one process, the returned handle stays empty.
pub(crate) fn init() -> PrometheusHandle {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix(SECONDS_SUFFIX.to_owned()), SECONDS_BUCKETS)
        .expect("the list of buckets is not empty");
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("metrics were set up already; these will stay empty");
    }
    handle
}

/// Folds recorded histogram values every few seconds; otherwise they would grow without bound. Never returns.
pub(crate) async fn upkeep(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}
