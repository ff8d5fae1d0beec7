//! The command line: the list of commands.
//!
//! Owns: the top level of the arguments, and their dispatch. Does not own: each command's own arguments.

use clap::{CommandFactory, Parser, Subcommand};
use common::config::Settings;

use crate::commands::{
    audit, bench, completions, config, demo, doctor, duckdb_sql, gaps, publish, quarantine, query, segments, topic, up,
};

const AFTER_HELP: &str = "\
Settings of queue, storage and catalog come from the environment; `siltstone config` lists them all.
Answers go to standard output, logs and progress to standard error.
Exit codes: 0 done, 1 failed (audit: problems found), 2 wrong arguments or settings.

Start with: siltstone demo";

/// Message streams settle into queryable Parquet, exactly once.
#[derive(Debug, Parser)]
#[command(name = "siltstone", version, after_help = AFTER_HELP, max_term_width = 110)]
pub(crate) struct Cli {
    /// Answer in JSON instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show everything in one process: publish orders, settle them into Parquet, query them
    Demo(demo::Args),
    /// Run the writer service until SIGTERM or SIGINT
    Up(up::Args),
    /// Create, list, describe, resume or delete topics
    Topic(topic::Args),
    /// Publish messages from a file or standard input
    Publish(publish::Args),
    /// Query committed records with SQL
    Query(query::Args),
    /// List committed segments
    Segments(segments::Args),
    /// List, show or replay records that could not be decoded
    Quarantine(quarantine::Args),
    /// List offsets that the queue had lost before they were written
    Gaps(gaps::Args),
    /// Prove that every committed message is there exactly once
    Audit(audit::Args),
    /// Check the deployment, and say what it can promise
    Doctor(doctor::Args),
    /// Print SQL that makes a view of every topic in DuckDB
    DuckdbSql(duckdb_sql::Args),
    /// Show the effective settings
    Config(config::Args),
    /// Measure the pipeline against the queue's own reading speed
    Bench(bench::Args),
    /// Write a completion script for a shell to standard output
    Completions(completions::Args),
}

impl Command {
    /// True for a command that runs until a signal, and therefore logs its work.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self, Self::Up(_))
    }

    /// Runs it.
    pub(crate) async fn run(self, settings: Settings, json: bool) -> anyhow::Result<()> {
        match self {
            Self::Demo(args) => Box::pin(demo::run(args, &settings, json)).await,
            Self::Up(args) => Box::pin(up::run(args, settings, json)).await,
            Self::Topic(args) => Box::pin(topic::run(args, &settings, json)).await,
            Self::Publish(args) => Box::pin(publish::run(args, &settings, json)).await,
            Self::Query(args) => Box::pin(query::run(args, &settings, json)).await,
            Self::Segments(args) => Box::pin(segments::run(args, &settings, json)).await,
            Self::Quarantine(args) => Box::pin(quarantine::run(args, &settings, json)).await,
            Self::Gaps(args) => Box::pin(gaps::run(args, &settings, json)).await,
            Self::Audit(args) => Box::pin(audit::run(args, &settings, json)).await,
            Self::Doctor(args) => Box::pin(doctor::run(args, &settings, json)).await,
            Self::DuckdbSql(args) => Box::pin(duckdb_sql::run(args, &settings, json)).await,
            Self::Config(args) => config::run(&args, &settings, json),
            Self::Bench(args) => Box::pin(bench::run(args, &settings, json)).await,
            Self::Completions(args) => completions::run(&args, Cli::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_declared_without_contradiction() {
        Cli::command().debug_assert();
    }
}
