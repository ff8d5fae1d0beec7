//! The rows of one statement, in the form that was asked for.
//!
//! Owns: the forms, the file that takes its name when it is whole, progress of long queries on a terminal.
//! Does not own: formatting values (lake::query), the statement.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arrow_array::RecordBatch;
use common::text::escaped_json;
use indicatif::{ProgressBar, ProgressStyle};
use lake::query::{
    Parameters, ParquetRows, QueryError, QuerySession, format_expanded, format_table, rows_read, write_csv,
    write_csv_header, write_json_lines,
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::running::Running;
use crate::output::{self, UsageError};
use crate::units::count_text;
use crate::whole_file::WholeFile;

/// Time after which a query shows its progress, and between two looks at it.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);
const PROGRESS_EACH: Duration = Duration::from_millis(200);

/// The form of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A table with borders
    Table,
    /// A block for each row, with a line for each column
    Expanded,
    /// Comma-separated values with a line of names
    Csv,
    /// One JSON object per line
    Json,
    /// A Parquet file
    Parquet,
}

/// The place and the form of rows.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) format: Format,
    /// Standard output if absent.
    pub(super) file: Option<PathBuf>,
}

/// Runs a statement and writes its rows; their number and the time taken go to standard error.
pub(super) async fn answer(
    session: &QuerySession,
    sql: &str,
    parameters: &Parameters,
    output: &Output,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let rows = rows(session, sql, parameters, output, None).await?;
    output::note(&outcome(rows, started));
    Ok(())
}

/// `3 rows in 0.012 s`.
pub(super) fn outcome(rows: usize, started: Instant) -> String {
    let unit = if rows == 1 { "row" } else { "rows" };
    format!("{} {unit} in {:.3} s", count_text(rows as u64), started.elapsed().as_secs_f64())
}

/// Runs a statement and writes its rows; returns their number. A table that is wider than `width` is shown as blocks.
pub(super) async fn rows(
    session: &QuerySession,
    sql: &str,
    parameters: &Parameters,
    output: &Output,
    width: Option<usize>,
) -> anyhow::Result<usize> {
    let frame = match session.sql_with_parameters(sql, parameters).await {
        Err(
            error @ (QueryError::NotReading(_)
            | QueryError::UnknownTable { .. }
            | QueryError::UnknownSchema { .. }
            | QueryError::UnknownColumn { .. }
            | QueryError::Parameter(_)
            | QueryError::AmbiguousName { .. }),
        ) => return Err(UsageError::new(error.to_string()).into()),
        planned => planned?,
    };
    let tasks = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await?;
    let batches = lake::query::execute(Arc::clone(&plan), tasks)?;
    let batches =
        Watched { batches: Running::start(batches), read: || rows_read(plan.as_ref()), bar: ProgressBar::hidden() };
    let form = (output.format, width);
    match &output.file {
        Some(path) => written_whole(path, async |file| write(batches, form, Sink::File(file)).await).await,
        None => write(batches, form, Sink::StandardOutput).await,
    }
}

/// Calls `work` with a file that takes the name `path` afterwards.
async fn written_whole(path: &Path, work: impl AsyncFnOnce(File) -> anyhow::Result<usize>) -> anyhow::Result<usize> {
    let shown = path.display();
    let begun = WholeFile::begin(path);
    let (file, whole) = begun.map_err(|error| UsageError::new(format!("--output-file {shown}: {error}")))?;
    let rows = work(file).await.with_context(|| format!("--output-file {shown}"))?;
    whole.finish().with_context(|| format!("cannot name the file {shown}"))?;
    Ok(rows)
}

/// Where bytes go.
enum Sink {
    StandardOutput,
    File(File),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::StandardOutput => {
                output::print_bytes(bytes).map_err(std::io::Error::other)?;
                Ok(bytes.len())
            }
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes each batch as it comes, so that an answer of any size fits in memory; tables alone are made of all rows.
async fn write<R: Fn() -> usize>(
    mut batches: Watched<R>,
    (format, width): (Format, Option<usize>),
    sink: Sink,
) -> anyhow::Result<usize> {
    let schema = batches.batches.schema();
    let is_file = matches!(sink, Sink::File(_));
    let mut out = BufWriter::new(sink);
    let mut rows = 0;
    match format {
        Format::Table | Format::Expanded => {
            let mut all: Vec<RecordBatch> = Vec::new();
            while let Some(batch) = batches.next().await? {
                rows += batch.num_rows();
                all.push(batch);
            }
            if rows > 0 {
                let text = shown(&all, format, width)?;
                out.write_all(common::text::escaped_lines(&text).as_bytes())?;
            }
        }
        Format::Parquet => {
            let mut file = ParquetRows::new(&mut out, schema)?;
            while let Some(batch) = batches.next().await? {
                rows += batch.num_rows();
                file.write(&batch)?;
            }
            file.finish()?;
        }
        Format::Csv | Format::Json => {
            let mut bytes = Vec::new();
            if format == Format::Csv {
                write_csv_header(&mut bytes, &schema)?;
            }
            while let Some(batch) = batches.next().await? {
                rows += batch.num_rows();
                if format == Format::Csv {
                    write_csv(&mut bytes, &batch)?
                } else {
                    write_json_lines(&mut bytes, &[batch])?
                }
                put(&mut out, &mut bytes, (format, is_file))?;
            }
            put(&mut out, &mut bytes, (format, is_file))?;
        }
    }
    out.flush()?;
    Ok(rows)
}

/// The rows for people: as blocks where they are wanted, or a table would not fit.
fn shown(rows: &[RecordBatch], format: Format, width: Option<usize>) -> anyhow::Result<String> {
    if format == Format::Table {
        let table = format_table(rows)?;
        let fits = |width: usize| table.lines().next().is_none_or(|border| border.chars().count() <= width);
        if width.is_none_or(fits) {
            return Ok(table + "\n");
        }
    }
    Ok(format_expanded(rows)?)
}

/// Writes text and empties it. On standard output, which may be a terminal, no value commands it.
fn put(out: &mut impl Write, bytes: &mut Vec<u8>, (format, is_file): (Format, bool)) -> anyhow::Result<()> {
    let text = std::str::from_utf8(bytes)?;
    match format {
        Format::Json => out.write_all(escaped_json(text).as_bytes())?,
        _ if is_file || !std::io::IsTerminal::is_terminal(&std::io::stdout()) => out.write_all(bytes)?,
        _ => out.write_all(common::text::escaped_lines(text).as_bytes())?,
    }
    // What is there is shown, also while the next batch is long in coming.
    out.flush()?;
    bytes.clear();
    Ok(())
}

/// The batches of a query, whose progress is shown while they are waited for.
struct Watched<R> {
    batches: Running,
    /// Rows that were read so far.
    read: R,
    bar: ProgressBar,
}

impl<R: Fn() -> usize> Watched<R> {
    async fn next(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        let started = Instant::now();
        let mut looks = interval_at(started + PROGRESS_AFTER, PROGRESS_EACH);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let batch = loop {
            tokio::select! {
                biased;
                batch = self.batches.next() => break batch,
                _ = looks.tick() => self.show(),
            }
        };
        self.bar.finish_and_clear();
        batch
    }

    fn show(&mut self) {
        if self.bar.is_hidden() || self.bar.is_finished() {
            // Hidden where standard error is no terminal.
            let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}").expect("the template is valid");
            self.bar = ProgressBar::new_spinner().with_style(style).with_elapsed(PROGRESS_AFTER);
        }
        self.bar.set_message(format!("{} rows read", count_text((self.read)() as u64)));
        self.bar.tick();
    }
}
