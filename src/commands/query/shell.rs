//! The shell of `query`: statements and commands, one after the other, from a terminal or from standard input.
//!
//! Owns: the loop, and that a failure or Ctrl-C ends a statement and not the shell. Does not own: editing lines (`editor`), the
//! commands (`commands`), rows (`answer`).

mod commands;
mod editor;
mod history;

use anyhow::bail;
use futures::FutureExt;
use lake::query::{Parameters, QuerySession, has_code, split_statements};
use rustyline::error::ReadlineError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use self::commands::{Command, Next};
use self::editor::{Line, LineEditor};
use super::answer::{self, Format, Output};
use crate::exit::Exit;
use crate::output;

/// What a shell has set.
#[derive(Debug)]
struct Shell {
    session: QuerySession,
    output: Output,
    /// True when the time of each statement is shown.
    is_timing: bool,
    /// Columns of the terminal; `None` where there is none.
    width: Option<usize>,
}

/// Runs the shell on the terminal, until `\q` or Ctrl-D.
pub(super) async fn run(session: QuerySession, output: Output) -> anyhow::Result<()> {
    let mut editor = LineEditor::open(session.names().await?)?;
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut shell = Shell { session, output, is_timing: true, width: editor.width() };
    output::note("\\? shows commands, \\q or Ctrl-D ends; a statement ends with ;");
    loop {
        let (again, line) = tokio::task::spawn_blocking(move || editor.read()).await?;
        editor = again;
        let text = match line {
            Ok(Line::Text(text)) => text,
            Ok(Line::Ended) => return Ok(()),
            // Ctrl-C gives up the statement that is typed.
            Err(ReadlineError::Interrupted) => continue,
            Err(error) => bail!("cannot read from the terminal: {error}"),
        };
        shell.width = editor.width();
        for part in parts(&text) {
            if let Next::End = shell.interruptible(&part, &mut interrupts).await {
                return Ok(());
            }
        }
        // Topics may have come; what is not known is only not completed.
        if let Ok(names) = shell.session.names().await {
            editor.complete(names);
        }
    }
}

/// Runs the statements and commands of a text. One that fails does not stop the others.
///
/// # Errors
/// When a statement failed: it is reported already.
pub(super) async fn run_input(session: QuerySession, text: &str, output: Output) -> anyhow::Result<()> {
    let mut shell = Shell { session, output, is_timing: true, width: None };
    let mut failed = 0;
    for part in parts(text) {
        match shell.run(&part).await {
            Ok(Next::Go) => {}
            Ok(Next::End) => break,
            Err(error) => {
                failed += 1;
                report(error);
            }
        }
    }
    match failed {
        0 => Ok(()),
        1 => bail!("a statement failed"),
        many => bail!("{many} statements failed"),
    }
}

/// The commands and statements of a text: a command is a line that begins with `\`, where no statement is open.
fn parts(text: &str) -> Vec<String> {
    let (mut parts, mut open) = (Vec::new(), String::new());
    for line in text.lines() {
        if line.trim_start().starts_with('\\') && !has_code(&open) {
            parts.push(line.trim().to_owned());
            open.clear();
            continue;
        }
        open.push_str(line);
        open.push('\n');
        // No other line can end a statement.
        if line.contains(';') {
            let (ended, rest) = split_statements(&open);
            parts.extend(ended.into_iter().filter(|statement| has_code(statement)).map(str::to_owned));
            open = rest.to_owned();
        }
    }
    parts.extend(Some(open).filter(|rest| has_code(rest)));
    parts
}

fn report(error: anyhow::Error) {
    if !Exit::is_said(&error) {
        output::note(&format!("error: {:#}", super::explained(error)));
    }
}

impl Shell {
    /// Runs a part and reports its failure; Ctrl-C drops the query, which takes its temporary files with it.
    async fn interruptible(&mut self, part: &str, interrupts: &mut Signal) -> Next {
        // One that came while nothing ran is not for this part.
        while interrupts.recv().now_or_never().flatten().is_some() {}
        let ran = tokio::select! {
            biased;
            ran = self.run(part) => ran,
            _ = interrupts.recv() => {
                output::note("cancelled");
                return Next::Go;
            }
        };
        ran.unwrap_or_else(|error| {
            report(error);
            Next::Go
        })
    }

    async fn run(&mut self, part: &str) -> anyhow::Result<Next> {
        match Command::parse(part) {
            Some(command) => self.command(command?).await,
            None => self.statement(part).await.map(|()| Next::Go),
        }
    }

    async fn statement(&self, sql: &str) -> anyhow::Result<()> {
        let started = Instant::now();
        let rows = answer::rows(&self.session, sql, &Parameters::new(), &self.output, self.width).await?;
        if self.is_timing {
            output::note(&answer::outcome(rows, started));
        }
        Ok(())
    }

    async fn command(&mut self, command: Command) -> anyhow::Result<Next> {
        match command {
            Command::Quit => return Ok(Next::End),
            Command::Help => output::print(commands::HELP)?,
            Command::Tables => self.listing(commands::TOPIC_TABLES).await?,
            Command::Describe(None) => self.listing(commands::ALL_TABLES).await?,
            Command::Describe(Some(table)) => self.listing(&format!("SHOW COLUMNS FROM {table}")).await?,
            Command::Timing => {
                self.is_timing = !self.is_timing;
                output::note(if self.is_timing { "timing is on" } else { "timing is off" });
            }
            Command::Expanded => {
                let is_expanded = self.output.format == Format::Expanded;
                self.output.format = if is_expanded { Format::Table } else { Format::Expanded };
                output::note(if is_expanded { "rows are shown as a table" } else { "rows are shown as blocks" });
            }
            Command::Format(format) => self.output.format = format,
        }
        Ok(Next::Go)
    }

    /// Shows rows of the catalog, always as a table.
    async fn listing(&self, sql: &str) -> anyhow::Result<()> {
        let output = Output { format: Format::Table, file: None };
        answer::rows(&self.session, sql, &Parameters::new(), &output, None).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_on_lines_of_their_own_between_statements() {
        let text = "\\dt\nSELECT 1;SELECT\n'\\d;';  \n  \\x\nSELECT 2";
        assert_eq!(parts(text), ["\\dt", "SELECT 1", "SELECT\n'\\d;'", "\\x", "SELECT 2\n"]);
        assert!(parts(" \n-- nothing\n;").is_empty());
    }
}
