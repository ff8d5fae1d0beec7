//! `siltstone`: everything in one binary.
//!
//! Owns: the process. Arguments and settings in, exit code out, the allocator, the runtime.
//! Does not own: the table of exit codes (`exit`), what a command does (`commands`), how an answer looks (`output`).

mod answering;
mod cli;
mod columns;
mod commands;
mod consuming;
mod exit;
mod feeding;
mod hot_tail;
mod input;
mod opened;
mod output;
mod progress;
mod settle;
mod shell;
mod suggest;
mod units;
mod whole_file;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory;
use common::config::{LogFormat, Settings};
use lake::query::STACK_BYTES;
use service::logs;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::output::UsageError;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Longest time for a query that was broken off to come to a pause.
const QUERY_END_MAX: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    logs::report_panics(LogFormat::Text);
    let process = std::thread::Builder::new().name("main".to_owned()).stack_size(STACK_BYTES).spawn(process);
    match process {
        Ok(process) => process.join().unwrap_or_else(|_| Exit::Failed.into()),
        Err(error) => {
            logs::report_failure(LogFormat::Text, &format!("cannot start a thread: {error}"));
            Exit::Failed.into()
        }
    }
}

fn process() -> ExitCode {
    let cli = suggest::parse().unwrap_or_else(|error| wrong_arguments(&error));
    // Errors are in the form of the answer that was asked for.
    let mut failure_format = if cli.json { LogFormat::Json } else { LogFormat::Text };
    // A panic is reported by the hook.
    let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| run(cli, &mut failure_format))) else {
        return Exit::Failed.into();
    };
    let Err(error) = outcome else { return Exit::Done.into() };
    if !Exit::is_said(&error) {
        logs::report_failure(failure_format, &output::told(&error));
    }
    Exit::of(&error).into()
}

/// Shows help (0), or the mistake in the arguments (2) without control characters, and ends the process.
fn wrong_arguments(error: &clap::Error) -> ! {
    if !error.use_stderr() {
        error.exit();
    }
    output::note(error.render().to_string().trim_end());
    std::process::exit(error.exit_code())
}

/// `failure_format` becomes that of the logs once they are set up for a service, unless JSON was asked for.
fn run(cli: Cli, failure_format: &mut LogFormat) -> anyhow::Result<()> {
    if let Command::Completions(args) = &cli.command {
        return commands::completions::run(args, Cli::command());
    }
    let settings = Settings::from_env().map_err(|error| UsageError::new(error.to_string()))?;
    let set = if cli.command.is_service() { logs::init(&settings) } else { logs::init_quietly(&settings) };
    set.map_err(|error| UsageError::new(error.to_string()))?;
    if cli.command.is_service() && !cli.json {
        *failure_format = settings.log_format;
        logs::report_panics(settings.log_format);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build()?;
    let is_query = matches!(cli.command, Command::Query(_));
    let outcome = runtime.block_on(Box::pin(cli.command.run(settings, cli.json)));
    // Commands join the tasks that they start. Only a read of standard input, which nothing can interrupt, may be left;
    // it must not keep the process. A query that was broken off ends at its next pause, and takes its temporary files along.
    match is_query && outcome.is_err() {
        true => runtime.shutdown_timeout(QUERY_END_MAX),
        false => runtime.shutdown_background(),
    }
    outcome
}
