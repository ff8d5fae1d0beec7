//! The process of a standalone service.
//!
//! Owns: reading arguments and settings, the runtime, the exit code, the report of a failure or a panic.
//! Does not own: the service's work and its end in good order (`shell`), the allocator (the binary).

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use common::config::{LogFormat, Settings};

use crate::arguments::{Demand, Program};
use crate::error::ServiceError;
use crate::logs::{report_failure, report_panics};

const EXIT_FAILURE: u8 = 1;
/// Exit code for invalid settings and arguments, the same as that of `siltstone`.
const EXIT_USAGE: u8 = 2;

/// Runs `service` with the settings of the environment until it ends. The whole work of a binary's `main`.
pub fn run<E, F>(program: Program, service: impl FnOnce(Settings) -> F) -> ExitCode
where
    E: Into<anyhow::Error>,
    F: Future<Output = Result<(), E>>,
{
    report_panics(LogFormat::Text);
    match program.demand(std::env::args_os().skip(1)) {
        Demand::Serve => {}
        Demand::Print(text) => return printed(&text),
        Demand::Unknown(reason) => {
            report_failure(LogFormat::Text, &reason);
            return ExitCode::from(EXIT_USAGE);
        }
    }
    let settings = match Settings::from_env() {
        Ok(settings) => settings,
        Err(error) => {
            report_failure(LogFormat::Text, &error.to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let format = settings.log_format;
    report_panics(format);
    // A panic is reported by the hook.
    let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| block_on(service(settings)))) else {
        return ExitCode::from(EXIT_FAILURE);
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report_failure(format, &format!("{error:#}"));
            let is_usage = error.downcast_ref().is_some_and(ServiceError::is_wrong_setting);
            ExitCode::from(if is_usage { EXIT_USAGE } else { EXIT_FAILURE })
        }
    }
}

/// A reader that is gone needs no text.
fn printed(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::from(EXIT_FAILURE),
        _ => ExitCode::SUCCESS,
    }
}

fn block_on<E: Into<anyhow::Error>>(service: impl Future<Output = Result<(), E>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(Box::pin(service));
    // Tasks were joined or aborted. A blocking call that hangs, such as a write to a dead disk, must not delay the
    // exit.
    runtime.shutdown_background();
    outcome.map_err(Into::into)
}
