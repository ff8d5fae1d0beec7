//! The logs of a process, set up once by its binary.
//!
//! Owns: the log subscriber with its level and form, the final message of a failing process, and that neither a secret nor
//! a terminal's command is written.
//! Does not own: the content of the log, the rules of secrets and of escaping (`common`).

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;

use common::config::{InvalidSetting, LogFormat, Settings};
use common::secret::scrubbed;
use common::text::{escaped, escaped_json, escaped_lines};
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

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
    init_with(settings, directives)
}

/// The same with warnings and errors alone, unless `LOG_LEVEL` is set.
///
/// # Errors
/// As [`init`].
pub fn init_quietly(settings: &Settings) -> Result<(), InvalidSetting> {
    if settings.is_named("LOG_LEVEL") { init(settings) } else { init_with(settings, "warn") }
}

fn init_with(settings: &Settings, directives: &str) -> Result<(), InvalidSetting> {
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| InvalidSetting::new(format!("LOG_LEVEL={}: {error}", settings.log_level)))?;
    let colours = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Scrubbing).with_ansi(colours);
    // A line that cannot be written is lost; the subscriber would panic in trying to say so.
    let builder = builder.log_internal_errors(false);
    let set = match settings.log_format {
        LogFormat::Text => builder.fmt_fields(debug_fn(write_field).delimited(" ")).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // The only possible error: a subscriber is already set.
    set.ok();
    Ok(())
}

/// Writes a field of a text line; a value never begins a line or commands the terminal.
fn write_field(out: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let text = format!("{value:?}");
    match field.name() {
        "message" => write!(out, "{}", escaped(&text)),
        // The place in the code of a library that logs by another facade.
        place if place.starts_with("log.") => Ok(()),
        name => write!(out, "{}={}", name.trim_start_matches("r#"), escaped(&text)),
    }
}

/// Standard error, with every secret of this process taken out.
#[derive(Clone, Copy, Debug)]
struct Scrubbing;

impl Write for Scrubbing {
    /// The subscriber writes each line at once.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().lock().write_all(scrubbed(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for Scrubbing {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

/// Writes the reason for a failure to standard error: as a line of text, or as one more JSON line of the log.
/// Unlike a log line, it is written at any `LOG_LEVEL`.
pub fn report_failure(format: LogFormat, failure: &str) {
    let failure = scrubbed(failure);
    let line = match format {
        LogFormat::Text => format!("error: {}", escaped_lines(&failure)),
        LogFormat::Json => {
            let line = serde_json::json!({ "level": "ERROR", "message": "failed", "error": failure }).to_string();
            escaped_json(&line).into_owned()
        }
    };
    // A closed standard error has no reader, so that a failed write has no consequence.
    writeln!(io::stderr().lock(), "{line}").ok();
}

/// From now on, a panic is reported as a failure is: in one line, without secrets.
pub fn report_panics(format: LogFormat) {
    std::panic::set_hook(Box::new(move |panic| report_failure(format, &panic_text(panic))));
}

fn panic_text(panic: &PanicHookInfo<'_>) -> String {
    let cause = panic.payload_as_str().unwrap_or("it does not say why");
    let place = panic.location().map_or(String::new(), |place| format!(" ({}:{})", place.file(), place.line()));
    format!("a fault of this program, please report it: {}{place}", escaped(cause))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Collects what is written to it.
    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_text_line_is_one_line_and_commands_no_terminal() {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .finish();
        let evil = "a\x1b[2J\r\nERROR forged\x07\u{202e}";
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(topic = %evil, count = 3, name = evil, "plain words");
            tracing::warn!("{evil}");
        });
        let text = String::from_utf8(memory.0.lock().expect("no panic").clone()).expect("UTF-8");
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.chars().any(|c| c != '\n' && common::text::is_unsafe(c)), "{text:?}");
        let (first, _) = text.split_once('\n').expect("two lines");
        assert!(first.ends_with(r#"plain words topic=a\u{1b}[2J\r\nERROR forged\u{7}\u{202e} count=3 name="a\u{1b}[2J\r\nERROR forged\u{7}\u{202e}""#), "{first}");
    }
}
