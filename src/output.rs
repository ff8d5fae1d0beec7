//! Answers: on standard output, as text for people or as JSON for programs.
//!
//! Owns: the two streams' rules (answers out, notes to standard error), broken pipes, aligned tables; that no name or
//! value from outside commands the terminal.
//! Does not own: the content of an answer (each command), numbers with units (`units`).

use std::fmt;
use std::io::{self, IsTerminal, Write};

use common::secret::scrubbed;
use common::text::{escaped, escaped_json, escaped_lines};
use serde::Serialize;

/// The caller's mistake: wrong arguments or settings. Ends the process with exit code 2.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl UsageError {
    /// With `text` as the message.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// The printed answer reports the failure. Ends the process with exit code 1 and no further message.
#[derive(Debug)]
pub(crate) struct Reported;

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer says what is wrong")
    }
}

impl std::error::Error for Reported {}

/// An error with its causes, each said once: some texts hold those of their causes.
pub(crate) fn told(error: &anyhow::Error) -> String {
    let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.dedup();
    let mut told = String::new();
    for cause in causes {
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told.push_str(": ");
            told.push_str(&cause);
        }
    }
    told
}

/// Writes an answer for people. A reader that closes early (as `head` does) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_bytes(escaped_lines(text).as_bytes())
}

/// Writes text of which another program reads every character. Where a person reads it, it is written for people.
pub(crate) fn print_exactly(text: &str) -> anyhow::Result<()> {
    if io::stdout().is_terminal() { print(text) } else { print_bytes(text.as_bytes()) }
}

/// Writes JSON: one value, or lines of them.
pub(crate) fn print_json_text(json: &str) -> anyhow::Result<()> {
    print_bytes(escaped_json(json).as_bytes())
}

/// The same for bytes that are written as they are.
pub(crate) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    is_read(bytes).map(|_| ())
}

/// Writes a part of an answer without an end, as text for people or as JSON; false once nobody reads it any more.
pub(crate) fn print_part(json: bool, text: &str) -> anyhow::Result<bool> {
    let text = if json { escaped_json(text) } else { escaped_lines(text) };
    is_read(text.as_bytes())
}

fn is_read(bytes: &[u8]) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(unwritable(error)),
    }
}

fn unwritable(error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context("cannot write to standard output")
}

/// Writes a part of a stream of records; false if its reader closed it early.
pub(crate) fn print_stream(bytes: &[u8], is_json: bool) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    let escaped = if is_json { std::str::from_utf8(bytes).ok().map(escaped_json) } else { None };
    let bytes = escaped.as_ref().map_or(bytes, |text| text.as_bytes());
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(unwritable(error)),
    }
}

/// Writes an answer as indented JSON.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_json_text(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Writes an answer: `value` as JSON when `json` was asked for, else the text that `text` makes.
pub(crate) fn show(json: bool, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    if json { print_json(value) } else { print(&text()) }
}

/// Writes a line for people to standard error; nothing depends on its arrival.
pub(crate) fn note(text: &str) {
    writeln!(io::stderr().lock(), "{}", escaped_lines(&scrubbed(text))).ok();
}

/// Alignment of a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows with aligned columns, shown by `Display`.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Cells(Vec<String>),
    Text(String),
}

impl Table {
    /// An empty table with these columns.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect();
        Self { columns, lines: Vec::new() }
    }

    /// Adds a row, one cell per column.
    pub(crate) fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| escaped(&cell.into()).into_owned()).collect();
        assert_eq!(cells.len(), self.columns.len(), "a row has one cell per column");
        self.lines.push(Line::Cells(cells));
    }

    /// Adds a line of its own that is not aligned.
    pub(crate) fn text(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Text(text.into()));
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.lines.iter().filter_map(|line| match line {
            Line::Cells(cells) => Some(cells[column].chars().count()),
            Line::Text(_) => None,
        });
        cells.chain([self.columns[column].0.chars().count()]).max().unwrap_or_default()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| self.width(column)).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let padded = cells.zip(&self.columns).zip(&widths).map(|((cell, (_, align)), width)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        writeln!(f, "{}", line(&mut self.columns.iter().map(|(name, _)| name.as_str())))?;
        for row in &self.lines {
            match row {
                Line::Cells(cells) => writeln!(f, "{}", line(&mut cells.iter().map(String::as_str)))?,
                Line::Text(text) => writeln!(f, "{text}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[("NAME", Align::Left), ("N", Align::Right)]);
        table.row(["é", "100"]);
        table.row(["longer", "7"]);
        assert_eq!(table.to_string(), "NAME      N\né       100\nlonger    7\n");
    }

    #[test]
    fn an_error_says_each_cause_once() {
        let error = anyhow::anyhow!("the root").context("why: the root").context("what");
        assert_eq!(told(&error), "what: why: the root");
        assert_eq!(told(&anyhow::anyhow!("alone")), "alone");
        assert_eq!(told(&anyhow::anyhow!("cause").context("what")), "what: cause");
    }

    #[test]
    fn a_cell_begins_no_line_and_commands_no_terminal() {
        let mut table = Table::new(&[("NAME", Align::Left), ("N", Align::Right)]);
        table.row(["a\x1b[2J\nb\r\x07\u{202e}", "7"]);
        let text = table.to_string();
        assert_eq!(text, "NAME                          N\na\\u{1b}[2J\\nb\\r\\u{7}\\u{202e}  7\n");
    }
}
