//! Logs and metrics of a process: set up once, by binaries.
//!
//! Owns: the log subscriber and the Prometheus recorder with its histogram buckets.
//! Does not own: which metrics there are, or the server that shows them (writer).

use std::io::{IsTerminal, Write};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{InvalidSetting, LogFormat, Settings};

/// Histograms whose name ends so are in seconds.
pub const SECONDS_SUFFIX: &str = "_seconds";

// From one millisecond (a local commit) to a minute (a slow store being retried).
const SECONDS_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Sends logs of the configured level and form to standard error, in colour when that is a terminal.
///
/// # Errors
/// When `LOG_LEVEL` cannot be parsed.
pub fn init_logs(settings: &Settings) -> Result<(), InvalidSetting> {
    // What the clients of queue, catalog and store say at info repeats our own lines.
    let directives = match settings.log_level.as_str() {
        "info" => "info,async_nats=warn,sqlx=warn,object_store=warn",
        given => given,
    };
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| InvalidSetting::new(format!("LOG_LEVEL={}: {error}", settings.log_level)))?;
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // A second call, as in tests, leaves the first subscriber in place.
    let _already_set = match settings.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Says on standard error why the process fails: as a line for people, or as one more JSON line of the log.
/// Unlike a log line it is written at any `LOG_LEVEL`.
pub fn report_failure(format: LogFormat, failure: &str) {
    let line = match format {
        LogFormat::Text => format!("error: {failure}"),
        LogFormat::Json => serde_json::json!({ "level": "ERROR", "message": "failed", "error": failure }).to_string(),
    };
    let _nobody_reads_it = writeln!(std::io::stderr().lock(), "{line}");
}

/// Installs the process's metrics recorder and returns what renders it. Call [`upkeep`] in a task beside it.
/// A second call answers with a recorder that sees nothing, so call it once.
pub fn init_metrics() -> PrometheusHandle {
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

/// Folds recorded histogram values every few seconds, without which they would grow without bound. Never returns.
pub async fn upkeep(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}
