//! The command line: the list of commands.
//!
//! Owns: the top level of the arguments, and their dispatch. Does not own: each command's own arguments.

use clap::{CommandFactory, Parser, Subcommand};
use common::config::Settings;

use crate::commands::{
    agents, audit, bench, compact, completions, config, consume, demo, doctor, duckdb_sql, gaps, groups, migrate,
    publish, publish_tables, quarantine, query, retention, segments, serve, tail, token, topic, up,
};
use crate::exit::Exit;

/// Everything behind the list of commands.
fn after_help() -> String {
    let codes: Vec<String> = Exit::ALL.iter().map(|exit| format!("  {exit}")).collect();
    format!(
        "`siltstone COMMAND --help` explains a command and gives an example.\n\
         Settings of queue, storage and catalog come from the environment; `siltstone config` lists them all.\n\
         Answers go to standard output, logs, progress and errors to standard error.\n\
         Exit codes:\n{}\n\nStart with: siltstone demo",
        codes.join("\n")
    )
}

/// Message streams settle into queryable Parquet, exactly once.
#[derive(Debug, Parser)]
#[command(name = "siltstone", version, after_help = after_help(), max_term_width = 110)]
pub(crate) struct Cli {
    /// Answer in JSON instead of text for people; docs/json.md has the form of each answer, and of errors
    #[arg(long, global = true, display_order = 900)]
    pub(crate) json: bool,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands. The arguments of each have its help.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Args),
    Up(up::Args),
    Serve(serve::Args),
    Topic(topic::Args),
    Token(token::Args),
    Publish(publish::Args),
    Consume(consume::Args),
    Groups(groups::Args),
    Query(query::Args),
    Tail(tail::Args),
    Segments(segments::Args),
    Retention(retention::Args),
    Quarantine(quarantine::Args),
    Gaps(gaps::Args),
    Agents(agents::Args),
    Audit(audit::Args),
    Compact(compact::Args),
    Doctor(doctor::Args),
    DuckdbSql(duckdb_sql::Args),
    PublishTables(publish_tables::Args),
    Migrate(migrate::Args),
    Config(config::Args),
    Bench(bench::Args),
    Completions(completions::Args),
}

impl Command {
    /// True for a command that runs until a signal, and therefore logs its work.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self, Self::Up(_) | Self::Serve(_))
    }

    /// Runs it.
    pub(crate) async fn run(self, settings: Settings, json: bool) -> anyhow::Result<()> {
        match self {
            Self::Demo(args) => Box::pin(demo::run(args, &settings, json)).await,
            Self::Up(args) => Box::pin(up::run(args, settings, json)).await,
            Self::Serve(args) => Box::pin(serve::run(args, settings)).await,
            Self::Topic(args) => Box::pin(topic::run(args, &settings, json)).await,
            Self::Token(args) => Box::pin(token::run(args, &settings, json)).await,
            Self::Publish(args) => Box::pin(publish::run(args, &settings, json)).await,
            Self::Consume(args) => Box::pin(consume::run(args, &settings, json)).await,
            Self::Groups(args) => Box::pin(groups::run(args, &settings, json)).await,
            Self::Query(args) => Box::pin(query::run(args, &settings, json)).await,
            Self::Tail(args) => Box::pin(tail::run(args, &settings, json)).await,
            Self::Segments(args) => Box::pin(segments::run(args, &settings, json)).await,
            Self::Retention(args) => Box::pin(retention::run(args, &settings, json)).await,
            Self::Quarantine(args) => Box::pin(quarantine::run(args, &settings, json)).await,
            Self::Gaps(args) => Box::pin(gaps::run(args, &settings, json)).await,
            Self::Agents(args) => Box::pin(agents::run(args, &settings, json)).await,
            Self::Audit(args) => Box::pin(audit::run(args, &settings, json)).await,
            Self::Compact(args) => Box::pin(compact::run(args, &settings, json)).await,
            Self::Doctor(args) => Box::pin(doctor::run(args, &settings, json)).await,
            Self::DuckdbSql(args) => Box::pin(duckdb_sql::run(args, &settings, json)).await,
            Self::PublishTables(args) => Box::pin(publish_tables::run(args, &settings, json)).await,
            Self::Migrate(args) => Box::pin(migrate::run(args, &settings, json)).await,
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
    fn the_long_help_is_shown() {
        for (command, part) in [
            ("query", "quarantine.\"TOPIC\""),
            ("gaps", "meant to forget"),
            ("audit", "Exit code 0 when all of it holds"),
            ("doctor", "Canary objects"),
            ("duckdb-sql", "duckdb -init"),
            ("migrate", "A writer does so too"),
            ("retention", "Each partition loses"),
        ] {
            let mut cli = Cli::command();
            let command = cli.find_subcommand_mut(command).expect("a command");
            let text = command.render_long_help().to_string();
            assert!(text.contains(part), "{text}");
            let about = command.get_about().expect("a line for the list of commands").to_string();
            assert!(!about.contains('\n') && !about.ends_with('.'), "{about}");
        }
    }

    #[test]
    fn no_help_is_taken_for_a_secret() {
        fn check(command: &mut clap::Command) {
            let help = command.render_long_help().to_string();
            assert_eq!(common::secret::scrubbed(&help), help);
            command.get_subcommands_mut().for_each(check);
        }
        check(&mut Cli::command());
    }

    #[test]
    fn arguments_are_declared_without_contradiction() {
        Cli::command().debug_assert();
    }

    /// The words of a command line of a shell, up to the first redirection.
    fn words(line: &str) -> Vec<String> {
        let parts = line.split('\'').enumerate();
        let words = parts.flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        words.take_while(|word| !["<", ">", "&&"].contains(&word.as_str())).collect()
    }

    /// Asserts that `command`, whose name follows `before`, has an example that is a valid call of it.
    fn check_examples(command: &clap::Command, before: &[&str]) {
        let path: Vec<&str> = before.iter().copied().chain([command.get_name()]).collect();
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = help.lines().find_map(|line| line.strip_prefix("Example: ")).unwrap_or_else(|| {
            panic!("{path:?} has no example");
        });
        let words = words(example);
        assert_eq!(words[..path.len()], path, "{example}");
        assert!(Cli::try_parse_from(&words).is_ok(), "{example}");
        assert!(command.get_about().is_some(), "{path:?} has no help");
        command.get_subcommands().for_each(|below| check_examples(below, &path));
    }

    #[test]
    fn every_command_has_help_and_an_example_that_is_a_call_of_it() {
        Cli::command().get_subcommands().for_each(|command| check_examples(command, &["siltstone"]));
    }
}
