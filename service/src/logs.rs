//! The logs of a process, set up once by its binary.
//!
//! Owns: the log subscriber with its level and form, and the final message of a failing process.
//! Does not own: the content of the log.

use std::io::{IsTerminal, Write};

use common::config::{InvalidSetting, LogFormat, Settings};
use tracing_subscriber::EnvFilter;

/// Sends logs of the configured level and form to standard error, in colour if that is a terminal. A second call, as
/// in tests, leaves the first subscriber in place.
///
/// # Errors
/// If `LOG_LEVEL` cannot be parsed.
pub fn init(settings: &Settings) -> Result<(), InvalidSetting> {
    // At info, the clients of queue, catalog and store repeat Siltstone's own lines.
    let directives = match settings.log_level.as_str() {
        "info" => "info,async_nats=warn,sqlx=warn,object_store=warn",
        given => given,
    };
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| InvalidSetting::new(format!("LOG_LEVEL={}: {error}", settings.log_level)))?;
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let set = match settings.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // The only possible error: a subscriber is already set.
    set.ok();
    Ok(())
}

/// Writes the reason for a failure to standard error: as a line of text, or as one more JSON line of the log.
/// Unlike a log line, it is written at any `LOG_LEVEL`.
pub fn report_failure(format: LogFormat, failure: &str) {
    let line = match format {
        LogFormat::Text => format!("error: {failure}"),
        LogFormat::Json => serde_json::json!({ "level": "ERROR", "message": "failed", "error": failure }).to_string(),
    };
    // A closed standard error has no reader, so that a failed write has no consequence.
    writeln!(std::io::stderr().lock(), "{line}").ok();
}
