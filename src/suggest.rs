//! Suggestions for a command that does not exist.
//!
//! Owns: the search in all groups of commands, and words that people know from other tools. Does not own: the command line
//! (`cli`), suggestions for misspelt names of one group (clap).

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Parser};

use crate::cli::Cli;

/// Letters of a word that a name must share from its beginning.
const PREFIX_MIN: usize = 3;

/// Words of other tools, and the commands that do their work here.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("run", "up"),
    ("start", "up"),
    ("serve", "up"),
    ("writer", "up"),
    ("sql", "query"),
    ("select", "query"),
    ("send", "publish"),
    ("produce", "publish"),
    ("ingest", "publish"),
    ("check", "doctor"),
    ("health", "doctor"),
    ("verify", "audit"),
    ("status", "topic describe"),
    ("ls", "topic list"),
    ("rm", "topic delete"),
    ("settings", "config"),
    ("env", "config"),
];

/// Parses the arguments of the process.
///
/// # Errors
/// Help and version that were asked for, and wrong arguments.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    Cli::try_parse().map_err(with_suggestions)
}

/// Commands of the same name or beginning, in any group, take the place of clap's, which only looks at spelling.
fn with_suggestions(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let found = suggestions(&Cli::command(), word);
    if !found.is_empty() {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(found));
    }
    error
}

/// Commands, with the name of their group, that `word` may stand for.
fn suggestions(root: &Command, word: &str) -> Vec<String> {
    let is_near = |name: &str| {
        name == word
            || (word.len() >= PREFIX_MIN && name.starts_with(word))
            || (name.len() >= PREFIX_MIN && word.starts_with(name))
    };
    let mut found: Vec<String> = paths(root, "").into_iter().filter(|path| is_near(last_word(path))).collect();
    found.extend(OTHER_WORDS.iter().filter(|(other, _)| *other == word).map(|(_, path)| (*path).to_owned()));
    found
}

fn last_word(path: &str) -> &str {
    path.rsplit(' ').next().unwrap_or(path)
}

/// Every command below `command`, with the groups before its name.
fn paths(command: &Command, before: &str) -> Vec<String> {
    let below = |command: &Command| {
        let path = format!("{before}{}", command.get_name());
        let rest = paths(command, &format!("{path} "));
        std::iter::once(path).chain(rest).collect::<Vec<_>>()
    };
    command.get_subcommands().flat_map(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggested(word: &str) -> Vec<String> {
        suggestions(&Cli::command(), word)
    }

    #[test]
    fn a_command_of_a_group_is_found_without_the_group() {
        assert_eq!(suggested("create"), ["topic create", "token create"]);
        assert_eq!(suggested("desc"), ["topic describe", "groups describe"]);
        assert_eq!(suggested("list"), ["topic list", "token list", "groups list", "quarantine list"]);
        assert_eq!(suggested("replays"), ["quarantine replay"]);
        assert_eq!(suggested("qqq"), Vec::<String>::new());
    }

    #[test]
    fn every_word_of_another_tool_stands_for_a_command_that_exists() {
        let commands = paths(&Cli::command(), "");
        for (word, path) in OTHER_WORDS {
            assert!(commands.iter().any(|command| command == path), "{word}: there is no {path}");
            assert!(suggested(word).iter().any(|found| found == path), "{word}");
        }
    }
}
