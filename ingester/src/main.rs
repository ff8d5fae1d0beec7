//! `ingester`: the HTTP service as a process of its own.
//!
//! Owns: the process: reading the settings, the exit code, the allocator, the runtime. Does not own: the service
//! (`ingester::service`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use common::config::{LogFormat, Settings};
use service::logs::{report_failure, report_panics};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXIT_FAILURE: u8 = 1;
/// Exit code for invalid settings, the same as that of `siltstone`.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    report_panics(LogFormat::Text);
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
    let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| run(settings))) else { return ExitCode::from(EXIT_FAILURE) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report_failure(format, &format!("{error:#}"));
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn run(settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(Box::pin(ingester::service::run(settings)));
    // Tasks were joined or aborted. A blocking call that hangs, such as a write to a dead disk, must not delay the
    // exit.
    runtime.shutdown_background();
    Ok(outcome?)
}
