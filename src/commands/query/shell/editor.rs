//! Lines of a terminal, edited: history, completion, statements of several lines.
//!
//! Owns: the end of an input (a semicolon, or a command), the words that Tab completes. Does not own: keys (rustyline), the
//! file of the history (`history`).

use lake::query::{has_code, split_statements};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::{History, MemHistory};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};

use super::history;

const PROMPT: &str = "siltstone> ";

/// Words that are completed besides names.
const WORDS: [&str; 33] = [
    "ALL", "AND", "AS", "ASC", "BETWEEN", "BY", "CASE", "CAST", "COUNT", "DESC", "DISTINCT", "END", "EXPLAIN", "FROM",
    "GROUP", "HAVING", "IN", "IS", "JOIN", "LIKE", "LIMIT", "NOT", "NULL", "ON", "OR", "ORDER", "OVER", "SELECT",
    "SHOW", "THEN", "UNION", "WHEN", "WHERE",
];

/// The input of one turn.
#[derive(Debug)]
pub(super) enum Line {
    Text(String),
    /// Ctrl-D.
    Ended,
}

/// The editor of a terminal.
pub(super) struct LineEditor {
    editor: Editor<Names, MemHistory>,
}

impl LineEditor {
    /// The editor of this process's terminal, which completes these names.
    pub(super) fn open(names: Vec<String>) -> rustyline::Result<Self> {
        let config = Config::builder().auto_add_history(false).build();
        let mut editor = Editor::with_history(config, MemHistory::new())?;
        editor.set_helper(Some(Names { names }));
        for statement in history::earlier() {
            editor.history_mut().add_owned(statement)?;
        }
        Ok(Self { editor })
    }

    /// The names that are completed from now on.
    pub(super) fn complete(&mut self, names: Vec<String>) {
        self.editor.set_helper(Some(Names { names }));
    }

    /// Columns of the terminal.
    pub(super) fn width(&mut self) -> Option<usize> {
        self.editor.dimensions().map(|(columns, _)| usize::from(columns))
    }

    /// Reads one input; blocks, and gives the editor back.
    pub(super) fn read(mut self) -> (Self, Result<Line, ReadlineError>) {
        let line = match self.editor.readline(PROMPT) {
            Ok(text) => {
                if has_code(&text) {
                    self.editor.add_history_entry(text.trim()).ok();
                    history::remember(text.trim());
                }
                Ok(Line::Text(text))
            }
            Err(ReadlineError::Eof) => Ok(Line::Ended),
            Err(error) => Err(error),
        };
        (self, line)
    }
}

/// What Tab completes.
struct Names {
    names: Vec<String>,
}

impl Completer for Names {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let before = &line[..position];
        let is_of_word = |c: char| c.is_alphanumeric() || "_.\"-".contains(c);
        let begin =
            before.rfind(|c| !is_of_word(c)).map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let typed = &before[begin..];
        if typed.is_empty() {
            return Ok((begin, Vec::new()));
        }
        let is_begun = |name: &&str| name.to_lowercase().starts_with(&typed.to_lowercase());
        let names = self.names.iter().map(String::as_str).filter(is_begun);
        let found = names.chain(WORDS.into_iter().filter(|word| is_begun(word))).map(str::to_owned);
        Ok((begin, found.collect()))
    }
}

impl Validator for Names {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let input = context.input();
        let is_whole = input.trim_start().starts_with('\\') || !has_code(split_statements(input).1);
        Ok(if is_whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}

impl Helper for Names {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begun_name_is_completed_without_regard_to_case() {
        let names = Names { names: ["orders", "order_id", "quarantine.orders"].map(str::to_owned).to_vec() };
        let history = MemHistory::new();
        let complete = |line: &str| names.complete(line, line.len(), &Context::new(&history)).expect("completes");
        assert_eq!(complete("SELECT ORD"), (7, ["orders", "order_id", "ORDER"].map(str::to_owned).to_vec()));
        assert_eq!(complete("SELECT * FROM quarantine.o").1, ["quarantine.orders"]);
        assert_eq!(complete("sel"), (0, vec!["SELECT".to_owned()]));
        assert_eq!(complete("SELECT ").1, Vec::<String>::new());
    }
}
