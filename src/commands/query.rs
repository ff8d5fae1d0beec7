//! `query`: SQL over everything that is committed, and over published messages where the queue can be read.
//!
//! Owns: reading the statement and showing the rows. Does not own: planning and reading (lake::query).

mod stop;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{bail, ensure};
use catalog::MetadataStore;
use common::config::Settings;
use futures::StreamExt;
use lake::query::{
    HotTailMode, HotTailSettings, QueryError, QueryOptions, QuerySession, QueryStore, format_table, is_panic_contained,
    unreadable_segment, write_json_lines,
};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use self::stop::Stop;
use crate::hot_tail;
use crate::input::read_text;
use crate::opened::{self, reading_catalog};
use crate::output::{self, UsageError};
use crate::units::count_text;

/// Query records with SQL.
///
/// Each topic is a table of its name. Names are found without regard to case unless they are "quoted"; quote those that
/// are not plain words. Records that could not be decoded are in quarantine."TOPIC"; the catalog itself is in
/// siltstone.topics, siltstone.partitions, siltstone.segments. What does not fit in MEMORY_BUDGET_BYTES is sorted and
/// grouped in temporary files.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone query 'SELECT count(*) FROM orders'")]
pub(crate) struct Args {
    /// One SELECT, SHOW or EXPLAIN statement; `-` reads it from standard input
    sql: String,
    /// See published messages before they are committed: where the queue can be read (auto), or else fail (on); or committed
    /// rows alone (off). The default is that of HOT_TAIL
    #[arg(long, value_name = "auto|on|off")]
    hot_tail: Option<HotTailMode>,
    /// Read each object whole and compare it with its checksum before any of it is used
    #[arg(long)]
    verify: bool,
}

/// Prints the rows as a table, or with `json` as one JSON object per line; their number and the time taken go to
/// standard error.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let sql = statement(&args.sql)?;
    silence_contained_panics();
    let options = QueryOptions {
        memory_bytes_max: settings.memory_budget_bytes,
        verify: args.verify,
        hot_tail: HotTailSettings { mode: args.hot_tail.unwrap_or(settings.hot_tail), ..HotTailSettings::default() },
        ..QueryOptions::default()
    };
    let (signalled, signal) = oneshot::channel();
    // Of its own thread: planning a long statement holds this one.
    let _stopping = AbortOnDropHandle::new(tokio::spawn(Stop::listen()?.tell(signalled)));
    let answered =
        reading_catalog(settings, async |catalog| answer(&sql, Arc::clone(catalog), settings, options, json).await);
    // A query that is dropped takes its temporary files with it; one that is killed leaves them.
    tokio::select! {
        biased;
        answered = answered => answered.map_err(explained),
        Ok(reason) = signal => bail!("{reason}"),
    }
}

/// A panic that becomes the query's error is reported by that error.
fn silence_contained_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if is_panic_contained() {
            tracing::debug!("{panic}");
        } else {
            default(panic);
        }
    }));
}

/// Reports an unreadable segment alone: the plan's wrapping adds nothing.
fn explained(error: anyhow::Error) -> anyhow::Error {
    if let Some(segment) = unreadable_segment(error.as_ref()) {
        return anyhow::anyhow!("{segment}");
    }
    error
}

async fn answer(
    sql: &str,
    catalog: Arc<dyn MetadataStore>,
    settings: &Settings,
    options: QueryOptions,
    json: bool,
) -> anyhow::Result<()> {
    let storage = opened::storage(settings)?;
    let store = QueryStore { url: storage.url, store: storage.store };
    let session = QuerySession::open_with(catalog, store, options)?.with_hot_tail(hot_tail::of(settings, output::note));
    let started = Instant::now();
    let frame = match session.sql(sql).await {
        Err(
            error @ (QueryError::UnknownTable { .. }
            | QueryError::UnknownColumn { .. }
            | QueryError::AmbiguousName { .. }),
        ) => return Err(UsageError::new(error.to_string()).into()),
        planned => planned?,
    };
    let rows = if json {
        print_lines(frame.execute_stream().await?).await?
    } else {
        let batches = frame.collect().await?;
        let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
        if rows > 0 {
            output::print(&format!("{}\n", format_table(&batches)?))?;
        }
        rows
    };
    let unit = if rows == 1 { "row" } else { "rows" };
    output::note(&format!("{} {unit} in {:.3} s", count_text(rows as u64), started.elapsed().as_secs_f64()));
    Ok(())
}

/// Prints each batch as it comes, so that an answer of any size fits in memory; returns the number of rows.
async fn print_lines(mut batches: lake::query::BatchStream) -> anyhow::Result<usize> {
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        rows += batch.num_rows();
        let mut lines = Vec::new();
        write_json_lines(&mut lines, &[batch])?;
        output::print_json_text(std::str::from_utf8(&lines)?)?;
    }
    Ok(rows)
}

fn statement(sql: &str) -> anyhow::Result<String> {
    let sql = if sql == "-" {
        read_text(std::io::stdin().lock(), "the statement on standard input")?
    } else {
        sql.to_owned()
    };
    ensure!(!sql.trim().is_empty(), UsageError::new("the statement is empty; try \"SHOW TABLES\""));
    Ok(sql)
}
