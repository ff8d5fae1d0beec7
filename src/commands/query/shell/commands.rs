//! The commands of the shell, which begin with a backslash.
//!
//! Owns: their names and arguments, and the help. Does not own: carrying them out (`shell`).

use clap::ValueEnum;

use super::super::answer::Format;
use crate::output::UsageError;

pub(super) const HELP: &str = r"\d             tables, with those of the catalog and of quarantine
\d TABLE       columns of a table
\dt            topics and their quarantines
\o FORMAT      form of the rows: table, expanded, csv, json
\x             rows as blocks, for wide ones; again: as a table
\timing        show the number of rows and the time, or no longer
\q             end; Ctrl-D does the same
\?             this help
A statement ends with ; and may have several lines. Ctrl-C cancels it. Tab completes names.
";

pub(super) const TOPIC_TABLES: &str = "SELECT table_schema AS schema, table_name AS name FROM information_schema.tables \
    WHERE table_schema IN ('public', 'quarantine') ORDER BY name, schema";
pub(super) const ALL_TABLES: &str = "SELECT table_schema AS schema, table_name AS name FROM information_schema.tables \
    WHERE table_schema <> 'information_schema' ORDER BY schema, name";

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Quit,
    Help,
    /// The topics.
    Tables,
    /// All tables, or the columns of one, as it is typed in SQL.
    Describe(Option<String>),
    Timing,
    Expanded,
    Format(Format),
}

/// What comes after a part of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Go,
    End,
}

impl Command {
    /// The command in a text; `None` if it is a statement.
    pub(super) fn parse(text: &str) -> Option<Result<Self, UsageError>> {
        let text = text.trim().strip_prefix('\\')?;
        let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        Some(Self::of(name, argument.trim().trim_end_matches(';').trim()))
    }

    fn of(name: &str, argument: &str) -> Result<Self, UsageError> {
        let name = name.trim_end_matches(';');
        let command = match (name, argument) {
            ("d", "") => Self::Describe(None),
            ("d", table) => Self::Describe(Some(table.to_owned())),
            ("o", "") => return Err(UsageError::new(format!("\\o needs a form of rows: {}", formats()))),
            ("o", word) => match Format::from_str(word, true) {
                Ok(Format::Parquet) => {
                    return Err(UsageError::new(
                        "a Parquet file holds the rows of one statement: siltstone query STATEMENT --output parquet \
                         --output-file FILE",
                    ));
                }
                Ok(format) => Self::Format(format),
                Err(_) => return Err(UsageError::new(format!("\\o {word}: there is {}", formats()))),
            },
            ("q", "") => Self::Quit,
            ("?", "") => Self::Help,
            ("dt", "") => Self::Tables,
            ("timing", "") => Self::Timing,
            ("x", "") => Self::Expanded,
            ("q" | "?" | "dt" | "timing" | "x", argument) => {
                return Err(UsageError::new(format!("\\{name} takes no argument, not {argument:?}")));
            }
            (unknown, _) => return Err(UsageError::new(format!("there is no command \\{unknown}; \\? shows all"))),
        };
        Ok(command)
    }
}

fn formats() -> &'static str {
    "table, expanded, csv, json"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_statements_and_each_mistake_is_named() {
        let parsed = |text: &str| Command::parse(text).expect("a command");
        for (text, command) in [
            ("\\q", Command::Quit),
            (" \\q; ", Command::Quit),
            ("\\d", Command::Describe(None)),
            ("\\d quarantine.\"a b\";", Command::Describe(Some("quarantine.\"a b\"".to_owned()))),
            ("\\o CSV", Command::Format(Format::Csv)),
            ("\\x", Command::Expanded),
        ] {
            assert_eq!(parsed(text).expect("right"), command, "{text}");
        }
        assert!(Command::parse("SELECT '\\q'").is_none());
        for (text, part) in [
            ("\\o", "table, expanded, csv, json"),
            ("\\o xml", "\\o xml"),
            ("\\o parquet", "--output-file"),
            ("\\quit", "no command \\quit"),
            ("\\timing on", "takes no argument"),
        ] {
            let error = parsed(text).expect_err("wrong").to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
